"""Losses: do the exchanges that are no pair differ from the pairs? In size, in latency, in any segment.

A loss that is the same everywhere costs evidence; one that falls on the large or the slow ones bends it. Read are the
newest lost exchanges and pairs of the same time, 20,000 rows at most, and sizes only from files of bounded size.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from statistics import median_low
from typing import Any, Final
from urllib.parse import unquote

import ibis
import numpy as np
import pyarrow as pa
from msgspec import structs
from scipy import stats

from gnomon.log import read
from gnomon.log.tables import segment_column
from gnomon.records.evidence import Losses, LossFactor
from gnomon.records.plan import Plan

ROWS: Final = 20_000
"""Rows that are read at most, lost ones and pairs together."""
BODIES: Final = 256 << 20
"""Bytes of the files from which sizes are read; the newest ones."""
LEAST: Final = 5
"""Lost exchanges, or pairs, below which nothing is said; also Cochran's least expected count of chi-square."""
FOLDED: Final = "(rare)"
"""What values too rare for chi-square are folded into."""

Expr = Any


def losses(plan: Plan, calls: Expr, connection: Any, *, log_url: str) -> Losses:  # noqa: ANN401  ibis is untyped
    """`calls`: the rows of `comparisons` that count. `connection`: the Ibis backend that they belong to."""
    states = {row["state"]: row["n"] for row in _rows(calls.group_by("state").agg(n=ibis._.count()))}
    pairs = states.pop("paired", 0)
    factors: list[LossFactor] = []
    if states:
        sample = _sample(calls)
        sizes = _sizes(connection, log_url, [row["id"] for row in sample])
        factors = [
            _ranks("request_size", [(row["lost"], sizes.get(row["id"])) for row in sample]),
            _ranks("production_latency", [(row["lost"], row["latency"]) for row in sample]),
            *(_shares(calls, segment.name) for segment in plan.segments),
        ]
    return Losses(states=dict(sorted(states.items())), pairs=pairs, factors=_adjusted(factors))


def _rows(table: Expr) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found


def _sample(calls: Expr) -> list[dict[str, Any]]:
    """The newest lost exchanges, and pairs of the time since the first of them, drawn by a digest of their id."""
    rows = calls.select("id", "time_us", lost=calls.state != "paired", latency=calls.production_latency_us)
    lost = _rows(rows.filter(rows.lost).order_by(ibis.desc("time_us"), "id").limit(ROWS // 2))
    since = min(row["time_us"] for row in lost)
    pairs = rows.filter(~rows.lost, rows.time_us >= since).order_by(rows.id.hexdigest("md5")).limit(ROWS - len(lost))
    found = _rows(pairs)
    if len(found) < LEAST:  # losses at the very end: any pairs are better than none
        found = _rows(rows.filter(~rows.lost).order_by(ibis.desc("time_us"), "id").limit(ROWS - len(lost)))
    return [*lost, *found]


def _sizes(connection: Any, log_url: str, ids: Sequence[str]) -> dict[str, int]:  # noqa: ANN401  ibis is untyped
    """Bytes of the request bodies that are there, by id."""
    table = read.opened(log_url, "exchanges")
    if table is None:
        return {}
    facts = {
        PurePosixPath(unquote(each["path"])).name: (each.get("max.id") or "", each)
        for each in read.actions(table, "path", "size_bytes", "max.id")
    }
    named = {file: facts[PurePosixPath(unquote(file)).name] for file in read.data_files(log_url, "exchanges", table)}
    files: list[str] = []
    total = 0
    for file in sorted(named, key=lambda file: (named[file][0], file), reverse=True):
        total += named[file][1]["size_bytes"]
        if files and total > BODIES:
            break
        files.append(file)
    bodies = connection.read_parquet(files, table_name="bodies")
    wanted = ibis.memtable(pa.table({"id": pa.array(ids, pa.string())}))
    sized = bodies.filter(bodies.request_body.notnull()).select("id", size=_octet_length(bodies.request_body))
    return {row["id"]: row["size"] for row in _rows(sized.semi_join(wanted, "id"))}


def octet_length(body: bytes) -> int:
    """What the engine's own function of this name gives; it is the engine that counts."""
    return len(body)


_octet_length: Expr = ibis.udf.scalar.builtin(octet_length)


def _ranks(name: str, found: Sequence[tuple[bool, int | None]]) -> LossFactor:
    """Mann-Whitney's test of a number."""
    lost = [value for is_lost, value in found if is_lost and value is not None]
    pairs = [value for is_lost, value in found if not is_lost and value is not None]
    enough = min(len(lost), len(pairs)) >= LEAST
    return LossFactor(
        name=name,
        lost=len(lost),
        pairs=len(pairs),
        lost_median=median_low(lost) if lost else None,
        pairs_median=median_low(pairs) if pairs else None,
        p=float(stats.mannwhitneyu(lost, pairs, method="asymptotic").pvalue) if enough else None,
    )


def _shares(calls: Expr, segment: str) -> LossFactor:
    """The test of one segment's values."""
    table = calls.select(value=calls[segment_column(segment)], lost=(calls.state != "paired").cast("int64"))
    counted = _rows(table.group_by("value").agg(lost=ibis._.lost.sum(), n=ibis._.count()).order_by("value"))
    values = {row["value"]: (row["lost"], row["n"] - row["lost"]) for row in counted}
    lost, pairs = (sum(pair[arm] for pair in values.values()) for arm in (0, 1))
    return LossFactor(
        name=f"segment:{segment}", lost=lost, pairs=pairs, values=values, p=independence(list(values.values()))
    )


def independence(counts: Sequence[tuple[int, int]]) -> float | None:
    """P of a table of (lost, pairs) by value; None: too few. Rows whose expected counts are too small are one row."""
    table = np.array([pair for pair in counts if sum(pair)], dtype=np.int64).reshape(-1, 2)
    columns = table.sum(axis=0)
    if columns.min() < LEAST or len(table) < 2:
        return None
    if len(table) > 2:
        small = (table.sum(axis=1) * columns.min() / columns.sum()) < LEAST
        if small.any():
            table = np.vstack([table[~small], table[small].sum(axis=0)])
    if len(table) < 2:
        return None
    if len(table) == 2:
        return float(stats.fisher_exact(table).pvalue)
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _adjusted(factors: Sequence[LossFactor]) -> tuple[LossFactor, ...]:
    """P by Holm (1979): the smallest times the number of tests, the next one times one less, and never falling."""
    tested = sorted((each.p, place) for place, each in enumerate(factors) if each.p is not None)
    found = list(factors)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(tested) - rank)))
        found[place] = structs.replace(found[place], p=float(f"{highest:.6g}"))
    return tuple(found)
