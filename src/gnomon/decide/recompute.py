"""Compare a recorded verdict with a recomputed one, field by field."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gnomon.records.verdict import Verdict

_LATER: Final = frozenset({"targets", "attempt", "closed_cycles"})
_LATER_OF_A_TEST: Final = frozenset({"soft", "hybrid_p", "no_estimate", "production", "candidate"})
_LATER_OF_A_CELL: Final = frozenset(
    {"grid", "reference_low", "reference_high", "tail", "closed_tail", "truths", "left_out"}
)
"""Fields that the first release did not write."""

_ALARM: Final = "Alarm: "
_LATE: Final = re.compile(r" \({0}\)|(?<=\(){0}; |; {0}".format(r"[\d,]+ called late and left out"))
"""A part of a reason, of the first release too; it did not say it."""


def differences(recorded: Verdict, again: Verdict) -> list[str]:
    """One line for each field that differs: its path, what was recorded, what comes out now. Empty: the same.

    Of a verdict of the first release only what it could hold is compared.
    """
    left, right = msgspec.to_builtins(recorded), msgspec.to_builtins(again)
    if _first_release(left):
        left, right = _as_then(left), _as_then(right)
    return _compare("", left, right)


def _first_release(verdict: Mapping[str, Any]) -> bool:
    """Nothing in it that came later, not even the rate of an arm: only then are missing values no difference."""
    later = [verdict[name] for name in _LATER] + [test[name] for test in verdict["tests"] for name in _LATER_OF_A_TEST]
    return all(value in (None, False, (), [], 0, 1) and not isinstance(value, float) for value in later)


def _as_then(verdict: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in verdict.items() if name not in _LATER}
    kept["tests"] = [_test_as_then(test) for test in verdict["tests"]]
    kept["reasons"] = [_LATE.sub("", reason) for reason in verdict["reasons"] if not reason.startswith(_ALARM)]
    return kept


def _test_as_then(test: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in test.items() if name not in _LATER_OF_A_TEST}
    kept["reason"] = _LATE.sub("", test["reason"])
    kept["cell"] = {name: value for name, value in test["cell"].items() if name not in _LATER_OF_A_CELL}
    return kept


def _compare(path: str, left: object, right: object) -> list[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        keys = [*left, *(key for key in right if key not in left)]
        return [line for key in keys for line in _compare(f"{path}.{key}".lstrip("."), left.get(key), right.get(key))]
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [line for index, (a, b) in pairs for line in _compare(f"{path}[{index}]", a, b)]
    return [] if left == right else [f"{path}: {left!r}, {right!r}"]
