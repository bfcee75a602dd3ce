"""Import ground truth: a CSV, JSON lines or Parquet file with a key column and a column for each output.

A value becomes the canonical JSON text that `comparisons` hold. JSON lines and Parquet are typed and taken as they are.
A CSV cell has no type, so it takes that of the log: where production's answers for an output are all strings, a cell is
a string; else a cell that reads as a JSON number, true, false or null is that (True and False of pandas too), and any
other is a string. A cell in double quotes of its own (`"1"`) is always a string.

Of truths that contradict each other the plan's policy says which counts (`first`, `last`), or that the file is refused.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from gnomon import plugins
from gnomon.errors import GnomonError
from gnomon.log import read, tables, truth_files
from gnomon.log.append import append
from gnomon.ports import ReadError
from gnomon.protocols.canonical import canonical, text
from gnomon.records import Record
from gnomon.records.plan import Output, Plan

_SHOWN: Final = 10
_WORDS: Final = {"true": True, "false": False, "null": None, "True": True, "False": False}

Reading = Callable[[Any], Any]


class TruthImport(Record, frozen=True, kw_only=True):
    """What an import did. A key may carry a value for each output; each is one truth."""

    source: str
    rows: int
    """Truths appended."""
    known: int
    """Keys of the file that the log has an exchange for."""
    unknown: int
    """Keys that it has none for (yet); their truths are kept."""
    first_unknown: tuple[str, ...]
    doubled: int
    """Truths that were there already, with the same value; not appended again."""
    contradicting: int
    """Truths that say something else than an earlier one; appended, and the plan's policy says which counts."""
    first_contradicting: tuple[str, ...]
    empty: int
    """Cells without a value: not known yet."""
    repeated: bool
    """The same content was imported before: nothing was appended."""


def import_truths(
    plan: Plan,
    log_url: str,
    source: Path | str,
    *,
    now_us: int,
    format: truth_files.Format | None = None,  # noqa: A002  the option's name
) -> TruthImport:
    """Append the truths of a file; `-` reads CSV or JSON lines from standard input.

    Raises NotFound, or GnomonError that names the file, the line and what was found; then nothing is imported.
    """
    name = str(source)
    content = truth_files.content(source)
    kind = format or truth_files.format_of(name, content)
    return import_content(plan, log_url, content, kind, name=name, now_us=now_us)


def import_content(
    plan: Plan, log_url: str, content: bytes, kind: truth_files.Format, *, name: str, now_us: int
) -> TruthImport:
    """Append the truths of what was read already; `name` is where they come from, for messages and for the log.

    Raises GnomonError as `import_truths` does.
    """
    columns, rows = truth_files.read(content, kind, name)
    outputs = wanted_outputs(plan)
    if not outputs:
        raise GnomonError(f"{plan.trial} has no output, so no truth can be held against one; nothing was imported")
    if name == "-" and not content.strip():
        return _result(name)
    key = _key_column(plan, outputs, columns, name)
    typed = kind != "csv"
    readings = [
        (output, _identity if typed else _cell(log_url, output)) for output in outputs if output.name in columns
    ]
    found, empty = _truths(readings, key, rows, name, ids=_names_ids(plan, key))
    return _append(plan, log_url, found, empty, name, digest=_digest(content), now_us=now_us)


def wanted_outputs(plan: Plan) -> tuple[Output, ...]:
    """The outputs whose truth a gate or a target looks at; every output when none says which."""
    gates = [gate for gate in plan.judged if gate.needs_truth]
    named = {name for gate in gates for name in (gate.outputs or (gate.output,))}
    return tuple(output for output in plan.outputs if not named or None in named or output.name in named)


# columns and cells -------------------------------------------------------------------------------------------------


def _key_column(plan: Plan, outputs: tuple[Output, ...], columns: list[str], name: str) -> str:
    """The column that names the exchanges: the plan's key if the file has it, else `id`."""
    keys = ["id"]
    if plan.truth and plan.truth.key:
        last = plan.truth.key.name.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~")
        keys = list(dict.fromkeys([last, "id"]))
    key = next((key for key in keys if key in columns), None)
    if key is None or not any(output.name in columns for output in outputs if output.name != key):
        wanted = " or ".join(keys)
        values = " or ".join(output.name for output in outputs)
        found = ", ".join(columns) or "no columns"
        raise GnomonError(f"truth file {name} needs the columns {wanted}, and {values}; found: {found}")
    return key


def _names_ids(plan: Plan, key: str) -> bool:
    """Whether the key column holds exchange ids."""
    if plan.truth is None or plan.truth.key is None:
        return True
    return key == "id" and plan.truth.key.name.rsplit("/", 1)[-1] != "id"


def _identity(value: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    return value


def _cell(log_url: str, output: Output) -> Reading:
    """How a CSV cell of this output is read, by the log."""
    if output.compare != "number" and _all_strings(log_url, output):
        return lambda cell: _quoted(cell, otherwise=cell)
    return _literal


def _all_strings(log_url: str, output: Output) -> bool:
    """Whether production answered, and with strings only."""
    column = tables.output_columns(output.name)[0]
    table = read.column(log_url, "comparisons", [column])
    if table is None:
        return False
    values = pc.drop_null(table[column])
    return len(values) > 0 and bool(pc.all(pc.starts_with(values, '"')).as_py())


def _quoted(cell: str, *, otherwise: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return otherwise


def _literal(cell: str) -> Any:  # noqa: ANN401  whatever JSON can hold
    """A cell as a JSON scalar, or as a string when it is none."""
    stripped = cell.strip()
    if stripped in _WORDS:
        return _WORDS[stripped]
    try:
        value = float(stripped) if "_" not in stripped else None
    except ValueError:
        value = None
    if value is None:
        return _quoted(stripped, otherwise=cell)
    try:
        return msgspec.json.decode(stripped)
    except msgspec.DecodeError:
        # 007 and +1 are names to JSON; nan and inf are numbers that cannot be
        return value if not math.isfinite(value) else cell


def _truths(
    readings: list[tuple[Output, Reading]], key_column: str, rows: Iterable[truth_files.Row], name: str, *, ids: bool
) -> tuple[dict[tuple[str, str], tuple[str, float | None]], int]:
    """By key and output: the value's text, and its number. Also the number of empty cells."""
    comparators = {output.name: plugins.comparator(output) for output, _ in readings}
    found: dict[tuple[str, str], tuple[str, float | None]] = {}
    lines: dict[tuple[str, str], int] = {}
    empty = 0
    for line, cells in rows:
        key = _key(cells.get(key_column), f"{name}:{line}", key_column, ids=ids)
        for output, reading in readings:
            cell = cells.get(output.name)
            if cell is None or cell == "":
                empty += 1
                continue
            try:
                stored = comparators[output.name].stored(_number_or(output, reading(cell)))
            except (ReadError, RecursionError) as error:
                raise GnomonError(f"{name}:{line} {output.name} is {cell!r}: {error}; nothing was imported") from error
            truth = (stored, None) if isinstance(stored, str) else (canonical(stored), stored)
            before = found.setdefault((key, output.name), truth)
            if before != truth:
                raise GnomonError(
                    f"{name}:{line} says that {output.name} of {key} is {truth[0]}, "
                    f"line {lines[key, output.name]} says {before[0]}; keep one of them, nothing was imported"
                )
            lines.setdefault((key, output.name), line)
    return found, empty


def _number_or(output: Output, value: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    """A number in a string is a number where the output is compared as one."""
    return _literal(value) if output.compare == "number" and isinstance(value, str) else value


def _key(value: Any, place: str, column: str, *, ids: bool) -> str:  # noqa: ANN401  whatever JSON can hold
    try:
        key = "" if value is None else text(value).strip()
    except (ReadError, RecursionError):
        key = ""
    if not key:
        raise GnomonError(f"{place} has no {column}; nothing was imported")
    return key.replace("-", "").lower() if ids else key


# the log -----------------------------------------------------------------------------------------------------------


def _append(
    plan: Plan,
    log_url: str,
    found: dict[tuple[str, str], tuple[str, float | None]],
    empty: int,
    name: str,
    *,
    digest: str,
    now_us: int,
) -> TruthImport:
    policy = plan.truth.policy if plan.truth else "first"
    earlier = _earlier(log_url, found)
    # Where the last one counts, A after B is news, although A was said before.
    heard = {place: said[-1:] if policy == "last" else said for place, said in earlier.items()}
    fresh = {place: truth for place, truth in found.items() if truth[0] not in heard.get(place, ())}
    contradicting = [place for place in fresh if place in earlier]
    if contradicting and policy == "error":
        raise GnomonError(_refused(contradicting[0], found, earlier, name, others=len(contradicting) - 1))
    keys = list(dict.fromkeys(key for key, _ in found))
    known = _known(plan, log_url, keys)
    unknown = [key for key in keys if key not in known]
    application = f"truths {digest}"
    before = read.transaction(log_url, "truths", application)
    if before is not None and fresh and policy == "last":  # the same file again, after another one said otherwise
        application, before = f"{application} {now_us}", None
    if fresh and before is None:
        rows = pa.table(
            {
                "key": [key for key, _ in fresh],
                "output": [output for _, output in fresh],
                "value": [value for value, _ in fresh.values()],
                "number": [number for _, number in fresh.values()],
                "imported_us": [now_us] * len(fresh),
                "source": [Path(name).name] * len(fresh),
            },
            schema=tables.TRUTHS,
        )
        append(log_url, "truths", rows, application=application, number=1)
    return _result(
        name,
        rows=len(fresh) if before is None else 0,
        known=len(known),
        unknown=len(unknown),
        first_unknown=tuple(unknown[:_SHOWN]),
        doubled=len(found) - len(fresh),
        contradicting=len(contradicting),
        first_contradicting=tuple(place[0] for place in contradicting[:_SHOWN]),
        empty=empty,
        repeated=before is not None,
    )


def _refused(
    place: tuple[str, str],
    found: dict[tuple[str, str], tuple[str, float | None]],
    earlier: dict[tuple[str, str], list[str]],
    name: str,
    *,
    others: int,
) -> str:
    key, output = place
    more = f" (and {others:,} more)" if others else ""
    return (
        f"{name} says that {output} of {key} is {found[place][0]}, the log says {earlier[place][-1]}{more}; "
        "the plan's truth.policy is error: nothing was imported; take these rows out"
    )


def _earlier(log_url: str, found: dict[tuple[str, str], Any]) -> dict[tuple[str, str], list[str]]:
    """What the log says already about these keys and outputs, in the order in which it counts (see `evidence.rows`)."""
    table = read.column(log_url, "truths", ["key", "output", "value", "imported_us", "source"])
    earlier: dict[tuple[str, str], list[str]] = {}
    if table is not None and found:
        mine = table.filter(pc.is_in(table["key"], pa.array({key for key, _ in found})))
        order = [(name, "ascending") for name in ("imported_us", "source", "value")]
        for row in mine.sort_by(order).to_pylist():
            earlier.setdefault((row["key"], row["output"]), []).append(row["value"])
    return earlier


def _known(plan: Plan, log_url: str, keys: list[str]) -> set[str]:
    """The keys that name an exchange: the plan's key, or an id."""
    known: set[str] = set()
    table = read.column(log_url, "comparisons", ["truth_key", "id"])
    if table is None or not keys:
        return known
    columns = ["truth_key", "id"] if plan.truth and plan.truth.key else ["id"]
    wanted = pa.array(keys)
    for column in columns:
        values = table[column].combine_chunks()
        known.update(values.filter(pc.is_in(values, wanted)).to_pylist())
    return known


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _result(name: str, **facts: Any) -> TruthImport:  # noqa: ANN401  fields of the record
    none: dict[str, Any] = {
        "rows": 0,
        "known": 0,
        "unknown": 0,
        "first_unknown": (),
        "doubled": 0,
        "contradicting": 0,
        "first_contradicting": (),
        "empty": 0,
        "repeated": False,
    }
    return TruthImport(source=name, **none | facts)
