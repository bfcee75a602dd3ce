"""The shape: pydantic's errors in the words of the plan, and a whole model to go on with when parts are broken.

Promises  every problem has a place, says what was found and what would do; a broken part hides no problem of another
"""

import copy
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gnomon.plan.language import PlanModel, json_schema
from gnomon.plan.source import Finding, Path, Place, find_nulls
from gnomon.plan.units import shown

_STAND_IN: Final[dict[str, Any]] = {
    "gnomon": 1,
    "trial": "stand-in",
    "question": "stand-in",
    "production": {"version": "0", "url": "http://production.invalid"},
    "candidate": {"version": "1", "url": "http://candidate.invalid"},
    "routes": ["POST /"],
    "suitability": {"context": "stateless", "side_effects": "none"},
    "gates": [],
}
"""What takes the place of a required part that is missing or broken, so that the others can be checked."""

_GATE_STAND_IN: Final = {"error_rate": {"at_most": "1%", "where": "overall"}}

_WRONG_TYPE: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A document whose parts are typed; what is broken is named and stands in."""

    model: PlanModel
    findings: tuple[Finding, ...]
    broken: frozenset[str]
    """Top-level keys that stand in; checks that need them are skipped."""
    broken_gates: frozenset[int]
    sealed: bool = False
    """What it says was checked before it was sealed: code that has changed or gone since is the runner's concern."""


def take(document: dict[str, Any], places: dict[Path, Place]) -> Shape:
    """The typed document, with everything that is wrong with its shape."""
    cleaned = copy.deepcopy(document)
    errors = _errors(cleaned)
    unknown = [_path(error) for error in errors if error["type"] == "extra_forbidden"]
    empty = {path for path in find_nulls(cleaned) if path and path not in unknown}
    findings = [Finding(path, "is empty", "give it a value, or leave the key out") for path in empty]
    errors = [error for error in errors if _path(error) not in empty]
    findings += [_finding(error, cleaned, places) for error in errors]
    _remove(cleaned, unknown)
    at = [_path(error) for error in errors if error["type"] != "extra_forbidden"] + sorted(empty, key=str)
    gates = {path[1] for path in at if len(path) > 1 and path[0] == "gates" and isinstance(path[1], int)}
    broken = {str(path[0]) for path in at if path[0] != "gates" or len(path) == 1}
    for index in gates:
        cleaned["gates"][index] = _GATE_STAND_IN
    for key in broken:
        cleaned.pop(key, None)
        if key in _STAND_IN:
            cleaned[key] = _STAND_IN[key]
    if "gates" in broken:
        cleaned["gates"] = [_GATE_STAND_IN]
        gates = {0}
    return Shape(PlanModel.model_validate(cleaned), tuple(findings), frozenset(broken), frozenset(gates))


def _remove(document: dict[str, Any], paths: list[Path]) -> None:
    """Takes keys out; items of lists stay, as a position is a place."""
    for path in paths:
        holder: Any = document
        for part in path[:-1]:
            holder = holder[part]
        if isinstance(holder, dict):
            holder.pop(path[-1], None)


def _errors(document: dict[str, Any]) -> list[ErrorDetails]:
    try:
        PlanModel.model_validate(document)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _path(error: ErrorDetails) -> Path:
    """The place in the document: without the names that pydantic gives to the options of a union."""
    return tuple(part for part in error["loc"] if not (isinstance(part, str) and part.startswith("<")))


def _finding(error: ErrorDetails, document: dict[str, Any], places: dict[Path, Place]) -> Finding:
    path = standing(_path(error), document)
    return Finding(path, *_words(error, path, places))


def _words(error: ErrorDetails, path: Path, places: dict[Path, Place]) -> tuple[str, str]:
    """What was found and what would do."""
    context = error.get("ctx", {})
    kind = error["type"]
    found = _found(error["input"], places.get(path))
    message = str(error["msg"]).removeprefix("Input should be ")
    words = (f"must be {message}, found {found}", "correct it")
    if kind == "gnomon":
        words = context["found"], context["do"]
    elif kind == "missing":
        words = "is missing", f"add it, {_such_as(path)}" if _such_as(path) else "add it"
    elif kind == "extra_forbidden":
        words = "is not a key of a plan here", _nearest(path)
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", "")
        words = f"must be {expected}, found {found}", f"write {expected}"
    elif kind == "too_short":
        words = "is empty", "name at least one"
    elif kind in _WRONG_TYPE:
        words = f"must be {_WRONG_TYPE[kind]}, found {found}", _retype(kind, error["input"], path, places)
    return words


def standing(path: Path, document: dict[str, Any]) -> Path:
    """The path as far as the file has it: `label: body:x` is short for a mapping that is not there."""
    value: Any = document
    for depth, part in enumerate(path):
        if isinstance(value, str | int | float):
            return path[:depth]
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
    return path


def _found(value: object, place: Place | None) -> str:
    written = place.written if place else None
    if written is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return f"the number {written}"
    return shown(value)


def _retype(kind: str, value: object, path: Path, places: dict[Path, Place]) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        place = places.get(path)
        written = place.written if place and place.written else ("true" if value is True else str(value))
        why = f" (YAML reads it as {value!r})" if isinstance(value, float) and repr(value) != written else ""
        return f'put it in quotes: "{written}"{why}'
    return f"write it as {_such_as(path).removeprefix('such as ')}" if _such_as(path) else "correct its type"


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _options(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _options(_schema()["$defs"][node["$ref"].rpartition("/")[2]])
    yield node
    for option in [*node.get("anyOf", []), *node.get("oneOf", [])]:
        yield from _options(option)


def _children(nodes: list[dict[str, Any]], part: str | int) -> list[dict[str, Any]]:
    found = []
    for node in nodes:
        if isinstance(part, int):
            found += [node["items"]] if isinstance(node.get("items"), dict) else []
        elif part in node.get("properties", {}):
            found.append(node["properties"][part])
        elif isinstance(node.get("additionalProperties"), dict):
            found.append(node["additionalProperties"])
    return [option for child in found for option in _options(child)]


def _at(path: Path) -> list[dict[str, Any]]:
    """The parts of the schema that speak of a place."""
    nodes = list(_options(_schema()))
    for part in path:
        nodes = _children(nodes, part)
    return nodes


def _such_as(path: Path) -> str:
    examples = [node["examples"][0] for node in _at(path) if node.get("examples")]
    if not examples:
        return ""
    return f"such as {path[-1]}: {_yaml(examples[0])}" if isinstance(path[-1], str) else f"such as {_yaml(examples[0])}"


def _yaml(value: Any) -> str:  # noqa: ANN401  an example of the schema
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    quoted = isinstance(value, str) and ("=" in text or text.replace(".", "").isdigit())
    return f'"{text}"' if quoted else text


def _nearest(path: Path) -> str:
    keys = sorted({key for node in _at(path[:-1]) for key in node.get("properties", {})})
    near = difflib.get_close_matches(str(path[-1]), keys, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"take it out; the keys here are {', '.join(keys)}"
