"""The JSON Schema: what an editor completes is what the program takes."""

import json
from importlib import resources

import jsonschema
import pytest

from gnomon.plan.language import json_schema
from tests.plan.builders import DOCUMENT, FORKED, LEFT_OUT, edited
from tests.plan.every_kind import KINDS

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_it_is_a_schema_and_takes_the_example() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    VALIDATOR.validate(DOCUMENT)
    VALIDATOR.validate(FORKED)
    VALIDATOR.validate(edited(("routes", 0), "POST /predict repeatable"))
    VALIDATOR.validate(KINDS)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("alhpa",), "5%"),
        (("fork", "shadow_rat"), "5%"),
        (("gates", 0, "accuracy", "margn"), "5%"),
        (("production", "version"), 1.1),
        (("production", "timeout"), 2),
        (("fork", "mode"), "mirror"),
        (("question",), LEFT_OUT),
        (("gates", 1, "latency"), {"quantile": "99%", "at_most": "1s"}),
        (("alpha",), None),
        (("gnomon",), 2),
        (("routes", 0), "POST /predict twice"),
    ],
)
def test_it_refuses_what_the_program_refuses(path: tuple[str | int, ...], value: object) -> None:
    assert not VALIDATOR.is_valid(edited(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("production", "rewrite"), {"path": {"/predict": "/v2"}}),
        (("production", "identity"), "/v1/models"),
        (("candidate", "identity"), {"path": "/healthz"}),
        (("candidate", "rewrite", "headers", "x-model"), 2),
        (("candidate", "rewrite", "path", "/predict"), "v2"),
        (("fork", "strata", "by"), "input:text"),
        (("fork", "strata", "rates"), {}),
        (("fork", "strata", "rates", "BR"), 100),
        (("fork", "strata", "by"), LEFT_OUT),
        (("guards", "context", 0), "path:1"),
        (("guards", "contxt"), ["body:/a"]),
        (("record", "drop"), "body:/a"),
        (("record", "keep_bodies"), 30),
    ],
)
def test_it_refuses_what_the_program_refuses_of_the_fork(path: tuple[str | int, ...], value: object) -> None:
    assert not VALIDATOR.is_valid(edited(path, value, of=FORKED))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("candidate", "capacity"), 20),
        (("fork", "twin"), 5),
        (("segments", "country", "top"), "8"),
        (("segments", "country", "learn"), -1),
        (("truth", "policy"), "newest"),
        (("truth", "available_when"), {}),
        (("gates", 3, "share", "within"), "5% of production"),
        (("gates", 3, "share", "of"), ["fraud"]),
        (("gates", 4, "error_rate", "margin"), "1.5 production"),
        (("gates", 5, "latency", "at_most"), "twice production"),
        (("gates", 8, "loss", "costs"), {"fraud": 1}),
        (("gates", 9, "numeric", "scale"), [0]),
        (("gates", 10, "field", "of"), "label"),
        (("gates", 14, "custom", "digest"), "abc"),
        (("targets", 0), {"acuracy": {}}),
        (("integrity", "probes"), True),
        (("suitability", "cost_per_day"), 40),
        (("hybrid",), {"overall": 0}),
    ],
)
def test_it_refuses_what_the_program_refuses_of_the_decision(path: tuple[str | int, ...], value: object) -> None:
    assert not VALIDATOR.is_valid(edited(path, value, of=KINDS))


def test_every_key_says_what_it_is() -> None:
    schema = json_schema()
    objects = [schema, *schema["$defs"].values()]
    assert all(each["description"] for each in objects)
    bare = [
        f"{each['title'] if 'title' in each else each['description']}.{key}"
        for each in objects
        for key, node in each["properties"].items()
        if not node.get("description") and "$ref" not in node  # the mapping it refers to has its own
    ]
    assert bare == []
    assert all(each["additionalProperties"] is False for each in objects)


def test_the_committed_copy_is_the_same() -> None:
    """After a change of the language: gnomon schema > src/gnomon/plan/schema/plan.schema.json."""
    committed = resources.files("gnomon.plan").joinpath("schema/plan.schema.json").read_text()
    assert json.loads(committed) == json_schema()
