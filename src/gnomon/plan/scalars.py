"""Scalars: the types of a plan's single values, each with its check and its part of the JSON Schema."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, cast
from urllib.parse import urlsplit

import rfc8785
from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from gnomon import plugins
from gnomon.plan import headers, selectors, units
from gnomon.plan.units import UnitError, shown
from gnomon.records.plan import Identity, Route, Selector

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REPEATABLE: Final = "repeatable"
"""The word after a route's path."""
TRIAL: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Names of segments and outputs: they become columns, which some engines compare without case."""

EVERYWHERE: Final = "overall and every segment"
WHERES: Final = ("overall", "every segment", EVERYWHERE)

_PATH: Final = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()+,;=:@/]|%[0-9A-Fa-f]{2})*")
_HOST_LABEL: Final = 63  # octets; a longer part of a name, or an empty one, no resolver takes (RFC 1035, 2.3.4)
_ENV: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*|[A-Za-z_][\w.-]*", re.ASCII)
_SHA_256: Final = re.compile(r"[0-9a-f]{64}")
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,4})? [A-Za-z]{3,12}", re.ASCII)
_LONGEST_LABEL: Final = 200
_LARGEST: Final = 2**53 - 1


def _refuse(error: UnitError) -> PydanticCustomError:
    return PydanticCustomError("gnomon", "{found}; {do}", {"found": error.found, "do": error.do})


def _parsed(parse: Callable[[Any], Any]) -> PlainValidator:
    """A validator that takes the document's value as it is and says both what was found and what to do."""

    def validate(value: Any) -> Any:  # noqa: ANN401  whatever a document holds
        try:
            return parse(value)
        except UnitError as error:
            raise _refuse(error) from None

    return PlainValidator(validate)


def _refined(check: Callable[[str], str]) -> AfterValidator:
    def validate(value: str) -> str:
        try:
            return check(value)
        except UnitError as error:
            raise _refuse(error) from None

    return AfterValidator(validate)


def _text(value: str) -> str:
    if not value.strip() or len(value) > 1000 or not value.replace("\n", " ").isprintable():
        raise UnitError(f"must be 1 to 1,000 printable characters: found {shown(value)}", "write a short text")
    return value


def _trial(value: str) -> str:
    if not TRIAL.fullmatch(value):
        raise UnitError(
            f"must be 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit: found {shown(value)}",
            "write a name such as fraud-v2",
        )
    return value


def _url(value: str) -> str:
    do = "write scheme, host and port, such as http://127.0.0.1:9001"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise UnitError(f"is not a URL ({error}): found {shown(value)}", do) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or any(c.isspace() for c in value):
        raise UnitError(f"is not an http or https URL: found {shown(value)}", do)
    if not _is_resolvable(parts.hostname):
        raise UnitError(f"has a host that no name service takes: found {shown(parts.hostname)}", do)
    if parts.username is not None or parts.password is not None:
        raise UnitError(
            "carries a user name or password", "take it out, and name an environment variable in authorization_env"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment or value.endswith(("?", "#")):
        raise UnitError(
            f"has more than scheme, host and port: found {shown(value)}", f"{do}; each request keeps its path"
        )
    return value


def _is_resolvable(host: str) -> bool:
    """Whether the name can be asked for at all: every part has 1 to 63 octets as it goes over the wire."""
    try:
        labels = host.removesuffix(".").encode("idna").split(b".")
    except UnicodeError:
        return False
    return all(0 < len(label) <= _HOST_LABEL for label in labels)


def _environment(value: str) -> str:
    if not _ENV.fullmatch(value):
        raise UnitError(
            f"is not the name of an environment variable: found {shown(value)}",
            "write the variable's name, never its value, such as CANDIDATE_AUTHORIZATION",
        )
    return value


def _route(value: object) -> Route:
    do = "write a method and a path, such as POST /predict"
    method, _, rest = value.partition(" ") if isinstance(value, str) else ("", "", "")
    path, *words = rest.split() or [""]
    if method not in METHODS:
        raise UnitError(f"is not a route: found {shown(value)}", f"{do}; methods: {', '.join(METHODS)}")
    if not _PATH.fullmatch(path):
        why = " (paths are compared exactly: no query, no pattern)" if path.startswith("/") else ""
        raise UnitError(f"is not a path: found {shown(path)}{why}", do)
    if words and words != [REPEATABLE]:
        raise UnitError(
            f"says {shown(' '.join(words))} after the path",
            f"take it out, or write {REPEATABLE}: production may get such a request twice",
        )
    return Route(method=method, path=path, repeatable=bool(words))


def _path(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise UnitError(f"is not a path: found {shown(value)} (no query, no pattern)", "write it as /v2/predict")
    return value


def _identity(value: object) -> Identity:
    """`GET /v1/models`: the answer's body says which model it is."""
    method, _, path = value.partition(" ") if isinstance(value, str) else ("", "", "")
    do = "write GET /v2/models/fraud or GET /v1/models, or {path: /healthz, header: x-model}"
    if method != "GET":
        raise UnitError(f"does not say what to ask for: found {shown(value)}", do)
    if not _PATH.fullmatch(path.strip()):
        raise UnitError(f"is not a path: found {shown(path.strip())} (no query, no pattern)", do)
    return Identity(path=path.strip())


def _not_for_production(_: object) -> None:
    raise UnitError(
        "is the candidate's alone: production gets every request as it came",
        "take it out, or write it under candidate",
    )


def _above_zero(value: object) -> int:
    duration = units.duration_us(value)
    if duration == 0:
        raise UnitError(f"must be above 0: found {shown(value)}", "write a longer time, or leave the key out")
    return duration


def _where(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str) and value in WHERES:
        return value
    if isinstance(value, list) and value and all(isinstance(cell, str) for cell in value):
        return tuple(value)
    raise UnitError(
        f"is not a place: found {shown(value)}",
        'write overall, every segment, overall and every segment, or a list such as [overall, "country=DE"]',
    )


def _only(word: str, guard: str, reasons: dict[str, str], otherwise: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value == word:
            return word
        reason = reasons.get(str(value), otherwise)
        raise UnitError(
            f"must be {word}, found {shown(value)}: {reason}",
            f"make it so ({guard} leaves out the requests that are not), then declare {word}",
        )

    return parse


_context = _only(
    "stateless",
    "guards.context",
    {
        "stateful": "production alone holds the conversation's state, so a copy would reach a model that never saw it",
        "unknown": "a copy of a request that leans on earlier ones compares nothing; find out first",
    },
    "each request must carry all that its answer depends on, or the candidate answers another question",
)
_side_effects = _only(
    "none",
    "guards.side_effects",
    {"unknown": "every shadowed request is carried out twice; find out first what a second call does"},
    "every shadowed request is carried out twice, and the second time must change nothing",
)


def _language_version(value: object) -> int:
    if value is True or value != 1:
        raise UnitError(f"must be 1, found {shown(value)}", "write gnomon: 1, the only version of the language so far")
    return 1


def _true(value: object) -> bool:
    if value is not True:
        raise UnitError(f"must be true, found {shown(value)}", "write independent: true, or leave unit out")
    return True


def _plugin(kind: plugins.Kind) -> Callable[[object], str]:
    """A built-in's name or an installed one's. What is installed is asked only for a name that is not built in."""

    def parse(value: object) -> str:
        if isinstance(value, str) and (value in plugins.BUILTINS[kind] or value in plugins.names(kind)):
            return value
        known = " or ".join(plugins.names(kind))
        raise UnitError(f"must be {known}, found {shown(value)}", f"write {known}, or install the plugin that has it")

    return parse


def _is_number(value: object) -> bool:
    """Whether it is one that every program reads the same (RFC 8785)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not _is_number(value):
        raise UnitError(f"is not a number: found {shown(value)}", "write a number, such as 100, below 2^53")
    return float(value)


def _scale(value: object) -> tuple[float, float]:
    do = "write the lowest and the highest value, such as [0, 100]"
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(end) for end in value):
        raise UnitError(f"is not a scale of two numbers: found {shown(value)}", do)
    low, high = (float(end) for end in value)
    if low >= high:
        raise UnitError(f"must rise: found [{low:g}, {high:g}]", do)
    return low, high


def _label(value: object) -> str:
    """A value as the log holds it: canonical JSON text."""
    text = isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_LABEL
    if text or isinstance(value, bool) or _is_number(value):
        return bytes(rfc8785.dumps(cast("str | float", value))).decode()
    raise UnitError(
        f"is no value that an answer could name: found {shown(value)}",
        f"write text of up to {_LONGEST_LABEL} printable characters, a number, true or false",
    )


def _function(value: object) -> str:
    if not isinstance(value, str) or not _FUNCTION.fullmatch(value):
        raise UnitError(
            f"names no function: found {shown(value)}",
            "write module:function, such as pricing.gates:margin_kept, or the name of an installed one",
        )
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _SHA_256.fullmatch(value):
        raise UnitError(f"is no SHA-256: found {shown(value)}", "write its 64 hex digits, in lower case and quotes")
    return value


def _cost_per_day(value: object) -> str:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise UnitError(
            f"is no amount of money: found {shown(value)}", "write a number and a currency, such as 40 EUR or 0 EUR"
        )
    return value


def _named(kind: plugins.Kind) -> dict[str, Any]:
    return {"anyOf": [{"enum": list(plugins.BUILTINS[kind])}, {"type": "string"}]}


Text = Annotated[str, _refined(_text)]
Url = Annotated[str, _refined(_url)]
Environment = Annotated[str, _refined(_environment)]
Count = Annotated[int, Field(ge=0, le=10**12)]
_DURATION: Final = {"type": "string", "pattern": r"^\s*[0-9.]+\s*(us|ms|s|m|h|d|w)\s*$"}
Duration = Annotated[int, _parsed(units.duration_us), WithJsonSchema(_DURATION)]
"""Microseconds."""
Limit = Annotated[int, _parsed(_above_zero), WithJsonSchema(_DURATION)]
"""Microseconds, above 0."""
_SHARE: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*[+-]?[0-9.]+\s*(%|pp)\s*$"},
        {"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 1},
    ]
}
Share = Annotated[int, _parsed(units.share_ppm), WithJsonSchema(_SHARE)]
"""Parts per million."""
Probability = Annotated[int, _parsed(units.probability), WithJsonSchema(_SHARE)]
"""Over 2**32."""
StratumRate = Annotated[int, _parsed(units.stratum_rate), WithJsonSchema(_SHARE)]
"""Over 2**32."""
From = Annotated[
    Selector,
    _parsed(selectors.selector),
    WithJsonSchema({"type": "string", "pattern": "^(body|header|query|path|input|output|parameter):"}),
]
Sampled = Annotated[
    Selector,
    _parsed(selectors.only(selectors.SAMPLED, "the coin")),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(selectors.SAMPLED)}):"}),
]
Guarded = Annotated[
    Selector,
    _parsed(selectors.only(selectors.GUARDED, "a guard")),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(selectors.GUARDED)}):"}),
]
Redacted = Annotated[
    Selector,
    _parsed(selectors.redacted),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(selectors.REDACTED)}):"}),
]
CarriedHeader = Annotated[str, _parsed(headers.carried), WithJsonSchema({"type": "string", "minLength": 1})]
HeaderValue = Annotated[str, _parsed(headers.value), WithJsonSchema({"type": "string", "minLength": 1})]
PathText = Annotated[str, _parsed(_path), WithJsonSchema({"type": "string", "pattern": "^/"})]
IdentityText = Annotated[Identity, _parsed(_identity), WithJsonSchema({"type": "string", "pattern": "^GET +/"})]
NotForProduction = Annotated[None, _parsed(_not_for_production)]
Pointer = Annotated[str, _parsed(selectors.pointer), WithJsonSchema({"type": "string", "pattern": "^(/.*)?$"})]
RouteText = Annotated[
    Route,
    _parsed(_route),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(METHODS)}) +/\\S*( +{REPEATABLE})? *$"}),
]
Margins = Annotated[
    Annotated[Share, Tag("<share>")] | Annotated[dict[str, Share], Tag("<map>")],
    Discriminator(lambda value: "<map>" if isinstance(value, dict) else "<share>"),
]
"""One margin for all, or one for each cell. Tags in angle brackets never reach a message."""
_RATIO_TEXT: Final = {"type": "string", "pattern": r"^\s*[0-9.]+ *x +production\s*$"}
_Ratio = Annotated[tuple[int, int], _parsed(units.ratio), WithJsonSchema(_RATIO_TEXT)]


def _form(value: object) -> str:
    """Which of a union's options was meant, so that the message is about that one."""
    if isinstance(value, dict):
        return "<map>"
    return "<ratio>" if isinstance(value, str) and ("production" in value or " x" in value) else "<share>"


MarginsOrRatio = Annotated[
    Annotated[Share, Tag("<share>")] | Annotated[dict[str, Share], Tag("<map>")] | Annotated[_Ratio, Tag("<ratio>")],
    Discriminator(_form),
]
"""The same, or a multiple of production's rate as numerator and denominator."""
LimitOrRatio = Annotated[
    Annotated[Limit, Tag("<share>")] | Annotated[_Ratio, Tag("<ratio>")],
    Discriminator(lambda value: "<share>" if isinstance(value, dict) else _form(value)),
]
"""Microseconds, or a multiple of production's quantile as numerator and denominator."""
_Within = Annotated[
    int,
    _parsed(units.within),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9.]+ *pp +of +production\s*$"}),
]
Withins = Annotated[
    Annotated[_Within, Tag("<share>")] | Annotated[dict[str, _Within], Tag("<map>")],
    Discriminator(lambda value: "<map>" if isinstance(value, dict) else "<share>"),
]
"""Parts per million, for all cells or by cell."""
Number = Annotated[float, _parsed(_number), WithJsonSchema({"type": "number"})]
Scale = Annotated[
    tuple[float, float],
    _parsed(_scale),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
]
"""Lowest and highest."""
Label = Annotated[str, _parsed(_label), WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Canonical JSON text of a value."""
FunctionName = Annotated[str, _parsed(_function), WithJsonSchema({"type": "string", "minLength": 1})]
Digest = Annotated[str, _parsed(_digest), WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"})]
Money = Annotated[
    str, _parsed(_cost_per_day), WithJsonSchema({"type": "string", "pattern": "^[0-9.]+ [A-Za-z]{3,12}$"})
]
Top = Annotated[int, Field(ge=1, le=200)]
Places = Annotated[
    str | tuple[str, ...],
    _parsed(_where),
    WithJsonSchema({"anyOf": [{"enum": list(WHERES)}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]

TrialName = Annotated[str, _refined(_trial), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"})]
LanguageVersion = Annotated[int, _parsed(_language_version), WithJsonSchema({"const": 1})]
Stateless = Annotated[str, _parsed(_context), WithJsonSchema({"const": "stateless"})]
NoSideEffects = Annotated[str, _parsed(_side_effects), WithJsonSchema({"const": "none"})]
Asserted = Annotated[bool, _parsed(_true), WithJsonSchema({"const": True})]
ProtocolName = Annotated[str, _parsed(_plugin("protocols")), WithJsonSchema(_named("protocols"))]
ComparatorName = Annotated[str, _parsed(_plugin("comparators")), WithJsonSchema(_named("comparators"))]
