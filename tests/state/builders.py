"""A state database in a folder, a small document, a verdict of a trial."""

import contextlib
import copy
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import gnomon.state
from gnomon.plan import seal
from gnomon.records.trial import Trial
from gnomon.records.verdict import Verdict, VerdictName
from gnomon.state import State

DOCUMENT: dict[str, Any] = {
    "gnomon": 1,
    "trial": "fraud",
    "question": "As good?",
    "production": {"version": "1.4", "url": "http://127.0.0.1:9001"},
    "candidate": {"version": "2.0", "url": "http://127.0.0.1:9002"},
    "routes": ["POST /predict"],
    "suitability": {"context": "stateless", "side_effects": "none"},
    "gates": [{"error_rate": {"at_most": "1%"}}],
}


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'state.db'}"


def altered(folder: Path, sql: str) -> int:
    """Rows that a statement changed behind the program's back."""
    with contextlib.closing(sqlite3.connect(folder / "state.db")) as connection, connection:
        return connection.execute(sql).rowcount


@contextlib.contextmanager
def database_of(folder: Path, version: str) -> Iterator[sa.Connection]:
    """A new database as the program of that state version left it."""
    engine = sa.create_engine(url_of(folder))
    config = Config()
    config.set_main_option("script_location", str(Path(gnomon.state.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        yield connection
    engine.dispose()


def document(**parts: Any) -> dict[str, Any]:
    return copy.deepcopy(DOCUMENT) | parts


def register(state: State, now_us: int = 1, **parts: Any) -> Trial:
    made = document(**parts)
    return state.register(made, seal.seal(made), plan_path="plan.yaml", program="0.1", now_us=now_us, actor="ada")


def verdict_of(trial: Trial, verdict: VerdictName = "promote") -> Verdict:
    return Verdict(
        trial=trial.id,
        plan_digest=trial.digest,
        verdict=verdict,
        sentence="It is.",
        reasons=("all gates pass",),
        would_change="nothing",
        tests=(),
        alpha_ppm=50_000,
        as_of_us=5,
        watermark_us=4,
        started_us=1,
        versions={"comparisons": 3},
        rows={"comparisons": 10},
        digest="0" * 64,
        ledger={"seen": 10},
        program="0.1",
    )
