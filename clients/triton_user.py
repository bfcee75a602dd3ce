"""What a user of tritonclient does. Runs in .venv-demo; reads names of steps, prints what each gave, as JSON lines."""

import asyncio
import json
import sys

import numpy as np
import tritonclient.http
import tritonclient.http.aio
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 2.8, 4.3, 1.3]], dtype=np.float32)
TEXTS = np.array(["I love it", "Grüße ☃", "This is the worst thing that I have ever seen.", ""], dtype=np.object_)
OUTPUTS = {"sentiment": ("label", "score"), "iris": ("species", "chances")}


def question(model, array, *, binary=False, **options):
    """What `infer` takes to ask a model for all its outputs."""
    tensor = InferInput("x", list(array.shape), "BYTES" if array.dtype == np.object_ else "FP32")
    tensor.set_data_from_numpy(array, binary_data=binary)
    outputs = [InferRequestedOutput(name, binary_data=binary) for name in OUTPUTS.get(model, ())]
    return {"model_name": model, "inputs": [tensor], "outputs": outputs, "request_id": "ünïcode 1"} | options


def read(result):
    """What a user reads of an answer."""
    response = result.get_response()
    arrays = {output["name"]: result.as_numpy(output["name"]) for output in response["outputs"]}
    return {
        "model": [response["model_name"], response["model_version"], response["id"]],
        "outputs": {name: [str(array.dtype), array.tolist()] for name, array in arrays.items()},
    }


def infer(model, array, **options):
    return lambda client: read(client.infer(**question(model, array, **options)))


def many(client):
    """Twenty requests over the four connections of the client's pool."""
    arrays = [FLOWERS + np.float32(number / 10) for number in range(20)]
    asked = [client.async_infer(**question("iris", array)) for array in arrays]
    return [read(each.get_result()) for each in asked]


async def awaited(address):
    """The asynchronous client is another HTTP implementation; it does not say by itself that it sends JSON."""
    plain = {"headers": {"Content-Type": "application/json"}}
    async with tritonclient.http.aio.InferenceServerClient(address) as client:
        ready = await client.is_model_ready("iris")
        asked = [client.infer(**question("iris", FLOWERS[:number], **plain)) for number in (1, 2, 3)]
        return [ready, *[read(each) for each in await asyncio.gather(*asked)]]


STEPS = {
    "live": lambda client: client.is_server_live(),
    "ready": lambda client: client.is_server_ready(),
    "model ready": lambda client: client.is_model_ready("iris"),
    "unknown model ready": lambda client: client.is_model_ready("nothing"),
    "metadata": lambda client: client.get_server_metadata(),
    "model metadata": lambda client: client.get_model_metadata("sentiment"),
    "repository": lambda client: client.get_model_repository_index(),
    "texts": infer("sentiment", TEXTS),
    "flowers": infer("iris", FLOWERS),
    "large": infer("iris", np.tile(FLOWERS, (2000, 1))),
    "with headers and a query": infer("iris", FLOWERS, headers={"X-Token": "a"}, query_params={"a": "b c"}),
    "compressed answer": infer("iris", FLOWERS, response_compression_algorithm="gzip"),
    "compressed request": infer("iris", FLOWERS, request_compression_algorithm="gzip"),
    "deflated request": infer("iris", FLOWERS, request_compression_algorithm="deflate"),
    "wrong shape": infer("iris", FLOWERS[:, :3]),
    "unknown model": infer("nothing", FLOWERS),
    "binary tensors": infer("iris", FLOWERS, binary=True),
    "many at once": many,
}


def main(address):
    with tritonclient.http.InferenceServerClient(address, concurrency=4) as client:
        for line in sys.stdin:
            try:
                step = line.strip()
                said = {"gave": asyncio.run(awaited(address)) if step == "awaited" else STEPS[step](client)}
            except InferenceServerException as error:
                said = {"raised": [error.status(), error.message()]}
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
