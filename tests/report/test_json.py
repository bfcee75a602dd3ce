"""The JSON report: everything, deterministic, with a published schema."""

import json
from importlib import resources

import jsonschema
import msgspec
import pytest

from gnomon import report
from tests.report import reports


@pytest.mark.parametrize("name", reports.ALL)
def test_every_report_is_valid_by_the_published_schema(name):
    schema = report.report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    document = json.loads(report.json(reports.ALL[name]()))

    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["schema"] == "gnomon.report/1"


@pytest.mark.parametrize(
    ("field", "wrong"), [("schema", "gnomon.report/2"), ("verdict", None), ("description", {}), ("surplus", 1)]
)
def test_the_schema_refuses_what_is_not_a_report(field, wrong):
    document = json.loads(report.json(reports.promoted())) | {field: wrong}

    if field == "surplus":
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps(document), type=report.Report)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(report.report_schema()).validate(document)


def test_the_json_holds_the_whole_report():
    made = reports.rejected()

    assert msgspec.json.decode(report.json(made), type=report.Report) == made


def test_the_same_report_gives_the_same_bytes_whatever_the_order_of_its_maps():
    made = reports.rejected()
    turned = msgspec.structs.replace(
        made,
        verdict=msgspec.structs.replace(
            made.verdict,
            ledger=dict(reversed(made.verdict.ledger.items())),
            versions=dict(reversed(made.verdict.versions.items())),
        ),
    )

    assert report.json(made) == report.json(turned)


def test_the_published_schema_is_the_programs_own():
    """After a change of a record: gnomon schema --report > src/gnomon/report/schema/report.schema.json."""
    published = resources.files("gnomon.report").joinpath("schema/report.schema.json").read_text()

    assert json.loads(published) == json.loads(json.dumps(report.report_schema()))


def test_every_verdict_is_among_those_that_are_validated():
    assert {json.loads(report.json(made()))["verdict"]["verdict"] for made in reports.VERDICTS.values()} == {
        "promote",
        "reject",
        "continue",
        "inconclusive",
        "invalid",
    }
