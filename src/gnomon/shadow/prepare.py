"""Before the call: what must not be shadowed, and what a request looks like when it goes to the candidate."""

from collections.abc import Callable
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from gnomon import plugins
from gnomon.ports import MISSING, ModelProtocol, Unreadable
from gnomon.protocols import edit
from gnomon.protocols.message import decoded
from gnomon.records.frames import Request
from gnomon.records.plan import Plan, Rewrite, Selector
from gnomon.records.process import PROBE_EPOCH
from gnomon.shadow.faults import Faults

UNTOUCHED: Final = "{}"
"""`rewritten` of a request that went out as it came."""
_encode: Final = msgspec.json.Encoder().encode


PROBE: Final = "probe"


class Outgoing(msgspec.Struct, frozen=True):
    """What goes out for a request, or why nothing does."""

    arm: Literal["production", "candidate", "probe"]
    """The one that is called in the shadow."""
    request: Request
    rewritten: str = UNTOUCHED
    """What was changed in it, as JSON text."""
    absent: str | None = None
    """A state of the ledger: it must not be called."""


def preparing(plan: Plan, *, probes: bool) -> Callable[[Request], Outgoing]:
    """A function that says what goes out for a request. `probes`: there is an arm that answers them."""
    guarded, rewritten = guards(plan), rewriting(plan.candidate.rewrite)
    rewrites = bool(plan.candidate.rewrite)

    def prepared(request: Request) -> Outgoing:
        if request.epoch == PROBE_EPOCH:
            return Outgoing(PROBE, request, absent=None if probes else "expired")
        arm: Literal["production", "candidate"] = "candidate" if request.serving == "production" else "production"
        absent = guarded(request)
        if absent or not rewrites or arm == "production":
            return Outgoing(arm, request, absent=absent)
        try:
            return Outgoing(arm, *rewritten(request))
        except CannotRewrite:
            return Outgoing(arm, request, absent="guarded:rewrite")

    return prepared


class CannotRewrite(Exception):
    """What the candidate needs changed cannot be changed in this request."""


def guards(plan: Plan) -> Callable[[Request], str | None]:
    """A function that says why a request must not be called: a state of the ledger, or None."""
    protocol = plugins.protocol(plan.protocol)
    faults = Faults()
    declared = (
        ("guarded:context", plan.guards.context),
        ("guarded:side_effects", plan.guards.side_effects),
    )

    def guarded(request: Request) -> str | None:
        for state, selectors in declared:
            for selector in selectors:
                try:
                    if _holds(protocol, selector, request):
                        return state
                except Exception as error:  # noqa: BLE001  a plugin's; what cannot be ruled out is not risked
                    faults.say(error, f"a guard failed, first of exchange {request.id.hex()}:")
                    return state
        return None

    return guarded


def _holds(protocol: ModelProtocol, selector: Selector, request: Request) -> bool:
    """Whether there is something at a selector: not missing, null, false or empty. Every repetition counts."""
    if selector.where == "header":
        return any(value for name, value in request.headers if name == selector.name)
    if selector.where == "query":
        pairs = parse_qsl(request.target.partition("?")[2])  # leaves out what is empty
        return any(name == selector.name for name, _ in pairs)
    return _is_something(protocol.read_request(selector, request))


def _is_something(value: Any) -> bool:  # noqa: ANN401  whatever JSON can hold
    if value is MISSING or value is None or value is False:
        return False
    return bool(value) if isinstance(value, (str, list, dict)) else True


def rewriting(rewrite: Rewrite) -> Callable[[Request], tuple[Request, str]]:
    """A function that gives a request as the candidate gets it, and what was changed, as JSON text.

    It raises CannotRewrite.
    """
    paths, names = dict(rewrite.paths), [name for name, _ in rewrite.headers]

    def rewritten(request: Request) -> tuple[Request, str]:
        path, mark, query = request.target.partition("?")
        changed: dict[str, Any] = {}
        target, headers, body = request.target, request.headers, request.body
        if path in paths:
            changed["path"] = paths[path]
            target = paths[path] + mark + query
        if rewrite.body:
            changed["body"] = [pointer for pointer, _ in rewrite.body]
            body = _edited(request, rewrite)
            headers = tuple([each for each in headers if each[0] != "content-encoding"])
        if names:
            changed["headers"] = names
            headers = (*[each for each in headers if each[0] not in names], *rewrite.headers)
        if not changed:
            return request, UNTOUCHED
        copy = msgspec.structs.replace(request, target=target, headers=headers, body=body)
        return copy, _encode(changed).decode()

    return rewritten


def _edited(request: Request, rewrite: Rewrite) -> bytes:
    """The body with the declared values in it, without its content coding."""
    try:
        document = edit.read(decoded(request.body, request.headers))
        for pointer, text in rewrite.body:
            document = edit.put(document, pointer, edit.read(text.encode()))
        return edit.written(document)
    except (Unreadable, edit.Unreachable) as error:
        raise CannotRewrite(str(error)) from error
