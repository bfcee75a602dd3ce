"""Production first: when the state database is down at the start of a sealed plan, serve it without any shadow.

Gateways start from the configuration that the trial's last gateways had, and from the last epoch they were told. Copies
are `shed:unavailable`, so the ledger says what was not compared.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from gnomon.plan import load, seal, top
from gnomon.records.process import GatewayConfig
from gnomon.settings import Settings
from gnomon.supervisor import control, listener, operations
from gnomon.supervisor.gateways import Gateways

KEPT = "gateway.json"
"""In the trial's folder: the configuration of its gateways."""
NAMES = "names.json"
"""In the trial's folder: the document of a plan whose `top` segments had their names found."""


def last_config(settings: Settings, plan_path: Path) -> GatewayConfig | None:
    """What the gateways of this very plan were last told; None: it was never served here."""
    document = load.read(plan_path).document
    found = sorted(settings.root.glob(f"trials/*/{KEPT}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found:
        config = msgspec.json.decode(path.read_bytes(), type=GatewayConfig)
        names = path.with_name(NAMES)
        resolved = json.loads(names.read_bytes()) if names.exists() else {}
        if config.sampling_key == seal.seal(top.filled(document, resolved)).digest:
            return config
    return None


async def serve(settings: Settings, config: GatewayConfig, *, say: Callable[[str], None]) -> None:
    """Serve production until SIGINT or SIGTERM. Needs a restart when the database is back.

    Raises GnomonError when the port is taken or a gateway does not start.
    """

    def configured(control_socket: Path) -> GatewayConfig:
        # no copy fits into a budget of nothing: each is shed, and counted as that
        return msgspec.structs.replace(config, control_socket=str(control_socket), capture_budget=0)

    inherited, predecessors = listener.adopt(settings.run_dir, settings.listen)
    with inherited or listener.bind(settings.listen, key="listen") as socket:
        gateways = Gateways(settings, socket.fileno(), configured, say=say)

        async def replace() -> control.Message:
            return {"replaced": await gateways.replace(), "needs_start": []}

        async with operations.taken(settings, replace, say=say) as stopping:
            try:
                await gateways.start()
                for path in predecessors:
                    await asyncio.to_thread(control.ask, path, {"drain": True})
                host, port = socket.getsockname()[:2]
                say(f"{config.trial} is served UNSHADOWED at http://{host}:{port}; mend the database, then serve again")
                await stopping.wait()
            finally:
                await gateways.stop()
