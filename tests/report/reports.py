"""Reports for every verdict. The numbers come from `decide` itself: only counts, answers and times are written here."""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from gnomon.decide import decide
from gnomon.records.evidence import (
    GRID,
    Agreement,
    Cell,
    Description,
    Disagreement,
    Evidence,
    LatencySummary,
    LedgerSide,
    Losses,
    LossFactor,
    NoiseFloor,
    Sampling,
)
from gnomon.records.facts import ProbeResult, Reading
from gnomon.records.plan import (
    OVERALL,
    Arm,
    Duration,
    Fork,
    Gate,
    GateForm,
    GateKind,
    Output,
    Plan,
    Route,
    Segment,
    Selector,
    Test,
    Truth,
    Unit,
)
from gnomon.records.tax import Tax
from gnomon.records.trial import Trial
from gnomon.records.verdict import TestResult, Verdict, VerdictName
from gnomon.report import Attempt, Report, build, shared_alpha
from gnomon.report.history import History, history

START = 1_790_000_000_000_000
HOUR = 3_600_000_000
DAY = 24 * HOUR
SOURCES = ("tweets", "amazon", "movies", "editorials", "other", "missing")
DIGEST = "9f2c" * 16


def a_gate(
    name: str,
    kind: GateKind,
    form: GateForm,
    sentence: str,
    margin_ppm: int,
    *,
    everywhere: bool = False,
    limit_us: int | None = None,
) -> Gate:
    places = [(OVERALL, ""), *(("source", value) for value in SOURCES)] if everywhere else [(OVERALL, "")]
    tests = tuple(
        Test(
            gate=name,
            segment=segment,
            value=value,
            margin_ppm=margin_ppm,
            disagreement_ppm=150_000 if kind == "accuracy" else max(1, margin_ppm // 2),
            difference_ppm=0 if form == "no_worse_than" else -max(1, margin_ppm // 2),
            min_units=1000 if segment == OVERALL else 200,
        )
        for segment, value in places
    )
    return Gate(
        id=name,
        kind=kind,
        form=form,
        output="label" if kind in {"accuracy", "agreement"} else None,
        quantile_ppm=1_000_000 - margin_ppm if kind == "latency" else None,
        limit_us=limit_us,
        sentence=sentence,
        tests=tests,
    )


GATES = (
    a_gate(
        "accuracy",
        "accuracy",
        "no_worse_than",
        "The candidate is right about label at most 4 pp less often than production, overall and on every source.",
        40_000,
        everywhere=True,
    ),
    a_gate(
        "error_rate",
        "error_rate",
        "no_worse_than",
        "The candidate fails at most 0.5 pp more often than production, overall.",
        5_000,
    ),
    a_gate(
        "latency",
        "latency",
        "at_most",
        "99 % of the candidate's answers are complete within 250 ms, overall.",
        10_000,
        limit_us=250_000,
    ),
)


def a_plan(**changes: Any) -> Plan:
    plan = Plan(
        trial="sentiment-lr",
        question="Is the new model as good as VADER on every source, and as quick?",
        production=Arm(version="vader-3.3.2", url="http://production.internal:9001", authorization_env="SECRET_NAME"),
        candidate=Arm(version="logreg-2", url="http://candidate.internal:9002"),
        protocol="json",
        routes=(Route(method="POST", path="/predict"),),
        fork=Fork(mode="sync", shadow_rate=1 << 31, expires_after_us=DAY, in_flight=64, per_second=None),
        segments=(Segment(name="source", of=Selector(where="body", name="/source"), values=SOURCES[:4]),),
        outputs=(Output(name="label", of=Selector(where="body", name="/label"), compare="exact"),),
        truth=Truth(key=Selector(where="body", name="/id"), expected_within_us=14 * DAY),
        unit=Unit(independent=True),
        gates=GATES,
        duration=Duration(at_least_us=HOUR, deadline_us=42 * DAY),
        lost_ppm=10_000,
        alpha_ppm=50_000,
    )
    return structs.replace(plan, **changes)


def a_cell(test: Test, better: int, worse: int, same: int, *, seen: int | None = None, **changes: Any) -> Cell:
    histogram = tuple((value, n) for value, n in ((-GRID, worse), (0, same), (GRID, better)) if n)
    units = better + worse + same
    cell = Cell(
        gate=test.gate,
        segment=test.segment,
        value=test.value,
        low=histogram,
        high=histogram,
        exchanges=units,
        lost=0,
        imputed=0,
        waiting=0,
        seen=units if seen is None else seen,
        frontier_us=START + 3 * DAY,
    )
    return structs.replace(cell, **changes)


Counts = dict[str, tuple[int, int, int]]
FAIR: Counts = {
    "overall": (980, 700, 6100),
    "tweets": (110, 100, 2300),
    "amazon": (290, 200, 1280),
    "movies": (300, 220, 1300),
    "editorials": (280, 180, 1220),
}
BAD_ON_TWEETS: Counts = FAIR | {"tweets": (60, 170, 470)}
EARLY: Counts = {"overall": (60, 40, 420), "tweets": (6, 5, 130), "amazon": (30, 20, 130), "movies": (24, 15, 160)}
LEDGER = {
    "seen": 15_790,
    "handed_over": 7_824,
    "received": 7_824,
    "passed": 120,
    "unsampled": 7_800,
    "cancelled": 12,
    "guarded:too_large": 34,
    "paired": 7_816,
    "expired": 8,
    "open": 0,
    "invalid_head": 2,
}


def evidence_of(plan: Plan, counts: Counts, **changes: Any) -> Evidence:
    """`counts` by the segment's value: (better, worse, same) for accuracy. The other gates see few bad outcomes."""
    cells = []
    for test in plan.tests:
        if test.gate.startswith("accuracy"):
            better, worse, same = counts.get(test.value or OVERALL, (0, 0, 0))
        else:
            units = sum(counts.get(OVERALL, (0, 0, 0)))
            better, worse, same = 0, units // 2000, units - units // 2000
        cells.append(a_cell(test, better, worse, same))
    evidence = Evidence(
        trial=plan.trial,
        as_of_us=START + 4 * DAY,
        watermark_us=START + 3 * DAY,
        versions={"comparisons": 41, "exchanges": 41, "ledger": 57, "truths": 2},
        rows={"comparisons": 7_824, "ledger": 912, "truths": 1_800},
        digest="41d0" * 16,
        cells=tuple(cells),
        lost_share_ppm={},
        sampled={OVERALL: (8, 7_824)},
        ledger=LEDGER,
    )
    return structs.replace(evidence, **changes)


def a_disagreement(number: int, **changes: Any) -> Disagreement:
    texts = (
        '{"id": 4711, "source": "tweets", "text": "Not exactly the service I was hoping for, but hey, it works :)"}',
        '{"id": 1893, "source": "movies", "text": "A film that is never dull and never quite good."}',
    )
    found = Disagreement(
        id=f"0199{number:028x}",
        time_us=START + number * HOUR,
        segments={"source": ("tweets", "movies")[number % 2]},
        output="label",
        production='"positive"' if number % 2 else '"negative"',
        candidate='"negative"' if number % 2 else '"positive"',
        truth=None if number % 3 == 2 else '"positive"',
        weight=1.0,
        request=texts[number % 2],
    )
    return structs.replace(found, **changes)


def a_description(**changes: Any) -> Description:
    def described(cell: str, pairs: int, agree: int) -> Agreement:
        off = pairs - agree
        matrix = (
            ('"positive"', '"positive"', agree * 3 // 5),
            ('"positive"', '"negative"', off - off // 3 - 1),
            ('"negative"', '"positive"', off // 3),
            ('"negative"', '"negative"', agree - agree * 3 // 5),
            ('"negative"', "failed", 1),
        )
        return Agreement(output="label", cell=cell, pairs=pairs, agree=agree, matrix=matrix)

    description = Description(
        latency=(
            LatencySummary(arm="production", calls=7_824, p50_us=3_120, p90_us=6_480, p99_us=21_300, failed={"5xx": 2}),
            LatencySummary(
                arm="candidate",
                calls=7_816,
                p50_us=4_810,
                p90_us=9_020,
                p99_us=48_700,
                failed={"5xx": 1, "timeout": 3},
            ),
        ),
        agreements=(
            described("overall", 7_816, 6_136),
            described("source=tweets", 2_510, 2_300),
            described("source=amazon", 1_770, 1_280),
        ),
        disagreements=tuple(a_disagreement(number) for number in range(1, 5)),
        segments={"source": {"tweets": 2_510, "amazon": 1_770, "movies": 1_820, "editorials": 1_680, "missing": 36}},
    )
    return structs.replace(description, **changes)


NOTHING = Description(
    latency=tuple(
        LatencySummary(arm=arm, calls=0, p50_us=None, p90_us=None, p99_us=None, failed={})
        for arm in ("production", "candidate")
    ),
    agreements=(Agreement(output="label", cell="overall", pairs=0, agree=0, matrix=()),),
    disagreements=(),
    segments={"source": dict.fromkeys(SOURCES[:4], 0)},
)


def a_trial(**changes: Any) -> Trial:
    trial = Trial(
        id="sentiment-lr.1",
        name="sentiment-lr",
        number=1,
        digest=DIGEST,
        canonical="{}",
        document="{}",
        plan_path="plan.yaml",
        parent=None,
        attempt=2,
        registered_us=START,
        program="0.1.0",
        first_epoch=1,
    )
    return structs.replace(trial, **changes)


def a_report(
    counts: Counts, *, plan: Plan | None = None, description: Description | None = None, **changes: Any
) -> Report:
    plan = plan or a_plan()
    evidence = evidence_of(plan, counts, **changes)
    trial = a_trial()
    verdict = decide(
        plan, evidence, trial=trial.id, plan_digest=DIGEST, started_us=trial.registered_us, program="0.1.0"
    )
    return build(trial, plan, verdict, description or a_description(), history=history([(1, verdict)]))


def promoted() -> Report:
    return a_report(FAIR)


def rejected() -> Report:
    return a_report(BAD_ON_TWEETS)


def continuing() -> Report:
    return a_report(EARLY, ledger=LEDGER | {"open": 14, "seen": 15_804})


def inconclusive() -> Report:
    return a_report(EARLY, as_of_us=START + 100 * DAY)


def invalid() -> Report:
    problem = "the ledger counts 7,816 paired exchanges, the log holds 7,800: rows are missing"
    return a_report(FAIR, anomalies=(problem,))


def empty() -> Report:
    """Sealed, serving, and nothing came yet."""
    nothing = dict.fromkeys(("comparisons", "ledger", "truths"), 0)
    return a_report(
        {},
        description=NOTHING,
        ledger={"open": 0},
        watermark_us=0,
        versions=dict.fromkeys(("comparisons", "exchanges", "ledger", "truths"), -1),
        rows=nothing,
        sampled={},
    )


def shadowed(text: str = "", **changes: Any) -> Report:
    """A rejection with all that is known of the shadow itself; `text` stands wherever users or models have a say."""
    description = a_description(
        ledger=(
            LedgerSide(
                side="gateway",
                came=15_790,
                ended={"passed": 120, "unsampled": 7_800, "cancelled": 12, "guarded:too_large": 34},
                handed_over=7_824,
                open=0,
            ),
            LedgerSide(side="runner", came=7_824, ended={"paired": 7_816, "expired": 8}, handed_over=0, open=0),
        ),
        sampling=(
            Sampling(
                stratum=f"gold{text}", declared=1 << 32, drawn=400, sampled=400, lower=0.9908, upper=1.0, inside=True
            ),
            Sampling(
                stratum="otherwise",
                declared=1 << 31,
                drawn=15_270,
                sampled=7_424,
                lower=0.478226,
                upper=0.494136,
                inside=False,
            ),
        ),
        losses=Losses(
            states={"expired": 8},
            pairs=7_816,
            factors=(
                LossFactor(name="request_size", lost=8, pairs=7_816, lost_median=9_120, pairs_median=212, p=0.0004),
                LossFactor(
                    name="production_latency", lost=8, pairs=7_816, lost_median=3_300, pairs_median=3_120, p=0.31
                ),
                LossFactor(
                    name="segment:source",
                    lost=8,
                    pairs=7_816,
                    values={f"tweets{text}": (3, 2_510), "amazon": (5, 5_306)},
                    p=None,
                ),
            ),
        ),
    )
    more = {
        "tax": Tax(
            p50_us=120.4,
            p50_lower_us=48.0,
            p50_upper_us=190.0,
            p99_us=310.0,
            p99_lower_us=-52.0,
            p99_upper_us=700.0,
            on=15_400,
            off=320,
        ),
        "probes": (
            ProbeResult(kind="equal", gateway="0", time_us=START + DAY),
            ProbeResult(kind="large", gateway="0", time_us=START + DAY, lost_at="call", detail=f"refused{text}"),
            ProbeResult(kind="slow", gateway="1", time_us=START + DAY, pending=True),
        ),
        "identities": (
            Reading(arm="production", time_us=START, digest="ab12" * 16, shown="vader 3.3.2"),
            Reading(arm="candidate", time_us=START, digest="cd34" * 16, shown=f'{{"version": 2}}{text}'),
            Reading(arm="candidate", time_us=START + DAY, digest="ef56" * 16, shown='{"version": 3}'),
        ),
    }
    return structs.replace(a_report(BAD_ON_TWEETS, description=description), **(more | changes))


def a_result(gate: Gate, test: Test, **changes: Any) -> TestResult:
    """A test as a look may record it, its numbers written by hand."""
    cell = a_cell(test, 60, 50, 4_890, lost=8, imputed=21, waiting=140, truths=4_979 if gate.needs_truth else 0)
    found = TestResult(
        gate=gate.id,
        segment=test.segment,
        value=test.value,
        result="inconclusive",
        reason=f"{gate.id} {test.cell}: not shown yet, e is 3.1 and must reach 20",
        margin_ppm=test.margin_ppm,
        units=5_000,
        needed=test.min_units,
        estimate=0.002,
        lower=-0.011,
        upper=0.014,
        e_promote=3.1,
        e_reject=0.2,
        promote_at=20.0,
        reject_at=200.0,
        cell=cell,
    )
    return structs.replace(found, **changes)


def a_kind(name: str, kind: GateKind, form: GateForm, margin_ppm: int = 10_000, **fields: Any) -> Gate:
    gate = a_gate(name, kind, form, f"The criterion of {name} in words.", margin_ppm)
    return structs.replace(gate, quantile_ppm=None, **fields)


KINDS: tuple[tuple[Gate, dict[str, Any]], ...] = (
    (a_kind("accuracy", "accuracy", "no_worse_than"), {"production": 0.912, "candidate": 0.914}),
    (
        a_kind("agreement", "agreement", "no_worse_than", 20_000, output="label", against_twin=True),
        {"production": 0.983, "candidate": 0.979, "estimate": -0.004},
    ),
    (
        a_kind("agreement:least", "agreement", "at_least", 100_000, output="label"),
        {"estimate": -0.081, "lower": -0.094, "upper": -0.07, "candidate": 0.919},
    ),
    (a_kind("share:fraud:not_above", "share", "not_above", 5_000, label='"fraud"'), {"estimate": -0.001}),
    (a_kind("share:fraud:not_below", "share", "not_below", 5_000, label='"fraud"'), {"estimate": 0.001}),
    (
        a_kind("error_rate", "error_rate", "no_worse_than", 0, ratio=(3, 2), steps=3),
        {"estimate": 0.0012, "lower": 0.0001, "upper": 0.003, "result": "pass", "e_promote": 44.0},
    ),
    (
        structs.replace(a_kind("latency", "latency", "at_most", 0, ratio=(6, 5)), quantile_ppm=990_000),
        {"estimate": 1.08, "lower": 0.97, "upper": 1.26, "production": 21_300.0, "candidate": 23_004.0},
    ),
    (
        structs.replace(a_kind("latency:p50", "latency", "at_most", 0, ratio=(11, 10)), quantile_ppm=500_000),
        {
            "estimate": None,
            "lower": None,
            "upper": None,
            "e_promote": 1.0,
            "no_estimate": "the candidate starts more than 1 s after production in 3.2 % of the pairs, so the load "
            "does not match",
        },
    ),
    (a_kind("recall:fraud", "recall", "no_worse_than", label='"fraud"', output="label"), {"hybrid_p": 0.031}),
    (
        a_kind("precision:fraud", "precision", "no_worse_than", label='"fraud"', output="label"),
        {"upper": None, "no_estimate": "an interval of two ratios is not made", "lower": None},
    ),
    (a_kind("loss", "loss", "no_worse_than", 20_000, output="label"), {}),
    (a_kind("numeric", "numeric", "better_than", 0, output="score", scale=(0.0, 100.0)), {"result": "fail"}),
    (a_kind("field", "field", "no_worse_than", outputs=("label", "score"), steps=2), {}),
    (a_kind("refusal_rate", "refusal_rate", "at_most", 20_000, label='"no"'), {"estimate": -0.004, "upper": -0.001}),
    (a_kind("refusals", "refusal_rate", "no_worse_than", label='"no"'), {}),
    (
        a_kind("cost", "cost", "at_most", 400_000, output="tokens", scale=(0.0, 1000.0), limit=400.0),
        {"estimate": -0.31, "lower": -0.34, "upper": -0.29},
    ),
    (a_kind("cost:least", "cost", "no_worse_than", 50_000, output="tokens", scale=(0.0, 1000.0)), {}),
    (a_kind("custom", "custom", "no_worse_than", 50_000, output=None), {"estimate": 0.021}),
)
"""A gate of each kind and what its overall test says."""


def every_kind() -> Report:
    """A trial that goes on, with a gate of each kind, a soft target, a twin, cycles and an earlier attempt."""
    gates = tuple(gate for gate, _ in KINDS)
    target = a_kind("faster", "accuracy", "better_than", 0)
    plan = a_plan(
        gates=gates,
        targets=(target,),
        duration=Duration(at_least_us=7 * DAY, cycle_us=DAY, deadline_us=42 * DAY),
        cost_per_day="40 EUR",
    )
    tests = tuple(a_result(gate, gate.tests[0], **says) for gate, says in KINDS)
    soft = (a_result(target, target.tests[0], soft=True, reason="faster overall: the gates do not all pass yet"),)
    made = a_report(EARLY)
    noise = (
        NoiseFloor(output="label", cell="overall", drawn=402, repeats=2, agree=396, candidate_agree=381),
        NoiseFloor(output="label", cell="source=tweets", drawn=101, repeats=0, agree=99, candidate_agree=93),
    )
    verdict = structs.replace(
        made.verdict,
        tests=tests,
        targets=soft,
        attempt=2,
        closed_cycles=3,
        reasons=(),
        sentence="Continue: 1 of 18 tests pass.",
    )
    return build(
        a_trial(),
        plan,
        verdict,
        a_description(noise=noise),
        history=a_history(verdict, 12),
        attempts=(
            an_attempt(1, "sentiment-svm.1", "svm-1", "reject"),
            an_attempt(2, "sentiment-lr.1", "logreg-2", "continue"),
        ),
    )


def an_attempt(number: int, trial: str, candidate: str, verdict: VerdictName | None) -> Attempt:
    return Attempt(
        number=number,
        trial=trial,
        candidate=candidate,
        registered_us=START - (2 - number) * 30 * DAY,
        verdict=verdict,
        shared_alpha=shared_alpha(0.05, number),
    )


def a_history(verdict: Verdict, looks: int) -> History:
    """Looks every six hours whose e-values grow from 1 to the verdict's."""

    def at(number: int) -> Verdict:
        share = number / looks
        return structs.replace(
            verdict,
            as_of_us=verdict.as_of_us - (looks - number) * 6 * HOUR,
            verdict="continue" if number < looks else verdict.verdict,
            tests=tuple(earlier(test, share) for test in verdict.tests),
            targets=tuple(earlier(test, share) for test in verdict.targets),
        )

    def earlier(test: TestResult, share: float) -> TestResult:
        return structs.replace(
            test,
            units=round(test.units * share),
            e_promote=max(test.e_promote, 1e-30) ** share,
            e_reject=max(test.e_reject, 1e-30) ** share,
        )

    return history([(40 + number, at(number)) for number in range(1, looks + 1)])


def many() -> Report:
    """Sixty tests on segments with long names, each at another point of its way."""
    values = [f"a-merchant-category-with-a-long-name-{number:02d}" for number in range(57)]
    gate = a_gate("accuracy", "accuracy", "no_worse_than", "The candidate is as right on every category.", 20_000)
    tests = tuple(structs.replace(gate.tests[0], segment="merchant_category", value=value) for value in values)
    gate = structs.replace(gate, tests=(*gate.tests, *tests))
    plan = a_plan(
        gates=(gate, *GATES[1:]),
        segments=(
            Segment(name="merchant_category", of=Selector(where="body", name="/category"), values=tuple(values)),
        ),
    )
    counts = {"overall": (980, 700, 61_000)} | {
        value: (20 + number, 30 + 4 * (number % 9), 900 + 60 * number) for number, value in enumerate(values)
    }
    made = a_report(counts, plan=plan)
    return structs.replace(made, history=a_history(made.verdict, 8))


VERDICTS: dict[str, Callable[[], Report]] = {
    "promote": promoted,
    "reject": rejected,
    "continue": continuing,
    "inconclusive": inconclusive,
    "invalid": invalid,
}

ALL = {**VERDICTS, "empty": empty, "every_kind": every_kind, "many": many}
"""Every report that each form must be able to show."""
