"""A trial in a notebook: its pairs, evidence, verdict and looks as tables, its charts and its report.

    trial = gnomon.open("fraud-v2")
    trial.verdict(as_="pandas")
    trial.charts.forest()

Reads     the state database and the log, as the settings say where they are
Promises  nothing is written, and no look is kept; what cannot be read is one GnomonError that says why
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from gnomon import pipeline
from gnomon import settings as settings_module
from gnomon.errors import GnomonError, NotFound
from gnomon.log import read, tables
from gnomon.records.plan import Plan
from gnomon.records.trial import Trial
from gnomon.records.verdict import TestResult, Verdict
from gnomon.settings import Settings
from gnomon.state import State, open_state

if TYPE_CHECKING:  # the report brings Altair and Jinja: half a second that a table does not need
    from gnomon.report import Report
    from gnomon.report.charts import Chart

As = Literal["arrow", "pandas", "polars"]
Table = Any  # a pyarrow.Table, pandas.DataFrame or polars.DataFrame, as it was asked for

_TIME: Final = pa.timestamp("us", tz="UTC")


def open_trial(trial: str = "", *, data: Path | str | None = None) -> "OpenTrial":
    """A trial by its name or id; the newest one when left out.

    `data` names the data folder; without it the settings do, as for every command (`gnomon.toml`, `GNOMON_*`).

    Raises GnomonError: no such trial or folder, a database of another version, a seal that does not hold.
    """
    settings = settings_module.load()
    if data is not None:
        settings = settings.model_copy(update={"data": Path(data)})
    if settings.state is None and not (settings.root / "state.db").exists():
        raise NotFound(
            f"no trial in {settings.root}; name its data folder, as in gnomon.open(data='path'), or set GNOMON_DATA"
        )
    with open_state(settings.state_url, migrate=False) as state:
        found = state.trial(trial) if trial else _newest(state, settings)
        state.verify_seal(found)
    return OpenTrial(settings, found)


def _newest(state: State, settings: Settings) -> Trial:
    trials = state.trials()
    if not trials:
        raise NotFound(f"no trial in {settings.root}; start one with: gnomon serve plan.yaml")
    return max(trials, key=lambda each: each.registered_us)


class OpenTrial:
    """One trial, to be read. Every method reads anew, so that a running trial shows what is there now."""

    def __init__(self, settings: Settings, trial: Trial) -> None:
        self._settings = settings
        self._trial = trial
        self.charts = Charts(self)

    @property
    def id(self) -> str:
        """``<name>.<number>``."""
        return self._trial.id

    @property
    def plan(self) -> Plan:
        """The plan as it was sealed."""
        return pipeline.plan_of(self._trial)

    # tables --------------------------------------------------------------------------------------------------------

    def pairs(self, columns: Sequence[str] | None = None, *, as_: As = "arrow") -> Table:
        """Every pair in the log, as it is now: the columns of `comparisons` (docs/log.md), and `time`.

        Answers are canonical JSON text; numbers are numbers. An arm that failed has none.
        """
        found = self._rows("comparisons", columns, tables.comparisons(self.plan))
        mine = pc.and_(pc.equal(found["epoch"], self._trial.first_epoch), pc.equal(found["state"], "paired"))
        kept = found.filter(mine)
        if columns is not None:
            kept = kept.select(list(columns))
        return converted(_with_time(kept), as_)

    def truths(self, *, as_: As = "arrow") -> Table:
        """Every ground truth in the log, as it is now."""
        return converted(self._rows("truths", None, tables.TRUTHS), as_)

    def evidence(self, *, now: bool = False, as_: As = "arrow") -> Table:
        """The counts behind each test: what the verdict rests on, one row a test."""
        return converted(_table([_evidence(test) for test in _tests(self.decision(now=now))], _EVIDENCE), as_)

    def verdict(self, *, now: bool = False, as_: As = "arrow") -> Table:
        """What each test says, one row a test; `decision()` has the verdict itself."""
        verdict = self.decision(now=now)
        return converted(_table([_result(verdict, test) for test in _tests(verdict)], _RESULTS), as_)

    def looks(self, *, as_: As = "arrow") -> Table:
        """Every look that was kept, oldest first: one row for each look and test."""
        with self._state() as state:
            kept = state.verdicts(self.id)
        rows = [{"number": number} | _result(verdict, test) for number, verdict in kept for test in _tests(verdict)]
        return converted(_table(rows, _LOOKS), as_)

    def decision(self, *, now: bool = False) -> Verdict:
        """The last verdict that was kept, as a record. `now`, or if there is none: a look at the log, not kept."""
        with self._state() as state:
            last = None if now else state.last_verdict(self.id)
            return last[1] if last is not None else pipeline.look(self._settings, state, self._trial)

    # report --------------------------------------------------------------------------------------------------------

    def report(self, *, now: bool = False) -> "Rendered":
        """The whole report; it shows itself in a notebook."""
        return Rendered(self._built(now=now))

    def _built(self, *, now: bool = False) -> "Report":
        verdict = self.decision(now=now)
        with self._state() as state:
            return pipeline.build_report(self._settings, state, self._trial, verdict)

    @contextmanager
    def _state(self) -> Iterator[State]:
        with open_state(self._settings.state_url, migrate=False) as state:
            yield state

    def _rows(self, table: str, columns: Sequence[str] | None, schema: pa.Schema) -> pa.Table:
        """A table of the log in its newest version; an empty one before there is any."""
        there = read.opened(self._settings.log_url(self.id), table)
        names = list(schema.names if there is None else [field.name for field in there.schema().fields])
        unknown = [name for name in columns or () if name not in names]
        if unknown:
            raise GnomonError(f"{table} of {self.id} has no column {unknown[0]!r}; it has: {', '.join(names)}")
        wanted = names if columns is None else list(dict.fromkeys([*columns, "epoch", "state"]))
        found = read.column(self._settings.log_url(self.id), table, wanted)
        return schema.empty_table().select(wanted) if found is None else found

    def __repr__(self) -> str:
        with self._state() as state:
            last, looks = state.last_verdict(self.id), len(state.verdict_numbers(self.id))
        said = "not looked at yet" if last is None else f"{last[1].verdict} (look {looks} of {looks})"
        return f"<gnomon trial {self.id}: {said}>"


class Charts:
    """The report's charts as Altair objects: they show in a notebook, and `.save` writes them."""

    def __init__(self, trial: OpenTrial) -> None:
        self._trial = trial

    def forest(self, *, now: bool = False) -> "Chart":
        """The gates, and then the targets, against their margins."""
        from gnomon.report import figures

        return figures.forest(self._trial._built(now=now))  # noqa: SLF001  the two are one

    def progress(self, *, now: bool = False) -> "Chart":
        """Each test's sample and evidence, with an estimated date."""
        from gnomon.report import charts

        return charts.progress(self._trial._built(now=now).progress)  # noqa: SLF001

    def e_values(self) -> "Chart":
        """Each test's e-values over the looks that were kept."""
        from gnomon.report import charts

        return charts.e_values(self._trial._built().history)  # noqa: SLF001

    def agreement(self, output: str = "", *, cell: str = "overall", now: bool = False) -> "Chart":
        """What production said against what the candidate said; the first output when left out."""
        from gnomon.report import charts

        built = self._trial._built(now=now)  # noqa: SLF001
        names = [each.name for each in built.declared.outputs]
        cells = [each.cell for each in built.description.agreements if each.output == (output or names[0])]
        if output and output not in names:
            raise GnomonError(f"{self._trial.id} has no output {output!r}; it has: {', '.join(names)}")
        if cell not in cells:
            raise GnomonError(f"{self._trial.id} has no pair in {cell!r}; it has: {', '.join(cells)}")
        return charts.agreement(built.description, output or names[0], cell)

    def latency(self, *, now: bool = False) -> "Chart":
        """Quantiles of both arms."""
        from gnomon.report import figures

        return figures.latency(self._trial._built(now=now))  # noqa: SLF001

    def ledger(self, *, now: bool = False) -> "Chart":
        """Where every request ended."""
        from gnomon.report import charts

        return charts.ledger(self._trial.decision(now=now).ledger)


class Rendered:
    """A report: it shows itself in a notebook, and comes as HTML, Markdown, JSON, or as the record."""

    def __init__(self, record: "Report") -> None:
        self.record = record

    def html(self) -> str:
        """One offline page."""
        from gnomon import report

        return report.html(self.record)

    def markdown(self) -> str:
        """A comment for a pull request."""
        from gnomon import report

        return report.markdown(self.record)

    def json(self) -> bytes:
        """Indented JSON by the published schema (`gnomon schema --report`)."""
        from gnomon import report

        return report.json(self.record)

    def _repr_html_(self) -> str:
        """The page in a frame of its own: its style stays in it, and nothing in it runs."""
        style = "width:100%;height:80vh;border:1px solid #cfd6de;border-radius:6px"
        title = escape(f"Gnomon report of {self.record.trial.id}")
        return f'<iframe title="{title}" sandbox style="{style}" srcdoc="{escape(self.html())}"></iframe>'

    def __repr__(self) -> str:
        return f"<gnomon report of {self.record.trial.id}: {self.record.verdict.sentence}>"


# tables ------------------------------------------------------------------------------------------------------------


def converted(table: pa.Table, as_: As) -> Table:
    """The table as Arrow, pandas or Polars. Raises GnomonError when that library is not installed."""
    if as_ == "arrow":
        return table
    if as_ == "pandas":
        try:
            import pandas  # noqa: F401, ICN001  asked for here: Arrow's own message does not say what to do
        except ImportError:
            raise _missing(as_) from None
        return table.to_pandas()
    if as_ == "polars":
        try:
            import polars as pl
        except ImportError:
            raise _missing(as_) from None
        return pl.from_arrow(table)
    raise GnomonError(f"as_ must be 'arrow', 'pandas' or 'polars', found {as_!r}")


def _missing(library: str) -> GnomonError:
    return GnomonError(
        f"{library} is not installed; install it with: pip install {library}, or leave as_ out for Arrow"
    )


def _with_time(table: pa.Table) -> pa.Table:
    """The same with `time`, a timestamp, first."""
    if "time_us" not in table.column_names:
        return table
    return table.add_column(0, pa.field("time", _TIME), table["time_us"].cast(_TIME))


def _tests(verdict: Verdict) -> tuple[TestResult, ...]:
    return (*verdict.tests, *verdict.targets)


def _table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


_TEST: Final = (
    pa.field("gate", pa.string()),
    pa.field("segment", pa.string()),
    pa.field("value", pa.string()),
    pa.field("soft", pa.bool_()),
)
_COUNTS: Final = (
    "units", "better", "same", "worse", "exchanges", "lost", "imputed", "waiting", "seen", "known", "production_good",
    "candidate_good", "truths",
)  # fmt: skip
_EVIDENCE: Final = pa.schema(
    [*_TEST, *(pa.field(name, pa.int64()) for name in _COUNTS), pa.field("settled_until", _TIME)]
)
_RESULTS: Final = pa.schema(
    [
        pa.field("looked_at", _TIME),
        pa.field("verdict", pa.string()),
        *_TEST,
        pa.field("result", pa.string()),
        pa.field("units", pa.int64()),
        pa.field("needed", pa.int64()),
        pa.field("margin", pa.float64()),
        *(pa.field(name, pa.float64()) for name in ("estimate", "lower", "upper", "production", "candidate")),
        *(pa.field(name, pa.float64()) for name in ("e_promote", "promote_at", "p", "e_reject", "reject_at")),
        pa.field("reason", pa.string()),
    ]
)
_LOOKS: Final = pa.schema([pa.field("number", pa.int64()), *_RESULTS])


def _evidence(test: TestResult) -> dict[str, Any]:
    """The counts of one test. `better`, `same` and `worse` are units that can promote, the unknown taken as worst."""
    cell = test.cell
    counted = {name: getattr(cell, name) for name in _COUNTS if name not in {"better", "same", "worse"}}
    return {
        "gate": test.gate,
        "segment": test.segment,
        "value": test.value,
        "soft": test.soft,
        **counted,
        "better": sum(n for d, n in cell.low if d > 0),
        "same": sum(n for d, n in cell.low if d == 0),
        "worse": sum(n for d, n in cell.low if d < 0),
        "settled_until": cell.frontier_us,
    }


def _result(verdict: Verdict, test: TestResult) -> dict[str, Any]:
    """What one test said at one look."""
    named = ("gate", "segment", "value", "soft", "result", "units", "needed", "estimate", "lower", "upper", "reason")
    numbers = ("production", "candidate", "e_promote", "promote_at", "e_reject", "reject_at")
    return {name: getattr(test, name) for name in (*named, *numbers)} | {
        "looked_at": verdict.as_of_us,
        "verdict": verdict.verdict,
        "margin": test.margin_ppm / 1e6,
        "p": min(1.0, 1 / test.e_promote) if test.e_promote > 0 else 1.0,
    }
