"""What a user gets wrong is one clear message, exit code 2, and nothing lost."""

import socket

import httpx
import pytest

from tests.path.conftest import free_port, stream, wait_for

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
        ("shadow_rate: 100%", "shadow_rate: 120%", ["fork.shadow_rate", "120%"]),
        ("shadow_rate: 100%", "strata: {by: body:/country, rates: {BR: 0%}}", ["fork.strata.rates", "0%"]),
        ("shadow_rate: 100%", "strata: {by: output:label, rates: {BR: 5%}}", ["fork.strata.by", "output"]),
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


def test_a_candidate_whose_name_does_not_resolve(place):
    plan = place.plan(place.model("old"), 2, edit=lambda text: text.replace('127.0.0.1:2"', 'nowhere.invalid:2"'))
    refused(place.gnomon("serve", plan, code=2), "candidate", "nowhere.invalid", "does not resolve")
    refused(place.gnomon("trials", code=2), "no trial in")


def test_a_stratum_in_a_body_that_is_no_json_is_counted_and_loses_nothing(place):
    strata = "strata: {by: body:/country, rates: {DE: 100%}, otherwise: 50%}"
    edit = lambda text: text.replace("shadow_rate: 100%", strata)  # noqa: E731  the one line that differs
    process = place.serve(place.plan(place.model("old", "--text"), place.model("new", "--text"), edit=edit))
    with httpx.Client(base_url=place.url, timeout=20) as client:
        for number in range(40):
            body = b"no JSON" if number % 2 else b'{"country": "DE", "id": "1"}'
            client.post("/predict", content=body)
    now = wait_for(lambda: (found := place.read("status"))["ledger"]["open"] == 0 and found, what="an empty inbox")
    assert {name: each["drawn"] for name, each in now["sampling"].items()} == {"DE": 20, "otherwise": 20}
    assert now["sampling"]["DE"]["sampled"] == 20
    assert now["ledger"]["states"] == {
        "unsampled": 20 - now["sampling"]["otherwise"]["sampled"],
        "paired": 20 + now["sampling"]["otherwise"]["sampled"],
    }
    assert all(each["holds"] for each in now["equalities"].values())
    place.stop(process)


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
