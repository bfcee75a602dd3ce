"""Why a request was or was not shadowed: the coin tossed again, and each place where an exchange may be."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import GnomonError
from gnomon.explain import About, Explanation, Known, exchange_id, explain, known, redacted
from gnomon.explain.coin import ONE, sampler_of
from gnomon.fork.sampling import Ids, coin
from gnomon.plan import load, seal
from gnomon.records.frames import Answer, Exchange, Request
from gnomon.records.plan import Plan, Selector
from gnomon.records.process import PROBE_EPOCH
from gnomon.records.trail import ENTRY, TrailEntry
from gnomon.records.trial import Pause, Trial
from gnomon.settings import Settings
from gnomon.shadow.inbox import Arrival, Aside, Finished, Group, Inbox
from gnomon.shadow.peek import Waiting
from gnomon.state import open_state
from tests.state.builders import document, url_of

NOW = 1_800_000_000_000_000
STRATA = {"by": "body:/country", "rates": {"DE": "60%", "FR": "30%"}, "otherwise": "10%"}
UNIT = {"independent": True}
ids = Ids()


def a_trial(**fork: Any) -> tuple[Trial, Plan]:
    """A sealed trial with these words under `fork`."""
    made = document(protocol="json", output={"label": "body:/label"}, unit=UNIT, **({"fork": fork} if fork else {}))
    sealed = seal.seal(made)
    trial = Trial(
        id="fraud.1",
        name="fraud",
        number=1,
        digest=sealed.digest,
        canonical=sealed.canonical.decode(),
        document=json.dumps(made),
        plan_path="plan.yaml",
        parent=None,
        attempt=1,
        registered_us=NOW - 10**9,
        program="0",
        first_epoch=1,
    )
    return trial, load.from_document(made)


def about(changes: dict[str, Any] | None = None, **fork: Any) -> About:
    trial, plan = a_trial(**fork)
    return About(trial=trial, plan=plan, now_us=NOW, **(changes or {}))


def a_request(body: bytes = b'{"country": "DE"}', time_us: int = NOW - 5, **changes: Any) -> Request:
    request = Request(
        id=ids.new(time_us),
        time_us=time_us,
        method="POST",
        target="/predict?kind=a",
        headers=(("content-type", "application/json"), ("x-user", "u1")),
        body=body,
        route="POST /predict",
        stratum="all",
        probability=ONE,
        epoch=1,
        serving="production",
    )
    return msgspec.structs.replace(request, **changes)


def drawn(which: About, request: Request) -> tuple[Request, bool]:
    """The request as the gateway makes it, and whether it is copied."""
    draw = which.sampler.draw(request)
    name = which.sampler.names[draw.stratum]
    return msgspec.structs.replace(request, stratum=name, probability=draw.rate), draw.sampled


def a_copied(which: About, body: bytes = b'{"country": "DE"}', **changes: Any) -> Request:
    for _ in range(1_000):
        request, sampled = drawn(which, a_request(body, **changes))
        if sampled:
            return request
    raise AssertionError("the coin says no and no")


def logged(request: Request, **changes: Any) -> Known:
    exchange = {
        "id": request.id.hex(),
        "time_us": request.time_us,
        "epoch": request.epoch,
        "stratum": request.stratum,
        "probability": request.probability,
        "method": request.method,
        "target": request.target,
        "request_headers": json.dumps(request.headers),
        "request_body": request.body,
        "production_version": "1.4",
        "production_outcome": "ok",
        "production_status": 200,
        "production_latency_us": 1500,
        "candidate_version": "2.0",
        "candidate_outcome": "timeout",
        "candidate_status": 0,
        "candidate_latency_us": None,
        "rewritten": "{}",
    }
    comparison = {name: exchange[name] for name in ("id", "time_us", "epoch", "stratum", "probability")}
    comparison |= {"state": "paired", "late": False}
    comparison |= {"output_label_production": '"a"', "output_label_candidate": None, "output_label_agree": None}
    for name, value in changes.items():
        for row in (exchange, comparison):
            if name in row:
                row[name] = value
    return Known(comparison=comparison, exchange=exchange)


def text(found: Explanation) -> str:
    return " ".join(found.sentences)


# in the log --------------------------------------------------------------------------------------------------------


def test_a_pair_is_told_with_its_stratum_its_coin_and_both_arms() -> None:
    which = about(strata=STRATA)
    request = a_copied(which)
    found = explain(which, request.id, logged(request))
    assert (found.place, found.state, found.sampled, found.agrees) == ("log", "paired", True, True)
    assert (found.stratum, found.probability) == ("DE", which.sampler.rates[0])
    assert found.coin == coin(which.sampler.key, request.id)
    for part in (
        "POST /predict?kind=a",
        "stratum DE is, with a probability of 60%",
        "agrees with the log",
        "Version 1.4 served the user: ok (status 200) in 1.5 ms.",
        "Version 2.0 was called in the shadow: timeout.",
        "Output label is not compared: an arm failed.",
    ):
        assert part in text(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stratum": "FR"}, "the plan says that its rate is 30%"),
        ({"stratum": "BR"}, "the plan says that it has no such stratum"),
        ({"probability": 1}, "the plan says that its rate is 60%"),
        ({"stratum": "otherwise", "probability": round(0.1 * ONE)}, "THE LOG DISAGREES"),
        ({"request_body": b'{"country": "FR"}'}, "stratum FR at 30%, and the record says stratum DE"),
    ],
)
def test_a_log_that_says_something_else_than_the_coin_is_said_loudly(changes: dict[str, Any], said: str) -> None:
    which = about(strata=STRATA)
    request = a_copied(which)
    found = explain(which, request.id, logged(request, **changes))
    assert found.agrees is False
    assert "THE LOG DISAGREES WITH THE PLAN" in text(found)
    assert said in text(found)


def test_an_id_whose_coin_says_no_cannot_be_in_the_log() -> None:
    which = about(shadow_rate="50%")
    request = next(each for each in (a_request() for _ in range(200)) if not which.sampler.toss(each.id))
    found = explain(which, request.id, logged(request, probability=ONE // 2))
    assert found.agrees is False
    assert "which is not below 50%" in text(found)


def test_two_tables_that_differ_are_said() -> None:
    which = about(strata=STRATA)
    request = a_copied(which)
    there = logged(request)
    assert there.comparison is not None
    there.comparison["epoch"] = 2
    assert "its epoch is 2 in comparisons and 1 in exchanges" in text(explain(which, request.id, there))
    alone = Known(comparison=there.comparison)
    assert explain(which, request.id, alone).agrees is False
    not_yet = explain(which, request.id, Known(exchange=there.exchange))
    assert (not_yet.agrees, not_yet.state) == (True, None)
    assert "How its answers compare is not in the log yet." in text(not_yet)


@pytest.mark.parametrize(
    ("by", "hiding"),
    [
        ("body:/country", "body:/country"),
        ("body:/a/b", "body:/a"),
        ("body:/a/b", "body:/a/b/c"),
        ("body:/a/0/b", "body:/a/*/b"),
        ("header:x-user", "header:x-user"),
        ("query:kind", "query:kind"),
    ],
)
def test_where_the_log_does_not_hold_what_decided_the_coin_cannot_be_tossed_again(by: str, hiding: str) -> None:
    where, _, name = hiding.partition(":")
    hidden = frozenset({Selector(where=where, name=name)})  # type: ignore[arg-type]  from the table above
    for fork in ({"strata": STRATA | {"by": by}}, {"shadow_rate": "99.99%", "sticky": by}):
        which = about({"redacted": hidden}, **fork)
        request = a_copied(which)
        found = explain(which, request.id, logged(request, target="/predict", request_headers="[]", request_body=b"{}"))
        assert found.agrees is None
        assert f"was read from {by}, which the log does not hold (record: {hiding})" in text(found)


def test_what_is_redacted_elsewhere_does_not_matter() -> None:
    hidden = frozenset({Selector(where="body", name="/card"), Selector(where="header", name="x-tenant")})
    which = about({"redacted": hidden}, strata=STRATA)
    request = a_copied(which)
    assert explain(which, request.id, logged(request)).agrees is True


def test_a_compressed_body_that_was_redacted_stands_in_the_log_as_plain_json_and_is_no_disagreement() -> None:
    """The gateway saw no value in it; whoever reads the log does."""
    which = about({"redacted": frozenset({Selector(where="body", name="/card")})}, strata=STRATA)
    coded = (("content-encoding", "gzip"),)
    request = a_copied(which, b"\x1f\x8b...", headers=coded)
    assert request.stratum == "otherwise"
    found = explain(which, request.id, logged(request, request_headers="[]", request_body=b'{"country": "FR"}'))
    assert found.agrees is None
    assert "written anew" in text(found)


def test_a_body_that_has_left_the_log_leaves_what_the_id_says() -> None:
    for fork, agrees in (({"strata": STRATA}, None), ({"shadow_rate": "50%"}, True)):
        which = about(**fork)
        request = a_copied(which)
        assert explain(which, request.id, logged(request, request_body=None)).agrees is agrees


def test_what_does_not_count_is_said() -> None:
    which = about()
    request = a_copied(which)
    found = text(explain(which, request.id, logged(request, epoch=2, late=True, rewritten='{"path": "/v2"}')))
    assert "It is of epoch 2: no evidence" in found
    assert "gates on latency leave it out" in found
    assert 'For the candidate it was changed: {"path": "/v2"}.' in found
    probe = explain(which, request.id, logged(request, epoch=PROBE_EPOCH, stratum="probe"))
    assert "It is a probe of Gnomon itself" in text(probe)
    assert probe.agrees is None


FORKS: list[dict[str, Any]] = [
    {"shadow_rate": "35%"},
    {"strata": STRATA},
    {"shadow_rate": "35%", "sticky": "header:x-user"},
    {"strata": STRATA, "sticky": "query:kind"},
    {"strata": STRATA | {"by": "header:x-user"}},
]
WHICH = [about(**fork) for fork in FORKS]
VALUES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["DE", "FR", "BR", "\ud800", "ä"])


@given(which=st.sampled_from(WHICH), country=VALUES, user=st.sampled_from(["DE", "u1", "\xff"]), whole=st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_the_request_explain_agrees_with_what_the_gateway_decided(
    which: About, country: object, user: str, whole: bool
) -> None:
    body = json.dumps({"country": country}).encode()[: None if whole else -1]
    request, sampled = drawn(which, a_request(body, headers=(("x-user", user),)))
    if sampled:
        assert explain(which, request.id, logged(request)).agrees is True
    unlogged = explain(which, request.id, Known())
    assert unlogged.sampled in {None, sampled}
    if which.sampler.simple:
        assert unlogged.sampled is sampled


# elsewhere ---------------------------------------------------------------------------------------------------------


def test_what_its_gateway_ended_is_told_by_its_trail() -> None:
    request = a_request()
    entry = TrailEntry(state="shed:budget", time_us=request.time_us)
    found = explain(about(), request.id, Known(trail=entry))
    assert (found.place, found.state) == ("gateway", "shed:budget")
    assert "it was over the plan's budget of copies per second (shed:budget" in text(found)


def test_the_log_goes_before_the_inbox_and_the_inbox_before_the_trail() -> None:
    which = about()
    request = a_copied(which)
    entry = TrailEntry(state="shed:unavailable", time_us=1)
    waiting = Waiting(request)
    every = Known(entry, waiting, logged(request).comparison, logged(request).exchange)
    assert explain(which, request.id, every).place == "log"
    assert explain(which, request.id, Known(entry, waiting)).place == "inbox"


def an_id(which: About, above: float, below: float, time_us: int = NOW - 5) -> bytes:
    """An id whose coin lies there."""
    while True:
        made = ids.new(time_us)
        if above * ONE <= coin(which.sampler.key, made) < below * ONE:
            return made


@pytest.mark.parametrize(
    ("coins", "sampled", "said"),
    [
        ((0.6, 1), False, "and the highest rate is 60%: it was not sampled."),
        ((0, 0.1), True, "and the lowest rate is 10%: its coin says that it was sampled. Nothing is known of it"),
        ((0.1, 0.3), None, "was DE (60%), FR (30%), and was not if it was otherwise (10%). Nothing is known of it"),
    ],
)
def test_an_unknown_id_is_held_against_the_rate_of_every_stratum(
    coins: tuple[float, float], sampled: bool | None, said: str
) -> None:
    which = about(strata=STRATA)
    found = explain(which, an_id(which, *coins), Known())
    assert (found.place, found.sampled) == ("nowhere", sampled)
    assert said in text(found)


def test_the_coin_of_a_sticky_value_is_not_guessed() -> None:
    which = about(shadow_rate="50%", sticky="header:x-user")
    found = explain(which, a_request().id, Known())
    assert (found.sampled, found.coin) == (None, None)
    assert "Requests with the same header:x-user share one coin" in text(found)


def test_the_time_in_an_id_is_held_against_the_trial_its_pauses_and_the_off_slices() -> None:
    pause = Pause(since_us=NOW - 4_000_000, until_us=NOW - 3_000_000, actor="ada", reason="peak hour")
    which = about({"pauses": (pause,), "slice_us": 1000, "slices": 1})

    def told(time_us: int) -> str:
        return text(explain(which, ids.new(time_us), Known()))

    assert "fraud.1 began later" in told(NOW - 2 * 10**9)
    assert "That has not come yet" in told(NOW + 10**9)
    assert "Shadowing was paused then, by ada: peak hour." in told(NOW - 3_500_000)
    assert "The shadow was off at that moment" not in told(NOW - 3_500_000)
    assert "The shadow was off at that moment" in told(NOW - 2_000_000)
    assert "paused" not in told(NOW - 2_000_000)


# what is asked, and where it is looked for -------------------------------------------------------------------------


def test_an_id_is_read_with_and_without_dashes() -> None:
    made = ids.new(NOW)
    dashed = "-".join([made.hex()[:8], made.hex()[8:12], made.hex()[12:16], made.hex()[16:20], made.hex()[20:]])
    for written in (made.hex(), made.hex().upper(), dashed, f" {dashed}\n"):
        assert exchange_id(written) == made


@given(st.text(max_size=40) | st.uuids(version=4).map(str) | st.binary(max_size=15).map(bytes.hex))
@settings(max_examples=100, deadline=None)
def test_what_is_no_exchange_id_is_a_clear_error(written: str) -> None:
    with pytest.raises(GnomonError, match="is no exchange id"):
        exchange_id(written)


def test_each_place_is_read_while_the_runner_has_its_inbox_open(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    which = about(strata=STRATA)
    waits, answered, aside, trailed = [a_copied(which) for _ in range(3)] + [a_request()]
    answer = Answer(outcome="ok", status=200, headers=(), body=b"{}", latency_us=1, started_us=1)
    frames = [
        msgspec.msgpack.encode(Exchange(n, each, answer, late=False)) for n, each in enumerate([waits, answered, aside])
    ]
    inbox = Inbox(settings.trial_dir("fraud.1") / "inbox.db", trial="fraud.1")
    arrivals = [
        Arrival(n, each.id, each.time_us, "g", n, 1, frames[n - 1])
        for n, each in enumerate([waits, answered, aside], 1)
    ]
    inbox.commit(Group(arrivals=arrivals, finished=[Finished(1, 1, 2, b"")]))
    inbox.commit(Group(aside=[Aside(3, aside.id, 1, "column x cannot hold it")]))
    folder = settings.trial_dir("fraud.1") / "counters"
    folder.mkdir()
    (folder / "g.trail").write_bytes(ENTRY.pack(trailed.id, 12) + bytes(ENTRY.size))

    every = [each.id for each in (waits, answered, aside, trailed)] + [ids.new(NOW) for _ in range(600)]
    found = known(settings, which.trial, every)
    told = [explain(which, each, found[each]) for each in every[:4]]
    inbox.close()

    assert [each.place for each in told] == ["inbox", "inbox", "inbox", "gateway"]
    assert [each.agrees for each in told] == [True, True, True, None]
    assert "waits in the inbox for the candidate" in text(told[0])
    assert "the next flush brings it into the log" in text(told[1])
    assert told[2].state == "unaccounted"
    assert "column x cannot hold it" in text(told[2])
    assert told[3].state == "cancelled"
    assert [found[each] for each in every[4:]] == [Known()] * 600


def test_an_inbox_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    path = settings.trial_dir("fraud.1") / "inbox.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database, and long enough to be taken for one" * 50)
    with pytest.raises(GnomonError, match=r"the inbox .* cannot be read"):
        known(settings, about().trial, [ids.new(NOW)])


def test_what_was_redacted_at_any_time_of_a_trial_counts(tmp_path: Path) -> None:
    with open_state(url_of(tmp_path)) as state:
        for record in ({"drop": ["body:/card"]}, {"mask": ["header:x-a"], "digest": ["query:t"]}, None):
            made = document(**({"record": record} if record else {}))
            trial = state.register(made, seal.seal(made), plan_path="p", program="0", now_us=1, actor="ada")
        assert {str(each) for each in redacted(state, trial)} == {"body:/card", "header:x-a", "query:t"}


def test_the_sampler_is_the_gateways(tmp_path: Path) -> None:
    which = about(strata=STRATA)
    assert sampler_of(which.trial, which.plan).names == ("DE", "FR", "otherwise")
    assert which.sampler.key.hex() == which.trial.digest
