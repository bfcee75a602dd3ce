"""The openai SDK against a real OpenAI-compatible server: through the gateway it gives what it gives directly."""

import asyncio
import json
import urllib.request

import openai
import pytest

from tests.clients.language_model import CONTEXT, KEY
from tests.fork.harness import wait_for

SETTLED = {"temperature": 0, "seed": 1, "max_tokens": 6, "extra_body": {"cache_prompt": False}}
ENDLESS = {"temperature": 0, "max_tokens": CONTEXT - 100, "extra_body": {"ignore_eos": True}}
"""An answer that takes the model far longer than any test waits."""
MESSAGES = [{"role": "user", "content": "Count from one to ten, naïvely."}]
OWN = {"id", "created", "timings"}
"""What differs from answer to answer."""

FORECAST = {
    "type": "json_schema",
    "json_schema": {
        "name": "forecast",
        "schema": {"type": "object", "properties": {"rain": {"type": "boolean"}}, "required": ["rain"]},
    },
}


def sdk(server, **options):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0, **options)


@pytest.fixture(scope="module")
def direct(model):
    with sdk(model) as client:
        yield client


@pytest.fixture(scope="module")
def through(model_front):
    with sdk(model_front) as client:
        yield client


def read(answer):
    """What a user reads of an answer, whole or in chunks."""
    if isinstance(answer, openai.Stream):
        return [chunk.model_dump(exclude=OWN) for chunk in answer]
    return answer.model_dump(exclude=OWN)


CALLS = {
    "chat": lambda client: client.chat.completions.create(model="smollm2", messages=MESSAGES, **SETTLED),
    "chat, streamed": lambda client: client.chat.completions.create(
        model="smollm2", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **SETTLED
    ),
    "chat, as JSON": lambda client: client.chat.completions.create(
        model="smollm2", messages=MESSAGES, response_format=FORECAST, **SETTLED
    ),
    "completion": lambda client: client.completions.create(model="smollm2", prompt="One, two, three,", **SETTLED),
    "completion, streamed": lambda client: client.completions.create(
        model="smollm2", prompt="One, two, three,", stream=True, **SETTLED
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_sdk_gets_the_same_answer_through_the_gateway(call, direct, through, model_front):
    expected = read(call(direct))

    found = model_front.kept(lambda: read(call(through)))

    assert found == expected
    assert model_front.answers()[0].outcome == "ok"


def test_a_streamed_answer_has_a_chunk_for_each_token_and_its_usage(through):
    chunks = read(CALLS["chat, streamed"](through))

    said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]]
    assert len([piece for piece in said if piece]) == 6
    assert chunks[-1]["usage"]["completion_tokens"] == 6


def test_the_copy_of_a_streamed_answer_is_what_the_user_read_and_has_no_credentials(through, model_front):
    def ask():
        create = through.chat.completions.with_raw_response.create
        raw = create(model="smollm2", messages=MESSAGES, stream=True, **SETTLED)
        return raw, "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())

    raw, said = model_front.kept(ask)
    [answer], [request] = model_front.answers(), model_front.requests()
    events = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
    copied = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)
    assert copied == said != ""
    assert raw.headers["x-gnomon-id"] == request.id.hex()
    assert KEY.encode() not in request.body
    assert KEY not in str(request.headers)


def test_listing_the_models_passes_uncopied(direct, through, model_front):
    expected = direct.models.list().data[0].model_dump(exclude=OWN)

    with model_front.counts(passed=1):
        assert through.models.list().data[0].model_dump(exclude=OWN) == expected


ERRORS = {
    "a prompt longer than its context": (
        openai.BadRequestError,
        lambda client: client.completions.create(model="smollm2", prompt="word " * 3 * CONTEXT, max_tokens=1),
    ),
    "no messages": (
        openai.BadRequestError,
        lambda client: client.post("/chat/completions", body={"model": "smollm2"}, cast_to=object),
    ),
    "a wrong key": (
        openai.AuthenticationError,
        lambda client: client.with_options(api_key="sk-wrong").completions.create(model="smollm2", prompt="x"),
    ),
}


@pytest.mark.parametrize(("kind", "call"), ERRORS.values(), ids=ERRORS)
def test_the_sdk_raises_the_same_error_through_the_gateway(kind, call, direct, through, model_front):
    with pytest.raises(kind) as expected:
        call(direct)

    with model_front.counts(handed_over=1), pytest.raises(kind) as found:
        call(through)

    assert found.value.status_code == expected.value.status_code
    assert found.value.body == expected.value.body
    assert model_front.answers()[0].outcome == "4xx"


def test_an_answer_to_an_unknown_path_is_the_models_own(direct, through, model_front):
    with pytest.raises(openai.NotFoundError) as expected:
        direct.post("/nothing", body={}, cast_to=object)

    with model_front.counts(passed=1), pytest.raises(openai.NotFoundError) as found:
        through.post("/nothing", body={}, cast_to=object)

    assert found.value.body == expected.value.body


def slot(model):
    """What the model is doing, asked directly."""
    request = urllib.request.Request(f"{model.url}/slots", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        [found] = json.load(answer)
    return found


def test_the_first_chunk_is_there_while_the_model_still_speaks_and_closing_the_stream_stops_it(
    through, model, model_front
):
    with model_front.counts(cancelled=1):
        stream = through.chat.completions.create(model="smollm2", messages=MESSAGES, stream=True, **ENDLESS)
        chunks = [next(stream) for _ in range(3)]
        assert slot(model)["is_processing"]
        stream.close()

    assert chunks[1].choices[0].delta.content
    wait_for(lambda: not slot(model)["is_processing"])


def test_many_streams_at_once_are_each_their_own(direct, model_front):
    prompts = ["One, two,", "Red, green,", "Monday, Tuesday,", "The cat sat on", "Paris is in", "Water is"]
    asked = SETTLED | {"max_tokens": 4}
    expected = [direct.completions.create(model="smollm2", prompt=each, **asked).choices[0].text for each in prompts]

    async def ask(client, prompt):
        stream = await client.completions.create(model="smollm2", prompt=prompt, stream=True, **asked)
        return "".join([chunk.choices[0].text async for chunk in stream])

    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{model_front.url}/v1", api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*[ask(client, prompt) for prompt in prompts])

    with model_front.counts(handed_over=len(prompts)):
        found = asyncio.run(ask_all())

    assert found == expected
    assert len(set(expected)) == len(prompts)


def chunk(word):
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    shape = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(shape)}\n\n".encode()


def test_the_sdk_reads_each_chunk_before_the_next_is_sent(events, events_front):
    def ask():
        with sdk(events_front) as client:
            answer = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            stream = events.stream()
            for word in ("one", "two", "three"):
                stream.say(chunk(word))
                assert next(answer).choices[0].delta.content == word
            stream.say(b"data: [DONE]\n\n")
            stream.say(None)
            assert list(answer) == []

    events_front.kept(ask)


def test_a_client_that_waits_no_longer_for_an_answer_is_gone_for_the_model_too(events, events_front):
    with events_front.counts(cancelled=1), sdk(events_front, timeout=1.5) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="m", messages=MESSAGES)
        assert events.stream().left.wait(20)


def test_a_client_that_waits_no_longer_for_the_next_chunk_is_gone_for_the_model_too(events, events_front):
    with events_front.counts(cancelled=1), sdk(events_front, timeout=1.5) as client:
        answer = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        stream = events.stream()
        stream.say(chunk("one"))
        assert next(answer).choices[0].delta.content == "one"
        with pytest.raises(openai.APITimeoutError):
            next(answer)
        assert stream.left.wait(20)
