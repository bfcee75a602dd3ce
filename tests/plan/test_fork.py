"""What is copied, guarded, rewritten and kept out of the log: what it becomes, and what of it is wrong."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import PlanError
from gnomon.fork import names
from gnomon.plan import headers, load, units
from gnomon.plan.units import ONE, UnitError
from gnomon.records.plan import ALL, Arm, Guards, Identity, Plan, Redaction, Rewrite, Selector, Strata
from tests.plan.builders import FORKED, FORKED_TEXT, LEFT_OUT, PATH, edited, problems_in, problems_of

PLAN = load.parse(FORKED_TEXT, PATH).plan


def forked(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    return edited(path, value, of=FORKED)


# what it becomes -----------------------------------------------------------------------------------------------------


def test_strata_have_their_rates_and_a_name_for_the_others() -> None:
    assert PLAN.fork.strata == Strata(
        by=Selector(where="body", name="/country"),
        rates=(("BR", ONE), ("DE", round(ONE * 0.05))),
        otherwise=round(ONE * 0.1),
    )
    assert PLAN.fork.rates == {"BR": ONE, "DE": 214_748_365, "otherwise": 429_496_730}


@pytest.mark.parametrize(("said", "otherwise"), [({}, ONE), ({"shadow_rate": "25%"}, ONE // 4)])
def test_the_others_have_the_shadow_rate_if_nothing_else_is_said(said: dict[str, Any], otherwise: int) -> None:
    fork = said | {"strata": {"by": "query:lang", "rates": {"de": "50%"}}}
    assert load.from_document(forked(("fork",), fork)).fork.rates == {"de": ONE // 2, "otherwise": otherwise}


def test_a_plan_without_strata_has_one() -> None:
    assert load.from_document(forked(("fork",), {"shadow_rate": "50%"})).fork.rates == {ALL: ONE // 2}


def test_names_of_headers_become_lower_case() -> None:
    assert str(PLAN.fork.sticky) == "header:x-user-id"
    assert PLAN.fork.headers == ("x-tenant",)
    assert PLAN.candidate.rewrite.headers == (("x-model", "fraud-2"),)


def test_each_arm_says_where_it_names_its_model() -> None:
    assert PLAN.production.identity == Identity(path="/v2/models/fraud")
    assert PLAN.candidate.identity == Identity(path="/healthz", header="x-model")


def test_a_rewrite_holds_the_text_that_the_seal_has() -> None:
    """1.0 and 1 are one digest, so they are one value for the candidate."""
    assert PLAN.candidate.rewrite == Rewrite(
        paths=(("/predict", "/v2/predict"),),
        headers=(("x-model", "fraud-2"),),
        body=(("/model", '"fraud-2"'), ("/options", '{"n":1}')),
    )
    assert PLAN.production.rewrite == Rewrite()


def test_guards_and_redaction_are_selectors() -> None:
    body = [Selector(where="body", name=name) for name in ("/previous_response_id", "/tools", "/card_number")]
    header = [Selector(where="header", name=name) for name in ("x-tools", "x-tenant")]
    assert PLAN.guards == Guards(context=(body[0],), side_effects=(body[1], header[0]))
    assert PLAN.record == Redaction(
        drop=(body[2],),
        mask=(header[1],),
        digest=(Selector(where="body", name="/items/*/email"), Selector(where="query", name="token")),
        keep_bodies_us=30 * 86_400_000_000,
    )


def test_what_is_left_out_changes_nothing() -> None:
    keys = {"guards", "record", "fork"}
    document = {key: value for key, value in FORKED.items() if key not in keys}
    for arm in ("production", "candidate"):
        document[arm] = {key: value for key, value in FORKED[arm].items() if key in {"version", "url"}}
    plan = load.from_document(document)
    assert (plan.guards, plan.record) == (Guards(), Redaction())
    assert (plan.fork.strata, plan.fork.sticky, plan.fork.headers) == (None, None, ())
    assert plan.candidate == Arm(version="2.0", url="http://127.0.0.1:9002")


# what is wrong -------------------------------------------------------------------------------------------------------

RATES = ("fork", "strata", "rates")
REWRITE = ("candidate", "rewrite")

CASES: list[tuple[tuple[str | int, ...], Any, str, str]] = [
    # strata
    (("fork", "strata", "by"), "input:text", "fork.strata.by", "reads input, where the coin does not look"),
    (("fork", "strata", "by"), "output:x", "fork.strata.by", "reads output, where the coin does not look"),
    (("fork", "strata", "by"), "country", "fork.strata.by", "is not a selector"),
    (("fork", "strata", "by"), LEFT_OUT, "fork.strata.by", "is missing"),
    (("fork", "strata", "by"), "header:cookie", "fork.strata.by", "is never captured"),
    (RATES, {}, "fork.strata.rates", "is empty"),
    ((*RATES, "BR"), "101%", "fork.strata.rates.BR", "is more than 100%: found '101%'"),
    ((*RATES, "BR"), "-1%", "fork.strata.rates.BR", "must be above 0: found '-1%'"),
    ((*RATES, "BR"), 1, "fork.strata.rates.BR", "has no unit: found the number 1"),
    ((*RATES, "BR"), float("nan"), "fork.strata.rates.BR", "has no unit: found the number nan"),
    ((*RATES, "BR"), "0%", "fork.strata.rates.BR", "a stratum with rate 0% is never seen"),
    ((*RATES, "BR"), 0, "fork.strata.rates.BR", "a stratum with rate 0% is never seen"),
    ((*RATES, "BR"), "0.00000001%", "fork.strata.rates.BR", "a stratum with rate 0% is never seen"),
    (("fork", "strata", "otherwise"), "0%", "fork.strata.otherwise", "a stratum with rate 0% is never seen"),
    (("fork", "strata", "otherwise"), "200%", "fork.strata.otherwise", "is more than 100%"),
    ((*RATES, "otherwise"), "1%", "fork.strata.rates.otherwise", "is a reserved word: found 'otherwise'"),
    ((*RATES, "all"), "1%", "fork.strata.rates.all", "is a reserved word: found 'all'"),
    ((*RATES, " "), "1%", 'fork.strata.rates[" "]', "is no name of a stratum"),
    ((*RATES, "x" * 101), "1%", f"fork.strata.rates.{'x' * 101}", "is no name of a stratum"),
    (RATES, {f"c{n}": "1%" for n in range(65)}, "fork.strata.rates", "has 65 strata, a plan has at most 64"),
    (("fork", "shadow_rate"), "20%", "fork.shadow_rate", "has no meaning beside fork.strata.otherwise"),
    (
        ("unit",),
        {"cluster": "header:x-user-id", "closes_after": "1h"},
        "fork.strata",
        "has different rates, and requests with the same header:x-user-id count as one",
    ),
    # sticky
    (("fork", "sticky"), "parameter:user", "fork.sticky", "reads parameter, where the coin does not look"),
    (("unit",), LEFT_OUT, "fork.sticky", "so that they count as one, and unit does not say so"),
    (
        ("unit",),
        {"cluster": "body:/document", "closes_after": "1h"},
        "fork.sticky",
        "so that they count as one, and unit.cluster is body:/document",
    ),
    # headers of a copy
    (("fork", "headers"), [], "fork.headers", "is empty"),
    (("fork", "headers"), "x-tenant", "fork.headers", "must be a list"),
    (("fork", "headers", 0), "Authorization", "fork.headers[0]", "names authorization, which is never captured"),
    (("fork", "headers", 0), "Cookie", "fork.headers[0]", "names cookie, which is never captured"),
    (("fork", "headers", 0), "X-Gnomon-Id", "fork.headers[0]", "which is removed from every request"),
    (("fork", "headers", 0), "host", "fork.headers[0]", "belongs to the connection"),
    (("fork", "headers", 0), "x tenant", "fork.headers[0]", "names no header"),
    (("fork", "headers"), ["x-tenant", "X-TENANT"], "fork.headers[1]", "stands twice: found 'x-tenant', first in fork"),
    # guards
    (("guards",), {}, "guards", "declares nothing"),
    (("guards", "context"), [], "guards.context", "is empty"),
    (("guards", "context"), "body:/thread", "guards.context", "must be a list"),
    (("guards", "context", 0), "path:1", "guards.context[0]", "reads path, where a guard does not look"),
    (("guards", "contxt"), ["body:/a"], "guards.contxt", "is not a key of a plan here"),
    (("guards",), {"contxt": ["body:/a"]}, "guards.contxt", "is not a key of a plan here"),
    (("guards", "side_effects", 1), "body:/previous_response_id", "guards.side_effects[1]", "stands twice"),
    # record
    (("record",), {}, "record", "declares nothing"),
    (("record", "drop", 0), "path:1", "record.drop[0]", "reads path, where redaction does not look"),
    (("record", "drop", 0), "body:card", "record.drop[0]", "is not a JSON pointer"),
    (("record", "drop", 0), "header:Authorization", "record.drop[0]", "never captured in the first place"),
    (("record", "mask", 0), "body:/card_number", "record.mask[0]", "first in record.drop[0]"),
    (("record", "keep_bodies"), "0d", "record.keep_bodies", "must be above 0"),
    (("record", "keep_bodies"), 30, "record.keep_bodies", "has no unit"),
    # rewrites
    (("production", "rewrite"), {"path": {}}, "production.rewrite", "is the candidate's alone"),
    (REWRITE, {}, "candidate.rewrite", "declares nothing"),
    ((*REWRITE, "path"), {}, "candidate.rewrite.path", "is empty"),
    ((*REWRITE, "path", "/predict"), "v2", 'candidate.rewrite.path["/predict"]', "is not a path: found 'v2'"),
    ((*REWRITE, "path", "/predict"), "/a?b=1", 'candidate.rewrite.path["/predict"]', "(no query, no pattern)"),
    ((*REWRITE, "path", "/other"), "/a", 'candidate.rewrite.path["/other"]', "is not the path of a route"),
    ((*REWRITE, "headers", "X-Model"), 2, "candidate.rewrite.headers.X-Model", "must be text, found the number 2"),
    ((*REWRITE, "headers", "X-Model"), "a\r\nb: c", "candidate.rewrite.headers.X-Model", "is not a header's value"),
    ((*REWRITE, "headers", "X-Model"), "", "candidate.rewrite.headers.X-Model", "is not a header's value"),
    ((*REWRITE, "headers", "x-model"), "b", "candidate.rewrite.headers.x-model", "stands twice"),
    ((*REWRITE, "headers", "Host"), "b", "candidate.rewrite.headers.Host", "belongs to the connection"),
    ((*REWRITE, "headers", "Authorization"), "b", "candidate.rewrite.headers.Authorization", "is a credential"),
    ((*REWRITE, "headers", "x gnomon"), "b", 'candidate.rewrite.headers["x gnomon"]', "names no header"),
    ((*REWRITE, "headers", "x_gnomon_id"), "b", "candidate.rewrite.headers.x_gnomon_id", "is removed from every"),
    ((*REWRITE, "headers", "Content-Encoding"), "gzip", "candidate.rewrite.headers.Content-Encoding", "bytes are read"),
    ((*REWRITE, "body"), {"": 1}, "candidate.rewrite.body", "would put one value in place of every request's whole"),
    ((*REWRITE, "body"), {"model": 1}, "candidate.rewrite.body.model", "is not a JSON pointer"),
    ((*REWRITE, "body", "/model/name"), 1, 'candidate.rewrite.body["/model/name"]', "stands inside of /model"),
    ((*REWRITE, "body", "/model"), None, 'candidate.rewrite.body["/model"]', "is empty"),
    ((*REWRITE, "body", "/model"), float("inf"), 'candidate.rewrite.body["/model"]', "is not JSON that every program"),
    ((*REWRITE, "body", "/model"), [2**60], 'candidate.rewrite.body["/model"]', "is not JSON that every program"),
    # identity
    (("production", "identity"), "/v1/models", "production.identity", "does not say what to ask for"),
    (("production", "identity"), "POST /v1/models", "production.identity", "does not say what to ask for"),
    (("production", "identity"), "GET v1", "production.identity", "is not a path: found 'v1'"),
    (("production", "identity"), {"path": "/healthz"}, "production.identity.header", "is missing"),
    (("candidate", "identity", "path"), "healthz", "candidate.identity.path", "is not a path"),
    (("candidate", "identity", "header"), "set-cookie", "candidate.identity.header", "is never captured"),
    # addresses
    (("candidate", "url"), "http://a..b:1", "candidate.url", "has a host that no name service takes: found 'a..b'"),
    (("candidate", "url"), f"http://{'a' * 64}.b", "candidate.url", "has a host that no name service takes"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "key", "found"), CASES, ids=[f"{c[2][:40]}: {c[3][:40]}" for c in CASES])
def test_what_is_wrong_is_named(path: tuple[str | int, ...], value: Any, key: str, found: str) -> None:
    """And nothing else is: what is broken makes up no other problem."""
    problems = problems_in(forked(path, value))
    key = key + '[""]' if path == (*REWRITE, "body") and value == {"": 1} else key
    if path == ("unit",) and found.startswith("so that") and isinstance(value, dict):
        problems = [problem for problem in problems if problem.key != "fork.strata"]  # it has both problems
    assert [p.key for p in problems] == [key], "\n".join(str(p) for p in problems)
    assert found in problems[0].found
    assert problems[0].do


def test_a_wrong_rate_says_file_line_key_and_what_to_do() -> None:
    text = FORKED_TEXT.replace("DE: 5%", "DE: 105%").replace("otherwise: 10%", "otherwise: 0%")
    over, never = (str(problem) for problem in problems_of(text))
    assert over == (
        "plan.yaml:16  fork.strata.rates.DE  is more than 100%: found '105%'; write a share such as 5%, 0.5pp or 0.05"
    )
    assert never == (
        "plan.yaml:16  fork.strata.otherwise  is a rate of 0%: found '0%', and a stratum with rate 0% is never seen; "
        "leave it out of the routes or give it a small rate, such as 1%"
    )


@pytest.mark.parametrize("name", ["5", "true", "1.0", "2024"])
def test_a_stratum_that_yaml_takes_for_no_text_wants_quotes(name: str) -> None:
    if name != "2024":
        (problem,) = problems_of(FORKED_TEXT.replace("{BR: 100%", f"{{{name}: 100%"))
        assert (problem.line, problem.found) == (16, f"is a key that is not text: found {name}")
        assert problem.do == f'write "{name}":'
    plan = load.parse(FORKED_TEXT.replace("{BR: 100%", f'{{"{name}": 100%'), PATH).plan
    assert name in plan.fork.rates


def test_not_a_number_is_one_problem_with_its_line() -> None:
    (problem,) = problems_of(FORKED_TEXT.replace("DE: 5%", "DE: .nan"))
    assert (problem.line, problem.key) == (16, "fork.strata.rates.DE")


BY_USER = {"cluster": "body:/user", "closes_after": "1h"}


@pytest.mark.parametrize(
    ("fork", "unit"),
    [
        ({"sticky": "body:/user"}, BY_USER),
        ({"sticky": "body:/user"}, {"independent": True}),
        ({"strata": {"by": "body:/c", "rates": {"a": "5%"}, "otherwise": "5%"}}, BY_USER),
        ({"strata": {"by": "body:/c", "rates": {"a": "5%"}}, "shadow_rate": "5%"}, BY_USER),
        ({"strata": {"by": "body:/c", "rates": {"a": "5%"}}}, {"independent": True}),
    ],
)
def test_a_coin_and_what_counts_as_one_can_agree(fork: dict[str, Any], unit: dict[str, Any]) -> None:
    assert isinstance(load.from_document(FORKED | {"fork": fork, "unit": unit}), Plan)


COMMON = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-gnomon-shadow",
    "x-model",
    "x-request-id",
    "x_forwarded_for",
    "x_gnomon_shadow",
]


def test_names_that_the_fork_does_not_let_through_cannot_be_rewritten() -> None:
    """The two tables are of two stages that do not know each other."""
    refused = set()
    for name in COMMON:
        try:
            headers.rewritten(name)
        except UnitError:
            refused.add(name)
    assert refused == {name for name in COMMON if names.meaning(name.encode()) != names.PLAIN}


@settings(max_examples=200, deadline=None)
@given(st.decimals("-200", "200", places=7))
def test_a_rate_is_the_nearest_of_2_to_the_32_or_refused(percent: Any) -> None:
    exact = Fraction(percent) / 100 * ONE
    document = forked((*RATES, "DE"), f"{percent:f}%")
    try:
        rate = load.from_document(document).fork.rates["DE"]
    except PlanError as error:
        (problem,) = error.problems
        assert problem.key == "fork.strata.rates.DE"
        assert exact <= Fraction(1, 2) or exact > ONE
    else:
        assert 0 < rate <= ONE
        assert abs(rate - exact) <= Fraction(1, 2)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.integers())))
def test_any_rate_is_a_probability_or_a_unit_error(value: object) -> None:
    said, rate = "", 1
    try:
        rate = units.stratum_rate(value)
    except UnitError as error:
        said = f"{error.found}; {error.do}"
    assert 0 < rate <= ONE
    assert said.strip("; ") == said


def test_the_record_goes_through_json_and_back() -> None:
    """It is handed to other processes."""
    assert msgspec.json.decode(msgspec.json.encode(PLAN), type=Plan) == PLAN
