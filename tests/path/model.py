"""A small real model server for the tests: uvicorn, one JSON route, and the behaviour its arguments say.

python model.py PORT NAME [--wrong RATE] [--wrong-in COUNTRY=RATE] [--broken RATE] [--text] [--echo] [--tls PEM]
                [--noisy RATE]
"""

import argparse
import asyncio
import hashlib
import json

import uvicorn


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone, so that an arm errs on the same inputs each time."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def make_app(options):
    per_country = dict(item.split("=") for item in options.wrong_in)

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        if options.delay:
            await asyncio.sleep(options.delay)
        status, answer = 200, b"{}"
        if scope["method"] == "POST":
            request = json.loads(body)
            key = str(request["id"])
            rate = float(per_country.get(request.get("country"), options.wrong))
            truth = share(key) < 0.5
            label = truth if share(options.name + key) >= rate else not truth
            if dict(scope["headers"]).get(b"x-gnomon-shadow") and share("noise" + key) < options.noisy:
                label = not label
            said = {"label": "bad" if label else "good", "by": options.name}
            answer = json.dumps(said | ({"echo": request} if options.echo else {})).encode()
            if share("broken" + options.name + key) < options.broken:
                status, answer = 500, b'{"error": "out of memory"}'
            if options.text:
                answer = b"the model says: good"
        headers = [(b"content-type", b"application/json"), (b"x-model", options.name.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("name")
    parser.add_argument("--wrong", type=float, default=0.0)
    parser.add_argument("--wrong-in", action="append", default=[])
    parser.add_argument("--broken", type=float, default=0.0)
    parser.add_argument("--noisy", type=float, default=0.0, help="how often a shadow call gets the other answer")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--echo", action="store_true", help="repeat the request in the answer")
    parser.add_argument("--tls", help="a file with a certificate and its key")
    options = parser.parse_args()
    tls = {"ssl_certfile": options.tls} if options.tls else {}
    uvicorn.run(make_app(options), host="127.0.0.1", port=options.port, log_level="error", access_log=False, **tls)
