"""A trial in a notebook: tables in three libraries, the report's charts, nothing written, and clear errors."""

import builtins
import hashlib
import json
import subprocess
import sys
from html import unescape

import altair as alt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gnomon
from gnomon import pipeline, report
from gnomon.errors import GnomonError, IntegrityError, NotFound, StateError
from gnomon.report import charts
from gnomon.settings import Settings
from gnomon.state import open_state
from tests.notebook.place import PAIRS, a_place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return a_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def trial(place):
    settings, _ = place
    return gnomon.open("fraud", data=settings.data)


def test_a_trial_is_opened_by_name_by_id_or_as_the_newest(place, monkeypatch):
    settings, sealed = place
    monkeypatch.setenv("GNOMON_DATA", str(settings.data))

    opened = [
        gnomon.open("fraud"),
        gnomon.open(sealed.id),
        gnomon.open(),
        gnomon.open("fraud", data=str(settings.data)),
    ]

    assert [each.id for each in opened] == ["fraud.1"] * 4
    assert repr(opened[0]) == "<gnomon trial fraud.1: continue (look 2 of 2)>"
    assert opened[0].plan.question == "Is fraud 2.0 as good as 1.4 everywhere?"


def test_pairs_are_the_trials_own_with_a_readable_time(trial, place):
    found = trial.pairs()

    assert isinstance(found, pa.Table)
    assert found.num_rows == PAIRS  # the pair of another epoch is not of this trial
    assert found.schema.field("time").type == pa.timestamp("us", tz="UTC")
    first = found.sort_by("time_us").slice(0, 1).to_pylist()[0]
    assert first["time"].timestamp() == pytest.approx(place[1].registered_us / 1e6, abs=1e-6)
    assert (first["output_label_production"], first["output_label_candidate"]) == ('"no"', '"ok"')


def test_some_columns_are_read_alone_and_an_unknown_one_is_named(trial):
    assert trial.pairs(["id", "candidate_latency_us"]).column_names == ["id", "candidate_latency_us"]
    with pytest.raises(
        GnomonError, match=r"comparisons of fraud\.1 has no column 'latency'; it has: id, time_us, epoch"
    ):
        trial.pairs(["latency"])


def test_every_table_comes_as_arrow_pandas_or_polars(trial):
    for method in (trial.pairs, trial.truths, trial.evidence, trial.verdict, trial.looks):
        arrow, pandas, polars = (method(as_=name) for name in ("arrow", "pandas", "polars"))

        assert isinstance(pandas, pd.DataFrame)
        assert isinstance(polars, pl.DataFrame)
        assert arrow.num_rows == len(pandas) == polars.height > 0
        assert arrow.column_names == list(pandas.columns) == polars.columns
        assert pl.from_arrow(arrow).equals(polars)


def test_another_form_is_refused_and_a_library_that_is_missing_is_named(trial, monkeypatch):
    with pytest.raises(GnomonError, match=r"as_ must be 'arrow', 'pandas' or 'polars', found 'spark'"):
        trial.verdict(as_="spark")
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name in {"pandas", "polars"}:
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for library in ("pandas", "polars"):
        with pytest.raises(GnomonError, match=f"{library} is not installed; install it with: pip install {library}"):
            trial.verdict(as_=library)


def test_evidence_holds_the_exact_counts_of_each_test(trial):
    rows = {(row["gate"], row["segment"], row["value"]): row for row in trial.evidence().to_pylist()}

    overall = rows["accuracy", "overall", ""]
    # of 120 pairs every sixth differs: 0, 12, ... the candidate alone is right, 6, 18, ... production alone
    assert (overall["better"], overall["worse"], overall["same"]) == (10, 10, 100)
    assert (overall["units"], overall["truths"] >= 0, overall["lost"], overall["waiting"]) == (120, True, 0, 0)
    assert rows["accuracy", "country", "FR"]["units"] == 60
    assert len(rows) == 6


def test_the_verdict_says_of_each_test_what_the_kept_one_says(trial):
    verdict, rows = trial.decision(), trial.verdict().to_pylist()

    assert [row["reason"] for row in rows] == [test.reason for test in verdict.tests]
    assert {row["verdict"] for row in rows} == {"continue"}
    assert rows[0]["margin"] == 0.04
    assert rows[0]["p"] == min(1.0, 1 / rows[0]["e_promote"])
    assert trial.looks(as_="pandas").groupby("number").size().tolist() == [6, 6]


def test_a_look_from_a_notebook_is_not_kept(trial, place):
    before = trial.looks().num_rows

    now = trial.decision(now=True)

    assert now.as_of_us > trial.decision().as_of_us
    assert trial.looks().num_rows == before


def test_charts_are_the_reports_own_altair_objects(trial, place):
    settings, sealed = place
    with open_state(settings.state_url) as state:
        built = pipeline.build_report(settings, state, sealed, trial.decision())

    for drawn, same in (
        (trial.charts.forest(), charts.forest(built.verdict, built.declared.judged)),
        (trial.charts.progress(), charts.progress(built.progress)),
        (trial.charts.e_values(), charts.e_values(built.history)),
        (trial.charts.agreement(), charts.agreement(built.description, "label")),
        (
            trial.charts.agreement("label", cell="country=FR"),
            charts.agreement(built.description, "label", "country=FR"),
        ),
        (trial.charts.latency(), charts.latency(built.description)),
        (trial.charts.ledger(), charts.ledger(built.verdict.ledger)),
    ):
        assert isinstance(drawn, alt.TopLevelMixin)
        assert charts.svg(drawn) == charts.svg(same)


def test_a_chart_of_what_is_not_there_says_what_is(trial):
    with pytest.raises(GnomonError, match=r"fraud\.1 has no output 'score'; it has: label"):
        trial.charts.agreement("score")
    with pytest.raises(GnomonError, match=r"has no pair in 'country=US'; it has: overall, country=DE, country=FR"):
        trial.charts.agreement(cell="country=US")


def test_the_report_shows_itself_in_a_frame_in_which_nothing_runs(trial):
    made = trial.report()

    shown = made._repr_html_()

    assert shown.startswith('<iframe title="Gnomon report of fraud.1" sandbox ')
    inside = shown.partition('srcdoc="')[2].removesuffix('"></iframe>')
    assert '"' not in inside
    assert unescape(inside) == made.html() == report.html(made.record)
    assert json.loads(made.json())["schema"] == "gnomon.report/1"
    assert made.markdown().startswith("### … CONTINUE: fraud.1")


def contents(folder):
    """Every file with what it holds; SQLite's own two beside the database come and go with its readers."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_nothing_is_written(place, trial):
    folder = place[0].root
    before = contents(folder)

    for method in (trial.pairs, trial.truths, trial.evidence, trial.verdict, trial.looks, trial.report):
        method()
    trial.verdict(now=True)
    trial.charts.forest(now=True)

    assert contents(folder) == before


def test_a_trial_without_a_log_and_without_a_look_has_empty_tables_and_says_so(tmp_path):
    settings, _ = a_place(tmp_path, looks=0, rows=0)
    opened = gnomon.open(data=settings.data)

    assert repr(opened) == "<gnomon trial fraud.1: not looked at yet>"
    assert opened.pairs().num_rows == opened.looks().num_rows == opened.truths().num_rows == 0
    assert "output_label_agree" in opened.pairs().column_names
    assert opened.decision().sentence == "Continue: nothing has been shadowed yet."
    assert "no look was kept yet" in charts.svg(opened.charts.e_values())
    assert "Nothing has been compared yet." in opened.report().html()


def test_a_folder_without_a_trial_and_a_wrong_name_are_one_clear_message(tmp_path, trial, place):
    with pytest.raises(NotFound, match=r"no trial in .*; name its data folder, as in gnomon.open\(data='path'\)"):
        gnomon.open("fraud", data=tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(NotFound, match="fruad"):
        gnomon.open("fruad", data=place[0].data)


def test_a_database_of_an_earlier_version_is_left_as_it_is(tmp_path):
    settings, _ = a_place(tmp_path, looks=0, rows=0)
    with open_state(settings.state_url) as state, state._database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    before = contents(settings.root)

    with pytest.raises(
        StateError, match=r"is of another version of gnomon \(state version 0001, .* run: gnomon trials"
    ):
        gnomon.open(data=settings.data)

    assert contents(settings.root) == before


def test_a_data_file_of_the_log_that_is_damaged_is_named(tmp_path):
    settings, sealed = a_place(tmp_path)
    opened = gnomon.open(data=settings.data)
    (file,) = (settings.root / f"trials/{sealed.id}/log/comparisons").glob("*.parquet")
    damaged = bytearray(file.read_bytes())
    damaged[:] = b"\x00" * len(damaged)
    file.write_bytes(bytes(damaged))

    for read in (opened.pairs, opened.report, lambda: opened.verdict(now=True)):
        with pytest.raises(IntegrityError, match=r"damaged|cannot be read"):
            read()


def test_a_verdict_whose_versions_are_gone_says_what_to_do(tmp_path):
    settings, sealed = a_place(tmp_path)
    opened = gnomon.open(data=settings.data)
    (settings.root / f"trials/{sealed.id}/log/comparisons/_delta_log/00000000000000000000.json").unlink()

    with pytest.raises(
        IntegrityError,
        match=r"the verdict of fraud\.1 cannot be reported, what it rests on is not in the log as it was: "
        r".*; put the log back from a copy, or look at what is there now: gnomon decide fraud\.1",
    ):
        opened.report()
    assert opened.looks().num_rows == 12  # what the state database holds is still there


def test_importing_gnomon_imports_nothing_else_of_it():
    code = "import sys; before = set(sys.modules); import gnomon; print(sorted(set(sys.modules) - before))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['gnomon']"
    assert "open" in dir(gnomon)
    with pytest.raises(AttributeError, match="module 'gnomon' has no attribute 'close'"):
        _ = gnomon.close


def test_a_table_waits_for_no_chart(place):
    settings, _ = place
    code = (
        "import sys, gnomon; trial = gnomon.open(data=sys.argv[1]); trial.verdict(); trial.pairs()\n"
        "print([name for name in ('altair', 'polars', 'vl_convert', 'jinja2') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code, str(settings.data)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_settings_say_where_the_trial_is_unless_a_folder_is_named(place, tmp_path, monkeypatch):
    settings, _ = place
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gnomon.toml").write_text(f'data = "{settings.data}"\n')

    assert gnomon.open("fraud").id == "fraud.1"
    assert Settings().data == settings.data
