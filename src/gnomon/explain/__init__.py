"""Explain: why a request was or was not shadowed, and what became of it.

Reads     the gateways' trails, the inbox, the log, the sealed plan, pauses; asks no process
Promises  the coin of a request is tossed again where that can be done, and a log that says something else is said
"""

from gnomon.explain.elsewhere import ended, unknown, waiting
from gnomon.explain.facts import About, Explanation
from gnomon.explain.known import Known, exchange_id, known, redacted
from gnomon.explain.logged import logged

__all__ = ["About", "Explanation", "Known", "exchange_id", "explain", "known", "redacted"]


def explain(about: About, id_: bytes, found: Known) -> Explanation:
    """Explain one exchange of a trial by what is known of it.

    Raises IntegrityError when its row in the log is damaged.
    """
    if found.comparison is not None or found.exchange is not None:
        return logged(about, id_, found)
    if found.waiting is not None:
        return waiting(about, id_, found.waiting)
    return unknown(about, id_) if found.trail is None else ended(about, id_, found.trail)
