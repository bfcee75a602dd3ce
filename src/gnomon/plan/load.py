"""Load: the doors. A file, or the document that was made of one, as a plan; or all that is wrong with it, at once."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gnomon.errors import PlanError, Problem
from gnomon.plan import expand, semantics, shape, source
from gnomon.plan.source import Finding, Source
from gnomon.records.plan import Plan

_LARGEST: Final = 1 << 20  # bytes of a plan file
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plan file that passed every check."""

    document: dict[str, Any]
    """As JSON would hold it: what the file says, without a default."""
    plan: Plan
    path: Path


def read(path: Path, *, sealed: bool = False) -> Loaded:
    """The plan in a file. `sealed`: as in `from_document`.

    Raises PlanError with every problem: file, line, key, what was found, what would do.
    """
    return parse(_text(path), path, sealed=sealed)


def parse(text: str, path: Path, *, sealed: bool = False) -> Loaded:
    """The plan in a text; `path` is for messages.

    Raises PlanError.
    """
    read_source = source.parse(text)
    return Loaded(read_source.document, _plan(read_source, str(path), sealed=sealed), path)


def from_document(document: dict[str, Any], *, name: str = "the plan's document", sealed: bool = False) -> Plan:
    """The plan of a JSON document, such as the state database keeps.

    `sealed`: what it rests on is in the log, so a custom gate's code need not be there any more to read a verdict.

    Raises PlanError; its problems have no lines, and `name` is their file.
    """
    return _plan(Source(document=document), name, sealed=sealed)


def _plan(read_source: Source, file: str, *, sealed: bool) -> Plan:
    findings = list(read_source.findings)
    if read_source.document or not findings:
        shaped = replace(shape.take(read_source.document, read_source.places), sealed=sealed)
        # a value that could not be read stands in as 0, which is no second problem; a key that stands twice may be one
        at = {finding.path for finding in findings if not finding.line}
        findings += [finding for finding in shaped.findings if finding.path not in at]
        at |= {finding.path for finding in shaped.findings}
        findings += [finding for finding in semantics.check(shaped) if finding.path not in at]
        if not findings:
            return expand.plan(shaped.model)
    problems = [_problem(finding, read_source, file) for finding in findings]
    raise PlanError(sorted(problems, key=lambda problem: problem.line))


def _problem(finding: Finding, read_source: Source, file: str) -> Problem:
    line = finding.line
    standing = path = shape.standing(finding.path, read_source.document)
    while not line and path:
        place = read_source.places.get(path)
        line = place.line if place else 0
        path = path[:-1]
    if not line and read_source.places:
        line = 1
    return Problem(file=file, line=line, key=key_path(standing), found=finding.found, do=finding.do)


def key_path(path: source.Path) -> str:
    """A place as people write it: ``gates[1].accuracy.margin``; a key that is no plain word stands in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def _text(path: Path) -> str:
    found, do = "", ""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        found, do = "is not there", f"write one with: gnomon init {path}"
    except IsADirectoryError:
        found, do = "is a directory", "name the plan's file"
    except OSError as error:
        found, do = f"cannot be read: {error.strerror}", "make it readable"
    else:
        if len(content) > _LARGEST:
            found, do = f"has {len(content):,} bytes, a plan has at most {_LARGEST:,}", "name the plan's file"
        else:
            try:
                return content.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                line = content.count(b"\n", 0, error.start) + 1
                found, do = f"is not UTF-8: byte {content[error.start]:#04x} in line {line}", "save it as UTF-8"
    raise PlanError([Problem(file=str(path), line=0, key="", found=found, do=do)])
