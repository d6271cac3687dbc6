"""Measures alerts in real time: `python -m benchmarks.soak --minutes 60`, or `make soak`. It is no part of CI.

A private Docker daemon sends about 20 events a second, from health checks. The whole bot watches it with 50 rules and
posts to the stand-in for Slack. First, 10,000 alerts arrive from an Alertmanager at once and stay open. Then a
container crashes every few seconds and is removed. Every five minutes, a line shows the figures so far, so that growth
shows. The run ends after the given time, with a table of the figures and their goals. It fails if a crash was posted
twice or not at all, if a message does not say that its crash is over, if a message broke one of Slack's rules, or if
the bot logged an internal error.
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
from collections import Counter
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
SETTLE_SECONDS = 300.0  # after which the incident of a removed container is over
TREND_SECONDS = 300.0
LOGGED_FAULTS = ("Traceback", "Internal error", "was never awaited", "A task did not end in time")
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
        deck.stop()
        faults += [str(each) for each in slack.violations()]
        faults += [f"The bot's log has “{word}”." for word in LOGGED_FAULTS if word in deck.log()]
        for message, number in _logged(deck.log()).most_common(10):
            print(f"logged {number} times: {message}")
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
            # It must outlive the run: the end of an engine's last container waits for its cause.
            self._dockerd.run(f"probed-{number}", "while :; do sleep 3600; done", healthcheck=probe)
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
        print(f"and grew by {(self._resident() - resident) / 2**20:.1f} MiB meanwhile", flush=True)
        faults += self._unfinished()
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
        calls = self._calls("C0OPS")[len(posted) :]
        for call in calls:
            where = "in a thread" if call["args"].get("thread_ts") else "in the channel"
            print(
                f"{call['at'] - calls[0]['at']:6.1f} s {call['method']} {where}: {call['args'].get('text', '')[:100]!r}"
            )
        return [
            Goal(what=f"MiB more with {OPEN:,} open incidents", found=grown, most=10),
            Goal(what=f"calls of Slack for {OPEN:,} incidents at once", found=len(calls), most=3),
        ]

    def _crash_until(self, end: float) -> tuple[list[float], list[str]]:
        latencies: list[float] = []
        faults: list[str] = []
        number, trend = 0, _Trend(self._cpu_seconds())
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
            trend.show(latencies, self._cpu_seconds(), self._resident(), len(faults))
        return latencies, faults

    def _unfinished(self) -> list[str]:
        """The messages that do not say that their crash is over, a while after the last one."""
        firing: list[str] = []

        def none_left() -> bool:
            shown = [one for each in range(CHANNELS) for one in self._slack.screen("ada", f"soak-{each}")]
            firing[:] = [one["text"] for one in shown if "Firing: crash-" in one["text"]]
            return not firing

        with contextlib.suppress(AssertionError):
            wait_for("the ends of all crashes", none_left, SETTLE_SECONDS + SLOW_SECONDS, pause=5.0)
        return [f"A message still says: {text[:100]}" for text in firing]

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

    def _calls(self, channel: str) -> list[dict[str, Any]]:
        methods = ("chat.postMessage", "chat.update")
        found = [{**call, "method": each} for each in methods for call in self._slack.calls(each)]
        return sorted((one for one in found if one["args"].get("channel") == channel), key=lambda call: call["at"])

    def _events(self) -> float:
        lines = get(self._deck.port)[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("quarterdeck_events_total{"))

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _resident(self) -> int:
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * PAGE


def _logged(log: str) -> Counter[str]:
    """Returns how often each warning and error was logged, but for those that say that an alert fires."""
    found = Counter[str]()
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry["level"] in ("warning", "error") and entry["message"] != "An alert fires.":
                found[entry["message"]] += 1
    return found


class _Trend:
    """Prints a line about every few minutes. `cpu`: the seconds of processor time that the bot has used so far."""

    def __init__(self, cpu: float) -> None:
        self._began = self._last = time.monotonic()
        self._cpu = cpu
        self._shown = 0

    def show(self, latencies: Sequence[float], cpu: float, resident: int, faults: int) -> None:
        now = time.monotonic()
        new = latencies[self._shown :]
        if now - self._last < TREND_SECONDS or not new:
            return
        print(
            f"{(now - self._began) / 60:5.1f} min: {len(new)} crashes, {statistics.median(new):.0f} ms p50, "
            f"{max(new):.0f} ms at most, {100 * (cpu - self._cpu) / (now - self._last):.2f} % of a core, "
            f"{resident / 2**20:.1f} MiB, {faults} faults in all, a load of {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        self._last, self._cpu, self._shown = now, cpu, len(latencies)


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
