"""The admin port: `/healthz`, `/readyz`, `/status`, `/metrics`, `/labels`. Never in a request's way.

Promises  readiness asks the processes alone: a damaged log or a state database that is down takes no gateway that
          serves production out of a load balancer; what cannot be read is said, with 503 and no traceback
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from gnomon.errors import GnomonError
from gnomon.supervisor import labels
from gnomon.supervisor.listener import split

Status = Callable[[], dict[str, Any]]
"""A fresh `pipeline.status`, as a dict."""
Processes = Callable[[], list[dict[str, Any]]]
"""Name and readiness of each child."""


_COUNTERS = {
    "gnomon_requests": ("Requests by final state of the ledger.", ("state", "reason")),
    "gnomon_seen": ("Requests with a valid head.", ()),
    "gnomon_handed_over": ("Exchanges acknowledged by the runner.", ()),
    "gnomon_invalid_head": ("Requests refused because their head was not valid HTTP.", ()),
    "gnomon_calls": ("Calls of an arm, failed ones included.", ("arm",)),
    "gnomon_call_failures": ("Calls of an arm that failed; of the serving arm without outcome.", ("arm", "outcome")),
    "gnomon_coins_tossed": ("Requests whose coin was tossed.", ("stratum",)),
    "gnomon_sampled": ("Requests whose coin said yes.", ("stratum",)),
    "gnomon_twins": ("Exchanges drawn to go to production twice; of them missed, failed, from a cache.", ("result",)),
}
_GAUGES = {
    "gnomon_open_requests": ("In flight, buffered or in the inbox.", ()),
    "gnomon_watermark_lag_seconds": ("Age of the log's watermark.", ()),
    "gnomon_epoch": ("Number of the epoch in force.", ()),
    "gnomon_paused": ("1 while nothing is shadowed, by gnomon pause.", ()),
    "gnomon_comparison_lag_seconds": ("Age of the oldest exchange that is not compared yet; 0: none waits.", ()),
    "gnomon_truth_lag_seconds": ("By how much settled truth trails the watermark, at the last recorded look.", ()),
    "gnomon_inbox_exchanges": ("Handed over, and not in the log yet.", ()),
    "gnomon_inbox_oldest_age_seconds": ("Age of the oldest of them; 0: the inbox is empty.", ()),
    "gnomon_shadow_calls_in_flight": ("Calls of the shadowed arm.", ()),
    "gnomon_ledger_balanced": ("1 while the ledger adds up.", ("side",)),
    "gnomon_probe_ok": ("1: the newest probe came through to the log.", ("gateway", "kind")),
    "gnomon_shadow_tax_seconds": ("Production's latency with the shadow minus without it.", ("quantile",)),
}
"""What each says, and its labels beside the trial."""

Values = dict[str, dict[tuple[str, ...], float | None]]
"""By metric and labels. None is not known: a missing series can be alerted on, and nothing is not zero."""


class LedgerCollector(Collector):
    """One status as Prometheus metrics."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Any]:
        """One family for the states, and what an alert needs."""
        status = self._status
        trial = status["trial"]
        for kind, described, values in (
            (CounterMetricFamily, _COUNTERS, _counts(status)),
            (GaugeMetricFamily, _GAUGES, _levels(status)),
        ):
            for name, found in values.items():
                text, labels = described[name]
                family = kind(name, text, labels=["trial", *labels])
                for rest, value in found.items():
                    if value is not None:
                        family.add_metric([trial, *rest], value)
                yield family
        up = GaugeMetricFamily("gnomon_process_up", "1 while the process is ready.", labels=["process"])
        for process in status["processes"]:
            up.add_metric([process["name"]], 1.0 if process["ready"] else 0.0)
        yield up
        info = InfoMetricFamily("gnomon_serving", "Which arm answers the user.", labels=["trial"])
        info.add_metric([trial], {"arm": status["serving"], "version": status["serving_version"]})
        yield info


def _counts(status: dict[str, Any]) -> Values:
    by_arm = {arm: facts for arm, facts in status["arms"].items() if facts is not None}
    ledger, coins = status["ledger"], status["sampling"]
    return {
        "gnomon_requests": {_state(name): count for name, count in ledger["states"].items()},
        "gnomon_seen": {(): ledger["seen"]},
        "gnomon_handed_over": {(): ledger["handed_over"]},
        "gnomon_invalid_head": {(): ledger["invalid_head"]},
        "gnomon_calls": {(arm,): facts["calls"] for arm, facts in by_arm.items()},
        "gnomon_call_failures": {
            (arm, outcome): count
            for arm, facts in by_arm.items()
            for outcome, count in (facts["failed_by"] or {"": facts["failed"]}).items()
        },
        "gnomon_coins_tossed": {(name,): each["drawn"] for name, each in coins.items()},
        "gnomon_sampled": {(name,): each["sampled"] for name, each in coins.items()},
        "gnomon_twins": {(result,): count for result, count in (status["twins"] or {}).items() if result != "made"},
    }


def _levels(status: dict[str, Any]) -> Values:
    inbox, tax = status["inbox"] or {}, status["tax"]
    probes = [each for each in status["probes"] if not each["pending"]]
    return {
        "gnomon_open_requests": {(): status["ledger"]["open"]},
        "gnomon_watermark_lag_seconds": {(): status["watermark_lag_s"]},
        "gnomon_comparison_lag_seconds": {(): status["comparison_lag_s"]},
        "gnomon_truth_lag_seconds": {(): (status["progress"]["truth"] or {}).get("lag_s")},
        "gnomon_epoch": {(): status["epoch"]},
        "gnomon_paused": {(): 1 if status["paused"] else 0},
        "gnomon_inbox_exchanges": {(): inbox.get("exchanges")},
        "gnomon_inbox_oldest_age_seconds": {(): (inbox["age_s"] or 0.0) if inbox else None},
        "gnomon_shadow_calls_in_flight": {(): inbox.get("in_flight")},
        "gnomon_ledger_balanced": {
            (side,): None if each["holds"] is None else float(each["holds"])
            for side, each in status["equalities"].items()
        },
        "gnomon_probe_ok": {(each["gateway"], each["kind"]): float(each["lost_at"] is None) for each in probes},
        "gnomon_shadow_tax_seconds": {
            (quantile,): None if tax[name] is None else tax[name] / 1e6
            for quantile, name in (("0.5", "p50_us"), ("0.99", "p99_us"))
        },
    }


def _state(name: str) -> tuple[str, str]:
    state, _, reason = name.partition(":")
    return state, reason


_OK = "200 OK"
_UNAVAILABLE = "503 Service Unavailable"


def _nowhere(_: bytes, __: str) -> dict[str, Any]:
    raise GnomonError("no trial is served here that labels could belong to")


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """A probe every second is no news."""


def start(
    address: str, status: Status, processes: Processes, *, token: str | None = None, import_: labels.Import = _nowhere
) -> Callable[[], None]:
    """Serve the admin port in a thread; returns what stops it. `token` and `import_` are those of `POST /labels`.

    Raises GnomonError when the address cannot be opened.
    """

    def app(environ: dict[str, Any], respond: Any) -> Iterable[bytes]:  # noqa: ANN401  WSGI's own callable
        answer = answers.get(environ["PATH_INFO"])
        if answer is None:
            return _answer(respond, "404 Not Found", {"error": f"try {', '.join(answers)}"})
        try:
            return answer(environ, respond)
        except GnomonError as error:  # the state database, above all
            return _answer(respond, _UNAVAILABLE, {"error": str(error)})

    def readyz(_: dict[str, Any], respond: Any) -> Iterable[bytes]:  # noqa: ANN401
        every = processes()
        ready = bool(every) and all(each["ready"] for each in every)
        return _answer(respond, _OK if ready else _UNAVAILABLE, {"ready": ready, "processes": every})

    def metrics(environ: dict[str, Any], respond: Any) -> Iterable[bytes]:  # noqa: ANN401
        registry = CollectorRegistry()
        registry.register(LedgerCollector(status()))
        found: Iterable[bytes] = exposition.make_wsgi_app(registry)(environ, respond)
        return found

    answers: dict[str, Callable[[dict[str, Any], Any], Iterable[bytes]]] = {
        "/healthz": lambda _, respond: _answer(respond, _OK, {"alive": True}),
        "/readyz": readyz,
        "/status": lambda _, respond: _answer(respond, _OK, status()),
        "/metrics": metrics,
        "/labels": lambda environ, respond: _answer(respond, *labels.take(environ, token, import_)),
    }
    host, port = split(address)
    try:
        server = make_server(host, port, app, ThreadingWSGIServer, handler_class=_Quiet)
    except OSError as error:
        raise GnomonError(
            f"admin {address} cannot be opened: {error.strerror}; end what listens there, or set GNOMON_ADMIN"
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def _answer(respond: Any, status: str, body: dict[str, Any]) -> Iterable[bytes]:  # noqa: ANN401  WSGI's own callable
    text = json.dumps(body).encode()
    respond(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]
