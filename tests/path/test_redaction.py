"""Secrets that a plan drops, masks or digests, and those that are never captured: nobody finds them anywhere."""

import base64
import gzip
import json

import deltalake
import httpx
import pyarrow.parquet as pq
import pytest

from tests.path.conftest import wait_for

CARD, EMAIL, PIN, TOKEN = "4929-1176-0055-3391", "mallory@example.org", "pin-77130-x", "tok-5f1e9a77"
COOKIE, BEARER, INNER = "session=c00k1e-8841", "Bearer b3ar3r-99120", "inner-secret-66402"
SECRETS = (CARD, EMAIL, PIN, TOKEN, COOKIE, BEARER, INNER)
RECORD = """\
record:
  drop: [body:/card, body:/echo/card, "body:/items/*/note", "body:/echo/items/*/note"]
  mask: [body:/pin, body:/echo/pin]
  digest: [body:/email, body:/echo/email, query:token]
"""


def words(number, **more):
    secret = {"card": CARD, "email": EMAIL, "pin": PIN, "items": [{"note": INNER, "n": 1}]}
    return {"id": f"r{number}", "country": ("DE", "FR")[number % 2], "amount": number} | secret | more


def ways(secret):
    """How a secret could be written down."""
    text = secret.encode()
    escaped = "".join(f"\\u{ord(c):04x}" for c in secret).encode()
    return {text, escaped, base64.b64encode(text), text.hex().encode(), secret.replace("@", "%40").encode()}


def found_in(folder, secrets):
    """Files below the folder that hold one of them, in any way it could be written down."""
    wanted = [(secret, way) for secret in secrets for way in ways(secret)]
    found = []
    for path in folder.rglob("*"):
        if path.is_file():  # and no socket
            content = path.read_bytes()
            if path.suffix == ".parquet":  # compressed: as it reads, too
                content += str(pq.read_table(path).to_pylist()).encode()
            found += [(path, secret) for secret, way in wanted if way in content]
    return found


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_the_plan_redacts_is_found_nowhere_once_it_is_logged(place, mode):
    production, candidate = place.model("old", "--echo"), place.model("new", "--echo", "--wrong", "0.3")
    place.settings["GNOMON_PROBE_EVERY"] = (
        "60"  # probes are whole where bodies are redacted, and small where copies are
    )
    place.settings["GNOMON_BODY_CAP"] = "20000"
    plan = place.plan(production, candidate, mode=mode, edit=lambda text: text + RECORD)
    process = place.serve(plan)
    with httpx.Client(base_url=place.url, timeout=20, headers={"Cookie": COOKIE, "Authorization": BEARER}) as client:
        for number in range(24):
            headers, body = {"Content-Type": "application/json"}, json.dumps(words(number)).encode()
            if number % 4 == 1:
                body = body.replace(CARD.encode(), "".join(f"\\u{ord(c):04x}" for c in CARD).encode())
            answer = client.post("/predict", params={"token": TOKEN, "page": 1}, content=body, headers=headers)
            assert answer.json()["echo"]["card"] == CARD  # the user's answer is untouched
        # no JSON, though the plan redacts bodies: what cannot be searched is not kept
        assert client.post("/predict", content=gzip.compress(CARD.encode())).status_code == 500
    place.drained(paired=25)
    place.gnomon("decide", code=None)
    for form in ("--html", "--markdown"):
        place.gnomon("report", form, place.folder / f"data/report{form}")
    shown = place.gnomon("report", "--json").stdout + place.gnomon("status").stdout
    shown += httpx.get(f"http://127.0.0.1:{place.admin}/metrics", timeout=20).text
    shown += httpx.get(f"http://127.0.0.1:{place.admin}/status", timeout=20).text
    shown += (place.folder / "serve.err").read_text()
    assert [secret for secret in SECRETS if secret in shown] == []
    wait_for(lambda: place.read("status")["health"] == "shadowing", what="probes that came through")
    rows = deltalake.DeltaTable(place.folder / "data/trials/fraud.1/log/exchanges").to_pyarrow_table().to_pylist()
    rows = [row for row in rows if row["source"] == "http"]
    logged = [json.loads(row["request_body"]) for row in rows if row["request_body"] is not None]
    assert len(logged) == 24
    assert {each["pin"] for each in logged} == {"***"}
    assert len({each["email"] for each in logged}) == 1  # equal values stay equal
    assert all("card" not in each and each["items"] == [{"n": 1}] for each in logged)
    assert all("page=1" in row["target"] for row in rows if row["request_body"] is not None)
    wait_for(lambda: not found_in(place.folder / "data", SECRETS), what="an inbox without what is logged")
    place.stop(process)
    assert found_in(place.folder / "data", SECRETS) == []


def test_the_same_without_a_record_section_finds_them_so_the_search_can_fail(place):
    plan = place.plan(place.model("old", "--echo"), place.model("new", "--echo"))
    process = place.serve(plan)
    with httpx.Client(base_url=place.url, timeout=20, headers={"Cookie": COOKIE, "Authorization": BEARER}) as client:
        for number in range(3):
            assert client.post("/predict", params={"token": TOKEN}, json=words(number)).status_code == 200
    place.drained(paired=3)
    place.stop(process)
    path = place.folder / "data/trials/fraud.1/log/exchanges"
    (row, *_) = deltalake.DeltaTable(path).to_pyarrow_table().to_pylist()
    assert found_in(path, SECRETS[:1])
    assert CARD.encode() in row["request_body"]
    assert CARD.encode() in row["candidate_body"]
    assert TOKEN in row["target"]
    never = [value for value in (COOKIE, BEARER) if value in str(row)]
    assert never == []
    assert found_in(place.folder / "data", (COOKIE, BEARER)) == []
