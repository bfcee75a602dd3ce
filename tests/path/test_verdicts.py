"""From a sealed plan to a verdict, the way a user walks it."""

import contextlib
import csv
import json
import sqlite3

import pytest

from tests.path.conftest import stream
from tests.path.model import share


def truths(path, numbers):
    """A truth file for these requests, made from the same fact that the models know."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label"])
        rows.writerows([f"r{n}", "bad" if share(f"r{n}") < 0.5 else "good"] for n in numbers)
    return path


@pytest.fixture
def equal(place):
    """A trial of an equally good candidate, streamed and drained, without truth so far."""
    plan = place.plan(place.model("old", "--wrong", "0.04"), place.model("new", "--wrong", "0.03"))
    process = place.serve(plan)
    stream(place.url, range(700))
    place.drained(paired=700)
    place.stop(process)
    return place


def test_an_equal_candidate_is_promoted_once_its_truth_is_there(equal, tmp_path):
    first = equal.read("decide", "fraud", code=10)
    assert first["verdict"] == "continue"

    imported = equal.read("labels", "import", truths(tmp_path / "t.csv", range(700)))
    assert imported["rows"] == 700
    verdict = equal.read("decide", "fraud", code=0)

    assert verdict["verdict"] == "promote"
    assert {test["result"] for test in verdict["tests"]} == {"pass"}
    assert verdict["plan_digest"] == equal.read("trials")[0]["digest"]


def test_a_candidate_that_is_worse_in_one_country_is_rejected_and_the_country_named(place, tmp_path):
    plan = place.plan(
        place.model("old", "--wrong", "0.10"), place.model("new", "--wrong", "0.0", "--wrong-in", "FR=0.4")
    )
    process = place.serve(plan)
    stream(place.url, range(600))
    place.drained(paired=600)
    place.stop(process)
    place.gnomon("labels", "import", truths(tmp_path / "t.csv", range(600)))

    verdict = place.read("decide", code=20)

    assert verdict["verdict"] == "reject"
    assert "country=FR" in verdict["sentence"]
    assert "country=DE" not in verdict["sentence"]
    assert place.gnomon("promote", "fraud", code=2).stderr.count("cannot be promoted") == 1
    assert place.read("decide", code=20) == verdict  # final: the same verdict, not another look


def test_a_verdict_verifies_until_something_was_changed(equal, tmp_path):
    equal.gnomon("labels", "import", truths(tmp_path / "t.csv", range(700)))
    equal.gnomon("decide", "fraud", code=0)
    assert equal.read("verify", "fraud")["verified"] is True

    plan = equal.folder / "fraud.yaml"
    sealed = plan.read_text()
    plan.write_text(sealed.replace("margin: 10pp", "margin: 12pp", 1))
    edited = equal.gnomon("verify", "fraud", code=30).stderr
    assert "was edited after fraud.1 was sealed" in edited
    plan.write_text(sealed)

    part = next((equal.folder / "data/trials/fraud.1/log/comparisons").glob("*.parquet"))
    kept = part.read_bytes()
    part.unlink()
    missing = equal.read("verify", "fraud", code=30)
    assert missing["verified"] is False
    assert part.name in missing["reason"]
    part.write_bytes(kept)
    assert equal.read("verify", "fraud")["verified"] is True

    part.write_bytes(kept[:120] + bytes(40) + kept[160:])  # the same size; the ids' page, not the statistics behind it
    damaged = equal.gnomon("verify", "fraud", code=30).stderr
    assert "NOT verified" in damaged
    assert "Traceback" not in damaged
    part.write_bytes(kept)

    with contextlib.closing(sqlite3.connect(equal.folder / "data/state.db")) as state:
        (number, text) = state.execute("select id, record from verdicts").fetchone()
        found = json.loads(text)
        found["tests"][0]["cell"]["low"][0][1] += 1
        state.execute("update verdicts set record = ? where id = ?", (json.dumps(found), number))
        state.commit()
    assert "verdict" in equal.gnomon("verify", "fraud", code=30).stderr


def test_a_promotion_rests_on_a_verdict_that_still_holds(equal, tmp_path):
    equal.gnomon("labels", "import", truths(tmp_path / "t.csv", range(700)))
    equal.gnomon("decide", "fraud", code=0)
    process = equal.serve(equal.folder / "fraud.yaml")

    part = next((equal.folder / "data/trials/fraud.1/log/comparisons").glob("*.parquet"))
    kept = part.read_bytes()
    part.unlink()
    assert part.name in equal.gnomon("promote", "fraud", code=30).stderr
    part.write_bytes(kept)
    told = equal.read("promote", "fraud")
    equal.stop(process)

    assert (told["serving"], told["reached"], told["gateways"]) == ("candidate", 1, 1)
    assert equal.read("verify", "fraud")["verified"] is True


def test_reports_are_written_in_three_forms(equal, tmp_path):
    equal.gnomon("labels", "import", truths(tmp_path / "t.csv", range(700)))
    equal.gnomon("decide", "fraud", code=0)

    equal.gnomon("report", "fraud", "--html", tmp_path / "r.html", "--markdown", tmp_path / "r.md")

    assert "<svg" in (tmp_path / "r.html").read_text()
    assert "country=FR" in (tmp_path / "r.md").read_text()
    assert equal.read("report", "fraud")["verdict"]["verdict"] == "promote"


def test_the_same_plan_continues_its_trial_and_a_changed_one_starts_anew(equal):
    plan = equal.folder / "fraud.yaml"
    process = equal.serve(plan)
    stream(equal.url, range(700, 720))
    equal.drained(paired=720)
    equal.stop(process)
    plan.write_text(plan.read_text().replace("margin: 10pp", "margin: 9pp", 1))
    process = equal.serve(plan)
    equal.stop(process)

    first, second = equal.read("trials")

    assert (first["id"], second["id"], second["parent"]) == ("fraud.1", "fraud.2", "fraud.1")
    assert equal.read("decide", "fraud.2", code=10)["tests"][0]["units"] == 0


def test_no_data_is_never_a_pass(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.stop(place.serve(plan))

    verdict = place.read("decide", code=10)

    assert verdict["verdict"] == "continue"
    assert all(test["units"] == 0 for test in verdict["tests"])
    # the catch-all cells saw nobody; no declared cell may pass
    declared = [t for t in verdict["tests"] if t["value"] not in ("other", "missing")]
    assert {test["result"] for test in declared} == {"inconclusive"}


def test_a_candidate_that_answers_no_json_is_a_failed_arm_and_not_a_lost_pair(place, tmp_path):
    plan = place.plan(place.model("old"), place.model("new", "--text"))
    process = place.serve(plan)
    stream(place.url, range(200))
    place.drained(paired=200)
    place.stop(process)

    failed = {test["gate"] for test in place.read("decide", code=20)["tests"] if test["result"] == "fail"}

    assert "error_rate" in failed


def test_async_mode_pairs_every_request(place):
    plan = place.plan(place.model("old"), place.model("new"), mode="async")
    process = place.serve(plan)
    stream(place.url, range(150))
    place.drained(paired=150)
    place.stop(process)
