"""Explain: why a request was or was not shadowed, and what became of it.

Reads     the gateways' trails, the inbox, the log, the sealed plan, pauses; asks no process
Promises  the coin of a request is tossed again where that can be done, and a log that says something else is said
"""

from gnomon.explain.coin import Toss, toss
from gnomon.explain.known import Known, exchange_id, known, redacted
from gnomon.explain.words import Explanation, explain

__all__ = ["Explanation", "Known", "Toss", "exchange_id", "explain", "known", "redacted", "toss"]
