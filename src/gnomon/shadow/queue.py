"""The queue of calls to make: oldest first, a window of it in memory, the rest in the inbox."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from gnomon.records.frames import Answer, Request
from gnomon.shadow.candidate import Call
from gnomon.shadow.prepare import UNTOUCHED, Outgoing

WINDOW: Final = 2048
"""Exchanges held in memory for their call; a longer backlog stays on the disk."""
_STEP: Final = 4
"""Arrivals are followed in steps of 2**4: precise enough for a watermark, small enough for a million of them."""


class Work:
    """One exchange from its arrival to its end."""

    __slots__ = (
        "absent", "answer", "call", "customs", "dropped", "late", "observation", "outgoing", "request", "seq", "twin",
        "twin_call", "twin_drawn", "twin_open",
    )  # fmt: skip

    def __init__(self, request: Request, answer: Answer | None = None, *, seq: int = 0, late: bool = False) -> None:
        self.request = request
        self.answer = answer
        """Production's; None while it is not known (sync mode)."""
        self.seq = seq
        self.late = late
        self.call: Call | None = None
        self.observation: Answer | None = None
        """The candidate's."""
        self.absent: str | None = None
        """Why it is not called: its state in the ledger."""
        self.outgoing: Outgoing | None = None
        """What is called; None: its turn has not come."""
        self.dropped = False
        self.customs: tuple[float | None, ...] | None = None
        """What the custom gates say; None: they have not been asked."""
        self.twin_drawn = False
        self.twin_open = False
        """Its twin waits for its call, or for the end of it."""
        self.twin_call: Call | None = None
        self.twin: Answer | None = None
        """Production's second answer."""

    @property
    def over(self) -> bool:
        """Whether all is there that its row is made of."""
        return (
            self.answer is not None and not self.twin_open and (self.observation is not None or self.absent is not None)
        )

    @property
    def rewritten(self) -> str:
        """What was changed for the candidate, as JSON text."""
        return UNTOUCHED if self.outgoing is None or self.absent else self.outgoing.rewritten


class Oldest:
    """The earliest request time of what has arrived and is not in a closed batch."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[int, int]] = {}  # earliest time, and how many are left

    def add(self, seq: int, time_us: int) -> None:
        """One has arrived."""
        earliest, left = self._steps.get(seq >> _STEP, (time_us, 0))
        self._steps[seq >> _STEP] = (min(earliest, time_us), left + 1)

    def remove(self, seq: int) -> None:
        """One is on its way to the log."""
        earliest, left = self._steps[seq >> _STEP]
        if left == 1:
            del self._steps[seq >> _STEP]
        else:
            self._steps[seq >> _STEP] = (earliest, left - 1)

    def __len__(self) -> int:
        return sum(left for _, left in self._steps.values())

    @property
    def time_us(self) -> int | None:
        """Not later than the earliest request time; None when nothing is left."""
        return min((earliest for earliest, _ in self._steps.values()), default=None)


class Queue:
    """What waits for its call, and which arrivals are where."""

    def __init__(self) -> None:
        self.waiting: deque[Work] = deque()
        self.backlog = 0
        """Arrivals that are in the inbox only."""
        self.cursor = 0
        """Arrivals up to here have been in memory, but for what is in `waiting`."""
        self.oldest = Oldest()
        self._here: set[int] = set()

    def arrived(self, work: Work) -> bool:
        """Take an arrival whose call has not begun; False: it stays in the inbox until there is room."""
        if self.backlog or len(self.waiting) >= WINDOW:
            self.backlog += 1
            return False
        self.cursor = work.seq
        self._here.add(work.seq)
        self.waiting.append(work)
        return True

    def taken(self, seqs: Iterable[int]) -> None:
        """Arrivals that need no place here: their call began before they arrived (sync mode), or is over."""
        self._here.update(seqs)

    @property
    def hungry(self) -> bool:
        """Whether the backlog should be read on."""
        return self.backlog > 0 and len(self.waiting) < WINDOW // 2

    def refill(self, works: list[Work]) -> None:
        """Take what was read from the inbox after `cursor`, in order."""
        for work in works:
            self.cursor = max(self.cursor, work.seq)
            if work.seq not in self._here:
                self._here.add(work.seq)
                self.waiting.append(work)
                self.backlog -= 1

    def removed(self, seqs: list[int]) -> None:
        """These are out of the inbox."""
        self._here.difference_update(seqs)
