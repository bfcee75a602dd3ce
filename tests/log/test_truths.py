"""Ground truth from files: as the log holds values, once, and nothing of a file with a mistake."""

import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnomon import pipeline
from gnomon.errors import GnomonError, NotFound
from gnomon.log import read
from gnomon.log.truths import import_truths, wanted_outputs
from gnomon.plan import load as load_plan
from gnomon.plan import seal
from gnomon.settings import Settings
from gnomon.state import open_state
from tests.log.builders import BY_ID, DOCUMENT, PLAN, log_comparisons


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture
def load(tmp_path, url):
    def loaded(content, name="truth.csv", *, plan=PLAN, now_us=1):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)
        return import_truths(plan, url, path, now_us=now_us)

    return loaded


def held(url, output="label"):
    table = read.column(url, "truths", ["key", "output", "value", "number"])
    rows = [] if table is None else table.to_pylist()
    return {row["key"]: row["value"] for row in rows if row["output"] == output}


def test_a_csv_file(url, load):
    log_comparisons(url, {"truth_key": "k1"}, {"truth_key": "k2"})
    done = load("transaction_id,label,score,remark\nk1,spam,0.5,x\nk2,,1,\nk9,ham,,\n")
    assert held(url) == {"k1": '"spam"', "k9": '"ham"'}
    assert held(url, "score") == {"k1": "0.5", "k2": "1"}
    assert (done.rows, done.known, done.unknown, done.first_unknown, done.empty) == (4, 2, 1, ("k9",), 2)
    numbers = read.column(url, "truths", ["output", "number"]).to_pylist()
    assert sorted(row["number"] for row in numbers if row["output"] == "score") == [0.5, 1.0]
    assert {row["number"] for row in numbers if row["output"] == "label"} == {None}


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_typed_files_are_taken_as_they_are(url, load, name):
    rows = [{"transaction_id": "k1", "label": "1", "score": 1}, {"transaction_id": "k2", "label": "True", "score": 2}]
    if name == "t.jsonl":
        load("\n".join(map(json.dumps, rows)) + "\n\n", name)
    else:
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), out)
        load(out.getvalue(), name)
    assert held(url) == {"k1": '"1"', "k2": '"True"'}
    assert held(url, "score") == {"k1": "1", "k2": "2"}


def test_json_lines_keep_numbers_and_booleans(url, load):
    load(
        '{"transaction_id": 7, "label": 1}\n{"transaction_id": 8, "label": true}\n'
        '{"transaction_id": 9, "label": {"b": 1, "a": 2}}',
        "t.jsonl",
    )
    assert held(url) == {"7": "1", "8": "true", "9": '{"a":2,"b":1}'}


@pytest.mark.parametrize(
    ("logged", "cell", "expected"),
    [
        ('"spam"', "1", '"1"'),  # production answers with strings
        ('"spam"', "true", '"true"'),
        ('"0"', "007", '"007"'),
        ("0", "1", "1"),  # production answers with numbers
        ("0", "1.0", "1"),
        ("0", "007", '"007"'),  # no JSON number, so a name
        ("true", "False", "false"),
        ("true", "false", "false"),
        (None, "1", "1"),  # nothing is known yet
        (None, "spam", '"spam"'),
        (None, '"""1"""', '"1"'),
        ('"spam"', '"""1"""', '"1"'),
    ],
)
def test_a_csv_cell_takes_the_type_of_the_log(url, load, logged, cell, expected):
    if logged is not None:
        log_comparisons(url, {"output_label_production": logged}, {"output_label_production": None})
    load(f"transaction_id,label\nk1,{cell}\n")
    assert held(url) == {"k1": expected}


def test_the_same_content_twice_counts_once(url, load):
    content = "transaction_id,label\nk1,a\nk2,b\n"
    assert load(content).rows == 2
    again = load(content, "copy.csv")
    assert (again.rows, again.doubled, again.repeated) == (0, 2, True)
    assert len(held(url)) == 2


def test_a_longer_file_adds_what_is_new(url, load):
    load("transaction_id,label\nk1,a\n")
    more = load("transaction_id,label\nk1,a\nk2,b\nk2,b\n")
    assert (more.rows, more.doubled, more.contradicting) == (1, 1, 0)


def test_a_later_contradiction_is_kept_and_counted(url, load):
    load("transaction_id,label\nk1,a\n")
    other = load("transaction_id,label\nk1,b\n", now_us=2)
    assert (other.rows, other.contradicting, other.first_contradicting) == (1, 1, ("k1",))


def test_truth_may_name_the_exchange_id(url, load):
    log_comparisons(url, {"id": "0" * 31 + "a"})
    done = load(f"id,label\n{'0' * 8}-0000-0000-0000-{'0' * 11}A,a\n", plan=BY_ID)
    assert held(url) == {"0" * 31 + "a": '"a"'}
    assert done.known == 1
    assert load("id,label\nx,a\n", plan=PLAN).unknown == 1


def test_standard_input(url, monkeypatch):
    def piped(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return import_truths(PLAN, url, "-", now_us=1)

    assert piped(b"").rows == 0
    assert piped(b"transaction_id,label\nk1,a\n").rows == 1
    assert piped(b'{"transaction_id": "k2", "label": "b"}\n').rows == 1
    assert held(url) == {"k1": '"a"', "k2": '"b"'}


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("id,lable\nk1,a\n", "t.csv", ["lable", "label", "transaction_id"]),
        ("key,label\nk1,a\n", "t.csv", ["found: key, label"]),
        ("", "t.jsonl", ["no columns"]),
        ("transaction_id,label\nk1,a\n,b\n", "t.csv", ["t.csv:3", "no transaction_id"]),
        ("transaction_id,label\nk1,a\nk2\n", "t.csv", ["t.csv:3", "1 cells", "header 2"]),
        ('transaction_id,label\nk1,"a\n', "t.csv", ["t.csv:2", "not CSV"]),
        ("transaction_id,label,label\nk1,a,b\n", "t.csv", ["label", "twice"]),
        ("transaction_id,score\nk1,high\n", "t.csv", ["t.csv:2", "score", "'high'"]),
        ("transaction_id,score\nk1,1\nk2,nan\n", "t.csv", ["t.csv:3", "not finite"]),
        ("transaction_id,score\nk2,inf\n", "t.csv", ["t.csv:2", "not finite"]),
        ("transaction_id,label\nk1,inf\n", "t.csv", ["t.csv:2", "inf"]),
        ('{"transaction_id": "k1", "label": NaN}', "t.jsonl", ["t.jsonl:1"]),
        ('{"transaction_id": "k1", "label": 1}\n{', "t.jsonl", ["t.jsonl:2", "not JSON"]),
        ('{"transaction_id": "k1", "label": 1}\n[1]', "t.jsonl", ["t.jsonl:2", "object"]),
        ("transaction_id,label\nk1,a\nk2,b\nk1,c\n", "t.csv", ["t.csv:4", "line 2", "k1"]),
        (b"transaction_id,label\nk1,\xff\n", "t.csv", ["t.csv:2", "UTF-8"]),
        (b"PAR1 it is not", "t.parquet", ["not Parquet"]),
        ("a", "t.xlsx", [".xlsx", ".csv"]),
    ],
)
def test_a_file_with_a_mistake_imports_nothing_and_says_where(url, load, content, name, words):
    with pytest.raises(GnomonError) as caught:
        load(content, name)
    for word in words:
        assert word in str(caught.value)
    assert read.column(url, "truths", ["key"]) is None


def test_a_missing_file(url, tmp_path):
    with pytest.raises(NotFound, match=r"none\.csv"):
        import_truths(PLAN, url, tmp_path / "none.csv", now_us=1)


def with_policy(policy):
    return msgspec.structs.replace(PLAN, truth=msgspec.structs.replace(PLAN.truth, policy=policy))


def test_where_the_last_truth_counts_an_old_value_is_news_again(url, load):
    plan = with_policy("last")
    load("transaction_id,label\nk1,spam\n", "a.csv", plan=plan, now_us=1)
    load("transaction_id,label\nk1,ham\n", "b.csv", plan=plan, now_us=2)
    again = load("transaction_id,label\nk1,spam\n", "a.csv", plan=plan, now_us=3)
    assert (again.rows, again.contradicting, again.repeated) == (1, 1, False)
    rows = read.column(url, "truths", ["value", "imported_us"]).sort_by("imported_us").to_pylist()
    assert [row["value"] for row in rows] == ['"spam"', '"ham"', '"spam"']
    same = load("transaction_id,label\nk1,spam\n", "a.csv", plan=plan, now_us=4)
    assert (same.rows, same.doubled) == (0, 1)


def test_where_contradictions_are_errors_the_file_is_refused_whole(url, load):
    plan = with_policy("error")
    load("transaction_id,label\nk1,spam\nk2,ham\n", "a.csv", plan=plan)
    wanted = (
        r'b\.csv says that label of k1 is "ham", the log says "spam" \(and 1 more\); '
        r"the plan's truth\.policy is error: nothing was imported; take these rows out"
    )
    with pytest.raises(GnomonError, match=wanted):
        load("transaction_id,label\nk1,ham\nk2,spam\nk3,ham\n", "b.csv", plan=plan, now_us=2)
    assert held(url) == {"k1": '"spam"', "k2": '"ham"'}
    assert load("transaction_id,label\nk1,spam\nk3,ham\n", "c.csv", plan=plan, now_us=3).rows == 1


def test_truth_is_wanted_for_what_targets_and_fields_look_at():
    accuracy = next(gate for gate in PLAN.gates if gate.kind == "accuracy")
    field = msgspec.structs.replace(accuracy, kind="field", output=None, outputs=("label", "score"))
    latency = msgspec.structs.replace(accuracy, kind="latency", output=None)
    only_target = msgspec.structs.replace(PLAN, gates=(latency,), targets=(field,))
    assert [output.name for output in wanted_outputs(only_target)] == ["label", "score"]
    without = msgspec.structs.replace(PLAN, gates=(accuracy,), targets=())
    assert [output.name for output in wanted_outputs(without)] == [accuracy.output]


def test_imports_that_come_at_once_are_checked_one_after_the_other(tmp_path):
    """Under `error` two that contradict each other cannot both be taken: the trial would be invalid for good."""
    settings = Settings(data=tmp_path / "data")
    settings.prepare()
    document = DOCUMENT | {"truth": DOCUMENT["truth"] | {"policy": "error"}}
    with open_state(settings.state_url) as state:
        trial = state.register(document, seal.seal(document), plan_path="p", program="x", now_us=1, actor="ada")
    plan = load_plan.from_document(document)

    def send(value):
        try:
            content = f"transaction_id,label\nk1,{value}\n".encode()
            return pipeline.import_labels(settings, trial, plan, content, "csv").rows
        except GnomonError:
            return None

    with ThreadPoolExecutor(6) as pool:
        rows = list(pool.map(send, [f"v{number}" for number in range(6)]))
    assert sorted(rows, key=str) == [1, None, None, None, None, None]
