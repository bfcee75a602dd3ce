"""The two files in docs/statistics: the table for people, and for programs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from scenarios import CASES
from table import Row, figure

DOCS: Final = Path(__file__).parents[2] / "docs" / "statistics"

HEAD: Final = """# Calibration: the promises, simulated

What [methods.md](methods.md) claims, measured. `make simulate` runs seeded trials through the public functions of
`gnomon.stats`, the same that decide, and writes this page and [calibration.json](calibration.json). {holding} of the {all}
rows hold.

- **Row.** One thing that must hold. `measured` is what the gates did. `naive` is the obvious way to do it on the same
  simulated traffic: a test made for a fixed sample, but done at every look; counts without weights; an estimate compared
  with a limit. Where the naive way is known to fail it has to fail here too, or the row does not hold: a scenario in
  which nothing can go wrong shows nothing.
- **Target.** alpha is 5 %, one-sided, for each gate. A false rate holds when it is at most alpha and three of its standard
  errors: 6.46 % in 2,000 trials. All other targets are limits on the figure itself, and none was moved to make it hold.
- **Looks.** After every look a trial may end, and a trial counts as wrong if it ever ended wrongly. n80 is the sample with
  which a test with one look would promote with 80 % power. What looks at will costs is the ratio to it.
- **Seeds.** Every case has a generator of its own, `numpy.random.default_rng([{seed}, crc32(id), case])`, cases counted
  from 0 within their scenario. So `python bench/simulate --only B4,B8` gives the figures that all of them give (numpy
  {numpy}); run with `--only`, nothing is written here.
- **Cost.** Two processes, less than half an hour on two cores.

In what follows psi is the probability that the arms disagree, delta the margin, and a difference is the candidate minus
production. "At the margin" means worse by just as much as must not be promoted: the hardest case.
"""

ABOUT: Final = {
    "B1": (
        "False promotion, one segment",
        "The candidate is worse by exactly the margin. A look every 25 pairs to 50,000; 2,000 trials. Naive: the score test "
        "of Nam at every look.",
    ),
    "B2": (
        "Speed, one segment",
        "The candidate is equal (or better by one point where the row says so), and the plan expects just that. A look "
        "every n80/150 pairs; 2,000 trials. The last row has errors that are rare.",
    ),
    "B3": (
        "A wrong plan",
        "`expect` names another disagreement than there is, or the candidate is better or worse than planned. It costs time, "
        "not validity. Margin 2 pp, a look every n80/150 pairs to 6 n80; 2,000 trials each.",
    ),
    "B4": (
        "One bad segment among five",
        "Shares 40, 25, 20, 10, 5 %; psi .08, delta .02; the others are better by two points. Promoted means that all five "
        "gates pass at the same look. A look every 100 records to 120,000; 1,500 trials. Far beyond the margin the "
        "naive arm is rarely wrong too: those two rows have no naive target.",
    ),
    "B5": (
        "Five equal segments",
        "As B4, and equal everywhere. Each gate has the full alpha (intersection-union); naive: alpha divided by five. The "
        "hybrid has e-values at alpha/2 and, once, at a sealed number of records, Nam's score test at alpha/2 in the segments "
        "that have not passed; its false promotion is simulated with the smallest segment at the margin.",
    ),
    "B6": (
        "The alarm",
        "As B4, with margin 0: is the candidate worse than production at all? The alarm is the mean of the segments' e-values "
        "(beta mixture over the discordant pairs) reaching 1/alpha; e-Holm names segments. Naive: McNemar's test in "
        "every segment that is not worse, at every look. 1,500 trials.",
    ),
    "B7": (
        "Error rates",
        "With a margin in points and with a margin as a ratio. For the ratios production fails in 1 % and both arms in 0.6 %. "
        "A look every n80/150 exchanges to 6 n80; 2,000 trials. Naive: the fixed-sample test at every look.",
    ),
    "B8": (
        "P99 against production's",
        "Log-normal latencies, sd of the logarithm .57, half of its variance shared by the arms; in the log's buckets. A "
        "look every 500 pairs to 40,000; 400 trials. Naive: the sample's P99s compared at every look; for the confidence sequence "
        "the binomial interval of a fixed sample at every look.",
    ),
    "B9": (
        "P99 under a load that comes and goes",
        "Log latency = sd x load + .3 request + .3 own, the load an AR(1) with coefficient .999 from pair to pair, ten pairs a "
        "second; the candidate is exactly at the bound of 1.25. A look every 500 pairs to 30,000; 200 trials. The product "
        "answers only if at most 1 % of the candidate's calls began more than a second after production's, and leaves those "
        "out. `at once`: 2 ms late, two in a thousand up to 3 s. `as late as is let through`: all .9 s late, and the .8 % with "
        "the heaviest load 30 s. `an hour later`: refused; the naive figure is what the gate would have let through "
        "without that check. For the others it is the sample's P99s compared at every look.",
    ),
    "B10": (
        "Strata with rates of their own",
        "Shares 90, 8, 2 %, copied with 5, 50, 100 %; psi .06, .15, .30; overall exactly at the margin of 2 pp, by different "
        "differences in the strata. Bets weighted by the inverse of the rate. A look every 286 arrivals to 137,000; 700 trials. "
        "Rates that change twice: 5, 50, 100 % for 60 looks, 20, 100, 50 % for 60, then 10, 5, 25 %. Naive: the "
        "post-stratified normal test at every look.",
    ),
    "B12": (
        "Truth in the wrong order",
        "At the margin, psi .10, delta .02. Where the candidate won the truth comes after 50 pairs on average, where it lost "
        "after 1,500. 6,000 pairs, a look every 50; 600 trials.",
    ),
    "B14": (
        "Weekends",
        "+.5 points on weekdays and -9 at weekends, 2.21 points worse on average; margin 2 pp; psi .10. 800 pairs a day for "
        "28 days, a look every hour, 600 trials; truth 0, 2 and 9 days late. The gate reads whole weeks of which all is settled. "
        "Naive: all that is settled, at every look; with late truth at the end of each calendar week.",
    ),
    "B18": (
        "Production against itself",
        "Two copies of production that disagree in 2 %; margin 1 pp. A look every 25 units to 20,000; 2,000 trials. Then the same "
        "through the agreement gate: disagreement with the candidate less that with the twin, three copies that deviate "
        "each on its own. Naive: McNemar's test at every look.",
    ),
    "B19": (
        "The planner",
        "The largest relative error among the predicted units for 50, 80 and 90 % power, against {trials} simulated trials of "
        "the parameters of B2 and B7, of a rate under a limit, and of rejection. Naive: the sample size of a fixed test as "
        "the prediction for 80 %.",
    ),
    "unit": ("Clusters", "Conversations of eight turns of which nine in ten share one fate; 25 a look, 200 looks, 1,000 trials."),
    "weight": (
        "Over-sampling",
        "A fifth of the traffic is always copied, the rest at 5 %. At the margin over all of it, better or worse in the fifth. "
        "400 requests a look, 500 looks, 1,000 trials. Naive: without weights.",
    ),
    "reject": (
        "Rejection",
        "Twenty tests with margin 4 pp, each of which needs 20/alpha; 25 units a look in each, 200 looks, 1,000 trials. Naive: the "
        "score test in each at every look.",
    ),
    "speed": ("The time of a look", "Both sides of 800 tests from their counts, alone on a core; median of seven."),
}


def write(rows: list[Row], seed: int, trials: int) -> None:
    """Both files, whole."""
    holding = sum(row.holds for row in rows)
    parts = [HEAD.format(holding=holding, all=len(rows), seed=seed, numpy=np.__version__)]
    for name in CASES:
        title, about = ABOUT[name]
        lines = [f"## {name}: {title}\n", f"{about.format(trials=f'{trials:,}')}\n", "| | target | measured | naive | holds |"]
        lines.append("| --- | ---: | ---: | ---: | --- |")
        lines += [line(row) for row in rows if row.id == name]
        parts.append("\n".join(lines) + "\n")
    (DOCS / "calibration.md").write_text("\n".join(parts))
    (DOCS / "calibration.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def line(row: Row) -> str:
    """A row in Markdown."""
    naive = "" if row.naive is None else figure(row.naive)
    return f"| {row.scenario} | {row.target} | {figure(row.measured)} | {naive} | {'yes' if row.holds else '**no**'} |"
