"""The engine that counts in this process."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from gnomon.evidence.engine import Engine
from gnomon.log import read

ENDLESS = "SELECT sum(a.range * b.range) AS n FROM range(1000000000) AS a, range(1000000000) AS b"


def asked(engine: Engine, query: str, kind: str = "int64") -> Any:
    return engine.connection.sql(query, schema={"n": kind})


def an_engine(folder: Path) -> Engine:
    return Engine(read.snapshot(str(folder)))


def test_what_is_kept_is_there_when_it_was_waited_for(tmp_path: Path) -> None:
    engine = an_engine(tmp_path)
    kept = engine.keeping(asked(engine, "SELECT range AS n FROM range(3)"))
    beside = engine.beside()
    assert beside is not engine
    assert asked(beside, "SELECT 1 AS n", "int32").to_pyarrow()["n"].to_pylist() == [1]
    assert kept().to_pyarrow()["n"].to_pylist() == [0, 1, 2]
    beside.close()
    engine.close()


def test_an_engine_that_is_closed_gives_up_what_it_still_counts(tmp_path: Path) -> None:
    engine = an_engine(tmp_path)
    kept = engine.keeping(asked(engine, ENDLESS, "float64"))
    engine.close()
    with pytest.raises(duckdb.InterruptException):
        kept()


def test_a_query_that_fails_says_so_where_it_is_waited_for(tmp_path: Path) -> None:
    engine = an_engine(tmp_path)
    kept = engine.keeping(asked(engine, "SELECT error('no') AS n"))
    with pytest.raises(duckdb.Error, match="no"):
        kept()
    engine.close()
