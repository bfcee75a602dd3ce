"""The engine that counts: DuckDB, or any other Ibis backend, over the pinned files of one log."""

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from gnomon.log.read import Snapshot

Expr = Any
Backend = Any
Connect = Callable[[], Backend]

_THREADS: Final = 2
_MEMORY: Final = "640MB"
"""A look runs beside production: it may take long, and not much else."""

_AS_WRITTEN: Final = "SET disabled_optimizers = 'build_side_probe_side'"
"""All pairs are joined with their truths, never the other way round: DuckDB guesses how many rows pass a filter, and
where it guesses too few it builds its hash table of the pairs, in twice the time and beyond the memory."""


def duckdb() -> Backend:
    """DuckDB with two threads and bounded memory; what does not fit goes to the disk."""
    return ibis.duckdb.connect(threads=_THREADS, memory_limit=_MEMORY, preserve_insertion_order=False)


class Engine:
    """Tables of a look, read in place; a narrow intermediate can be kept."""

    def __init__(self, log: "Snapshot", connect: Connect = duckdb) -> None:
        self._log = log
        self._connect = connect
        self.connection = connect()
        self._kept = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._begun: list[Future[Any]] = []
        self._spill = tempfile.TemporaryDirectory(prefix="gnomon-look-")
        if self.in_process:
            self.connection.raw_sql(f"SET temp_directory = '{self._spill.name}'")

    @property
    def in_process(self) -> bool:
        """Whether rows need not travel: what is one narrow column may be looked at here."""
        return bool(self.connection.name == "duckdb")

    def table(self, name: str, schema: pa.Schema) -> Expr:
        """The pinned files of a table, or an empty one of that schema."""
        files = self._log.files(name)
        if not files and self.in_process:
            return self.connection.create_table(name, schema=ibis.Schema.from_pyarrow(schema))
        if not files:  # not every engine keeps what is built on a table of this process
            files = [str(Path(self._spill.name) / f"{name}.parquet")]
            pq.write_table(schema.empty_table(), files[0])
        if self.in_process:
            return self.connection.read_parquet(files, table_name=name)
        parts = [self.connection.read_parquet(file, table_name=f"{name}_{place}") for place, file in enumerate(files)]
        return ibis.union(*parts) if len(parts) > 1 else parts[0]

    def keep(self, table: Expr) -> Expr:
        """The same rows, computed once."""
        return self.keeping(table)()

    def keeping(self, table: Expr) -> Callable[[], Expr]:
        """Begins to compute the rows once, and returns a function that waits for them.

        Until then the engine can be asked nothing else. One that is not in this process is through when this returns.
        """
        if not self.in_process:
            kept = table.cache()
            return lambda: kept
        self._kept += 1
        name = f"kept_{self._kept}"
        query = f"CREATE TEMPORARY TABLE {name} AS {self.connection.compile(table)}"
        begun = self._thread.submit(self.connection.con.execute, f"{_AS_WRITTEN}; {query}; RESET disabled_optimizers")
        self._begun.append(begun)

        def waited() -> Expr:
            begun.result()
            return self.connection.table(name, database=("temp", "main"))

        return waited

    def array(self, column: Expr) -> npt.NDArray[Any]:
        """A table of one column without nulls as an array of its own; of an engine in this process."""
        found = self.connection.con.execute(self.connection.compile(column)).fetchnumpy()
        return np.asarray(found[column.columns[0]])

    def beside(self) -> "Engine":
        """Another engine on the same files, for small questions while this one is keeping; itself where it need not."""
        if not self.in_process:
            return self
        made = Engine(self._log, self._connect)
        made.connection.raw_sql("SET threads = 1")  # not less memory: a ledger of millions of rows is sorted here
        return made

    def close(self) -> None:
        """Give back what the engine holds; what it still counts is given up."""
        for begun in self._begun:
            while not begun.done():  # an interrupt that comes before the query is none
                self.connection.con.interrupt()
                wait([begun], timeout=0.05)
        self._thread.shutdown()
        self.connection.disconnect()
        self._spill.cleanup()


def fetched(table: Expr) -> list[dict[str, Any]]:
    """The rows of a small table."""
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found
