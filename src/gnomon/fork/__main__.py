"""`python -m gnomon.fork --config FILE --listen-fd N`: one gateway process on an inherited socket.

FILE may be the configuration itself, as JSON: a supervisor with a full disk has no other way.
"""

import gc
import socket
import sys
from pathlib import Path

import msgspec
import uvloop

from gnomon.fork.gateway import Gateway
from gnomon.records.process import GatewayConfig


def main(arguments: list[str]) -> None:
    """Run the gateway until it is told to drain."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    told = given["--config"]
    text = told.encode() if told.startswith("{") else Path(told).read_bytes()
    config = msgspec.json.decode(text, type=GatewayConfig)
    listener = socket.socket(fileno=int(given["--listen-fd"]))

    async def run() -> None:
        gc.freeze()  # what was imported lives as long as the process: no collection has to look at it again
        await Gateway(config, listener).run()

    uvloop.run(run())


if __name__ == "__main__":
    main(sys.argv[1:])
