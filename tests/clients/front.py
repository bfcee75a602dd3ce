"""A gateway before one real server, the runner's place taken, and what the gateway counted."""

import contextlib

from gnomon.records import frames
from tests.fork.harness import Gateway, Receiver


class Front:
    def __init__(self, folder, port, routes):
        self._receiver = Receiver(folder / "runner.sock")
        self._gateway = Gateway(folder, port, {"routes": routes}).start()
        self.port = self._gateway.port
        self.url = f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def counts(self, **expected):
        """What happens inside adds exactly this to the ledger, with `_` for `:` in the names of states."""
        before = self._sums()
        yield
        after = self._sums()
        grown = {state: after[state] - before.get(state, 0) for state in after}
        added = {state: count for state, count in grown.items() if count}
        assert added == expected, f"the ledger grew by {added}, expected {expected}"

    def kept(self, act):
        """What `act` gave. Its exchange is handed over, also when the client leaves at the last event of a stream."""
        with self.counts(handed_over=1):
            return act()

    def _sums(self):
        sums = self._gateway.settled()
        assert sums.invalid_head == 0
        states = {state.replace(":", "_"): count for state, count in sums.states.items()}
        return states | {"handed_over": sums.handed_over}

    def answers(self, count=1):
        """The copies of the last answers, as the runner gets them."""
        self._gateway.settled()  # what is handed over was read there
        return [settled.answer for settled in self._receiver.of(frames.Settled)[-count:]]

    def requests(self, count=1):
        """The copies of the last requests."""
        self._gateway.settled()
        return [call.request for call in self._receiver.of(frames.Call)[-count:]]

    def close(self):
        code = self._gateway.stop()
        self._receiver.close()
        assert code == 0, self._gateway.errors()
        assert self._gateway.errors() == ""
