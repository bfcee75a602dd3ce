"""A pause on the report: since when, by whom and why; hostile reasons are shown, never obeyed."""

import json

from msgspec import structs

from gnomon import report
from gnomon.records.trial import Pause
from tests.report import reports
from tests.report.test_html import HOSTILE

SINCE = reports.START + reports.HOUR
LASTING = Pause(since_us=SINCE, actor="ada", reason="peak hour")
ENDED = Pause(
    since_us=SINCE,
    actor="ada",
    reason="The host is patched.",
    until_us=SINCE + reports.HOUR // 2,
    ended_by="bob",
    ended_because="resume",
)


def with_pauses(*pauses):
    return structs.replace(reports.promoted(), pauses=pauses)


def test_a_pause_that_lasts_stands_where_everybody_reads():
    line = "PAUSED since 2026-09-21T15:13:20Z by ada: peak hour. Nothing is shadowed until it is resumed."
    made = with_pauses(ENDED, LASTING)
    assert line in report.html(made).split('aria-labelledby="gates"')[0]
    assert line in report.markdown(made)
    assert json.loads(report.json(made))["pauses"][1] == {
        "since_us": SINCE,
        "actor": "ada",
        "reason": "peak hour",
        "until_us": None,
        "ended_by": None,
        "ended_because": None,
    }


def test_a_pause_that_is_over_stands_with_the_ledger_alone():
    line = "Paused from 2026-09-21T15:13:20Z to 2026-09-21T15:43:20Z (30 min) by ada: The host is patched."
    page = report.html(with_pauses(ENDED))
    before, _, after = page.partition('aria-labelledby="ledger"')
    assert f"{line} Resumed by bob: resume." in after
    assert "Paused" not in before
    assert "Paused" not in report.markdown(with_pauses(ENDED))


def test_a_trial_without_a_pause_says_nothing_of_it():
    assert "paused" not in report.html(reports.promoted()).lower()


def test_a_hostile_reason_is_shown_and_not_obeyed():
    page = report.html(with_pauses(structs.replace(LASTING, reason=HOSTILE)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
