"""The upkeep process over a whole log: verdicts verify after it, one at a time, and killed it loses nothing."""

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from gnomon import clock, pipeline
from gnomon.errors import IntegrityError
from gnomon.log import compact, read
from gnomon.log.append import append
from gnomon.plan import seal
from gnomon.processes.upkeep import upkeep
from gnomon.records.upkeep import UpkeepConfig
from gnomon.settings import Settings
from gnomon.state import open_state
from tests.log.builders import DOCUMENT, comparisons, exchanges, ledger

HOUR = 3_600_000_000


class Served:
    """A registered trial with a log, and a clock that the commits of the log go by."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder)
        self.settings.prepare()
        self.state = open_state(self.settings.state_url)
        sealed = seal.seal(DOCUMENT)
        self.trial = self.state.register(
            DOCUMENT, sealed, plan_path="plan.yaml", program="0.1", now_us=clock.now_us(), actor="ada"
        )
        self.url = self.settings.log_url(self.trial.id)
        self.flushes = 0

    def flush(self, times: int = 1, text: str = "planted") -> None:
        """Append what the runner would: an exchange each time."""
        for _ in range(times):
            self.flushes += 1
            n = self.flushes
            exchange = {"id": f"{n:032x}", "time_us": n, "request_headers": "[]", "request_body": text.encode()}
            counted = [
                {"state": state, "count": n, "time_us": n, "watermark_us": n + 1} for state in ("seen", "paired")
            ]
            for table, rows in (
                ("exchanges", exchanges(exchange)),
                ("comparisons", comparisons({"id": f"{n:032x}", "time_us": n, "output_label_candidate": '"a"'})),
                ("ledger", ledger(*counted)),
            ):
                append(self.url, table, rows, application="runner", number=n)

    def config(self, **parts: object) -> UpkeepConfig:
        return UpkeepConfig(
            trial=self.trial.id,
            log_url=self.url,
            state_url=self.settings.state_url,
            lock_file=str(self.settings.trial_dir(self.trial.id) / "upkeep.lock"),
            **parts,
        )

    def start(self, **parts: object) -> subprocess.Popen[bytes]:
        path = self.settings.run_dir / "upkeep.json"
        path.write_bytes(msgspec.json.encode(self.config(**parts)))
        few = "import sys; from gnomon.log import compact; compact.MANY = 4"
        main = "from gnomon.processes.upkeep import main; sys.exit(main())"
        command = [sys.executable, "-c", f"{few}; {main}", "--config", str(path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ids(self, table: str) -> list[int]:
        files = read.data_files(self.url, table, read.opened(self.url, table))
        return sorted(int(each, 16) for file in files for each in pq.read_table(file)["id"].to_pylist())

    def data(self) -> set[Path]:
        return set(Path(self.url).glob("*/*.parquet"))


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "MANY", 4)
    made = Served(tmp_path)
    yield made
    made.state.close()


def test_a_verdict_from_before_verifies_and_the_next_look_counts_the_same(served):
    served.flush(5)
    first = pipeline.record_look(served.settings, served.state, served.trial)
    served.flush(5)
    before = pipeline.look(served.settings, served.state, served.trial)

    later = clock.now_us() + HOUR
    did, failed = upkeep(served.config(), now_us=later)
    assert failed == []
    assert did["merged comparisons"] == 9
    assert did["files of comparisons"] == did["files of ledger"] == 5  # the other five are the verdict's

    pipeline.verify(served.settings, served.state, served.trial, first)
    after = pipeline.look(served.settings, served.state, served.trial)
    assert (after.rows, after.ledger, after.tests) == (before.rows, before.ledger, before.tests)
    assert after.digest != before.digest  # of other files
    assert [(row.state, row.count) for row in read.ledger(served.url)] == [("paired", 10), ("seen", 10)]
    assert upkeep(served.config(), now_us=later) == ({}, [])


def test_a_verdict_whose_digest_is_over_rows_verifies_before_and_after_upkeep(served):
    """As earlier programs made them."""
    served.flush(10)
    snapshot = read.snapshot(served.url)
    old = pipeline._judge(served.trial, snapshot, (), as_of_us=clock.now_us(), program="0.2", attempt=1, digest="rows")
    assert len(old.digest) == 64
    served.state.save_verdict(served.trial.id, old, now_us=clock.now_us(), actor="ada")
    pipeline.verify(served.settings, served.state, served.trial, old)
    assert upkeep(served.config(), now_us=clock.now_us() + HOUR)[1] == []
    pipeline.verify(served.settings, served.state, served.trial, old)
    altered = msgspec.structs.replace(old, digest="0" * 64)
    with pytest.raises(IntegrityError, match=f"digest: '{'0' * 64}', '{old.digest}'"):
        pipeline.verify(served.settings, served.state, served.trial, altered)


def test_a_verdict_of_an_earlier_program_verifies_and_a_file_that_it_lost_is_noticed(served):
    """Earlier programs pinned `exchanges` too; that version is gone."""
    served.flush(5)
    verdict = pipeline.look(served.settings, served.state, served.trial)
    old = msgspec.structs.replace(verdict, versions=verdict.versions | {"exchanges": 2})
    served.state.save_verdict(served.trial.id, old, now_us=1, actor="ada")
    (lost, *_) = read.snapshot(served.url).files("comparisons")
    did, _ = upkeep(served.config(keep_bodies_us=0), now_us=clock.now_us() + HOUR)
    assert did["bodies"] == 5
    pipeline.verify(served.settings, served.state, served.trial, old)
    Path(lost).unlink()
    with pytest.raises(IntegrityError, match=Path(lost).name):
        pipeline.verify(served.settings, served.state, served.trial, old)


def test_without_the_trials_verdicts_old_bodies_go_and_no_evidence_does(served):
    served.flush(5)
    config = msgspec.structs.replace(served.config(keep_bodies_us=0), trial="another.1")
    before = {path for path in served.data() if path.parent.name != "exchanges"}
    did, failed = upkeep(config, now_us=clock.now_us() + HOUR)
    assert len(failed) == 3
    assert all("another.1" in words for words in failed)
    assert did["files of exchanges"] == 6
    assert before <= served.data()


def test_a_table_that_cannot_be_merged_keeps_no_other_from_its_upkeep(served):
    served.flush(5)
    read.commit(Path(served.url) / "comparisons", 0).write_bytes(b"")
    did, failed = upkeep(served.config(), now_us=clock.now_us() + HOUR)
    assert {"merged ledger", "merged exchanges", "files of ledger"} <= set(did)
    assert all("comparisons" in words for words in failed)


def test_bodies_leave_the_disk_with_the_first_upkeep_after_the_safe_age(served):
    served.flush(5)
    now = clock.now_us()
    assert upkeep(served.config(keep_bodies_us=HOUR), now_us=now)[0]["bodies"] == 5
    assert any(b"planted" in path.read_bytes() for path in served.data())
    upkeep(served.config(keep_bodies_us=HOUR), now_us=now + HOUR)
    assert not any(b"planted" in path.read_bytes() for path in Path(served.url).rglob("*") if path.is_file())
    assert served.ids("exchanges") == [1, 2, 3, 4, 5]


def test_bodies_in_a_file_that_no_commit_took_are_kept_no_longer_than_others(served):
    served.flush()
    left = Path(served.url) / "exchanges" / "part-00000-left.parquet"
    left.write_bytes(b"planted")
    kept = Path(served.url) / "comparisons" / "part-00000-left.parquet"
    kept.write_bytes(b"")
    config = served.config(keep_bodies_us=HOUR)
    upkeep(config, now_us=clock.now_us() + HOUR // 2)
    assert left.exists()
    upkeep(config, now_us=clock.now_us() + HOUR)
    assert not left.exists()
    assert kept.exists()


def test_the_process_does_one_round_and_says_what_it_did(served):
    served.flush(5)
    ended = served.start(keep_bodies_us=0)
    out, errors = ended.communicate(timeout=60)
    assert (ended.returncode, errors) == (0, b"")
    assert json.loads(out) == {"merged exchanges": 4, "merged comparisons": 4, "merged ledger": 4, "bodies": 5}
    assert served.ids("exchanges") == served.ids("comparisons") == [*range(1, 6)]


def test_a_second_upkeep_ends_at_once_and_does_nothing(served):
    served.flush()
    lock = Path(served.config().lock_file)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        ended = served.start(keep_bodies_us=0)
        assert ended.communicate(timeout=60) == (b"", b"")
    assert ended.returncode == 0
    assert any(b"planted" in path.read_bytes() for path in served.data())


def test_a_config_that_is_none_is_one_clear_line(tmp_path):
    command = [sys.executable, "-m", "gnomon.processes.upkeep", "--config", str(tmp_path / "none.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "none.json" in ended.stderr


def _merged_file(served, before):
    return served.data() - before


def _new_commit(served, before):
    return read.commit(Path(served.url) / "exchanges", served.flushes).exists()


def _removed_file(served, before):
    return before - served.data()


@pytest.mark.parametrize("moment", [_merged_file, _new_commit, _removed_file])
def test_an_upkeep_that_is_killed_loses_nothing_and_the_next_one_does_the_rest(served, moment):
    served.flush(5)
    verdict = pipeline.record_look(served.settings, served.state, served.trial)
    served.flush(2)
    before = served.data()
    process = served.start(keep_bodies_us=0, safe_age_us=0, orphan_age_us=0)
    while not moment(served, before) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate()

    served.flush()
    for _ in range(2):
        _, failed = upkeep(served.config(keep_bodies_us=0, safe_age_us=0, orphan_age_us=0), now_us=clock.now_us())
        assert failed == []
    assert served.ids("exchanges") == served.ids("comparisons") == [*range(1, 9)]
    assert read.transaction(served.url, "comparisons", "runner") == 8
    pipeline.verify(served.settings, served.state, served.trial, verdict)
    assert not any(b"planted" in path.read_bytes() for path in Path(served.url).rglob("*") if path.is_file())
    needed = {
        Path(file)
        for table in ("exchanges", "comparisons", "ledger")
        for version in {None, verdict.versions.get(table)}
        for file in read.data_files(served.url, table, read.opened(served.url, table, version))
    }
    assert served.data() <= needed
