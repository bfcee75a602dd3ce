"""Check: the plan in sentences, and models that answer or do not."""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from gnomon.plan import check, load
from gnomon.records.plan import Plan
from tests.plan.builders import DOCUMENT, FORKED, FORKED_TEXT, LEFT_OUT, PATH, TEXT, edited
from tests.plan.every_kind import KINDS

PLAN = load.parse(TEXT, PATH).plan
FORKED_PLAN = load.parse(FORKED_TEXT, PATH).plan


class Model(http.server.BaseHTTPRequestHandler):
    status: int
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def model(status: int, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    seen: list[tuple[str, str | None]] = []
    handler = type("Handler", (Model,), {"status": status, "seen": seen})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mute(answer: bytes | None) -> Iterator[str]:
    """A socket that accepts, says `answer` and closes; None: keeps silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                if answer is None:
                    stop.wait(10)
                else:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def plan_with(production: str, candidate: str, *, protocol: str = "json", env: str | None = None) -> Plan:
    return msgspec.structs.replace(
        PLAN,
        protocol=protocol,
        production=msgspec.structs.replace(PLAN.production, url=production),
        candidate=msgspec.structs.replace(PLAN.candidate, url=candidate, authorization_env=env),
    )


def refused() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_named_authority_is_trusted(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with model(200) as (production, _), model(200, context) as (candidate, _):
        plan = plan_with(production, candidate)
        assert not check.call_endpoints(plan)[1].ok
        assert check.call_endpoints(plan, ca_file=tmp_path / "authority.pem")[1].ok


def test_any_http_answer_is_reachable() -> None:
    with model(404) as (production, _), model(500) as (candidate, _):
        reports = check.call_endpoints(plan_with(production, candidate))
    assert [(r.arm, r.ok, r.message) for r in reports] == [
        ("production", True, f"production {production} answers (GET / gave 404)"),
        ("candidate", True, f"candidate {candidate} answers (GET / gave 500)"),
    ]


def test_a_model_that_is_not_there_is_one_clear_line() -> None:
    nobody = refused()
    with model(200) as (production, _):
        reports = check.call_endpoints(plan_with(production, nobody))
    assert reports[0].ok
    assert reports[1].message == (
        f"candidate {nobody} does not answer: connection refused; start it or correct candidate.url"
    )
    assert not reports[1].ok


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "accepts the connection, and does not answer with HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "accepts the connection, and does not answer with HTTP"),
        (None, "does not answer within 0.2 s"),
    ],
)
def test_a_socket_that_is_no_model_says_why(answer: bytes | None, reason: str) -> None:
    with model(200) as (production, _), mute(answer) as candidate:
        report = check.call_endpoints(plan_with(production, candidate), patience_s=0.2)[1]
    assert report.message == f"candidate {candidate} {reason}; start it or correct candidate.url"


def test_a_name_that_does_not_resolve_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's own name service says of such a name, without asking one over the network."""
    ask = socket.getaddrinfo

    def answer(host: str, *more: object, **named: object) -> object:
        if host == "fraud.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *more, **named)  # type: ignore[arg-type]  whatever it was asked with

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with model(200) as (production, _):
        reports = check.call_endpoints(plan_with(production, "http://fraud.invalid:9002"))
    assert [report.ok for report in reports] == [True, False]
    assert reports[1].message == (
        "candidate http://fraud.invalid:9002 has no address: the name fraud.invalid does not resolve (Name or service "
        "not known); correct candidate.url, or make the name known to this machine"
    )


def test_a_server_without_tls_behind_https_says_so() -> None:
    with model(200) as (production, _):
        report = check.call_endpoints(plan_with(production, production.replace("http:", "https:")), patience_s=2)[1]
    assert "does not speak TLS as it should" in report.message
    assert ssl.OPENSSL_VERSION  # the reason's wording is OpenSSL's own, and not ours to fix


def test_an_open_inference_server_must_be_ready() -> None:
    with model(200) as (production, seen), model(400) as (candidate, _):
        reports = check.call_endpoints(plan_with(production, candidate, protocol="open_inference"))
    assert seen[0][0] == "/v2/health/ready"
    why = "GET /v2/health/ready gave 400; wait for its models or correct candidate.url"
    assert [(r.ok, r.message) for r in reports] == [
        (True, f"production {production} is ready"),
        (False, f"candidate {candidate} is not ready: {why}"),
    ]


def test_the_candidates_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with model(200) as (production, _), model(200) as (candidate, seen):
        plan = plan_with(production, candidate, env="GNOMON_TEST_AUTHORIZATION")
        monkeypatch.delenv("GNOMON_TEST_AUTHORIZATION", raising=False)
        missing = check.call_endpoints(plan)[1]
        monkeypatch.setenv("GNOMON_TEST_AUTHORIZATION", "Bearer abc")
        given = check.call_endpoints(plan)[1]
    assert missing.message.endswith("needs GNOMON_TEST_AUTHORIZATION, which is not set; export it before the start")
    assert not missing.ok
    assert given.ok
    assert seen == [("/", "Bearer abc")]


def test_the_plan_is_explained_in_sentences() -> None:
    sentences = check.explain(PLAN)
    assert "it is called for 20% of POST /predict, as the request comes." in sentences[2]
    assert "All of 6 gates must pass, in 37 tests:" in sentences
    assert "Sampling ends after 42d; what is not settled then is inconclusive." in sentences
    assert not any("correctness is not measured" in sentence for sentence in sentences)


def test_a_repeatable_route_is_said_and_no_other() -> None:
    assert not any("once more" in sentence for sentence in check.explain(PLAN))
    sentences = check.explain(load.from_document(edited(("routes",), ["POST /predict repeatable", "POST /score"])))
    assert (
        "POST /predict may be sent to production once more when a kept-alive connection closed before any byte of the "
        "answer." in sentences
    )
    assert any("of POST /predict, POST /score, as the request comes" in sentence for sentence in sentences)


def test_a_plan_without_truth_says_that_correctness_is_not_measured() -> None:
    document = {key: value for key, value in DOCUMENT.items() if key not in {"truth", "unit", "duration"}}
    document["gates"] = DOCUMENT["gates"][2:]
    sentences = check.explain(load.from_document(document))
    assert any("correctness is not measured" in sentence for sentence in sentences)
    assert any("If requests belong together" in sentence for sentence in sentences)
    assert "There is no deadline: the trial goes on until it is decided." in sentences


def test_who_is_copied_and_what_of_it_is_kept_is_said_in_sentences() -> None:
    sentences = check.explain(FORKED_PLAN)
    start = next(index for index, sentence in enumerate(sentences) if sentence.startswith("Which model production is"))
    assert sentences[2] == (
        "The candidate is version 2.0 at http://127.0.0.1:9002; it is called for a share by stratum of POST /predict, "
        "GET /models, as the request comes."
    )
    every = "at the start and every minute; a change makes the trial invalid."
    assert sentences[start : start + 21] == [
        f"Which model production is, is read from GET /v2/models/fraud {every}",
        f"Which model candidate is, is read from the header x-model of GET /healthz {every}",
        "The candidate gets the path /v2/predict in place of /predict.",
        "The candidate gets the header x-model: fraud-2, whatever the client sent.",
        "After a promotion these paths and headers are what the candidate gets of the users' own requests too.",
        'The candidate gets "fraud-2" at /model of the body, whatever the client sent.',
        'The candidate gets {"n":1} at /options of the body, whatever the client sent.',
        (
            "gnomon promote will refuse this plan: bodies are rewritten in copies alone, and after a promotion the "
            "users' own requests go to the candidate as they come; let it take them so before it is to serve."
        ),
        "The share that is copied depends on body:/country: BR 100%, DE 5%; any other value and none: 10%.",
        "Requests with the same header:x-user-id share one coin.",
        "body:/country: a body that is over 64 KiB, compressed or not JSON has no value there.",
        "A copy carries x-tenant too, to the candidate and into the log.",
        (
            "A request that has something at body:/previous_response_id is not copied: what it leans on is held by "
            "production alone (guarded:context)."
        ),
        (
            "A request that has something at body:/tools is not copied: it would be carried out twice "
            "(guarded:side_effects)."
        ),
        (
            "A request that has something at header:x-tools is not copied: it would be carried out twice "
            "(guarded:side_effects)."
        ),
        "body:/card_number is left out of the log.",
        "header:x-tenant is *** in the log.",
        "body:/items/*/email is a keyed digest in the log: equal values stay equal.",
        "query:token is a keyed digest in the log: equal values stay equal.",
        "Bodies are removed from the log after 30d.",
        "Segment country (body:/country): BR, DE; anything else: other; without a value: missing.",
    ]


def test_only_a_body_rewrite_keeps_a_plan_from_promotion() -> None:
    plan = load.from_document(edited(("candidate", "rewrite", "body"), LEFT_OUT, of=FORKED))
    assert not any("promote will refuse" in sentence for sentence in check.explain(plan))


@pytest.mark.parametrize(
    ("parts", "suggestion"),
    [
        ({}, "write {arm}.identity: GET and a path whose answer names the model"),
        ({"routes": ["POST /v1/chat/completions"]}, "write {arm}.identity: GET /v1/models."),
        ({"routes": ["POST /openai/v1/responses"]}, "write {arm}.identity: GET /openai/v1/models."),
        ({"protocol": "open_inference"}, "write {arm}.identity: GET /v2/models/NAME."),
        (
            {"protocol": "open_inference", "routes": ["POST /v2/models/fraud/infer"]},
            "write {arm}.identity: GET /v2/models/fraud.",
        ),
    ],
)
@pytest.mark.parametrize("arm", ["production", "candidate"])
def test_an_arm_without_an_identity_says_what_is_not_noticed(
    arm: str, parts: dict[str, object], suggestion: str
) -> None:
    sentences = check.explain(load.from_document(DOCUMENT | parts))
    (said,) = [each for each in sentences if each.startswith(f"A model that is exchanged behind {arm}'s address")]
    assert "will not be noticed; " + suggestion.format(arm=arm) in said


def test_the_candidates_identity_is_looked_for_where_its_path_is_rewritten_to() -> None:
    document = DOCUMENT | {"protocol": "open_inference", "routes": ["POST /v2/models/a/infer"]}
    rewrite = {"path": {"/v2/models/a/infer": "/v2/models/b/versions/2/infer"}}
    document["candidate"] = DOCUMENT["candidate"] | {"rewrite": rewrite}
    sentences = check.explain(load.from_document(document))
    assert any("write production.identity: GET /v2/models/a." in sentence for sentence in sentences)
    assert any("write candidate.identity: GET /v2/models/b/versions/2." in sentence for sentence in sentences)


def test_what_is_redacted_and_decided_by_is_said() -> None:
    hidden = {"drop": ["body:/country"], "digest": ["header:x-user-id"]}
    sentences = check.explain(load.from_document(edited(("record",), hidden, of=FORKED)))
    assert [each for each in sentences if "as it came" in each] == [
        (
            "fork.strata reads body:/country, and the log does not hold body:/country as it came: gnomon explain "
            "cannot toss that coin again; the stratum's name stays in the log."
        ),
        (
            "fork.sticky reads header:x-user-id, and the log does not hold header:x-user-id as it came: gnomon explain "
            "cannot toss that coin again."
        ),
        (
            "Segment country reads body:/country, and the log does not hold body:/country as it came: its column still "
            "names the declared value or bin of each request."
        ),
    ]


def test_with_one_rate_a_shared_coin_means_all_or_none() -> None:
    plan = load.from_document(edited(("fork",), {"sticky": "query:user"}, of=FORKED))
    assert "Requests with the same query:user share one coin: all of them are copied, or none." in check.explain(plan)


def test_sticky_sampling_with_clusters_that_close_says_that_who_returns_is_not_counted() -> None:
    clusters = {"cluster": "query:user", "closes_after": "1h"}
    document = edited(("fork",), {"sticky": "query:user"}, of=FORKED) | {"unit": clusters}
    said = [note for note in notes(document) if "first pause of over 1h" in note]
    assert len(said) == 1
    assert "more than 1% of a cell (integrity.lost), nothing is promoted" in said[0]
    assert not [note for note in notes(document | {"fork": {}}) if "first pause" in note]


def notes(document: dict[str, Any]) -> list[str]:
    return [each.removeprefix("Note: ") for each in check.explain(load.from_document(document)) if "Note: " in each]


def test_every_kind_of_gate_is_explained_in_a_sentence_of_its_own() -> None:
    sentences = check.explain(load.from_document(KINDS))
    start = sentences.index("All of 16 gates must pass, in 36 tests:")
    said = [each.partition(": ")[2].partition(" At least")[0] for each in sentences[start + 1 : start + 17]]
    every = "overall and on every country."
    assert said == [
        f"The candidate is right about label at most 1pp less often than production, {every}",
        (
            "The candidate gives production's label at most 2pp less often than production itself does when it is "
            f"asked a second time, {every}"
        ),
        "Both models give the same name in at least 90% of the requests, overall.",
        f"The candidate's share of label fraud is at most 0.5pp to 2pp (by cell) above production's, {every}",
        f"The candidate's share of label fraud is at most 0.5pp to 2pp (by cell) below production's, {every}",
        "The candidate fails at most 1.5 times as often as production, overall.",
        ("99% of the candidate's answers are complete within 1.2 times what 99% of production's need, overall."),
        "Where the truth is label fraud, the candidate finds it at most 5pp less often than production, overall.",
        "Where it answers label fraud, the candidate is right at most 5pp less often than production, overall.",
        f"The mean cost of the candidate's label is at most 1% of the largest cost above production's, {every}",
        "The mean error of the candidate's score is at most 1% of the scale from 0 to 1 above production's, overall.",
        (
            "Averaged over label, name and score of each document, the candidate is right at most 1pp less often than "
            "production, overall."
        ),
        (
            "The candidate refuses (it answers label refused, or not at all) at most 1pp more often than production, "
            "overall."
        ),
        "The candidate refuses (it answers label refused, or not at all) in at most 2% of the requests, overall.",
        "The mean of the candidate's tokens is at most 800, overall.",
        (
            "By the function tests.plan.custom_gates:shorter, the candidate is at most 5pp worse than production in "
            "the mean, overall."
        ),
    ]


BETTER = {"better_than": "production", "where": "overall"}


@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        ({"recall": {"of": "fraud", "output": "label"}}, "the truth is label fraud, the candidate finds it more often"),
        ({"precision": {"of": "fraud", "output": "label"}}, "answers label fraud, the candidate is right more often"),
        ({"loss": {"output": "label", "costs": {"a": {"b": 1}}}}, "The mean cost of the candidate's label is below"),
        ({"numeric": {"of": "score", "scale": [0, 1]}}, "The mean error of the candidate's score is below"),
        ({"field": {"of": ["label", "name"]}}, "over label and name of each document, the candidate is right more"),
        ({"refusal_rate": {"of": "no", "output": "label"}}, "(it answers label no, or not at all) less often"),
        ({"cost": {"of": "tokens", "scale": [0, 9]}}, "The mean of the candidate's tokens is below production's"),
        ({"error_rate": {}}, "The candidate fails less often than production"),
    ],
)  # fmt: skip
def test_better_is_said_as_better(gate: dict[str, Any], sentence: str) -> None:
    ((kind, said),) = gate.items()
    plan = load.from_document(KINDS | {"gates": [{kind: said | BETTER}], "targets": []})
    assert sentence in plan.gates[0].sentence


@pytest.mark.parametrize(
    "sentence",
    [
        (
            "A second call is honest and harmless, as the plan asserts (context stateless, side effects none); it adds "
            "40 EUR a day, as the plan has it."
        ),
        ("The candidate's capacity is declared as 20% of production's: what is shown of its latency holds for that."),
        (
            "5% of the copies go to production a second time (its twin), inside the budget: how often it disagrees "
            "with itself is the noise floor of every agreement."
        ),
        "These are the most frequent values of country (top 2), named before the seal.",
        "Where two truths contradict each other, the last to come counts.",
        (
            "Truth exists only where production answered label legit or fraud: the gates that look at truth speak of "
            "those requests alone, and the verdict says so."
        ),
        ("3 targets blocking nothing, in 3 tests that are made when every gate has passed, with Holm's correction:"),
        "  cost:tokens:better_than: The mean of the candidate's tokens is below production's, overall.",
        "Nothing is promoted before known answers went through the real path into the log.",
        "No latency ratio holds if more than 1% of the candidate's calls start over 500ms after production's.",
    ],
)
def test_every_other_part_is_explained_too(sentence: str) -> None:
    assert sentence in check.explain(load.from_document(KINDS))


def test_what_is_not_declared_is_not_explained() -> None:
    said = "\n".join(check.explain(PLAN))
    for word in (
        "twin (",
        "target",
        "capacity",
        "batch",
        "fixed size",
        "most frequent",
        "latency ratio",
        "Truth exists",
    ):
        assert word not in said.partition("Note: ")[0]
    assert "What the second calls cost a day is not said: write suitability.cost_per_day, such as 40 EUR." in said


def test_hybrid_is_explained_with_its_sizes_and_its_part_of_alpha() -> None:
    gate = {"accuracy": {"of": "label", "no_worse_than": "production", "margin": "1pp"}}
    hybrid = {"gates": [gate], "targets": [], "hybrid": {"overall": 40_000, "every_segment": 2_000}}
    hybrid["truth"] = KINDS["truth"] | {"policy": "first"}
    assert (
        "At the deadline one test of fixed size is made, with 40,000 units overall and 2,000 units in each cell of a "
        "segment; it and the evidence that may be looked at all along have 2.5% each."
    ) in check.explain(load.from_document(KINDS | hybrid))


def test_values_that_are_to_be_learned_are_announced() -> None:
    sentences = check.explain(load.from_document(edited(("segments", "country", "values"), LEFT_OUT, of=KINDS)))
    start = sentences.index(
        "Segment country (body:/country): the 2 most frequent values; anything else: other; without a value: missing."
    )
    assert sentences[start + 1] == (
        "Which values of country are most frequent is learned from the first 1,000 requests, which are not shadowed; "
        "then they are sealed with the plan."
    )


def test_a_batch_is_explained_as_one_unit() -> None:
    batch = {
        "unit": {"instances": "body:/instances"},
        "output": {"label": "body:/predictions/*/label"},
        "truth": {"key": "body:/instances/*/id", "expected_within": "1d"},
        "gates": [{"accuracy": {"better_than": "production"}}],
        "targets": [],
    }
    assert (
        "Each request is a batch of instances (body:/instances): they are compared one by one and averaged into one "
        "unit."
    ) in check.explain(load.from_document(KINDS | batch))


def test_only_disagreements_with_truth_are_explained() -> None:
    truth = DOCUMENT["truth"] | {"covers": "disagreements", "policy": "error"}
    sentences = check.explain(load.from_document(DOCUMENT | {"truth": truth}))
    assert "Where two truths contradict each other, the import is refused." in sentences
    assert "Only what the two arms disagree about gets a truth: where they agree, neither is ahead." in sentences


# what to beware of ---------------------------------------------------------------------------------------------------


def test_truth_that_may_exist_only_for_what_was_let_through_is_noted() -> None:
    """Of a payment that was blocked nobody learns what it would have been."""
    (said,) = [each for each in notes(DOCUMENT) if "let through" in each]
    assert said == (
        "Truth may exist only for what production let through (the trial is about fraud): then the rest is taken as "
        "the worst case and nothing is promoted. If so, declare truth.available_when: {label: [legit]} with all such "
        "answers: the truth gates then speak of those requests alone, and the verdict says so."
    )


@pytest.mark.parametrize("value", ["allow", "approved", "Pass", "legit", "not spam"])
def test_a_named_value_that_lets_something_through_is_noted(value: str) -> None:
    gate = {"recall": {"of": value, "output": "label", "better_than": "production"}}
    plain = KINDS | {"trial": "triage", "truth": {"expected_within": "1d"}, "gates": [gate], "targets": []}
    (said,) = [each for each in notes(plain) if "let through" in each]
    assert f"({value} is an answer of label)" in said
    assert f"truth.available_when: {{label: [{value}]}}" in said


def test_truth_that_is_restricted_or_not_needed_is_no_reason_for_a_note() -> None:
    restricted = DOCUMENT["truth"] | {"available_when": {"label": ["legit"]}}
    assert not any("let through" in each for each in notes(DOCUMENT | {"truth": restricted}))
    assert not any("let through" in each for each in notes(DOCUMENT | {"gates": DOCUMENT["gates"][2:]}))
    other = DOCUMENT | {"trial": "sentiment", "question": "Is 2.0 as good on every source?"}
    assert not any("let through" in each for each in notes(other))


def test_agreement_without_a_twin_is_noted() -> None:
    assert any("read without its noise floor" in each for each in notes(DOCUMENT))
    assert not any("noise floor" in each for each in notes(DOCUMENT | {"fork": {"twin": "5%"}}))


def test_probes_and_attempts_are_noted() -> None:
    assert any("write integrity.probes: required" in each for each in notes(DOCUMENT))
    assert not any("integrity.probes" in each for each in notes(DOCUMENT | {"integrity": {"probes": "required"}}))
    assert notes(DOCUMENT)[-1] == (
        "Each candidate that is tried against this production on these routes is an attempt, and each has a chance of "
        "5% to be promoted wrongly: the verdict says which attempt it is."
    )


def test_a_candidate_with_more_room_than_load_is_noted() -> None:
    assert not any("lighter load" in each for each in notes(KINDS))
    (said,) = [each for each in notes(edited(("candidate", "capacity"), "50%", of=KINDS)) if "lighter load" in each]
    assert said.startswith("The candidate has 50% of production's capacity and gets 20% of its requests:")
