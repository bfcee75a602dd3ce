"""A model that is exchanged behind its address while a trial runs: noticed, said, and the verdict is invalid."""

import httpx

from tests.path.conftest import wait_for

IDENTITY = ', identity: {path: "/", header: x-model}'


def declared(text):
    return text.replace('version: "1.4"', 'version: "1.4"' + IDENTITY).replace(
        'version: "2.0"', 'version: "2.0"' + IDENTITY
    )


def test_a_candidate_that_is_exchanged_behind_its_address_makes_the_verdict_invalid(place):
    production = place.model("old")
    candidate = place.model("new")
    model = place.processes[-1]
    plan = place.plan(production, candidate, edit=declared)
    process = place.serve(plan)
    said = wait_for(lambda: len(found := place.read("status")["identities"]) == 2 and found, what="both readings")
    assert {each["arm"]: each["shown"] for each in said} == {"production": "old", "candidate": "new"}
    assert place.read("decide", code=10)["verdict"] == "continue"
    place.stop(process)

    model.terminate()
    model.wait(10)
    place.model("another", port=candidate)
    process = place.serve(plan)  # reads at its start, and every minute
    wait_for(lambda: len(place.read("status")["identities"]) == 3, what="the reading of the change")
    assert "candidate changed its identity" in (place.folder / "serve.err").read_text()
    assert httpx.post(place.url + "/predict", json={"id": "1"}).status_code == 200
    wait_for(lambda: place.gnomon("decide", code=None).returncode == 30, what="a look that knows it")
    verdict = place.read("decide", code=30)
    assert verdict["verdict"] == "invalid"
    assert all(word in verdict["sentence"] for word in ("candidate", "new", "another")), verdict["sentence"]
    assert place.read("verify")["verified"] is True
    place.stop(process)
