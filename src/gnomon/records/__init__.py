"""Records: the nouns every stage shares. Frozen, msgspec or standard library, and without behaviour worth a test.

Reads     nothing
Promises  a record never changes once it is made; times are integer microseconds since the epoch (UTC), spans
          are integer microseconds, probabilities are integers over 2**32, shares and margins are
          integers in parts per million
"""

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True, omit_defaults=False, forbid_unknown_fields=True):
    """The base of every noun: immutable, keyword-only, compared by value."""
