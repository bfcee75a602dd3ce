"""Two plans that use every key together, as text and as documents, and edits of them."""

import copy
from pathlib import Path
from typing import Any

import pytest

from gnomon.errors import PlanError, Problem
from gnomon.plan import load

TEXT = """\
gnomon: 1
trial: fraud-v2
question: Is fraud 2.0 as good as 1.4 everywhere?
production: {version: "1.4", url: "http://127.0.0.1:9001", timeout: 2s}
candidate:  {version: "2.0", url: "http://127.0.0.1:9002", timeout: 2s, authorization_env: CANDIDATE_AUTHORIZATION}
protocol: json
routes: [POST /predict]
suitability: {context: stateless, side_effects: none}
fork: {mode: sync, shadow_rate: 20%, expires_after: 30s, budget: {in_flight: 64, per_second: 200}}
segments:
  source: {from: body:/source, values: [tweets, amazon]}
  amount: {from: body:/amount, bins: [0, 100, 1000]}
output:
  label: body:/label
  score: {from: body:/score, compare: number, tolerance: 0.01}
  fields: {from: body:/result, compare: json_fields, ignore: [/id]}
truth: {key: body:/transaction_id, expected_within: 14d}
unit: {cluster: body:/document, closes_after: 1h}
gates:
  - accuracy: {of: label, no_worse_than: production, margin: {overall: 1pp, "source=tweets": 3pp, otherwise: 4pp}}
  - accuracy: {of: label, better_than: production, where: overall}
  - agreement: {of: score, at_least: 90%}
  - error_rate: {no_worse_than: production, margin: 0.5pp}
  - error_rate: {at_most: 1%, where: [overall, "source=tweets"], expect: {disagreement: 0.2%}}
  - latency: {quantile: 99%, at_most: 250ms, where: overall}
samples: {overall: 2000, every_segment: 200}
duration: {at_least: 7d, cycle: 7d, deadline: 42d}
integrity: {lost: 1%}
alpha: 5%
expect: {disagreement: 22%, difference: 0pp, where: {"source=tweets": 8%}}
"""

FORKED_TEXT = """\
gnomon: 1
trial: fraud-v2
question: Is fraud 2.0 as good as 1.4 everywhere?
production: {version: "1.4", url: "http://127.0.0.1:9001", identity: GET /v2/models/fraud}
candidate:
  version: "2.0"
  url: "http://127.0.0.1:9002"
  identity: {path: /healthz, header: X-Model}
  rewrite:
    path: {/predict: /v2/predict}
    headers: {X-Model: "fraud-2"}
    body: {/model: "fraud-2", /options: {n: 1.0}}
routes: [POST /predict, GET /models]
suitability: {context: stateless, side_effects: none}
fork:
  strata: {by: body:/country, rates: {BR: 100%, DE: 5%}, otherwise: 10%}
  sticky: header:X-User-Id
  headers: [X-Tenant]
guards: {context: [body:/previous_response_id], side_effects: [body:/tools, header:x-tools]}
record:
  drop: [body:/card_number]
  mask: [header:X-Tenant]
  digest: ["body:/items/*/email", query:token]
  keep_bodies: 30d
segments:
  country: {from: body:/country, values: [BR, DE]}
output: {label: body:/label}
truth: {key: body:/id, expected_within: 14d}
unit: {independent: true}
gates:
  - agreement: {at_least: 90%, where: overall}
"""
"""What is copied, guarded, rewritten and kept out of the log."""

PATH = Path("plan.yaml")

DOCUMENT: dict[str, Any] = load.parse(TEXT, PATH).document

FORKED: dict[str, Any] = load.parse(FORKED_TEXT, PATH).document

LEFT_OUT = object()


def edited(path: tuple[str | int, ...], value: Any, *, of: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    """The document with one value replaced, or left out."""
    document = copy.deepcopy(of)
    holder: Any = document
    for part in path[:-1]:
        holder = holder[part]
    if value is LEFT_OUT:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return document


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(PlanError) as caught:
        load.parse(text, PATH)
    return list(caught.value.problems)


def problems_in(document: dict[str, Any]) -> list[Problem]:
    with pytest.raises(PlanError) as caught:
        load.from_document(document)
    return list(caught.value.problems)
