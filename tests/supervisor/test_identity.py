"""Which model answers: read from real servers, kept in a real state database."""

import asyncio
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.plan import load
from gnomon.records.facts import Reading
from gnomon.records.plan import Arm, ArmName, Identity, Plan
from gnomon.state import open_state
from gnomon.supervisor import identity
from tests.plan.builders import PATH, TEXT
from tests.state.builders import register, url_of

JSON = {"content-type": "application/json"}


class Says:
    """What a model answers now; it may be exchanged."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, dict(JSON), b'{"name": "m", "versions": ["1"]}'
        self.asked: list[tuple[str, str | None]] = []


@contextmanager
def serving(says: Says) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            says.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(says.status)
            for name, value in {"content-length": str(len(says.body)), **says.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(says.body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def says() -> Says:
    return Says()


@pytest.fixture
def url(says: Says) -> Iterator[str]:
    with serving(says) as found:
        yield found


def an_arm(url: str, header: str | None = None, **changes: Any) -> Arm:
    return Arm(version="1", url=url, identity=Identity(path="/v2/models/m", header=header), **changes)


def read(arm: Arm, patience_s: float = 5) -> tuple[str, str] | None:
    return identity.read(arm, ca_file=None, patience_s=patience_s)


# reading -----------------------------------------------------------------------------------------------------------


def test_a_model_is_asked_with_its_own_authorization(url: str, says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_KEY", "Bearer s3cret")
    found = read(an_arm(url, authorization_env="MODEL_KEY"))
    assert found is not None
    assert found[1] == '{"name":"m","versions":["1"]}'
    assert says.asked == [("/v2/models/m", "Bearer s3cret")]
    monkeypatch.delenv("MODEL_KEY")
    assert read(an_arm(url, authorization_env="MODEL_KEY")) is None


def test_a_header_names_the_model_where_one_is_declared(url: str, says: Says) -> None:
    says.headers["X-Model"] = " fraud-1.4 "
    found = read(an_arm(url, "x-model"))
    assert found is not None
    assert found[1] == "fraud-1.4"
    says.body = b"something else"
    assert read(an_arm(url, "x-model")) == found
    says.headers["X-Model"] = "fraud-1.5"
    assert read(an_arm(url, "x-model")) != found


def test_without_that_header_without_a_declaration_or_with_another_status_nothing_is_known(
    url: str, says: Says
) -> None:
    assert read(an_arm(url, "x-model")) is None
    assert read(Arm(version="1", url=url)) is None
    for says.status in (201, 302, 404, 500, 503):
        assert read(an_arm(url)) is None


def test_json_that_was_cut_short_is_no_other_model(url: str, says: Says) -> None:
    says.headers["content-length"] = "1000"
    assert read(an_arm(url), patience_s=0.3) is None
    says.body, says.headers = b'{"name": ', JSON | {"content-length": "9"}
    assert read(an_arm(url)) is None


def test_text_is_read_as_its_bytes(url: str, says: Says) -> None:
    says.headers, says.body = {"content-type": "text/plain"}, b"fraud 1.4\n\x00\xff"
    found = read(an_arm(url))
    assert found is not None
    assert found[1] == "fraud 1.4  \ufffd"
    says.body = b"fraud 1.4\n"
    assert read(an_arm(url)) != found


def test_an_endless_answer_names_no_model(url: str, says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LIMIT", 10)
    assert read(an_arm(url)) is None


@contextmanager
def dripping(pause_s: float) -> Iterator[str]:
    """Says that all is well, then a byte at a time, for ever: each of them within any patience of a socket."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while not stop.wait(pause_s):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join()


def test_a_model_that_is_not_there_hangs_or_drips_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert read(an_arm(address), patience_s=0.05) is None
    assert read(an_arm(address)) is None
    before = threading.active_count()
    with dripping(0.01) as address:
        assert read(an_arm(address), patience_s=0.1) is None
        for thread in threading.enumerate():
            if thread.name == "identity":
                thread.join(5)  # it was cut off, it does not go on
    assert threading.active_count() == before


# what counts -------------------------------------------------------------------------------------------------------


def digest(value: object) -> str:
    lasting = identity.lasting_json(json.dumps(value).encode())
    assert lasting is not None
    return identity.named(lasting)[0]


def models(*names: str, created: int = 1) -> dict[str, Any]:
    data = [{"id": name, "object": "model", "created": created, "permission": [{"id": created}]} for name in names]
    return {"object": "list", "data": data}


def test_a_list_of_models_is_the_same_in_any_order_and_at_any_time() -> None:
    assert digest(models("a", "b", created=1)) == digest(models("b", "a", created=2))
    assert digest(models("a", "b")) != digest(models("a", "c"))
    assert digest({"object": "list", "data": ["b", {"id": 3}, "a"]}) == digest(
        {"object": "list", "data": ["a", "b", {"id": 3}]}
    )


def test_the_order_of_any_other_list_counts() -> None:
    assert digest({"versions": [1, 2]}) != digest({"versions": [2, 1]})


@pytest.mark.parametrize("value", [2**80, float("nan"), "\ud800", {"a": [1.5, None, True]}])
def test_every_json_value_has_a_digest(value: object) -> None:
    assert digest({"x": value}) == digest({"x": value, "uptime": 3})
    assert digest({"x": value}) != digest({"y": value})


LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "created", "now", "data"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def shifted(value: Any) -> Any:
    """The same model some time later, written by another JSON library."""
    if isinstance(value, list):
        return [shifted(each) for each in value]
    if not isinstance(value, dict):
        return value
    later = {name: ("later" if name in identity.VOLATILE else shifted(each)) for name, each in value.items()}
    return dict(reversed(later.items()))


@given(DOCUMENTS)
@settings(max_examples=60, deadline=None)
def test_what_changes_by_itself_and_the_order_of_members_never_count(value: Any) -> None:
    assert digest(value) == digest(shifted(value))
    assert digest([value]) != digest([value, 0])


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_what_is_shown_is_short_and_printable(content: bytes) -> None:
    shown = identity.named(content)[1]
    assert len(shown) <= 120
    assert shown.isprintable()


def test_two_long_ones_that_differ_at_their_end_are_shown_differently() -> None:
    assert identity.named(b"x" * 500)[1] != identity.named(b"x" * 501)[1]


# watching ----------------------------------------------------------------------------------------------------------


def a_plan(**urls: str) -> Plan:
    plan = load.parse(TEXT, PATH).plan
    arms = {name: msgspec.structs.replace(getattr(plan, name), identity=None) for name in ("production", "candidate")}
    return msgspec.structs.replace(plan, **(arms | {name: an_arm(url) for name, url in urls.items()}))


def watched(folder: Path, plan: Plan, until: Callable[[list[str], tuple[Reading, ...]], bool]) -> list[str]:
    """What was said until what was said and kept is enough."""
    said: list[str] = []

    async def run() -> None:
        watching = asyncio.create_task(
            identity.watch(
                plan, "fraud.1", lambda: open_state(url_of(folder)), every_s=0.02, ca_file=None, say=said.append
            )
        )
        async with asyncio.timeout(30):
            while not until(said, await asyncio.to_thread(kept, folder)):
                await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    with open_state(url_of(folder)) as state:
        register(state)
    asyncio.run(run())
    return said


def kept(folder: Path) -> tuple[Reading, ...]:
    with open_state(url_of(folder)) as state:
        return state.identities("fraud.1")


def test_both_arms_are_read_kept_and_a_change_is_said_at_once(tmp_path: Path, url: str, says: Says) -> None:
    def exchanged(said: list[str], found: tuple[Reading, ...]) -> bool:
        if len(found) == 2 and len(says.asked) > 6:
            says.body = b'{"name": "m", "versions": ["2"]}'
        return len(found) == 3

    with serving(Says()) as other:
        said = watched(tmp_path, a_plan(production=url, candidate=other), exchanged)
    (change,) = said
    assert change == (
        'production changed its identity: was {"name":"m","versions":["1"]}, is {"name":"m","versions":["2"]}; '
        "the trial is invalid"
    )
    names: list[ArmName] = [each.arm for each in kept(tmp_path)]
    assert sorted(names[:2]) == ["candidate", "production"]
    assert names[2] == "production"
    with open_state(url_of(tmp_path)) as state:
        state.check_chain()


def test_a_model_that_cannot_be_asked_is_said_once_and_is_no_change(tmp_path: Path, url: str, says: Says) -> None:
    def restarted(said: list[str], found: tuple[Reading, ...]) -> bool:
        says.status = 503 if found and len(says.asked) < 8 else 200
        return len(says.asked) > 12

    said = watched(tmp_path, a_plan(candidate=url), restarted)
    assert said == [
        f"candidate: which model it is, cannot be read from GET /v2/models/m of {url}; asking again every 0.02 s"
    ]
    assert len(kept(tmp_path)) == 1


def test_where_nothing_is_declared_there_is_nothing_to_watch(tmp_path: Path) -> None:
    async def ends() -> None:
        async with asyncio.timeout(30):
            await identity.watch(a_plan(), "fraud.1", lambda: open_state(url_of(tmp_path)), ca_file=None, say=print)

    asyncio.run(ends())
