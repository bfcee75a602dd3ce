"""What the bets of a test are made on: its D, its margin, and what its plan expects. Sealed, all of it.

Expectations tune the stakes and nothing else. For kinds whose D is not -1, 0 or 1 they need a typical size of a
difference as well, which no plan says: it is fixed here, so that two machines bet the same.
"""

from functools import lru_cache
from typing import Final

from gnomon.records.evidence import GRID
from gnomon.records.plan import Gate, GateKind, Test
from gnomon.stats import betting

PPM: Final = 1_000_000

_TYPICAL: Final = {"loss": 0.5, "numeric": 0.25, "cost": 0.25, "custom": 0.25}
"""How far D is from 0 where it is not 0, as a share of its range."""

_JOINT: Final = 0.5  # of the errors of an arm that the other arm makes too, for a ratio of error rates
_LEAST: Final = 1e-6


def claim(gate: Gate, test: Test) -> betting.Claim:
    """The claim of any test but those of precision and of a ratio of latencies, which are made of several bets."""
    return _claim(
        gate.kind, gate.ratio, gate.steps, gate.top, test.margin_ppm, test.disagreement_ppm,
        test.difference_ppm,
    )  # fmt: skip


@lru_cache(maxsize=4096)  # hundreds of segments share a few
def _claim(
    kind: GateKind,
    ratio: tuple[int, int] | None,
    steps: int,
    top: int,
    margin_ppm: int,
    disagreement_ppm: int,
    difference_ppm: int,
) -> betting.Claim:
    margin, moved, difference = margin_ppm / PPM, disagreement_ppm / PPM, difference_ppm / PPM
    if kind == "error_rate" and ratio is not None:
        rate = min(moved / (2 - _JOINT), 1 / (2 - _JOINT))
        return betting.relative_claim(*ratio, rate, _JOINT * rate)
    size = 1 / steps if kind == "field" else _TYPICAL.get(kind, 1.0)
    return betting.Claim(
        margin=margin,
        disagreement=moved,
        difference=difference,
        top=top,
        grid=GRID * steps,
        outcomes=() if top == 0 or size == 1 else _outcomes(moved, difference, size),
    )


def flagged_wrongly(test: Test) -> tuple[betting.Claim, betting.Claim]:
    """For precision: the claims about what the candidate flags, and about what production flags.

    The plan's expected disagreement is the share of flags that are wrong. The margins stand for the stakes alone:
    which precision is bet against follows from production's.
    """
    wrong = min(max(test.disagreement_ppm / PPM, _LEAST), 0.98)
    against = min(wrong + test.margin_ppm / PPM, 0.99)
    return (
        betting.Claim(margin=against, disagreement=wrong, top=0),
        betting.Claim(margin=wrong, disagreement=wrong, top=0),
    )


def _outcomes(moved: float, difference: float, size: float) -> tuple[tuple[float, float], ...]:
    """Gains and losses of one size whose mean is the expected difference, as far as they can have it."""
    tilt = min(max(difference / size, -moved), moved)
    return (size, (moved + tilt) / 2), (-size, (moved - tilt) / 2)
