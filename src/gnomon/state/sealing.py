"""Sealing: which part of a plan may not change within a trial, in the one way of writing it, and its digest.

It stands below the plan because the state database checks seals too; `gnomon.plan.seal` is the door for others.
"""

import copy
import hashlib
from typing import Any, Final

import rfc8785

from gnomon.records.trial import Sealed

OPERATION: Final = (
    ("production", "url"),
    ("production", "authorization_env"),
    ("candidate", "url"),
    ("candidate", "authorization_env"),
    ("fork", "budget"),
    ("record", "drop"),
    ("record", "mask"),
    ("record", "digest"),
    ("record", "keep_bodies"),
    ("suitability", "cost_per_day"),
)
"""What is recorded with its time and not sealed. Everything else moves the inference (statistics.md, 0b.7)."""


def canonical(value: Any) -> bytes:  # noqa: ANN401  whatever JSON holds
    """A JSON value by RFC 8785, UTF-8.

    Raises rfc8785.CanonicalizationError for what JSON cannot hold, which no checked document has.
    """
    return bytes(rfc8785.dumps(value))


def digest_of(content: bytes) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def seal(document: dict[str, Any]) -> Sealed:
    """The sealed part of a checked document. Keys left out stay out."""
    content = canonical(sealed_part(document))
    return Sealed(digest=digest_of(content), canonical=content)


def sealed_part(document: dict[str, Any]) -> dict[str, Any]:
    """The document without its operation settings.

    A `fork` that held a budget alone is left out too: a plan that never had one says the same. So is all of `record`.
    """
    kept = copy.deepcopy(document)
    for section, key in OPERATION:
        if isinstance(kept.get(section), dict) and key in kept[section]:
            del kept[section][key]
            if not kept[section]:
                del kept[section]
    return kept


def operations(document: dict[str, Any]) -> dict[str, Any]:
    """The operation settings of a document, in their sections; what it does not say is not there."""
    found: dict[str, Any] = {}
    for section, key in OPERATION:
        part = document.get(section)
        if isinstance(part, dict) and key in part:
            found.setdefault(section, {})[key] = copy.deepcopy(part[key])
    return found
