"""A plan with three outputs, and rows of its log."""

from typing import Any

import pyarrow as pa

from gnomon.log import tables
from gnomon.log.append import append
from gnomon.plan import load

DOCUMENT: dict[str, Any] = {
    "gnomon": 1,
    "trial": "t",
    "question": "Is it as good?",
    "production": {"version": "1.0", "url": "http://127.0.0.1:1"},
    "candidate": {"version": "2.0", "url": "http://127.0.0.1:2", "timeout": "2s"},
    "protocol": "json",
    "routes": ["POST /predict"],
    "suitability": {"context": "stateless", "side_effects": "none"},
    "fork": {"mode": "sync", "shadow_rate": "100%"},
    "output": {"label": "body:/label", "score": {"from": "body:/score", "compare": "number"}},
    "truth": {"key": "body:/transaction_id", "expected_within": "1d"},
    "unit": {"independent": True},
    "gates": [
        {"accuracy": {"of": "label", "no_worse_than": "production", "margin": "4pp"}},
        {"accuracy": {"of": "score", "no_worse_than": "production", "margin": "4pp"}},
    ],
    "samples": {"overall": 100, "every_segment": 10},
    "expect": {"disagreement": "10%"},
    "alpha": "5%",
}
PLAN = load.from_document(DOCUMENT)
BY_ID = load.from_document(DOCUMENT | {"truth": {"expected_within": "1d"}})


def comparisons(*rows: dict[str, Any]) -> pa.Table:
    made = [
        {
            "id": f"{number:032x}", "time_us": number, "epoch": 1, "stratum": "all", "probability": 1,
            "state": "paired", "late": False, "truth_key": f"k{number}",
            "production_outcome": "ok", "candidate_outcome": "ok",
            "output_label_production": '"a"', "output_score_production": 0.5,
        }
        | row
        for number, row in enumerate(rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=tables.comparisons(PLAN))


def log_comparisons(url: str, *rows: dict[str, Any], number: int = 1) -> None:
    append(url, "comparisons", comparisons(*rows), application="test", number=number)


def ledger(*rows: dict[str, Any]) -> pa.Table:
    made = [
        {"time_us": 1, "instance": "g", "epoch": 1, "stratum": "all", "state": "seen", "count": 1, "watermark_us": 1}
        | row
        for row in rows
    ]
    return pa.Table.from_pylist(made, schema=tables.LEDGER)


def exchanges(*rows: dict[str, Any]) -> pa.Table:
    """Rows with the given columns; every other one is empty."""
    empty = {
        field.name: None if field.nullable else (0 if pa.types.is_integer(field.type) else "")
        for field in tables.EXCHANGES
    }
    return pa.Table.from_pylist([empty | row for row in rows], schema=tables.EXCHANGES)
