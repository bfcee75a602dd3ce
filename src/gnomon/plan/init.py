"""Init: a commented plan from a few answers. What it writes passes every check, or is not written."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gnomon.errors import PlanError
from gnomon.plan import load

NO_TRUTH: Final = frozenset({"", "none", "no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What only the person can know."""

    trial: str
    production: str
    """URL."""
    candidate: str
    """URL."""
    route: str
    """Method and path."""
    output: str
    """Selector of the answer that is compared."""
    truth: str = "none"
    """Selector of the truth's key in the request; `none`: there is no truth."""


def template(answers: Answers) -> str:
    """A plan with every part explained.

    Raises PlanError when an answer cannot stand in a plan; its lines are those of the text.
    """
    key = "" if answers.truth.strip().lower() in NO_TRUTH else answers.truth.strip()
    text = _TEXT.format(
        trial=_quoted(answers.trial),
        production=_quoted(answers.production),
        candidate=_quoted(answers.candidate),
        route=_quoted(answers.route),
        output=_quoted(answers.output),
        truth=_TRUTH.format(key=_quoted(key)) if key else _NO_TRUTH,
        gate=_ACCURACY if key else _AGREEMENT,
        target=_BETTER if key else _FEWER,
    )
    try:
        load.parse(text, Path("your answers"))
    except PlanError as error:
        raise PlanError(list(error.problems), run="gnomon init") from None
    return text


def _quoted(answer: str) -> str:
    """JSON's strings are YAML's double-quoted ones: no answer can end the value it stands in."""
    return json.dumps(answer.strip(), ensure_ascii=False)


_TRUTH: Final = """\
# Ground truth may come late, in a file: gnomon labels import truth.csv
truth: {{key: {key}, expected_within: 14d}}     # later than that is taken as the worst case
"""

_NO_TRUTH: Final = """\
# No ground truth: the verdict will say that correctness was not measured. With truth:
# truth: {key: body:/id, expected_within: 14d}
"""

_ACCURACY: Final = """\
  # Right about as often as production. The margin is how much worse is still acceptable; it cannot be zero.
  - accuracy: {no_worse_than: production, margin: 2pp}
"""

_AGREEMENT: Final = """\
  # The same answer as production.
  - agreement: {at_least: 95%}
"""

_BETTER: Final = "accuracy: {better_than: production, where: overall}"

_FEWER: Final = "error_rate: {better_than: production, where: overall}"

_TEXT: Final = """\
# A Gnomon plan. Read it aloud in a meeting before the trial: once the trial has begun, a change of anything but
# addresses, the budget and what the log keeps (record) is a new trial with no evidence. Check it with:
# gnomon check plan.yaml
gnomon: 1
trial: {trial}
question: Is the candidate as good as production?      # put yours here; the report begins with it

# Versions are text: keep the quotes.
production: {{version: "1", url: {production}, timeout: 10s}}
candidate:  {{version: "2", url: {candidate}, timeout: 10s}}
protocol: json                    # or open_inference (V2)
routes: [{route}]                 # what is shadowed; everything else passes

# Every copied request is carried out a second time, by the candidate. Is this true?
suitability: {{context: stateless, side_effects: none}}

fork:
  mode: sync                      # the candidate is called as the request comes; async: later, from a queue
  shadow_rate: 100%               # share of the requests that are copied
  budget: {{in_flight: 64}}         # how much the candidate may be called; not sealed
  # twin: 5%                      # so many copies go to production again: how often does it agree with itself?
# What is never copied, and what the log never holds (docs/plan.md has strata, sticky sampling and rewrites, too):
# guards: {{context: [body:/previous_response_id], side_effects: [body:/tools]}}
# record: {{drop: [body:/card_number], keep_bodies: 30d}}

# Every gate must hold in each of these, too. The value comes from the request.
# segments:
#   country: {{from: body:/country, values: [DE, FR]}}
#   amount: {{from: body:/amount, bins: [0, 100, 1000]}}

output: {{answer: {output}}}
{truth}
# Requests that belong together (one user, one document) count as one:
# unit: {{cluster: body:/user, closes_after: 1h}}

gates:                            # all must pass; where: overall and every segment, if not said
{gate}\
  # Fails about as rarely as production. A time-out, an error status or an unreadable answer is a failure.
  - error_rate: {{no_worse_than: production, margin: 1pp, where: overall}}
  # Fast enough, by an absolute limit:
  # - latency: {{quantile: 99%, at_most: 500ms, where: overall}}

# Reported and never blocking, in the same words:
# targets:
#   - {target}

samples: {{overall: 1000, every_segment: 200}}     # smallest evidence
duration: {{at_least: 1d, deadline: 28d}}
integrity: {{lost: 1%}}             # more lost pairs make the trial invalid
alpha: 5%                         # highest probability of promoting a candidate that is worse than a margin
"""
