"""What a gate's numbers are and how they are written: percentage points, shares, a share of a scale, or a ratio.

Every gate's D is positive where the candidate is better, so right is better in every picture. A ratio of quantiles and
a rate of bad outcomes are read from small to large by people, and drawn from large to small.
"""

from typing import Final

from gnomon.records.plan import Gate
from gnomon.records.verdict import TestResult
from gnomon.report import words

_OF_A_SCALE: Final = frozenset({"loss", "numeric", "cost"})

_DIFFERENCES: Final = {
    "accuracy": "accuracy: candidate minus production",
    "field": "share of right fields: candidate minus production",
    "error_rate": "error rate: production minus candidate",
    "loss": "loss: production minus candidate",
    "numeric": "error: production minus candidate",
}


def ratio(gate: Gate | None) -> float | None:
    """The bound of a ratio of quantiles; None: the gate is of another kind."""
    if gate is None or gate.kind != "latency" or gate.ratio is None:
        return None
    return gate.ratio[0] / gate.ratio[1]


def one_armed(gate: Gate) -> bool:
    """Whether D is minus the candidate's own rate or mean: then people read that one, not a difference."""
    if gate.kind == "latency":
        return gate.ratio is None
    if gate.kind == "agreement":
        return not gate.against_twin
    return gate.form == "at_most" and gate.kind in {"error_rate", "refusal_rate", "cost", "numeric"}


def factor(gate: Gate | None) -> float:
    """What a mean of D is multiplied with to be shown."""
    return 1.0 if gate is not None and (gate.kind == "custom" or ratio(gate) is not None) else 100.0


def _unit(gate: Gate) -> str:
    """What stands behind a shown number."""
    if gate.kind == "custom":
        return ""
    if ratio(gate) is not None:
        return " x"
    return " %" if one_armed(gate) or gate.kind in _OF_A_SCALE else " pp"


def axis(gate: Gate) -> str:
    """What a gate's numbers are."""
    return _one_arms(gate) if one_armed(gate) else _difference(gate)


def _one_arms(gate: Gate) -> str:
    if gate.kind == "agreement":
        return "share of pairs that disagree"
    if gate.kind == "latency":
        return f"share of the candidate's answers over {words.latency(gate.limit_us)}"
    if gate.kind == "refusal_rate":
        return "share of the candidate's answers that refuse"
    if gate.kind == "error_rate":
        return "share of the candidate's calls that fail"
    return f"the candidate's mean {gate.output}, percent of the scale"


def _difference(gate: Gate) -> str:
    label = "" if gate.label is None else f" of {words.value(gate.label)}"
    if ratio(gate) is not None:
        return f"{_percentile(gate)} latency: the candidate's over production's"
    if gate.kind == "custom":
        return "mean of the custom function, −1 to 1"
    if gate.kind == "share":
        order = "production minus candidate" if gate.form == "not_above" else "candidate minus production"
        said = f"share{label}: {order}"
    elif gate.kind in {"recall", "precision"}:
        said = f"{gate.kind}{label}: candidate minus production"
    elif gate.kind == "refusal_rate":
        said = "refusals: production minus candidate"
    elif gate.kind == "cost":
        said = f"{gate.output}: production minus candidate"
    elif gate.kind == "agreement":
        said = "agreement: candidate minus production's twin"
    elif gate.kind == "error_rate" and gate.ratio is not None:
        said = f"error rate: production minus candidate / {gate.ratio[0] / gate.ratio[1]:g}"
    else:
        said = _DIFFERENCES[gate.kind]
    unit = {"loss": "percent of the largest cost"}.get(gate.kind, "percent of the scale")
    return f"{said}, {unit if gate.kind in _OF_A_SCALE else 'percentage points'}"


def _percentile(gate: Gate) -> str:
    return "" if gate.quantile_ppm is None else f"p{gate.quantile_ppm / 10_000:g}"


def mean(gate: Gate, d: float | None) -> str:
    """A mean of D: `+1.2 pp`, as a share of bad outcomes `0.8 %`, of a scale `+0.8 %`; a ratio: `1.08 x`."""
    if d is None:
        return words.NO_DATA
    if ratio(gate) is not None:
        return f"{d:.3g}{_unit(gate)}"
    shown = factor(gate) * d
    if one_armed(gate):
        return f"{words.decimals(abs(shown))}{_unit(gate)}"
    return f"{words.signed(shown)}{_unit(gate)}"


def interval(gate: Gate, test: TestResult) -> str:
    """The anytime interval, its ends in the order in which they are read."""
    low, high = (test.upper, test.lower) if one_armed(gate) else (test.lower, test.upper)
    if low is None and high is None:
        return words.NO_DATA if test.no_estimate is None else "none"
    return " to ".join("open" if end is None else mean(gate, end) for end in (low, high))


def margin(gate: Gate, test: TestResult) -> str:
    """What the interval is held against."""
    bound = ratio(gate)
    if bound is not None:
        return f"below {bound:g} x"
    size = f"{factor(gate) * test.margin_ppm / 1e6:g}"
    if one_armed(gate):
        return f"below {size}{_unit(gate)}"
    return f"above −{size}{_unit(gate)}" if test.margin_ppm else f"above 0{_unit(gate)}"


def line(gate: Gate | None, tests: "tuple[TestResult, ...] | list[TestResult]") -> str:
    """What stands over the line of the margin, unless each test has its own."""
    bound = ratio(gate)
    if bound is not None:
        return f"bound {bound:g} x"
    if gate is None or len({test.margin_ppm for test in tests}) > 1:
        return "margin"
    size = f"{factor(gate) * tests[0].margin_ppm / 1e6:g}"
    if one_armed(gate):
        return f"at most {size}{_unit(gate)}"
    return f"margin −{size}{_unit(gate)}" if tests[0].margin_ppm else "margin 0"


def arms(gate: Gate, test: TestResult) -> tuple[str, str]:
    """Production's and the candidate's own rate, mean or quantile; `none` where the gate has none."""
    return _arm(gate, test.production), _arm(gate, test.candidate)


def _arm(gate: Gate, number: float | None) -> str:
    if number is None:
        return "none"
    if ratio(gate) is not None:
        return words.latency(round(number))
    if gate.kind == "custom":
        return f"{number:.3g}"
    if gate.kind in {"cost", "numeric", "loss"}:
        return f"{number:.4g}"
    return f"{words.decimals(100 * number)} %"
