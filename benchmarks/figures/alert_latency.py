"""From the end of a container to the message in Slack: the whole bot, a real Docker daemon, and the stand-in for Slack.

A container that is started crashes at once. The time begins with the daemon's own event of its end, and ends when the
stand-in has taken the message. Each container has a route to a channel of its own, so that no message waits for Slack's
limit of one a second in a channel.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import stage
from benchmarks.harness import Figure, Goal, Table
from tests.daemons.docker import Dockerd
from tests.helpers.bot_process import Deck
from tests.helpers.waiting import wait_for
from tests.standins.slack import client, state

CRASHES = 100  # in a round: fewer have no 99th percentile
PAUSE_SECONDS = 0.3
SECONDS = 30.0


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    found: list[float] = []
    with tempfile.TemporaryDirectory(dir=scene.room) as room, client.start(Path(room)) as slack:
        deck = Deck(Path(room), scene.dockerd.url, slack)
        try:
            found = _crashes(deck, slack, scene.dockerd, CRASHES * times)
        finally:
            deck.stop()
    slow = statistics.quantiles(found, n=100, method="inclusive")[98]
    goals = [
        Goal(what="ms, p50", found=statistics.median(found), most=300),
        Goal(what="ms, p99", found=slow, most=1000),
    ]
    rows = {"from die to the message": found}
    return [
        Table(
            title="alert_latency: from die to the message in Slack",
            unit="ms",
            rows=rows,
            ours="from die to the message",
            compared=False,
            goals=goals,
        )
    ]


def _crashes(deck: Deck, slack: client.Client, dockerd: Dockerd, number: int) -> list[float]:
    routes = "\n".join(f"  - {{match: {{name: crash-{each}}}, to: C0L{each:04}}}" for each in range(number))
    for each in range(number):
        slack.add_channel(f"C0L{each:04}", f"latency-{each}", [state.BOT_USER])
    deck.configure(f"alerts: {{to: C0OPS}}\nroutes:\n{routes}\n")
    ids = [dockerd.run(f"crash-{each}", "exit 3", start=False) for each in range(number)]
    deck.up()
    found = []
    for each, container in enumerate(ids):
        dockerd.api.start(container)
        channel = f"C0L{each:04}"
        wait_for("the message", lambda channel=channel: _posted(slack, channel), SECONDS)
        ended = dockerd.api.events(
            since=0, until=time.time() + 0.01, decode=True, filters={"container": container, "event": "die"}
        )
        died = next(iter(ended))["timeNano"] / 1e9
        found.append((_posted(slack, channel) - died) * 1000)
        time.sleep(PAUSE_SECONDS)
    return found


def _posted(slack: client.Client, channel: str) -> float:
    """When the stand-in took the message, in seconds since the epoch; 0 if it has not."""
    calls = slack.calls("chat.postMessage")
    return next((call["at"] for call in calls if call["args"].get("channel") == channel and not call["error"]), 0.0)


figure = Figure(name="alert_latency", summary="from the end of a container to the message", rounds=1, measure=measure)
