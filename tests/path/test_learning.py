"""A plan that asks for the top values: learned from the first requests, and then sealed with their names."""

import contextlib
import subprocess

import httpx

from tests.path.conftest import GNOMON, Load, stream, wait_for

TOP = "country: {from: body:/country, top: 1, learn: 100}"


def learning(place, plan, *words):
    """`gnomon serve`, not waited for: it is not ready before it has learned."""
    process = subprocess.Popen(
        [str(GNOMON), "serve", str(plan), *words], env=place.env, cwd=place.folder, stdout=subprocess.PIPE,
        stderr=(place.folder / "serve.err").open("ab"), text=True,
    )  # fmt: skip
    place.processes.append(process)
    return process


def ready(process):
    return next(line for line in process.stdout if line.startswith("ready"))


def reached(place, path="/readyz"):
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{place.admin}{path}", timeout=5)
    return None


def with_top(text):
    return text.replace("country: {from: body:/country, values: [DE, FR]}", TOP)


def served(place):
    answer = reached(place)
    return answer is not None and answer.status_code == 200


def test_the_names_are_learned_under_load_and_no_request_is_lost(place):
    plan = place.plan(place.model("old"), place.model("new"), edit=with_top)
    process = learning(place, plan)
    wait_for(lambda: served(place), what="production served")
    assert place.gnomon("trials", code=None).stdout.count("fraud.1") == 0  # nothing is sealed yet
    far = reached(place, "/status")
    assert far.status_code == 503
    assert "the top values of country are learned from 0 of 100 requests" in far.json()["error"]
    for command in (["status"], ["trials"], ["decide", "fraud"], ["promote", "fraud", "--override", "a drill"]):
        said = place.gnomon(*command, code=2).stderr
        assert "gnomon serve is learning the top values of segments before it seals the plan" in said
        assert f"http://127.0.0.1:{place.admin}/status" in said
        assert "start one with" not in said
    stream(place.url, range(20), extra=lambda _: {"country": "IT"})
    with Load(place.url) as load:
        ready(process)
        enough = load.sent + 50
        wait_for(lambda: load.sent > enough, what="more answers")
    assert load.failures == []
    ledger = place.drained()
    assert ledger["seen"] == ledger["states"]["paired"]
    assert ledger["seen"] <= load.sent - 80 + 3  # the first hundred were looked at and not shadowed
    explained = place.gnomon("check", plan, "--offline").stdout
    assert "most frequent" in explained
    verdict = place.read("decide", code=10)
    cells = {(test["segment"], test["value"]) for test in verdict["tests"]}
    assert cells in (
        {("overall", ""), ("country", name), ("country", "other"), ("country", "missing")} for name in ("DE", "FR")
    )
    assert "verified" in place.gnomon("verify").stdout

    place.stop(process)
    place.serve(plan)  # at once: the names are known
    assert [row["id"] for row in place.read("trials")] == ["fraud.1"]


def test_an_earlier_trials_log_gives_the_names(place):
    production, candidate = place.model("old"), place.model("new")
    process = place.serve(place.plan(production, candidate, trial="pilot"))
    stream(place.url, range(30), extra=lambda number: {"country": "IT" if number % 3 else "ES"})
    place.drained("pilot", paired=30)
    place.stop(process)
    process = learning(place, place.plan(production, candidate, edit=with_top), "--pilot", "pilot")
    ready(process)
    stream(place.url, range(5))
    place.drained("fraud", paired=5)
    cells = {test["value"] for test in place.read("decide", "fraud", code=10)["tests"] if test["segment"] == "country"}
    assert cells == {"IT", "other", "missing"}


def test_where_no_request_has_the_value_nothing_is_sealed(place):
    plan = place.plan(
        place.model("old"), place.model("new"), edit=lambda text: with_top(text).replace("body:/country", "body:/land")
    )
    process = learning(place, plan)
    wait_for(lambda: served(place), what="production served")
    stream(place.url, range(100))
    assert process.wait(30) == 2
    said = (place.folder / "serve.err").read_text()
    assert "no value of segment country (body:/land) was found in 100 requests; correct segments.country.from" in said
    assert "Traceback" not in said


def test_asked_to_end_while_it_learns_it_ends(place):
    process = learning(place, place.plan(place.model("old"), place.model("new"), edit=with_top))
    wait_for(lambda: served(place), what="production served")
    stream(place.url, range(3))
    place.stop(process)
    assert reached(place) is None
    assert "start one with: gnomon serve" in place.gnomon("status", code=2).stderr
