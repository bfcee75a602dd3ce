"""The user of the demo: streams sentences to an HTTP address at a bounded rate and times every answer.

The rate is kept whatever the server does (a request is sent when its time has come, not when the last one was
answered), with a bounded number of connections: what a slow server makes wait is in the latency.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
from answers import Answers
from data import Sentence

PATH: Final = "/v2/models/sentiment/infer"
"""The same on every arm: each server calls its model `sentiment`."""

CONNECTIONS: Final = 16


def request_body(sentence: Sentence) -> dict[str, Any]:
    """One sentence in the Open Inference Protocol V2."""
    return {
        "id": sentence.id,
        "parameters": {"source": sentence.source, "document": sentence.document},
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [sentence.text]}],
    }


def client() -> aiohttp.ClientSession:
    """A session with bounded, kept-alive connections, that goes nowhere but to the address it is given."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=3),  # servers close after 5 s
        timeout=aiohttp.ClientTimeout(total=10),
        trust_env=False,  # no HTTP_PROXY on the way to 127.0.0.1
    )


async def ask(session: aiohttp.ClientSession, url: str, sentence: Sentence, answers: Answers) -> None:
    """Send one sentence and wait for the whole answer."""
    began = time.perf_counter()
    try:
        async with session.post(url + PATH, json=request_body(sentence)) as response:
            await response.read()
            if response.status == 200:
                answers.milliseconds.append((time.perf_counter() - began) * 1000)
            else:
                answers.failures.append(f"status {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        answers.failures.append(f"{type(error).__name__}: {error}"[:120])


Beside = tuple[str, Answers, int]
"""A second way to the same model, where its answers go, and for how many of the first requests."""


async def stream(
    session: aiohttp.ClientSession,
    url: str,
    sentences: Sequence[Sentence],
    *,
    per_second: float,
    answers: Answers,
    beside: Beside | None = None,
    sent: Callable[[], object] = lambda: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Send the sentences in their order, `per_second` of them, until `stop`, and wait for the last answer.

    With `beside`, each of the first requests is followed half a step later by the same one on the second way: both ways
    are measured at the same rate in the same seconds, so that whatever else the machine does hits them alike.
    """
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, sentence in enumerate(sentences):
            await _until(began + number / per_second)
            if stop is not None and stop.is_set():
                break
            group.create_task(ask(session, url, sentence, answers))
            sent()
            if beside is not None and number < beside[2]:
                await _until(began + (number + 0.5) / per_second)
                group.create_task(ask(session, beside[0], sentence, beside[1]))


async def _until(moment: float) -> None:
    if (wait := moment - time.perf_counter()) > 0:
        await asyncio.sleep(wait)
