"""`gnomon report` and `gnomon schema --report`, on a trial's own data folder."""

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from gnomon.cli.app import app
from gnomon.errors import IntegrityError, NotFound
from gnomon.state import open_state
from tests.notebook.place import a_place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return a_place(tmp_path_factory.mktemp("place"), looks=3)


def run(place, *arguments, monkeypatch):
    monkeypatch.setenv("GNOMON_DATA", str(place[0].data))
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_charts_are_written_as_svg_and_png(place, tmp_path, monkeypatch):
    said = run(place, "report", "fraud", "--charts", tmp_path / "charts", monkeypatch=monkeypatch)

    files = sorted(path.name for path in (tmp_path / "charts").iterdir())
    names = ("agreement-label", "e_values", "forest", "latency", "ledger", "progress")
    assert files == [f"{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    assert "### " not in said


def test_a_real_report_is_valid_by_the_schema_that_is_printed(place, monkeypatch):
    schema = json.loads(run(place, "schema", "--report", monkeypatch=monkeypatch))
    made = json.loads(run(place, "report", "fraud", "--json", monkeypatch=monkeypatch))

    jsonschema.Draft202012Validator(schema).validate(made)
    assert [look["number"] for look in made["history"]["looks"]] == [1, 2, 3]
    assert len(made["history"]["tracks"]) == len(made["progress"]) == len(made["verdict"]["tests"]) == 6
    assert made["attempts"] == [
        {
            "number": 1,
            "trial": "fraud.1",
            "candidate": "2.0",
            "registered_us": place[1].registered_us,
            "verdict": "continue",
            "shared_alpha": pytest.approx(0.05 * 6 / 3.141592653589793**2),
        }
    ]


def test_a_plans_schema_is_still_what_is_printed_without_the_option(place, monkeypatch):
    assert "gates" in json.loads(run(place, "schema", monkeypatch=monkeypatch))["properties"]


def test_a_report_of_a_log_whose_versions_are_gone_is_one_message(tmp_path, monkeypatch):
    settings, sealed = a_place(tmp_path)
    for path in (settings.root / f"trials/{sealed.id}/log/comparisons").glob("*.parquet"):
        path.unlink()
    monkeypatch.setenv("GNOMON_DATA", str(settings.data))

    done = CliRunner().invoke(app, ["report", "fraud"])

    assert isinstance(done.exception, IntegrityError)
    assert str(done.exception).startswith(
        "the verdict of fraud.1 cannot be reported, what it rests on is not in the log"
    )
    assert "gnomon decide fraud.1" in str(done.exception)


def test_some_looks_are_read_by_their_numbers_and_attempts_are_of_the_same_production(place):
    settings, sealed = place
    with open_state(settings.state_url) as state:
        assert state.verdict_numbers(sealed.id) == [1, 2, 3]
        assert [number for number, _ in state.verdicts(sealed.id, [3, 1])] == [1, 3]
        assert state.verdicts(sealed.id, []) == []
        assert [each.id for each in state.attempts(sealed.id)] == [sealed.id]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_plan_file_that_is_not_there_is_no_finding_against_the_verdict(place, tmp_path, monkeypatch, form):
    monkeypatch.setenv("GNOMON_DATA", str(place[0].data))

    done = CliRunner().invoke(app, ["verify", "fraud", "--plan", str(tmp_path / "none.yaml"), *form])

    assert isinstance(done.exception, NotFound)
    assert done.exception.exit_code == 2
    assert str(done.exception) == (
        f"plan file {tmp_path / 'none.yaml'} is not there; leave --plan out to verify by the sealed copy"
    )
    assert "verified" not in done.stdout
