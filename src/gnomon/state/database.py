"""The database: opened, migrated, and its transactions. SQLite by default; the SQL is PostgreSQL's as well.

Promises  a SQLite file is readable by its owner alone; a write transaction holds the write lock from its first
          statement, so that what it read is still true when it writes
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, SQLAlchemyError

from gnomon.errors import StateDown, StateError
from gnomon.files import make_private
from gnomon.state import schema

BUSY_MS: Final = 10_000
"""How long a writer waits for another one."""

_WRITE_LOCK: Final = 0x676E6F6D  # any number that nobody else in that PostgreSQL database takes: "gnom"


class Database:
    """An engine and its two kinds of transactions."""

    def __init__(self, url: str, *, migrate: bool = True) -> None:
        """Connect and bring the tables to this program's version.

        Raises StateError when the URL is none, the file is no database of ours, or it is of a newer version; without
        `migrate` also when it is of an earlier one.
        """
        self._engine = _engine(url)
        self._name = self._engine.url.render_as_string(hide_password=True)
        try:
            self._bring_up_to_date(migrate=migrate)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view."""
        with self._told(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """All or nothing, one writer at a time.

        Raises StateError when another writer holds the database for longer than `BUSY_MS`.
        """
        with self._told(), self._engine.connect() as plain:
            connection = plain.execution_options(gnomon_write=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITE_LOCK)))
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _bring_up_to_date(self, *, migrate: bool) -> None:
        with self.read() as connection:
            version = _version(connection)
        if version == schema.HEAD:
            return
        if not migrate:
            raise StateError(
                f"{self._name} is of another version of gnomon (state version {version or 'none'}, this program has "
                f"{schema.HEAD}) and this is only a reader; to bring it up to date run: gnomon trials"
            )
        with self.write() as connection:  # another process may have done it while this one waited
            version = _version(connection)
            if version != schema.HEAD:
                self._migrate(connection, version)

    def _migrate(self, connection: sa.Connection, version: str | None) -> None:
        """Run the migrations that are missing, in the caller's transaction."""
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if version is None and sa.inspect(connection).get_table_names():
            raise StateError(f"{self._name} is a database of something else; set GNOMON_STATE to one of its own")
        if version is not None and version not in known:
            raise StateError(
                f"{self._name} was written by a newer gnomon (state version {version}, this program knows up to "
                f"{schema.HEAD}); get a newer gnomon, or set GNOMON_STATE to another database"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the database says, as one clear line."""
        try:
            yield
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            busy = "locked" in reason or "busy" in reason
            do = (
                "another gnomon is writing; try again"
                if busy
                else "check that it is there, and that you may write to it"
            )
            raise StateDown(f"the state database {self._name} cannot be used: {reason}; {do}") from error
        except DatabaseError as error:
            if "not a database" not in str(error.orig) and "malformed" not in str(error.orig):
                raise
            raise StateError(f"{self._name} is not a state database: {error.orig}; move the file away") from error


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return sa.create_engine(parsed, isolation_level="READ COMMITTED", pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StateError(
            "the state URL is not one; write sqlite:////path/to/state.db or postgresql+psycopg://user@host/name"
        ) from error
    except ImportError as error:
        raise StateError(f"the state database needs the driver {error.name}; install it with pip") from error
    except (OSError, SQLAlchemyError) as error:
        raise StateError(f"the state database cannot be opened: {error}") from error


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise StateError(
            "the state database must be a file: several processes read it; write sqlite:////path/to/state.db"
        )
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(path)  # its -wal and -shm files take its mode
    if path.stat().st_uid == os.getuid():
        path.chmod(0o600)
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401  a DBAPI connection
    connection.isolation_level = None  # transactions are begun in `_begin`, not guessed by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("gnomon_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _version(connection: sa.Connection) -> str | None:
    """The migration that the tables are at; None: there are none of ours."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])
