"""The twin: some copies go to production a second time, so that it is known how often production disagrees with itself.

Its call begins in the same turn as the candidate's, in both modes: what changes with time between two calls (a feature
store, a model that is loaded anew) then touches the twin and the candidate alike, and the noise floor is no lower for
one than for the other. It is the request as it came, with production's own credentials; nothing asks a cache to step
aside, since that could be another way through production than the user's. An answer that says that it is a cache's is
marked as such.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from gnomon.errors import GnomonError
from gnomon.records.frames import Request
from gnomon.records.plan import Plan
from gnomon.records.process import PROBE_EPOCH

PERSON: Final = b"gnomon-twin"
"""BLAKE2's separator of domains: with the same key and id this coin says nothing about the one that sampled."""


def coin(key: bytes, id_: bytes) -> int:
    """A number in [0, 2**32), keyed with the plan's digest: anybody who has id and plan can toss it again."""
    return int.from_bytes(hashlib.blake2b(id_, key=key, digest_size=4, person=PERSON).digest(), "big")


def drawing(plan: Plan, key: str) -> Callable[[Request], bool] | None:
    """A function that says whether a request that is shadowed gets a twin; None: none does.

    Raises GnomonError when the plan wants twins and there is no key to draw them with.
    """
    rate = plan.fork.twin
    if not rate:
        return None
    if not key:
        raise GnomonError("the runner's configuration has no sampling key, and the plan's twin is drawn with it")
    secret = bytes.fromhex(key)

    def drawn(request: Request) -> bool:
        # after a promotion production is what is called in the shadow: there is nothing to be a twin of
        if request.serving != "production" or request.epoch == PROBE_EPOCH:
            return False
        return coin(secret, request.id) < rate

    return drawn
