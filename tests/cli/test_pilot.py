"""`gnomon check --pilot`: what an earlier trial's log says, read like a look reads it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gnomon.forecast.pilot import pilot
from gnomon.plan import load, seal, source
from gnomon.plan.traffic import Pilot
from gnomon.records.trial import Trial
from gnomon.state import open_state
from tests.cli.conftest import Run
from tests.evidence.trial_log import ALWAYS, SECOND, START, TrialLog, an_exchange, differs, fails

DAY = 86_400
TEXT = """\
gnomon: 1
trial: sentiment
question: Is it as good?
production: {version: "1.0", url: "http://127.0.0.1:1"}
candidate: {version: "2.0", url: "http://127.0.0.1:2"}
routes: [POST /predict]
suitability: {context: stateless, side_effects: none}
segments: {source: {from: body:/source, values: [tweets, news]}}
output: {label: body:/label}
truth: {expected_within: 1d}
unit: {independent: true}
gates:
  - accuracy: {no_worse_than: production, margin: 4pp}
  - share: {of: spam, output: label, within: 2pp of production, where: overall}
  - error_rate: {at_most: 5%, where: overall}
  - latency: {quantile: 99%, at_most: 1.25 x production, where: overall}
"""
DOCUMENT: dict[str, Any] = source.parse(TEXT).document
SPAM = {"output_label_production": '"spam"', "output_label_candidate": '"spam"'}

Read = Callable[..., Pilot]


def rows(number: int = 1000) -> list[dict[str, Any]]:
    """A day: four of five are tweets; each tenth differs, each hundredth fails, each 25th is spam for both arms."""
    found = []
    for index in range(number):
        place = {"segment_source": "tweets" if index % 5 else "news", "time_us": START + index * DAY * SECOND // number}
        place["production_latency_us"] = 1000 if index % 50 else 3000
        if index % 100 == 7:
            found.append(fails(index, "candidate", **place))
        elif index % 10 == 3:
            found.append(differs(index, **place))
        else:
            found.append(an_exchange(index, **(SPAM if index % 25 == 0 else {}), **place))
    return found


def written(folder: Path, exchanges: Sequence[dict[str, Any]], **ledger: int) -> Trial:
    """A trial that is sealed in the data folder, and its log."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    with open_state(f"sqlite:///{data / 'state.db'}") as state:
        trial = state.register(
            DOCUMENT, seal.seal(DOCUMENT), plan_path="plan.yaml", program="0.1", now_us=START, actor="ada"
        )
    log = TrialLog(data / "trials" / trial.id / "log", load.from_document(DOCUMENT))
    log.append("comparisons", exchanges)
    log.flush(watermark=DAY, received=len(exchanges), paired=len(exchanges))
    if ledger:
        log.flush(watermark=DAY, instance="gateway-1", **ledger)
    return trial


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """What the pilot says of the plan, with its top-level keys replaced."""

    def of(exchanges: Sequence[dict[str, Any]], *, drawn: int = 0, **changes: Any) -> Pilot:
        trial = written(tmp_path, exchanges, **({"drawn": drawn, "seen": drawn} if drawn else {}))
        plan = load.from_document(DOCUMENT | changes)
        url = str(tmp_path / "data" / "trials" / trial.id / "log")
        return pilot(plan, trial, load.from_document(DOCUMENT), url, now_us=START + 10 * DAY * SECOND)

    return of


def test_the_traffic_is_what_the_coins_were_tossed_for(read: Read) -> None:
    found = read(rows(), drawn=5000)
    assert found.days == pytest.approx(1, rel=0.01)
    assert found.per_day == pytest.approx(5000, rel=0.01)
    assert found.shares == pytest.approx(
        {"source=tweets": 0.8, "source=news": 0.2, "source=other": 0, "source=missing": 0}
    )


def test_shares_are_those_of_the_requests_and_not_of_the_copies(read: Read) -> None:
    """News are copied ten times as often."""
    weighted = [row | {"probability": ALWAYS if row["segment_source"] == "news" else ALWAYS // 10} for row in rows()]
    assert read(weighted).shares["source=news"] == pytest.approx(200 / (200 + 8000), rel=1e-6)


def test_each_test_has_its_units_and_its_outcomes(read: Read) -> None:
    found = read(rows())
    overall, news = found.tests["accuracy overall"], found.tests["accuracy source=news"]
    assert (overall.units, overall.sampled) == (1000, 1000)
    # 100 that differ and 10 that failed, without any truth: worst for the candidate
    assert dict(overall.histogram) == {-40: 110, 0: 890}
    assert news.units == 200
    assert dict(found.tests["error_rate overall"].histogram) == {-40: 10, 0: 990}
    assert next(seen.flagged for name, seen in found.tests.items() if name.startswith("share")) == 40
    assert found.tests["latency overall"].sigma == pytest.approx(0.472, rel=0.01)  # ln 3 / 2.326


def test_a_lost_pair_is_no_disagreement(read: Read) -> None:
    exchanges = [*rows(), *(an_exchange(5000 + each, state="expired", time_us=START + SECOND) for each in range(30))]
    seen = read(exchanges).tests["error_rate overall"]
    assert dict(seen.histogram) == {-40: 10, 0: 990}
    assert (seen.units, seen.sampled) == (1000, 1030)


def test_what_the_pilot_does_not_have_is_said(read: Read) -> None:
    other = {"score": "body:/score", "label": "body:/label"}
    gates = [{"accuracy": {"of": "score", "no_worse_than": "production", "margin": "4pp", "where": "overall"}}]
    segments = {"land": {"from": "body:/land", "values": ["DE"]}}
    found = read(rows(), output=other, gates=gates, segments=segments)
    assert found.tests == {}
    assert found.shares == {}
    assert found.notes == (
        "The pilot does not have the segment land as it is declared here.",
        "The pilot says nothing about accuracy: its log has no output score like this one.",
    )


def test_the_command_reads_it_and_plans_with_it(run: Run, tmp_path: Path) -> None:
    trial = written(tmp_path, rows(), drawn=5000, seen=5000)
    (tmp_path / "next.yaml").write_text(TEXT.replace("trial: sentiment", "trial: next"))
    done = run("check", "next.yaml", "--offline", "--pilot", "sentiment", "--json")
    assert done.code == 0, done.err
    size = json.loads(done.out)["size"]
    tests = {(each["gate"], each["cell"]): each for each in size["tests"]}
    assert size["requests_per_day"] == pytest.approx(5000, rel=0.01)
    assert tests["accuracy", "source=news"]["share"] == pytest.approx(0.2)
    assert tests["accuracy", "source=other"]["state"] == "empty"
    assert size["assumptions"][0].startswith(f"How often the arms differ is what {trial.id} saw in 24.0 h")
    assert not any("latency" in note.lower() and "0.6" in note for note in size["assumptions"])


def test_a_pilot_in_which_a_class_never_came_refuses_its_gate(run: Run, tmp_path: Path) -> None:
    clean = [
        row | {"output_label_production": '"a"'} if row["output_label_production"] == '"spam"' else row
        for row in rows()
    ]
    written(
        tmp_path,
        [
            row | {"output_label_candidate": '"a"'} if row["output_label_candidate"] == '"spam"' else row
            for row in clean
        ],
    )
    (tmp_path / "next.yaml").write_text(TEXT.replace("trial: sentiment", "trial: next"))
    done = run("check", "next.yaml", "--offline", "--pilot", "sentiment")
    assert done.code == 2
    assert 'is about "spam", of which the pilot saw none in 1,000 exchanges' in done.err


def test_a_pilot_without_traffic_is_one_message(run: Run, tmp_path: Path) -> None:
    trial = written(tmp_path, [])
    (tmp_path / "next.yaml").write_text(TEXT)
    done = run("check", "next.yaml", "--offline", "--pilot", "sentiment")
    assert done.code == 2
    assert done.err == f"gnomon: --pilot {trial.id} has no traffic in its log; name a trial that ran, or give --rate\n"
