"""The copy of one exchange: what is captured of it, until it is handed over or ends in a state of the ledger."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from gnomon.fork.counters import Ledger
from gnomon.fork.http1 import RequestHead
from gnomon.fork.sampling import SURE
from gnomon.records.frames import Answer, Outcome, Request
from gnomon.records.plan import ALL
from gnomon.records.process import Epoch

if TYPE_CHECKING:
    from gnomon.fork.link import Link

Decide = Callable[[Request, Ledger], tuple[str | None, str, int]]
"""The state of a request that is not copied, or None; its stratum, and the probability over 2**32."""

OVERHEAD: Final = 1024
"""Bytes that a copy costs beside its bodies."""


class Copy:
    """What is captured of one sampled exchange. Ends by `hand_over` or `drop`, whichever comes first."""

    __slots__ = (
        "_answer_headers",
        "_answer_parts",
        "_answer_size",
        "_epoch",
        "_head",
        "_headers",
        "_request_parts",
        "_request_size",
        "_route",
        "called_over",
        "decide",
        "ended",
        "id",
        "ledger",
        "link",
        "number",
        "probability",
        "record",
        "request",
        "size",
        "stratum",
        "time_us",
    )

    def __init__(
        self,
        link: "Link",
        ledger: Ledger,
        id_: bytes,
        time_us: int,
        head: RequestHead,
        headers: tuple[tuple[str, str], ...],
        route: str,
        epoch: Epoch,
    ) -> None:
        self.link = link
        self.ledger = ledger
        self.id = id_
        self.time_us = time_us
        self.request: Request | None = None
        """Once it is complete."""
        self.record: Answer | None = None
        """Once production is done with it."""
        self._answer_headers: tuple[tuple[str, str], ...] = ()
        self.size = 0
        self.called_over = 0  # the connection over which the Call went; 0: none
        self.number = 0
        self.ended = False
        self.stratum = ALL
        self.probability = SURE
        self.decide: Decide | None = None
        """Where the body is looked at: what says whether this is copied at all, once the request is whole."""
        self._head = head
        self._headers = headers
        self._route = route
        self._epoch = epoch
        self._request_parts: list[bytes] = []
        self._answer_parts: list[bytes] = []
        self._request_size = self._answer_size = 0

    def begin(self) -> None:
        """Take part in the budget; when there is no room, the copy ends."""
        self._room(OVERHEAD + len(self._head.target) + _size(self._headers))

    def request_part(self, data: bytes) -> None:
        """Keep a piece of the request's body."""
        if self.ended:
            return
        self._request_size += len(data)
        if self._request_size > self.link.body_cap:
            self.drop("guarded:too_large")
        elif self._room(len(data)):
            self._request_parts.append(data)

    def answer_head(self, headers: tuple[tuple[str, str], ...], *, readable: bool) -> None:
        """Keep the answer's allowed headers; a body in a coding that nobody here reads ends the copy."""
        if self.ended:
            return
        if not readable:
            self.drop("guarded:unreadable_coding")
        elif self._room(_size(headers)):
            self._answer_headers = headers

    def answer_part(self, data: bytes) -> None:
        """Keep a piece of the answer's body."""
        if self.ended:
            return
        self._answer_size += len(data)
        if self._answer_size > self.link.body_cap:
            self.drop("guarded:too_large")
        elif self._room(len(data)):
            self._answer_parts.append(data)

    def _room(self, count: int) -> bool:
        link = self.link
        held = link.held + count
        if held > link.budget:
            self.drop(link.why_full)
            return False
        link.held, self.size = held, self.size + count
        return True

    def request_complete(self) -> None:
        """The whole request is here: in sync mode the candidate's call starts now."""
        if self.ended:
            return
        head, epoch = self._head, self._epoch
        request = Request(
            id=self.id,
            time_us=self.time_us,
            method=head.method.decode(),
            target=head.target.decode("latin-1"),
            headers=self._headers,
            body=_joined(self._request_parts),
            route=self._route,
            stratum=self.stratum,
            probability=self.probability,
            epoch=epoch.number,
            serving=epoch.serving,
        )
        if self.decide is not None:
            state, stratum, probability = self.decide(request, self.ledger)
            if state is not None:
                self.drop(state)
                return
            request = replace(request, stratum=stratum, probability=probability)
        self.request = request
        if self.link.sync:
            self.called_over = self.link.call(self.request)

    def hand_over(self, outcome: Outcome, status: int, *, latency_us: int, started_us: int, detail: str = "") -> None:
        """Production finished: the exchange goes to the runner."""
        if self.ended:
            return
        self.record = Answer(
            outcome, status, self._answer_headers, _joined(self._answer_parts), latency_us, started_us, detail
        )
        self.link.hand_over(self)

    def drop(self, state: str) -> None:
        """End here, in `state` of the ledger."""
        if not self.ended:
            self._end(state)
            if self.called_over:
                self.link.dropped(self.called_over, self.id)

    def spoil(self) -> None:
        """End as `shed:bug`: something in here raised, nobody knows where. Raises nothing itself."""
        self._end("shed:bug")
        with contextlib.suppress(Exception):  # it is counted and said already
            self.link.forget(self)

    def _end(self, state: str) -> None:
        """Whatever was done already is not done again."""
        self.ended = True
        self._request_parts.clear()
        self._answer_parts.clear()
        self.request = None
        self.release()
        self.ledger.final(state, self.id)

    def release(self) -> None:
        """Give back what it took of the budget."""
        self.size, self.link.held = 0, self.link.held - self.size


def _size(headers: tuple[tuple[str, str], ...]) -> int:
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    return size


def _joined(parts: list[bytes]) -> bytes:
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    parts.clear()
    return whole
