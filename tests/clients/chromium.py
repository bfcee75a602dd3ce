"""A headless Chromium, told what to do over its DevTools protocol."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import urllib.request

import pytest
from websockets.sync.client import connect

from tests.fork.harness import wait_for

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-features=BackForwardCache",  # a page that was left is gone, with what it was reading
    "--remote-debugging-port=0",
)


class Chromium:
    """One browser with one page."""

    def __init__(self, folder):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.fail(
                "this test needs Chromium: apt-get install -y chromium (make test does it when it runs as root)"
            )
        with (folder / "chromium.err").open("wb") as errors:
            # A session of its own: its many processes end with it, whatever happens.
            self._process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        said = folder / "profile" / "DevToolsActivePort"
        wait_for(lambda: said.exists() and said.read_text().count("\n"), 60)
        port = said.read_text().split("\n")[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
            [page] = [each for each in json.load(answer) if each["type"] == "page"]
        self._numbers = itertools.count(1)
        self._closing = contextlib.ExitStack()
        self._page = self._closing.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None))

    def _ask(self, method, **parameters):
        number = next(self._numbers)
        self._page.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._page.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def open(self, url):
        """Go to this page and wait until it is loaded."""
        went = self._ask("Page.navigate", url=url)
        assert "errorText" not in went, went
        self.run('new Promise(done => document.readyState == "complete" ? done() : addEventListener("load", done))')

    def run(self, script):
        """The value of this expression, of what it promises if it is a promise."""
        said = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, condition):
        """Wait until this is true in the page."""
        wait_for(lambda: self.run(condition))

    def close(self):
        self._closing.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
