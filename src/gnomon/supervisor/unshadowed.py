"""Production first: when the state database is down at the start of a sealed plan, serve it without any shadow.

Gateways start from the configuration that the trial's last gateways had, and from the last epoch they were told. Copies
are `shed:unavailable`, so the ledger says what was not compared.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from gnomon.errors import GnomonError
from gnomon.plan import load, seal
from gnomon.records.process import GatewayConfig
from gnomon.settings import Settings
from gnomon.supervisor import children, control, listener

KEPT = "gateway.json"
"""In the trial's folder: the configuration of its gateways."""


def last_config(settings: Settings, plan_path: Path) -> GatewayConfig | None:
    """What the gateways of this very plan were last told; None: it was never served here."""
    digest = seal.seal(load.read(plan_path).document).digest
    found = sorted(settings.root.glob(f"trials/*/{KEPT}"), key=lambda path: path.stat().st_mtime, reverse=True)
    configs = (msgspec.json.decode(path.read_bytes(), type=GatewayConfig) for path in found)
    return next((config for config in configs if config.sampling_key == digest), None)


async def serve(settings: Settings, config: GatewayConfig, *, say: Callable[[str], None]) -> None:
    """Serve production until SIGINT or SIGTERM. Needs a restart when the database is back.

    Raises GnomonError when the port is taken or a gateway does not start.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    inherited, predecessors = listener.adopt(settings.run_dir, settings.listen)
    gateways: list[children.Child] = []
    with inherited or listener.bind(settings.listen, key="listen") as socket:
        try:
            for index in range(settings.gateways):
                child = _gateway(settings, config, index, socket.fileno())
                gateways.append(child)
                await children.start(child)
                if not child.ready:
                    raise GnomonError(f"gateway {index} does not start: {children.last_words(child, 3)}")
            for path in predecessors:
                await asyncio.to_thread(control.ask, path, {"drain": True})
            host, port = socket.getsockname()[:2]
            say(f"{config.trial} is served UNSHADOWED at http://{host}:{port}; mend the database, then serve again")
            watching = [asyncio.create_task(children.watch(child, say)) for child in gateways]
            await stopping.wait()
            for task in watching:
                task.cancel()
        finally:
            await asyncio.gather(*(children.stop(child, patience=30.0) for child in gateways))


def _gateway(settings: Settings, config: GatewayConfig, index: int, fd: int) -> children.Child:
    name = f"gateway-{os.getpid()}-{index}"
    mine = msgspec.structs.replace(
        config, control_socket=str(settings.run_dir / f"{name}.sock"), capture_budget=0
    )  # no copy fits into a budget of nothing: each is shed, and counted as that
    path = settings.run_dir / f"{name}.json"
    path.write_bytes(msgspec.json.encode(mine))
    path.chmod(0o600)
    command = ["-m", "gnomon.fork", "--config", str(path), "--listen-fd", str(fd)]
    return children.Child(f"gateway {index}", command, settings.root / "logs" / f"gateway-{index}.log", fds=(fd,))
