"""What the benches read from /proc, and how they say on what machine."""

import os
import platform
import resource
import signal
import sys
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and its descendants: nginx works in a child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all threads of a process and its descendants."""
    ticks = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def core_seconds(core: int) -> float:
    """What all processes of the machine, and its host, took of a core so far."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _wait, irq, soft, steal, *_ = map(int, line.split()[1:])
    return (user + nice + system + irq + soft + steal) / TICKS


def memory_mib(pid: int, name: str = "VmRSS") -> float:
    """Resident memory (or its peak: VmHWM) of a process and its descendants."""
    kib = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        kib += next(int(line.split()[1]) for line in lines if line.startswith(name))
    return kib / 1024


def reset_peak(pid: int) -> None:
    """Let VmHWM start again from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def allow_open_files(count: int) -> None:
    """Raise the limit of this process and of all that it starts, as far as the machine lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def end_in_order() -> None:
    """SIGTERM unwinds like an exception, so that no process is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def machine() -> dict[str, str | int | None]:
    """Where the figures come from."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].split(":", 1)[1].strip() if models else platform.processor(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version,  # with its build: the same release differs between builds by a sixth
    }
