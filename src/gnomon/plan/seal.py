"""Seal: the digest that every verdict carries, and what of a plan it covers.

Promises  order of keys, comments, white space and operation settings (addresses, credentials' names, budget) do not
          move the digest; any other change does
"""

from typing import Any

from gnomon.records.trial import Sealed
from gnomon.state.sealing import operations, seal, sealed_part

__all__ = ["Sealed", "changes", "operations", "seal", "sealed_part"]


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What of the sealed part differs between two documents: key, before, after. Empty: the same trial."""
    return _changes("", sealed_part(before), sealed_part(after))


def _changes(path: str, before: Any, after: Any) -> list[str]:  # noqa: ANN401  any part of a document
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            line for key in keys for line in _changes(f"{path}.{key}" if path else key, before.get(key), after.get(key))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for index, (a, b) in pairs for line in _changes(f"{path}[{index}]", a, b)]
    return [f"{path}: {_said(before)}, now {_said(after)}"]


def _said(value: object) -> str:
    return "left out" if value is None else repr(value)
