"""Messages with sensible defaults."""

import json

from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Selector


def a_request(body=b"{}", *, headers=(), target="/predict", **changes) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "id": bytes(16), "time_us": 1_000_000, "method": "POST", "target": target, "headers": tuple(headers),
        "body": content, "route": "POST /predict", "stratum": "all", "probability": 1 << 32, "epoch": 1,
        "serving": "production",
    } | changes  # fmt: skip
    return Request(**fields)


def an_answer(body=b"{}", *, headers=(), outcome="ok", status=200, latency_us=1_000, started_us=1_000_000) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(outcome, status, tuple(headers), content, latency_us, started_us)


def at(text: str) -> Selector:
    where, _, name = text.partition(":")
    return Selector(where=where, name=name)
