"""A private Prometheus server that scrapes one page every two seconds."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for


class Prometheus:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API. A refused query is an answer too: its reason."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series that it finds now."""
        found = self.ask("query", query=expression)
        assert isinstance(found, dict), f"{expression}: {found}"
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    def refused_samples(self) -> float:
        """How many samples it refused, because a series was twice on a page or was out of order."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        found = [
            line for line in lines if re.match(r"prometheus_target_scrapes_sample_(duplicate|out_of)_\w+_total ", line)
        ]
        assert len(found) == 3, found
        return sum(float(line.split()[1]) for line in found)


@contextlib.contextmanager
def private_prometheus(root: Path, page_port: int, rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Scrapes `/metrics` at that port of this machine; is used after the first scrape that succeeded. `rules`: files of
    rules, which are evaluated as often."""
    need("promtool", "prometheus")
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [
            {"job_name": "quarterdeck", "static_configs": [{"targets": [f"127.0.0.1:{page_port}"]}]},
        ],
    }
    (root / "prometheus.yml").write_text(json.dumps(config))
    port = free_tcp_port()
    command = [
        "prometheus", f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={root}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        server = Prometheus(port)
        wait_for("Prometheus to start", lambda: _ready(server), pause=0.1)
        wait_for("Prometheus to scrape", lambda: server.query("up == 1"), pause=0.1)
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _ready(server: Prometheus) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
