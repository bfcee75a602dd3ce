"""Set-up of the demo: an environment of its own and the real data. Does nothing the second time. Standard library only.

The model server and the models live in `.venv-demo`, apart from Gnomon's own environment, because they are somebody
else's programs: Gnomon reaches them over HTTP alone.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
WORK: Final = HERE / "work"
"""Everything that the demo makes. Git ignores it; deleting it loses nothing."""

VENV: Final = HERE.parent / ".venv-demo"
PYTHON: Final = VENV / "bin" / "python"
ARCHIVE: Final = WORK / "source" / "vaderSentiment-3.3.2.tar.gz"

PACKAGES: Final = ("mlserver", "scikit-learn", "vaderSentiment", "aiohttp", "rich")
_PIP: Final = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")

Say = Callable[[str], None]


class SetupFailed(Exception):
    """One line: what could not be set up, and where to read more."""


def prepare(say: Say) -> None:
    """Make what is missing: the environment, then the data.

    Raises SetupFailed with one line.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    _environment(say)
    _data(say)


def _environment(say: Say) -> None:
    constraints = HERE / "constraints.txt"
    wanted = hashlib.sha256(constraints.read_bytes() + " ".join(PACKAGES).encode()).hexdigest()
    stamp = VENV / ".ready"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say("set-up: the model server and the models go into .venv-demo (about a minute, half a gigabyte)")
    shutil.rmtree(VENV, ignore_errors=True)
    _run("make .venv-demo", sys.executable, "-m", "venv", str(VENV))
    _run("install the model server", str(PYTHON), *_PIP, "install", "-c", str(constraints), *PACKAGES)
    stamp.write_text(wanted)


def _data(say: Say) -> None:
    if ARCHIVE.exists():
        return
    say("set-up: the rated sentences come inside the source distribution of vaderSentiment 3.3.2")
    coming = WORK / "source.coming"
    shutil.rmtree(coming, ignore_errors=True)
    what = ("download", "--no-deps", "--no-binary", ":all:", "vaderSentiment==3.3.2", "-d", str(coming))
    _run("download the data", str(PYTHON), *_PIP, *what)
    ARCHIVE.parent.mkdir(exist_ok=True)
    for found in coming.glob("vader*.tar.gz"):
        found.replace(ARCHIVE)  # in one step, so that a broken download is never taken for the data
    shutil.rmtree(coming)
    if not ARCHIVE.exists():
        raise SetupFailed(
            "set-up failed: download the data: pip brought no source distribution of vaderSentiment 3.3.2"
        )


def _run(what: str, *command: str) -> None:
    log = WORK / "setup.log"
    with log.open("ab") as out:
        began = out.tell()
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = log.read_bytes()[began:].decode(errors="replace").splitlines()
        lines = [line.strip() for line in said if line.strip()]
        # pip's first error is the cause; those after it are what came of it
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["it said nothing"]
        raise SetupFailed(f"set-up failed: {what}: {errors[0][:200]} (all of it: {log})")
