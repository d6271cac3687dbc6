"""Measures alerts in real time: `python -m benchmarks.soak --minutes 60`, or `make soak`. It is no part of CI.

A private Docker daemon sends about 20 events a second, from health checks. The whole bot watches it with 50 rules and
posts to the stand-in for Slack. First, 10,000 alerts arrive from an Alertmanager at once and stay open. Then a
container crashes every few seconds. The run ends after the given time, with a table of the figures and their goals. It
fails if a crash was posted twice or not at all, or if a message broke one of Slack's rules.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Goal
from collectors.rule_catalogue import load_rules
from tests.daemons.docker import Dockerd, private_dockerd
from tests.helpers.bot_process import Deck, get
from tests.helpers.waiting import wait_for
from tests.standins.slack import client, state

RULES, PROBED, OPEN = 50, 7, 10_000  # a health check each second is three events: it is created, started and ended
CHANNELS, PAUSE_SECONDS = 20, 5.0
IN_REQUEST = 1_000
TOKEN = "a-token-of-the-soak"
SLOW_SECONDS = 120.0
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Alerts in real time.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long containers crash (default: 60)")
    given = parser.parse_args(words)
    os.chdir(Path(__file__).parents[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # otherwise the engine and its directory would stay
    with contextlib.ExitStack() as stack:
        try:
            dockerd = stack.enter_context(private_dockerd())
        except pytest.skip.Exception as missing:
            print(f"Nothing was measured: {missing}", file=sys.stderr)
            return 1
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qd-soak-")))
        slack = stack.enter_context(client.start(room))
        deck = Deck(room, dockerd.url, slack)
        stack.callback(deck.stop)
        goals, faults = Soak(deck, slack, dockerd).run(given.minutes * 60)
        with contextlib.suppress(AssertionError):
            deck.close()
        faults += [str(each) for each in slack.violations()]
    print("\n".join(f"  {goal}" for goal in goals))
    print("\n".join(faults) or "Every crash was posted once, and no message broke a rule of Slack's.")
    return 1 if faults else 0


class Soak:
    """One run. `deck`: the bot; `slack`: the stand-in; `dockerd`: the daemon."""

    def __init__(self, deck: Deck, slack: client.Client, dockerd: Dockerd) -> None:
        self._deck = deck
        self._slack = slack
        self._dockerd = dockerd
        self._pid = 0

    def run(self, seconds: float) -> tuple[list[Goal], list[str]]:
        """Returns the figures with their goals, and what must not happen and did."""
        self._configure()
        for number in range(PROBED):
            probe = {"test": ["CMD", "true"], "interval": 1_000_000_000, "timeout": 5_000_000_000, "retries": 1}
            self._dockerd.run(f"probed-{number}", healthcheck=probe)
        self._pid = self._deck.up().pid
        time.sleep(30)  # until what a start needs is in memory
        goals = self._open_many()
        began, used, resident = time.monotonic(), self._cpu_seconds(), self._resident()
        events = self._events()
        latencies, faults = self._crash_until(began + seconds)
        lasted = time.monotonic() - began
        print(
            f"{len(latencies)} crashes and {(self._events() - events) / lasted:.1f} events a second in {lasted:.0f} s"
        )
        print(f"the whole bot took {100 * (self._cpu_seconds() - used) / lasted:.2f} % of a core")
        print(f"and grew by {(self._resident() - resident) / 2**20:.1f} MiB meanwhile")
        if len(latencies) > 1:
            slow = statistics.quantiles(latencies, n=100, method="inclusive")[98]
            goals.append(Goal(what="ms from die to the message, p50", found=statistics.median(latencies), most=300))
            goals.append(Goal(what="ms from die to the message, p99", found=slow, most=1000))
        return goals, faults

    def _configure(self) -> None:
        routes = "".join(f"  - {{match: {{label.soak: '{each}'}}, to: C0L{each:04}}}\n" for each in range(CHANNELS))
        for each in range(CHANNELS):
            self._slack.add_channel(f"C0L{each:04}", f"soak-{each}", [state.BOT_USER, "U0ADA"])
        where = "where: {name: '=~web-.*', health: unhealthy}"
        own = "".join(
            f"    - {{name: own-{each}, on: health, {where}, count: 50}}\n" for each in range(RULES - len(load_rules()))
        )
        self._deck.configure(
            "alerts: {to: C0OPS}\n"
            f"alertmanager: {{receive_token: {TOKEN}}}\n"
            f"routes:\n{routes}rules:\n  add:\n{own}"
        )  # fmt: skip

    def _open_many(self) -> list[Goal]:
        before, posted = self._resident(), self._calls("C0OPS")
        port, now = self._deck.port, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        for first in range(0, OPEN, IN_REQUEST):
            alerts = [_alert(number, now) for number in range(first, first + IN_REQUEST)]
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/alertmanager",
                json.dumps({"version": "4", "alerts": alerts}).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        stored = lambda: self._deck.series("alerts_received_total", outcome="stored")  # noqa: E731
        wait_for("all to be stored", lambda: stored() == OPEN, SLOW_SECONDS)
        wait_for("all to be posted", lambda: self._deck.series("incidents_waiting") == 0, SLOW_SECONDS)
        grown = (self._resident() - before) / 2**20
        return [
            Goal(what=f"MiB more with {OPEN:,} open incidents", found=grown, most=10),
            Goal(what=f"calls of Slack for {OPEN:,} incidents at once", found=self._calls("C0OPS") - posted, most=3),
        ]

    def _crash_until(self, end: float) -> tuple[list[float], list[str]]:
        latencies: list[float] = []
        faults: list[str] = []
        number = 0
        while time.monotonic() < end:
            name, channel = f"crash-{number}", number % CHANNELS
            container = self._dockerd.run(name, "exit 3", labels={"soak": str(channel)})
            with contextlib.suppress(AssertionError):
                wait_for("the message", lambda name=name, channel=channel: self._shown(name, channel), SLOW_SECONDS)
            posted = self._roots(name, channel)
            ended = self._dockerd.api.events(
                since=0, until=time.time() + 0.01, decode=True, filters={"container": container, "event": "die"}
            )
            died = next(iter(ended))["timeNano"] / 1e9
            if posted:
                latencies.append((posted[0] - died) * 1000)
            self._dockerd.remove(name)
            time.sleep(PAUSE_SECONDS)
            if (times := len(self._roots(name, channel))) != 1:
                faults.append(f"The crash of {name} was posted {times} times.")
            number += 1
        return latencies, faults

    def _shown(self, name: str, channel: int) -> bool:
        return any(f"Firing: {name}:" in one["text"] for one in self._slack.screen("ada", f"soak-{channel}"))

    def _roots(self, name: str, channel: int) -> list[float]:
        """When the messages about this crash were taken, in seconds since the epoch."""
        return [
            call["at"]
            for call in self._slack.calls("chat.postMessage")
            if call["args"].get("channel") == f"C0L{channel:04}"
            and not call["error"]
            and not call["args"].get("thread_ts")
            and f"Firing: {name}:" in call["args"]["text"]
        ]

    def _calls(self, channel: str) -> int:
        methods = ("chat.postMessage", "chat.update")
        return sum(call["args"].get("channel") == channel for each in methods for call in self._slack.calls(each))

    def _events(self) -> float:
        lines = get(self._deck.port)[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("quarterdeck_events_total{"))

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _resident(self) -> int:
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * PAGE


def _alert(number: int, at: str) -> dict[str, Any]:
    labels = {"alertname": "Soak", "severity": "warning", "name": f"svc-{number}", "instance": "elsewhere:9100"}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"service {number} does not answer"},
        "startsAt": at,
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number:016x}",
    }


if __name__ == "__main__":
    sys.exit(main())
