"""Compare a recorded verdict with a recomputed one, field by field."""

import msgspec

from gnomon.records.verdict import Verdict


def differences(recorded: Verdict, again: Verdict) -> list[str]:
    """One line for each field that differs: its path, what was recorded, what comes out now. Empty: the same."""
    return _compare("", msgspec.to_builtins(recorded), msgspec.to_builtins(again))


def _compare(path: str, left: object, right: object) -> list[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        keys = [*left, *(key for key in right if key not in left)]
        return [line for key in keys for line in _compare(f"{path}.{key}".lstrip("."), left.get(key), right.get(key))]
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [line for index, (a, b) in pairs for line in _compare(f"{path}[{index}]", a, b)]
    return [] if left == right else [f"{path}: {left!r}, {right!r}"]
