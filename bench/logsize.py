"""Bytes of the log for each exchange against the exchange's own, and what a look costs before and after upkeep.

The traffic is the demo's: its real sentences, in its requests, with answers of the form that its model server gives. It
goes through the runner's own code (`gnomon.shadow.batches.Batches`) into a log of its own; or `--log` names the folder
of a log that exists, which is copied and measured.

    python bench/logsize.py [--flush 5] [--rate 100] [--looks 600] [--log .gnomon/trials/sentiment-fair.1/log]

Counted as raw: `bodies`, the three bodies as they were captured; `with heads`, also the three heads, of which only what
HTTP/1.1 asks of everybody is counted: the first line, Host and Content-Length of the request, Date and Content-Length
of the answers, and the headers that were captured. What else the two sides sent is not counted, so a real share is
smaller. Counted as log: every byte of every file in the log's folder, commits and checkpoints included.
"""

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gnomon.compare import Comparing
from gnomon.evidence import gather
from gnomon.log import compact, read, tables
from gnomon.log.append import append
from gnomon.log.vacuum import vacuum
from gnomon.plan import load
from gnomon.protocols.redact import Redactor
from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Plan
from gnomon.shadow.batches import Batches, Item, Result

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "logsize.json"
DEMO = HERE.parent / "demo"
PATH = "/v2/models/sentiment/infer"
FIRST_US = 1_700_000_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flush", type=float, default=5.0, help="seconds between two appends")
    parser.add_argument("--rate", type=float, default=100.0, help="exchanges per second; the demo's is 100")
    parser.add_argument("--looks", type=int, default=600, help="flushes before the look is timed; 0: no look")
    parser.add_argument("--log", type=Path, help="a log that exists, in place of generated traffic")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/log"
        if given.log:
            shutil.copytree(given.log, url)
        else:
            plan = load.from_document(load.read(DEMO / "plans" / "fair.yaml").document)
            fill(plan, url, sentences(), each=max(1, round(given.rate * given.flush)))
        found = {"size": sizes(url)}
        if given.looks and not given.log:
            found["look"] = looks(plan, f"{folder}/looks", flushes=given.looks)
    found["settings"] = {name: str(value) for name, value in vars(given).items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))


# traffic -----------------------------------------------------------------------------------------------------------


def sentences() -> list[dict[str, Any]]:
    """The demo's sentences in the order of its stream: request bodies. Fetched once, by pip."""
    sys.path.insert(0, str(DEMO))
    import data  # demo/data.py
    import prepare  # demo/prepare.py

    prepare.WORK.mkdir(parents=True, exist_ok=True)
    prepare._data(print)  # noqa: SLF001  without the model server, which `prepare` brings as well
    stream = data.split(data.read(prepare.ARCHIVE), seed=1)[1]
    return [
        {
            "id": each.id,
            "parameters": {"source": each.source, "document": each.document},
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [each.text]}],
        }
        for each in stream
    ]


def items(plan: Plan, bodies: list[dict[str, Any]], chance: random.Random, *, begin: int = 0) -> Iterator[Item]:
    """Finished exchanges: ids, latencies and scores differ, all else is as the demo has it."""
    compared = Comparing(plan)
    headers = (("accept", "*/*"), ("content-type", "application/json"))
    for number, body in enumerate(bodies, begin):
        time_us = FIRST_US + number * 10_000 + chance.randrange(2_000)
        identity = (time_us // 1000 << 80 | 7 << 76 | chance.getrandbits(76)).to_bytes(16, "big")
        content = json.dumps(body).encode()
        request = Request(
            identity, time_us, "POST", PATH, headers, content, f"POST {PATH}", "all", 1 << 32, 1, "production"
        )
        score = int.from_bytes(hashlib.sha256(content).digest()[:2], "big") / 32768 - 1
        first = answered(body, "3.3.2", round(score, 4), time_us, chance)
        second = answered(body, "fair-1", round(score + chance.gauss(0, 0.2), 5), time_us, chance)
        (row,) = compared.rows(request, first, second, late=False)
        yield Item(number, number, request, first, Result(second, row))


def answered(body: dict[str, Any], version: str, score: float, time_us: int, chance: random.Random) -> Answer:
    def output(name: str, kind: str, content: str, value: object) -> dict[str, Any]:
        parameters = {"content_type": content}
        return {"name": name, "shape": [1, 1], "datatype": kind, "parameters": parameters, "data": [value]}

    outputs = [
        output("label", "BYTES", "str", "positive" if score > 0 else "not positive"),
        output("score", "FP64", "np", score),
    ]
    said = {"model_name": "sentiment", "model_version": version, "id": body["id"], "parameters": {}, "outputs": outputs}
    content = json.dumps(said, separators=(",", ":")).encode()
    latency_us = int(chance.lognormvariate(8.2, 0.4))
    return Answer(
        "ok", 200, (("content-type", "application/json"),), content, latency_us, time_us + chance.randrange(300)
    )


def writer(plan: Plan, url: str) -> Batches:
    return Batches(plan, url, identity="bench", redactor=Redactor(plan.record, b""))


def fill(plan: Plan, url: str, bodies: list[dict[str, Any]], *, each: int) -> None:
    """Flush by flush, as the runner does: the batch into both tables, then what changed in the ledger."""
    batches = writer(plan, url)
    chance = random.Random(1)
    made = list(items(plan, bodies, chance))
    for number, at in enumerate(range(0, len(made), each), 1):
        batches.append(number, batches.make(made[at : at + each]))
        counts(url, number, min(at + each, len(made)), made[min(at + each, len(made)) - 1].request.time_us + 1)


def counts(url: str, number: int, total: int, now_us: int) -> None:
    rows = [
        dict(zip(tables.LEDGER.names, (now_us, "f" * 32, 1, "all", state, total, now_us), strict=True))
        for state in ("seen", "handed_over", "received", "paired")
    ]
    append(url, "ledger", pa.Table.from_pylist(rows, schema=tables.LEDGER), application="bench", number=number)


# sizes -------------------------------------------------------------------------------------------------------------


def sizes(url: str) -> dict[str, Any]:
    """Raw bytes, and those of the log as it was appended and after upkeep, all for each exchange."""
    raw = raw_bytes(url)
    fresh = by_table(url, raw["exchanges"])
    began = time.perf_counter()
    kept_up(url)
    seconds = time.perf_counter() - began
    after = by_table(url, raw["exchanges"])
    return {"raw": raw, "appended": fresh, "after_upkeep": after, "upkeep_seconds": round(seconds, 2)}


def raw_bytes(url: str) -> dict[str, float]:
    there = read.opened(url, "exchanges")
    if there is None:
        raise SystemExit(f"there is no log in {url}")
    bodies = heads = rows = 0
    for file in read.data_files(url, "exchanges", there):
        for row in pq.read_table(file).to_pylist():
            rows += 1
            shown = [len(row[f"{name}_body"] or b"") for name in ("request", "production", "candidate")]
            bodies += sum(shown)
            heads += head(f"{row['method']} {row['target']} HTTP/1.1", row["request_headers"], shown[0], HOST)
            for name, size in zip(("production", "candidate"), shown[1:], strict=True):
                if row[f"{name}_status"]:
                    heads += head(f"HTTP/1.1 {row[f'{name}_status']} OK", row[f"{name}_headers"], size, DATE)
    return {"exchanges": rows, "bodies": bodies / rows, "with_heads": (bodies + heads) / rows}


HOST = "host: 127.0.0.1:8080"
DATE = "date: Sun, 06 Nov 1994 08:49:37 GMT"


def head(first: str, captured: str | None, body: int, other: str) -> int:
    names = [f"{name}: {value}" for name, value in json.loads(captured or "[]")]
    return len("\r\n".join([first, *names, other, f"content-length: {body}", "", ""]).encode())


def by_table(url: str, exchanges: float) -> dict[str, Any]:
    """Bytes for each exchange: every table's data files, then all commits and checkpoints."""
    every = [path for path in Path(url).rglob("*") if path.is_file()]
    of = {name: sum(path.stat().st_size for path in every if path.parent.name == name) for name in tables.TABLES}
    of["commits"] = sum(path.stat().st_size for path in every if path.parent.name == "_delta_log")
    sums = {name: round(size / exchanges, 1) for name, size in of.items() if size}
    return {"files": len(every), "bytes": round(sum(of.values()) / exchanges, 1), "of": sums}


def kept_up(url: str) -> None:
    """What upkeep does once everything is old enough; a test log has fewer files than upkeep waits for."""
    compact.MANY = 2  # type: ignore[misc]
    for name in tables.TABLES:
        compact.compact(url, name)
        vacuum(url, name, named=(), now_us=time.time_ns() // 1000, safe_age_us=0, orphan_age_us=0)


# a look ------------------------------------------------------------------------------------------------------------


def looks(plan: Plan, url: str, *, flushes: int) -> dict[str, Any]:
    """Milliseconds of a look and of an append, with the small files of so many flushes and after upkeep."""
    batches = writer(plan, url)
    chance = random.Random(2)
    bodies = sentences()[:4]
    for number in range(1, flushes + 1):
        made = list(items(plan, bodies, chance, begin=number * 500))
        batches.append(number, batches.make(made))
        counts(url, number, number * len(made), made[-1].request.time_us + 1)
    before = timed(plan, url, batches, flushes)
    kept_up(url)
    return {"flushes": flushes, "before_ms": before, "after_ms": timed(plan, url, batches, flushes + 10)}


def timed(plan: Plan, url: str, batches: Batches, number: int) -> dict[str, float]:
    def look() -> object:
        return gather(plan, read.snapshot(url), first_epoch=1, as_of_us=FIRST_US * 2, started_us=FIRST_US)

    made = list(items(plan, sentences()[:4], random.Random(number), begin=number * 1000))
    numbers = iter(range(number + 1, number + 10))
    return {
        "look": milliseconds(look),
        "snapshot": milliseconds(lambda: read.snapshot(url)),
        "ledger": milliseconds(lambda: read.ledger(url)),
        "append": milliseconds(lambda: batches.append(next(numbers), batches.make(made))),
    }


def milliseconds(function: Callable[[], object]) -> float:
    """The median of three."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        function()
        took.append((time.perf_counter() - began) * 1000)
    return round(sorted(took)[1], 1)


def table(found: dict[str, Any]) -> str:
    size = found["size"]
    raw = size["raw"]
    lines = [
        f"{raw['exchanges']:,} exchanges, raw: {raw['bodies']:,.0f} of bodies, {raw['with_heads']:,.0f} with heads"
    ]
    for name in ("appended", "after_upkeep"):
        row = size[name]
        shares = [100 * row["bytes"] / raw[of] for of in ("bodies", "with_heads")]
        parts = ", ".join(f"{table} {value:,.1f}" for table, value in row["of"].items())
        lines.append(
            f"{name:13} {row['bytes']:7,.1f} bytes each in {row['files']:,} files: {shares[0]:.1f} % of the bodies, "
            f"{shares[1]:.1f} % with heads ({parts})"
        )
    if "look" in found:
        look = found["look"]
        lines.append(f"after {look['flushes']:,} flushes, before and after upkeep (ms):")
        lines += [f"  {name:9} {ms:8,.1f} {look['after_ms'][name]:8,.1f}" for name, ms in look["before_ms"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
