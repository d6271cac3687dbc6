"""From the end of a container to the message in Slack: the whole bot, a real Docker daemon, and the stand-in for Slack.

A container that is started crashes at once. The time begins with the daemon's own event of its end, and ends when the
stand-in has taken the message. The containers have routes to thirty channels in turn, so that no message waits for
Slack's limit of one a second in a channel.
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
CHANNELS = 30
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
    routes = "\n".join(f"  - {{match: {{label.channel: '{each}'}}, to: C0L{each:04}}}" for each in range(CHANNELS))
    for each in range(CHANNELS):
        slack.add_channel(f"C0L{each:04}", f"latency-{each}", [state.BOT_USER])
    deck.configure(f"alerts: {{to: C0OPS}}\nroutes:\n{routes}\n")
    ids = [
        dockerd.run(f"crash-{each}", "exit 3", start=False, labels={"channel": str(each % CHANNELS)})
        for each in range(number)
    ]
    deck.up()
    found = []
    for each, container in enumerate(ids):
        dockerd.api.start(container)
        posted = wait_for("the message", lambda each=each: _posted(slack, f"crash-{each}"), SECONDS, pause=0.1)
        ended = dockerd.api.events(
            since=0, until=time.time() + 0.01, decode=True, filters={"container": container, "event": "die"}
        )
        died = next(iter(ended))["timeNano"] / 1e9
        found.append((posted - died) * 1000)
        time.sleep(PAUSE_SECONDS)
    return found


def _posted(slack: client.Client, name: str) -> float:
    """When the stand-in took the message about this container, in seconds since the epoch; 0 if it has not."""
    for call in slack.calls("chat.postMessage"):
        if f"Firing: {name}:" in call["args"]["text"] and not call["args"].get("thread_ts") and not call["error"]:
            return float(call["at"])
    return 0.0


figure = Figure(name="alert_latency", summary="from the end of a container to the message", rounds=1, measure=measure)
