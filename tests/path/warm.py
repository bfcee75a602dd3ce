"""The command line in forks of one process that has imported everything: a command costs its work, not its imports.

python warm.py SOCKET      Each connection sends one command: JSON, with its standard streams as file descriptors. The
                           answer is the exit code. It ends with its parent's end of standard input.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

HEAD = 8


class Warm:
    """The process, and a way to run commands in it as `subprocess.run` would."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "warm.sock")
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "warm\n"

    def run(self, words, *, env, cwd, stdin=None) -> subprocess.CompletedProcess:
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as errors,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            given.write((stdin or "").encode())
            given.seek(0)
            message = json.dumps({"words": words, "env": env, "cwd": str(cwd)}).encode()
            connection.connect(self._path)
            socket.send_fds(
                connection, [len(message).to_bytes(HEAD, "big")], [f.fileno() for f in (given, out, errors)]
            )
            connection.sendall(message)
            code = int(connection.makefile("r").readline())
            texts = []
            for file in (out, errors):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(words, code, *texts)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def main(path: str) -> None:
    import gnomon.cli.app
    import gnomon.decide
    import gnomon.evidence.describe
    import gnomon.log.truths
    import gnomon.pipeline
    import gnomon.report
    import gnomon.state
    import gnomon.supervisor.operations  # noqa: F401  all of it only has to be there before the fork

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    parent = os.getpid()
    threading.Thread(target=lambda: (sys.stdin.read(), os.kill(parent, signal.SIGKILL)), daemon=True).start()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            one(connection)
        connection.close()


def one(connection: socket.socket) -> None:
    """In a fork: one command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, *_ = socket.recv_fds(connection, HEAD, 3)
    wanted = int.from_bytes(head, "big")
    text = b""
    while len(text) < wanted:
        text += connection.recv(wanted - len(text))
    message = json.loads(text)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(message["env"])
    os.chdir(message["cwd"])
    sys.argv = ["gnomon", *message["words"]]
    sys.stdin = os.fdopen(0, closefd=False)
    code = command()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def command() -> int:
    """The exit code that the interpreter would give."""
    from gnomon.cli import main as gnomon

    try:
        gnomon()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  the interpreter would print it, whatever it is
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
