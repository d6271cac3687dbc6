"""A private Alertmanager on loopback, and a Prometheus that has rules and sends their alerts to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for


class Alertmanager:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it has, as amtool reads them."""
        command = ["amtool", "--alertmanager.url", self.url, "alert", "query", "--output", "json"]
        return list(json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout))

    def silence(self, *matchers: str) -> None:
        command = ["amtool", "--alertmanager.url", self.url, "silence", "add", "--comment", "test", "--duration", "1h"]
        subprocess.run([*command, *matchers], capture_output=True, check=True, timeout=60)


@contextlib.contextmanager
def private_alertmanager(root: Path, webhook: str = "", token: str = "") -> Iterator[Alertmanager]:
    """Sends every alert to `webhook` at once, with the bearer token; without one, to nobody."""
    need("alertmanager", "prometheus-alertmanager", "amtool")
    config: dict[str, Any] = {
        "route": {"receiver": "it", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
        "receivers": [{"name": "it"}],
    }
    if webhook:
        authorization = {"type": "Bearer", "credentials": token}
        hook = {"url": webhook, "send_resolved": True, "http_config": {"authorization": authorization}}
        config["receivers"][0]["webhook_configs"] = [hook]
    file = root / "alertmanager.yml"
    file.write_text(json.dumps(config))
    subprocess.run(["amtool", "check-config", str(file)], capture_output=True, check=True, timeout=60)
    port = free_tcp_port()
    command = [
        "prometheus-alertmanager", f"--config.file={file}", f"--storage.path={root}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error",
    ]  # fmt: skip
    with _running(command, f"http://127.0.0.1:{port}/-/ready"):
        yield Alertmanager(port)


@contextlib.contextmanager
def prometheus_with_rules(root: Path, page_port: int, alertmanager: str, rules: list[dict[str, Any]]) -> Iterator[None]:
    """Scrapes `/metrics` at that port, evaluates `rules` every second and sends what fires to the Alertmanager."""
    need("promtool", "prometheus")
    rule_file = root / "rules.yml"
    rule_file.write_text(json.dumps({"groups": [{"name": "test", "interval": "1s", "rules": rules}]}))
    target = {"targets": [f"127.0.0.1:{page_port}"]}
    config = {
        "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
        "rule_files": [str(rule_file)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": "quarterdeck", "static_configs": [target]}],
    }
    file = root / "prometheus.yml"
    file.write_text(json.dumps(config))
    subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, check=True, timeout=60)
    port = free_tcp_port()
    command = [
        "prometheus", f"--config.file={file}", f"--storage.tsdb.path={root}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s", "--log.level=error",
    ]  # fmt: skip
    with _running(command, f"http://127.0.0.1:{port}/-/ready"):
        yield


@contextlib.contextmanager
def _running(command: list[str], ready: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        wait_for(f"{command[0]} to start", lambda: _answers(ready), pause=0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
