"""Starts the demo's programs on loopback: Quarterdeck, Prometheus and Alertmanager.

If Prometheus and Alertmanager are installed on this machine, these programs are used, otherwise containers of the
official images. Programs end when the demo ends, in whatever way. Containers are removed by the demo or by the next
one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import processes
from deploy.demo import engine as demo_engine
from deploy.demo.demo_error import DemoError
from deploy.demo.workloads import PROJECT

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "charts/quarterdeck/rules"
DASHBOARDS = ROOT / "charts/quarterdeck/dashboards"
IMAGES = {"prometheus": "docker.io/prom/prometheus:v3.5.0", "alertmanager": "docker.io/prom/alertmanager:v0.28.1"}
PROGRAMS = {"prometheus": ("prometheus",), "alertmanager": ("prometheus-alertmanager", "alertmanager")}
USUAL_PORTS = {"quarterdeck": 9108, "prometheus": 9090, "alertmanager": 9093}
# Fires within seconds; the rules for production wait for minutes.
DEMO_RULE = {
    "alert": "DemoContainerEndsBadly",
    # The cause is known some seconds after an end, and only for the last end.
    "expr": "max_over_time(quarterdeck_container_last_end_cause"
    f'{{cause=~"crashed|out_of_memory", name=~"{PROJECT}-.*"}}[1m]) == 1',
    "labels": {"severity": "warning"},
    "annotations": {"summary": "{{ $labels.name }} ended badly: {{ $labels.cause }}"},
}
OTHER_NETWORK = (
    " It runs in a container. If the engine runs without root or in a virtual machine, this machine does not reach it: "
    "install prometheus and alertmanager on this machine, and the demo uses those."
)
TCP = Path("/proc/net/tcp")
LISTENING = "0A"  # a state in that file
START_SECONDS = 60
STOP_SECONDS = 20


@dataclass(slots=True, kw_only=True)
class DemoPrograms:
    """The servers of one demo. `ports` are on loopback; `running` are the programs among them."""

    folder: Path
    ports: Mapping[str, int]
    token: str = field(default_factory=secrets.token_hex)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def lost_a_port(self) -> bool:
        """Whether another program took one of the ports before these servers. Call it after they have stopped."""
        return any(not _is_free(port) for port in self.ports.values())

    def start_quarterdeck(self, engine: demo_engine.DemoEngine) -> None:
        """Starts Quarterdeck with only the demo's engine and without a chat. Other configuration is ignored."""
        config = {
            "state": str(self.folder / "state"),
            "engines": [{"url": engine.url, "kind": engine.kind}],
            "metrics": {"listen": f"127.0.0.1:{self.ports['quarterdeck']}"},
            "alertmanager": {"receive_token": self.token, "send_to": [{"url": self.url("alertmanager")}]},
        }
        self.write("quarterdeck.yaml", config)
        env = processes.minimal_environment(QUARTERDECK_SLACK="off", PYTHONPATH=str(ROOT), NO_COLOR="1")
        self._run("quarterdeck", [sys.executable, "-m", "bot.cli", "run", "--no-console"], env)

    def start_monitoring(self, engine: demo_engine.DemoEngine, name: str, files: Mapping[str, str]) -> None:
        """Starts Prometheus or Alertmanager with these files in its folder; the first file is its configuration."""
        first = next(iter(files))
        program = next((found for word in PROGRAMS[name] if (found := shutil.which(word))), None)
        if program is None:
            arguments = self._arguments(name, f"/demo/{first}", f"/{name}")
            engine.run_server(name, IMAGES[name], arguments, {f"/demo/{path}": text for path, text in files.items()})
            return
        for path, text in files.items():
            self.write(path, text)
        arguments = self._arguments(name, str(self.folder / first), str(self.folder / name))
        self._run(name, [program, *arguments], processes.minimal_environment())

    def _arguments(self, name: str, config: str, data: str) -> Sequence[str]:
        listen = f"--web.listen-address=127.0.0.1:{self.ports[name]}"
        if name == "prometheus":
            return (
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=1d",
                listen,
            )
        return (f"--config.file={config}", f"--storage.path={data}", "--cluster.listen-address=", listen)

    def prometheus_files(self) -> Mapping[str, str]:
        """The configuration of Prometheus, and its rules: those of the chart and of the demo."""
        rules = {f"rules/{path.name}": path.read_text() for path in sorted(RULES.glob("*.y*ml"))}
        rules["rules/demo.yaml"] = json.dumps({"groups": [{"name": "demo", "interval": "5s", "rules": [DEMO_RULE]}]})
        target = {"targets": [f"127.0.0.1:{self.ports['quarterdeck']}"]}
        alertmanager = {"targets": [f"127.0.0.1:{self.ports['alertmanager']}"]}
        config = {
            "global": {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
            "rule_files": ["rules/*.y*ml"],
            "alerting": {"alertmanagers": [{"static_configs": [alertmanager]}]},
            "scrape_configs": [{"job_name": "quarterdeck", "static_configs": [target]}],
        }
        return {"prometheus.yml": json.dumps(config), **rules}

    def alertmanager_files(self) -> Mapping[str, str]:
        """The configuration of Alertmanager: it sends every alert to Quarterdeck at once."""
        hook = {
            "url": f"{self.url('quarterdeck')}/api/alertmanager",
            "send_resolved": True,
            "http_config": {"authorization": {"type": "Bearer", "credentials": self.token}},
        }
        config = {
            "route": {"receiver": "quarterdeck", "group_wait": "5s", "group_interval": "30s", "repeat_interval": "4h"},
            "receivers": [{"name": "quarterdeck", "webhook_configs": [hook]}],
        }
        return {"alertmanager.yml": json.dumps(config)}

    def write(self, name: str, content: Any) -> None:
        """Writes a file that only this user can read: text, or JSON, which is also YAML."""
        file = self.folder / name
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))

    def _run(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        with self.log(name).open("ab") as log:
            self.running[name] = processes.start_logged(command, name=name, env=env, log=log)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_until_ready(self, engine: demo_engine.DemoEngine, name: str, path: str) -> None:
        """Raises DemoError with the end of its log if it ends before, or does not answer in time."""
        ends = time.monotonic() + START_SECONDS
        while not (self._listens(name) and _answers(self.url(name) + path)):
            self.check(name)
            if time.monotonic() > ends:
                last = self._last_lines(name) or engine.logs(name)
                cure = "" if name in self.running else OTHER_NETWORK
                raise DemoError(f"{name} did not start within {START_SECONDS} s.{cure} Its last lines:\n{last}")
            time.sleep(0.1)

    def _listens(self, name: str) -> bool:
        """Whether this program listens at its port, and not another one that took the port before. True if this is
        unknown: for a container, and on a machine without Linux's /proc."""
        process = self.running.get(name)
        if process is None or not TCP.exists():
            return True
        address = f"0100007F:{self.ports[name]:04X}"
        rows = [line.split() for line in TCP.read_text().splitlines()[1:]]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == address and row[3] == LISTENING}
        with contextlib.suppress(OSError):  # it has ended
            return any(str(each.readlink()) in sockets for each in Path(f"/proc/{process.pid}/fd").iterdir())
        return False

    def check(self, *names: str) -> None:
        """Raises DemoError if one of these programs has ended; without a name, if any has."""
        for name in names or tuple(self.running):
            process = self.running.get(name)
            if process is not None and process.poll() is not None:
                raise DemoError(
                    f"{name} has ended with code {process.returncode}. Its last lines:\n{self._last_lines(name)}"
                )

    def _last_lines(self, name: str) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-5:])
        return ""

    def stop(self) -> None:
        """Ends the programs, the last one first. Kills a program that does not end in time."""
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


def needed_images() -> Sequence[str]:
    """The images of the servers that are not installed on this machine."""
    return [IMAGES[name] for name, words in PROGRAMS.items() if not any(map(shutil.which, words))]


def free_ports() -> Mapping[str, int]:
    """A free loopback port for each server: the usual port if it is free."""
    found = {}
    with contextlib.ExitStack() as held:
        for name, usual in USUAL_PORTS.items():
            door = held.enter_context(_reusing())
            try:
                door.bind(("127.0.0.1", usual))
            except OSError:
                door.bind(("127.0.0.1", 0))
            found[name] = door.getsockname()[1]
    return found


def _is_free(port: int) -> bool:
    with _reusing() as door:
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _reusing() -> socket.socket:
    """A socket with the options of the servers: recently closed connections do not block its port."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return door


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def console_command() -> str:
    """The command that opens a console of the demo, in the demo's folder."""
    program = Path(sys.executable).with_name("quarterdeck")
    return str(program) if program.exists() else f"PYTHONPATH={ROOT} {sys.executable} -m bot.cli"


def without_own_settings() -> None:
    """Removes the variables of another Quarterdeck from the environment of the demo and its programs."""
    for name in [name for name in os.environ if name.startswith(("QUARTERDECK_", "SLACK_"))]:
        del os.environ[name]
