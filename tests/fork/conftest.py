"""A gateway for each test, with what stands around it."""

import contextlib

import pytest

from tests.fork.harness import Backend, Gateway, Receiver

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def around(tmp_path):
    """`around(script, **settings)` gives (backend, gateway, receiver), running."""
    with contextlib.ExitStack() as stack:

        def make(script=lambda head, body: OK, *, receiver=True, patch="", acknowledge=lambda frame: True, **settings):
            backend = Backend(script)
            stack.callback(backend.close)
            end = None
            if receiver:
                end = Receiver(tmp_path / "runner.sock", acknowledge)
                stack.callback(end.close)
            gateway = Gateway(tmp_path, backend.port, settings, patch).start()
            stack.callback(gateway.stop)
            return backend, gateway, end

        yield make
