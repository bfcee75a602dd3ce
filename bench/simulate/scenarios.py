"""The scenarios by id, and the cases of each: parameters are those of the protocol that the page describes."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np
from accuracy import b1, b2, b3, b18, b18_noise
from latency import b8_coverage, b8_null, b8_soon, b9
from order import b12, b14, b14_equal
from planner import b19, b19_rate, b19_ratio, b19_reject, ratio
from product import reject, reject_soon, speed, unit
from rates import b7, b7_ratio
from segments import b4, b5, b5_hybrid, b5_hybrid_null, b6
from table import Row
from weights import b10, oversampled

Case = Callable[[np.random.Generator], list[Row]]

CASES: Final[Mapping[str, tuple[Case, ...]]] = {
    "B1": tuple(
        partial(b1, psi=psi, delta=delta)
        for psi, delta in ((0.05, 0.01), (0.10, 0.01), (0.10, 0.02), (0.20, 0.02), (0.30, 0.05), (0.03, 0.01))
    ),
    "B2": tuple(
        partial(b2, psi=psi, delta=delta, difference=difference, n80=n80)
        for psi, delta, difference, n80 in (
            (0.10, 0.02, 0.0, 1_578),
            (0.05, 0.01, 0.0, 3_162),
            (0.30, 0.05, 0.0, 748),
            (0.02, 0.01, 0.0, 1_397),
            (0.10, 0.02, 0.01, 709),
            (0.008, 0.005, 0.0, 2_357),
        )
    ),
    "B3": tuple(
        partial(b3, planned=planned, psi=psi, difference=difference)
        for planned, psi, difference in (
            (0.10, 0.03, 0.0),
            (0.10, 0.30, 0.0),
            (0.10, 0.10, 0.02),
            (0.10, 0.10, -0.01),
            (0.03, 0.10, 0.0),
            (0.30, 0.10, 0.0),
        )
    ),
    "B4": tuple(partial(b4, bad=bad, mean=mean) for bad, mean in ((4, -0.02), (0, -0.02), (4, -0.04), (0, -0.04))),
    "B5": (b5, b5_hybrid, b5_hybrid_null),
    "B6": (
        partial(b6, where="none is worse", means=[0.0] * 5, most=None),
        partial(b6, where="the 40% one at -0.02", means=[-0.02, 0.0, 0.0, 0.0, 0.0], most=7_000),
        partial(b6, where="the 5% one at -0.04", means=[0.0, 0.0, 0.0, 0.0, -0.04], most=14_000),
        partial(b6, where="all at -0.02", means=[-0.02] * 5, most=5_500),
    ),
    "B7": (
        *(
            partial(b7, rate=rate, joint=joint, delta=delta)
            for rate, joint, delta in ((0.01, 0.006, 0.005), (0.005, 0.003, 0.0025), (0.001, 0.0006, 0.001))
        ),
        *(partial(b7_ratio, numerator=n, denominator=d) for n, d in ((3, 2), (2, 1), (5, 4))),
    ),
    "B8": (
        partial(b8_null, bound=1.25),
        partial(b8_null, bound=1.10),
        partial(b8_soon, true=1.0, bound=1.25, most=6_000),
        partial(b8_soon, true=1.1, bound=1.25, most=16_000),
        partial(b8_soon, true=1.0, bound=1.10, most=22_000),
        b8_coverage,
    ),
    "B9": tuple(
        partial(b9, spread=spread, when=when)
        for spread in (0.3, 0.5)
        for when in ("at once", "as late as is let through", "an hour later")
    ),
    "B10": (
        partial(b10, means=(-0.02, -0.02, -0.02)),
        partial(b10, means=(-0.02 / 0.9, 0.0, 0.0)),
        partial(b10, means=(-0.01, -0.075, -0.25)),
        partial(b10, means=(-0.01, -0.075, -0.25), moving=True),
        partial(b10, means=None),
    ),
    "B12": (b12,),
    "B14": (*(partial(b14, late=late) for late in (0, 2, 9)), b14_equal),
    "B18": (b18, b18_noise),
    "B19": (
        *(
            partial(b19, psi=psi, delta=delta, difference=difference)
            for psi, delta, difference in (
                (0.10, 0.02, 0.0),
                (0.05, 0.01, 0.0),
                (0.30, 0.05, 0.0),
                (0.02, 0.01, 0.0),
                (0.10, 0.02, 0.01),
                (0.008, 0.005, 0.0),
            )
        ),
        partial(b19_ratio, numerator=3, denominator=2),
        partial(b19_rate, limit=0.01, true=0.005),
        partial(b19_reject, tests=1),
        partial(b19_reject, tests=20),
    ),
    "ratio": tuple(partial(ratio, true=true, bound=bound) for true, bound in ((1.0, 1.25), (1.1, 1.25), (1.0, 1.10))),
    "unit": (unit,),
    "weight": (
        partial(oversampled, name="better", tilt=0.03),
        partial(oversampled, name="worse", tilt=-0.07),
    ),
    "reject": (reject, reject_soon),
    "speed": (speed,),
}
ALONE: Final = ("speed",)
"""What measures time, when nothing else of ours runs."""
