"""Gnomon as a user has it: the command line, one data directory, answers read from `--json`."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import DemoError, Processes, free_port

VERDICTS = {0: "promote", 10: "continue", 11: "inconclusive", 20: "reject", 30: "invalid"}
"""Exit codes of `gnomon decide`."""


@dataclass(frozen=True, slots=True)
class Gnomon:
    """The program, where it keeps its data and where it listens."""

    program: Path
    data: Path
    listen: int
    admin: int

    @classmethod
    def at(cls, program: Path, data: Path) -> "Gnomon":
        """On two free ports."""
        return cls(program, data, free_port(), free_port())

    @property
    def url(self) -> str:
        """Where clients reach the gateway."""
        return f"http://127.0.0.1:{self.listen}"

    @property
    def env(self) -> Mapping[str, str]:
        """Its settings."""
        return {
            "GNOMON_DATA": str(self.data),
            "GNOMON_LISTEN": f"127.0.0.1:{self.listen}",
            "GNOMON_ADMIN": f"127.0.0.1:{self.admin}",
            "GNOMON_FLUSH": "1",  # append to the log every second: a demo does not want to wait five for each look
        }

    def serve(self, processes: Processes, plan: Path, log: Path) -> None:
        """Seal the plan and start the trial; ready when this returns."""
        processes.start("gnomon serve", [str(self.program), "serve", str(plan)], log=log, env=self.env, cwd=log.parent)
        processes.wait_until_ready("gnomon serve", f"http://127.0.0.1:{self.admin}/readyz", log=log)

    async def run(self, *words: str, codes: frozenset[int] = frozenset({0})) -> str:
        """Run one command and return what it prints.

        Raises DemoError with its own message when it ends with another code.
        """
        process = await asyncio.create_subprocess_exec(
            *("nice", "-n", "5"),  # a look is not urgent, and here it shares two cores with what it looks at
            str(self.program),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.env},
            cwd=self.data.parent,
        )
        out, said = await process.communicate()
        if process.returncode not in codes:
            lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
            shown = f"gnomon {' '.join(words)}"
            raise DemoError(f"`{shown}` ended with code {process.returncode}: {lines[-1] if lines else 'no message'}")
        return out.decode()

    async def read(self, *words: str, codes: frozenset[int] = frozenset({0})) -> dict[str, Any]:
        """Run one command with --json."""
        found: dict[str, Any] = json.loads(await self.run(*words, "--json", codes=codes))
        return found

    async def decide(self, trial: str) -> dict[str, Any]:
        """One look."""
        return await self.read("decide", trial, codes=frozenset(VERDICTS))
