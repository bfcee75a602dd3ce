"""The database: made, migrated, shared, refused."""

import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

import gnomon.state
from gnomon.errors import StateError
from gnomon.state import open_state, schema
from tests.state.builders import register, url_of, verdict_of

MIGRATIONS = Path(gnomon.state.__file__).parent / "migrations"

WRITER = """
import sys
from gnomon.state import open_state
from tests.state.builders import register, verdict_of
with open_state(sys.argv[1]) as state:
    trial = register(state)
    for turn in range(20):
        state.save_verdict(trial.id, verdict_of(trial), now_us=turn, actor=sys.argv[2])
"""


def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    with open_state(url_of(tmp_path / "deep" / "folder")) as state:
        register(state)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "deep" / "folder").iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "deep" / "folder").stat().st_mode) == 0o700


def test_a_readable_database_is_closed_to_others_when_opened(tmp_path: Path) -> None:
    open_state(url_of(tmp_path)).close()
    (tmp_path / "state.db").chmod(0o644)
    open_state(url_of(tmp_path)).close()
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_what_was_written_is_there_when_opened_again(tmp_path: Path) -> None:
    with open_state(url_of(tmp_path)) as state:
        trial = register(state)
    with open_state(url_of(tmp_path)) as state:
        assert state.trials() == [trial]
        state.check_chain()


def test_the_migrations_end_at_the_tables_of_the_program(tmp_path: Path) -> None:
    open_state(url_of(tmp_path)).close()
    engine = sa.create_engine(url_of(tmp_path))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_that_opening_looks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_opening_a_current_database_imports_no_alembic(tmp_path: Path) -> None:
    """It costs as much as all the rest of a `gnomon status`."""
    open_state(url_of(tmp_path)).close()
    code = (
        "import sys; from gnomon.state import open_state as o; o(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, url_of(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_half_made_database_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails changes nothing: the next start begins again."""
    monkeypatch.setattr("alembic.command.upgrade", _fail_halfway)
    with pytest.raises(RuntimeError, match="the disk went away"):
        open_state(url_of(tmp_path))
    monkeypatch.undo()
    with open_state(url_of(tmp_path)) as state:
        assert register(state).id == "fraud.1"


def _fail_halfway(config: Config, _: str) -> None:
    config.attributes["connection"].execute(sa.schema.CreateTable(schema.audit))
    raise RuntimeError("the disk went away")


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_state(url_of(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "state.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.close()
    with pytest.raises(StateError, match=r"newer gnomon \(state version 0099, this program knows up to 0003\)"):
        open_state(url_of(tmp_path))


def test_a_database_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db")
    with connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StateError, match="is a database of something else"):
        open_state(url_of(tmp_path))
    connection = sqlite3.connect(tmp_path / "state.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("not a database, and long enough to be read as one\n" * 100)
    with pytest.raises(StateError, match="is not a state database"):
        open_state(url_of(tmp_path))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("state.db", "the state URL is not one"),
        ("nosql://host/name", "the state URL is not one"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:////dev/null/state.db", "cannot be opened"),
    ],
)
def test_a_url_that_cannot_be_opened_says_why(url: str, reason: str) -> None:
    with pytest.raises(StateError, match=reason):
        open_state(url)


def test_two_writing_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """Both open the same empty folder at once, register the same plan, and write verdicts."""
    command = [sys.executable, "-c", WRITER, url_of(tmp_path)]
    writers = [subprocess.Popen([*command, actor], stderr=subprocess.PIPE, text=True) for actor in ("ada", "bob")]
    errors = [writer.communicate(timeout=60)[1] for writer in writers]
    assert errors == ["", ""]
    with open_state(url_of(tmp_path)) as state:
        assert [trial.id for trial in state.trials()] == ["fraud.1"]
        assert len(state.verdicts("fraud.1")) == 40
        assert sorted(row.actor for row in state.audit() if row.action == "verdict") == ["ada"] * 20 + ["bob"] * 20
        state.check_chain()


def test_of_two_who_switch_at_once_one_is_told_that_it_was_late(tmp_path: Path) -> None:
    with open_state(url_of(tmp_path)) as state:
        register(state)
        start = threading.Barrier(4)

        def promote(actor: str) -> str:
            start.wait()
            try:
                state.set_serving("fraud", "candidate", reason="now", actor=actor, now_us=5, verdict_id=None)
            except StateError:
                return "late"
            return "done"

        with ThreadPoolExecutor(4) as pool:
            results = sorted(pool.map(promote, "abcd"))
        assert results == ["done", "late", "late", "late"]
        assert state.epoch("fraud").number == 2
        state.check_chain()


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    with open_state(url_of(tmp_path)) as state:
        trial = register(state)
        writer = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        assert state.trial("fraud") == trial
        writer.execute("ROLLBACK")
        writer.close()


def test_a_writer_that_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.state.database.BUSY_MS", 50)
    with open_state(url_of(tmp_path)) as state:
        trial = register(state)
        writer = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="database is locked; another gnomon is writing; try again"):
            state.save_verdict(trial.id, verdict_of(trial), now_us=2, actor="ada")
        writer.close()
        assert state.verdicts(trial.id) == []


def test_the_tables_are_postgresqls_too() -> None:
    dialect = postgresql.dialect()
    texts = [str(sa.schema.CreateTable(table).compile(dialect=dialect)) for table in schema.metadata.sorted_tables]
    assert len(texts) == 7
    assert any("id SERIAL NOT NULL" in text for text in texts)


ELSEWHERE = """
import sys
from gnomon.state import open_state
with open_state(sys.argv[1]) as state:
    state.trials()
    if sys.argv[2] != "look":
        state.set_paused("fraud.1", paused=sys.argv[2] == "pause", reason="x", actor="ada", now_us=9)
"""


def test_what_another_process_writes_is_seen_although_a_second_state_was_opened_and_closed_here(tmp_path: Path) -> None:
    """Closing any descriptor of the file would drop this process's locks; the other would clean up what is in use."""
    url = url_of(tmp_path)
    with open_state(url) as served:
        register(served)
        with open_state(url) as again:  # as /status and /metrics do
            again.trials()
        for word in ("look", "pause", "look", "resume", "look"):
            subprocess.run([sys.executable, "-c", ELSEWHERE, url, word], check=True)
            served.trials()
        assert [pause.until_us for pause in served.pauses("fraud.1")] == [9]
