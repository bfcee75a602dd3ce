"""After a promotion no more evidence comes: the report says so first, and gives no date to wait for."""

import json

from msgspec import structs

from gnomon import report
from tests.report import reports

LINE = (
    "Evidence ended with the promotion at 2026-09-21T15:13:20Z: requests since then count for nothing "
    "(late truth of earlier ones does); a new trial is needed."
)
DATES = ("Expected** (an estimate)", "If it goes on as it did", "There is no date yet")


def test_the_end_of_the_evidence_stands_where_everybody_reads_and_no_date_beside_it():
    going_on = reports.continuing()
    ended = structs.replace(going_on, evidence_ended_us=reports.START + reports.HOUR)
    page, comment = report.html(ended), report.markdown(ended)
    assert LINE in page.split('aria-labelledby="gates"')[0]
    assert LINE in comment
    assert not any(date in text for date in DATES for text in (page, comment))
    assert any(date in report.html(going_on) for date in DATES)
    assert "vidence ended" not in report.html(going_on) + report.markdown(going_on)
    document = json.loads(report.json(ended))
    assert document["evidence_ended_us"] == reports.START + reports.HOUR
    assert document["verdict"] == json.loads(report.json(going_on))["verdict"]
