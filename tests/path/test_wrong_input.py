"""What a user gets wrong is one clear message, exit code 2, and nothing lost."""

import socket

import pytest

from tests.path.conftest import free_port, stream

TRACEBACK = "Traceback"


def refused(done, *words):
    assert TRACEBACK not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("margin: 10pp", "margin: 0pp", ["fraud.yaml:15", "gates[0].accuracy.margin"]),
        ("routes: [POST /predict]", "routess: [POST /predict]", ["routess", "routes"]),
        ("samples: {overall: 100", "samples: {overall: many", ["samples.overall", "many"]),
        ('version: "1.4"', "version: 1.10", ["production.version", '"1.10"']),
    ],
)
def test_a_plan_with_a_mistake_names_its_place(place, old, new, words):
    plan = place.plan(1, 2, edit=lambda text: text.replace(old, new, 1))
    refused(place.gnomon("check", "--offline", plan, code=2), *words)
    refused(place.gnomon("serve", plan, code=2), *words)
    refused(place.gnomon("trials", code=2), "no trial in")


def test_a_missing_plan(place):
    refused(place.gnomon("serve", "nowhere.yaml", code=2), "nowhere.yaml")


def test_a_dead_model_is_said_before_the_trial_starts(place):
    dead = free_port()
    plan = place.plan(place.model("old"), dead)
    refused(place.gnomon("serve", plan, code=2), "candidate", str(dead), "refused")
    done = place.gnomon("check", plan, code=2)
    assert f"{dead}" in done.stdout


def test_a_port_in_use(place):
    plan = place.plan(place.model("old"), place.model("new"))
    with socket.create_server(("127.0.0.1", place.listen)):
        refused(place.gnomon("serve", plan, code=2), f"listen 127.0.0.1:{place.listen}", "GNOMON_LISTEN")
    with socket.create_server(("127.0.0.1", place.admin)):
        refused(place.gnomon("serve", plan, code=2), f"admin 127.0.0.1:{place.admin}", "GNOMON_ADMIN")


def test_a_second_serve_on_the_same_data(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.serve(plan)
    refused(place.gnomon("serve", plan, code=2), "another gnomon serve")


def test_a_truth_file_with_a_wrong_column_loses_nothing(place, tmp_path):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    stream(place.url, range(20))
    place.drained(paired=20)
    place.stop(process)
    wrong = tmp_path / "truth.csv"
    wrong.write_text("id,lable\nr1,bad\n")
    refused(place.gnomon("labels", "import", wrong, code=2), "truth.csv", "lable", "label")
    refused(place.gnomon("labels", "import", tmp_path / "none.csv", code=2), "none.csv")
    wrong.write_text("id,label\nr1,bad\n")
    assert place.read("labels", "import", wrong)["rows"] == 1
    assert place.read("labels", "import", wrong)["rows"] == 0
    assert place.read("labels", "import", "-")["rows"] == 0


def test_a_wrong_setting_names_the_variable(place, monkeypatch):
    monkeypatch.setenv("GNOMON_FLUSH", "often")
    plan = place.plan(1, 2)
    place.folder.joinpath("gnomon.toml").write_text('listen = "8080"\nlissen = "x"\n')
    done = place.gnomon("status", code=2)
    refused(done, "lissen")
    assert plan.exists()


def test_an_unknown_trial_names_what_there_is(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.stop(place.serve(plan))
    refused(place.gnomon("decide", "frod", code=2), "frod", "fraud")


def test_a_path_that_cannot_be_written_is_one_message(place):
    refused(place.gnomon("init", "nowhere/plan.yaml", code=2), "nowhere/plan.yaml", "No such file")


def test_a_plan_is_never_overwritten_unasked(place):
    plan = place.plan(1, 2)
    kept = plan.read_text()
    refused(place.gnomon("init", plan, code=2), "is there already")
    assert plan.read_text() == kept
    place.gnomon("init", "new.yaml", "--trial", "mine")
    place.gnomon("check", "--offline", "new.yaml")
