"""The stand-in from the outside, for tests of processes: every verb of `control.Controls` by its name, synchronously.

with client.start(folder) as slack:
    slack.slash("ada", "ops", "/deck", "ps")          # positional and named arguments, as in Controls
    slack.until("ada", "ops", "web")
    assert slack.violations() == []
"""

from __future__ import annotations

import contextlib
import inspect
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT
from tests.standins.slack import control, state

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(AssertionError):
    """The stand-in says why a person could not do that, or what did not come."""


class Client:
    bot_token, app_token, signing_secret = state.BOT_TOKEN, state.APP_TOKEN, state.SIGNING_SECRET

    def __init__(self, url: str, pid: int = 0) -> None:
        self.url, self.pid = url, pid
        self.api = f"{url}/api/"

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb not in control.VERBS:
            raise AttributeError(verb)
        shape = inspect.signature(getattr(control.Controls, verb))

        def do(*args: Any, **named: Any) -> Any:
            bound = shape.bind(self, *args, **named)
            values = {key: value for key, value in bound.arguments.items() if key != "self"}
            for name, parameter in shape.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    values |= values.pop(name, {})
            return self._post(verb, values)

        return do

    def _post(self, verb: str, values: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_control/{verb}", json.dumps(values).encode(), {"Content-Type": "application/json"}
        )
        try:
            with LOCAL.open(request, timeout=float(values.get("seconds", 90)) + 20) as answer:
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode()
            raise Refused(json.loads(said)["error"] if said.startswith("{") else said) from None


@contextlib.contextmanager
def start(folder: Path, *, port: int = 0, **settings: Any) -> Iterator[Client]:
    """The stand-in as a process of its own; it ends with the test, also when the test is killed."""
    port_file = folder / "slack-port"
    port_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.standins.slack.standin", "--until-eof", "--port", str(port),
         "--port-file", str(port_file), "--settings", json.dumps(settings)],
        stdin=subprocess.PIPE,
        cwd=ROOT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the stand-in did not start (status {process.returncode})")
            time.sleep(0.02)
        yield Client(f"http://127.0.0.1:{port_file.read_text()}", process.pid)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
