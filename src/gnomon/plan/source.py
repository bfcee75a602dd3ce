"""The source: a YAML text as a JSON document, with the line of every key and value.

Promises  YAML 1.2, so that NO is a word and not false; one document, a mapping; keys are text and stand once; aliases
          are copies and bounded; tags and merge keys are refused; what a JSON document cannot hold is refused
"""

import math
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""Keys and positions from the top of the document."""

_TAG: Final = "tag:yaml.org,2002:"
_LIMIT: Final = 20_000  # nodes after copying aliases; a plan of a thousand cells has a tenth of it
_DEEPEST: Final = 30
_LARGEST: Final = 2**53 - 1  # RFC 8785: a JSON number that every program reads the same


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands and how it was written."""

    line: int
    """1-based."""
    written: str | None = None
    """The text of a scalar, as in the file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem at a place of the document; the file is added later."""

    path: Path
    found: str
    do: str
    line: int = 0
    """0: the line of `path`."""


@dataclass(slots=True)
class Source:
    """What was read."""

    document: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def parse(text: str) -> Source:
    """A plan's text as document, places and what is wrong with it as YAML. Never raises for what stands in the text."""
    source = Source()
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        source.findings += _syntax(text, error)
        return source
    except (YAMLError, RecursionError) as error:
        source.findings.append(Finding((), f"is not YAML: {' '.join(str(error).split())[:200]}", "correct the text"))
        return source
    if not isinstance(node, MappingNode):
        what = "is empty" if node is None else "is not a mapping of keys"
        source.findings.append(Finding((), what, "begin with gnomon: 1, or write a new plan with: gnomon init"))
        return source
    try:
        source.document = _Reader(source).mapping(node, ())
    except _TooMuch as error:
        source.document = {}
        source.findings = [Finding((), str(error), "write the plan out, without aliases", error.line)]
    return source


class _TooMuch(Exception):
    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1


class _Reader:
    """Turns nodes into values. Counts what it makes, as an alias of an alias of an alias may stand for billions."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made = 0

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        self._count(node, path)
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in first:
                self._find((*path, key), f"stands twice: first in line {first[key]}", "keep one of them", line)
                continue
            first[key] = line
            self._source.places[(*path, key)] = Place(line)
            result[key] = self._value(value_node, (*path, key), line)
        return result

    def _value(self, node: Node, path: Path, line: int) -> Any:  # noqa: ANN401  whatever JSON holds
        tag = str(node.tag)
        if not tag.startswith(_TAG):
            self._find(path, f"has a tag: found {tag}", "take the tag out", node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            self._count(node, path)
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        self._count(node, path)
        self._source.places[path] = Place(line, node.value)
        return self._scalar(tag.removeprefix(_TAG), str(node.value), path)

    def _item(self, node: Node, path: Path) -> Any:  # noqa: ANN401  whatever JSON holds
        line = node.start_mark.line + 1
        self._source.places[path] = Place(line)
        return self._value(node, path, line)

    def _key(self, node: Node, path: Path) -> str | None:
        line = node.start_mark.line + 1
        if node.tag == f"{_TAG}merge":
            self._find((*path, "<<"), "is a merge key, which plans do not have", "write the keys out", line)
            return None
        if isinstance(node, ScalarNode) and node.tag in {f"{_TAG}str", f"{_TAG}timestamp"}:
            return str(node.value)
        if isinstance(node, ScalarNode):
            text = str(node.value)
            self._find((*path, text), f"is a key that is not text: found {text or 'nothing'}", f'write "{text}":', line)
            return None
        self._find(path, "has a key that is a list or a mapping", "keys are text", line)
        return None

    def _scalar(self, kind: str, text: str, path: Path) -> Any:  # noqa: ANN401  whatever JSON holds
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind not in {"int", "float"}:
            return text
        try:
            number = int(text.replace("_", ""), 0) if kind == "int" else float(text.replace("_", ""))
        except ValueError:  # 010 and .inf are numbers to YAML alone
            number = math.nan
        if not math.isfinite(number) or abs(number) > _LARGEST:
            self._find(
                path, f"is not a number that a plan can hold: found {text}", "write it in decimal digits, below 2^53"
            )
            return 0
        return number

    def _count(self, node: Node, path: Path) -> None:
        self._made += 1
        if self._made > _LIMIT:
            raise _TooMuch(f"is too large: more than {_LIMIT:,} values once aliases are copied", node)
        if len(path) > _DEEPEST:
            raise _TooMuch(f"is nested deeper than {_DEEPEST} levels (an alias may hold itself)", node)

    def _find(self, path: Path, found: str, do: str, line: int = 0) -> None:
        self._source.findings.append(Finding(path, found, do, line))


def _syntax(text: str, error: MarkedYAMLError) -> list[Finding]:
    """The place where the text stops being YAML; every line indented by tabs, if that is why."""
    tabs = [
        Finding((), "is indented with a tab", "indent with spaces", number)
        for number, line in enumerate(text.splitlines(), 1)
        if "\t" in line[: len(line) - len(line.lstrip())]
    ]
    if tabs and "\\t" in str(error.problem):
        return tabs
    mark = error.problem_mark or error.context_mark
    if error.problem == "but found another document":
        do = "keep one document: take the line --- out"
        return [Finding((), "holds more than one document", do, mark.line + 1 if mark else 0)]
    context = f"{error.context}: " if error.context else ""
    return [
        Finding((), f"is not YAML: {context}{error.problem}", _advice(str(error.problem)), mark.line + 1 if mark else 0)
    ]


def _advice(problem: str) -> str:
    if "mapping values are not allowed" in problem:
        return "put a text that holds a colon in quotes, and check the indentation"
    if "\\t" in problem:
        return "write spaces instead of the tab"
    if "undefined alias" in problem:
        return "put a text that begins with * in quotes"
    return "check brackets, quotes and indentation here and in the line before"


def find_nulls(value: Any, path: Path = ()) -> list[Path]:  # noqa: ANN401  any part of a document
    """Every key without a value. Left out and empty are not the same: only the first has a default."""
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in find_nulls(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in find_nulls(item, (*path, index))]
    return []
