"""Pushes: who serves, and whether shadowing is paused, from the state database to every gateway.

Promises  a change reaches every gateway that answers within 200 ms, whatever another gateway does; nothing ends the
          loop: who cannot be asked or told now is asked or told again; gateways go on as they were told last
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from gnomon.records.process import Epoch
from gnomon.records.trial import Pause
from gnomon.supervisor import control

POLL_SECONDS: Final = 0.05
"""How often the database is asked."""

AGAIN_SECONDS = 1.0
"""How long a gateway is trusted to be as it was told: one that hung may have acted on older messages since."""

_Key = tuple[Path, int]


class Wanted(NamedTuple):
    """How every gateway of the trial is to be."""

    epoch: Epoch
    pause: Pause | None

    def messages(self, trial: str) -> list[control.Message]:
        """What a gateway is told. One that serves another trial refuses, and stays as it is."""
        epoch = {"number": self.epoch.number, "serving": self.epoch.serving}
        return [{"epoch": epoch, "trial": trial}, {"pause": self.pause is not None, "trial": trial}]


class Pushes:
    """The one loop that carries what is wanted to the gateways."""

    def __init__(self, run_dir: Path, trial: str, wanted: Callable[[], Wanted], say: Callable[[str], None]) -> None:
        self._run_dir = run_dir
        self._trial = trial
        self._wanted = wanted
        self._say = say
        self._told: dict[_Key, tuple[Wanted, float]] = {}
        self._telling: dict[_Key, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask and tell until cancelled."""
        said: Wanted | None = None
        complaint = ""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                wanted = self._wanted()
                everyone = self._push(wanted)
            except Exception as error:  # noqa: BLE001  whatever it is, a later rollback must still get through
                if str(error) != complaint:
                    complaint = str(error)
                    self._say(f"who serves cannot be asked or pushed, trying on: {error}")
                continue
            complaint = ""
            if said is None:  # who serves is no news at the start; that nothing is shadowed is worth saying again
                said = wanted._replace(pause=None)
            if everyone and wanted != said:
                self._announce(said, wanted)
                said = wanted

    async def tell(self, path: Path) -> bool:
        """Tell one gateway now; whether it answers."""
        return await control.tell(path, *self._wanted().messages(self._trial))

    def _push(self, wanted: Wanted) -> bool:
        """Begin to tell whoever does not know; whether every gateway that is there knows."""
        now = asyncio.get_running_loop().time()
        keys = self._keys()
        self._told = {key: told for key, told in self._told.items() if key in keys}
        for key in keys - self._telling.keys():
            known, at = self._told.get(key, (None, 0.0))
            if known != wanted or now - at >= AGAIN_SECONDS:
                self._telling[key] = asyncio.create_task(self._tell(key, wanted))
        return all(self._told.get(key, (None, 0.0))[0] == wanted for key in keys)

    def _keys(self) -> set[_Key]:
        """Every gateway's socket. One that was replaced has a new socket, perhaps of the same name."""
        keys = set()
        for path in control.sockets(self._run_dir):
            try:
                keys.add((path, path.stat().st_ctime_ns))
            except FileNotFoundError:
                continue
        return keys

    async def _tell(self, key: _Key, wanted: Wanted) -> None:
        try:
            if await control.tell(key[0], *wanted.messages(self._trial)):
                self._told[key] = (wanted, asyncio.get_running_loop().time())
        finally:
            del self._telling[key]

    def _announce(self, before: Wanted, now: Wanted) -> None:
        if now.epoch != before.epoch:
            self._say(f"epoch {now.epoch.number}: {now.epoch.serving} serves now")
        if now.pause is not None and before.pause is None:
            until = f"nothing is shadowed until gnomon resume {self._trial}"
            self._say(f"paused by {now.pause.actor}: {now.pause.reason}; {until}")
        elif now.pause is None and before.pause is not None:
            self._say("resumed: requests are shadowed again")
