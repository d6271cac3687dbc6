"""Alerts: what the rules cost at 20 events a second, what 10,000 open incidents take, and how many calls a storm needs.

An hour of events passes through the evaluator with 50 rules and a tick each second, on a clock of its own; its CPU
time is given as a share of that hour. A quick run takes ten minutes of events. A process of its own fires 10,000
alerts; its resident memory before and after is compared. A storm of 1,000 incidents at once is posted by the real
reporter to a chat that counts the calls.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import stage
from benchmarks.harness import Figure, Goal, Table
from bot.notify import configured_rules
from bot.notify.incident_reporter import IncidentReporter
from bot.notify.incident_writer import IncidentWriter
from bot.notify.message_sender import SentMessage
from collectors.alert_evaluator import Evaluator
from collectors.rule import Rule
from collectors.rule_catalogue import load_rules
from core import metrics
from core.config.alerts import NewRule, Rules
from core.model.alert_routes import Routing
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Reply
from core.store.client import Store
from tests.daemons.valkey import Valkey
from tests.helpers.alert_scene import ENGINE, AlertScene
from tests.helpers.alerts import alert

RULES, RATE, CONTAINERS = 50, 20, 200
HOUR, TEN_MINUTES = 3600, 600
STORM, OPEN = 1_000, 10_000
MEMORY = "from benchmarks.figures import alerts; alerts.print_growth()"


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    return [
        _rules(times),
        await _storm(scene.room, times),
        _memory(times),
    ]


def _rules(times: int) -> Table:
    """Each tenth event is a failing health check, each hundredth a crash; the others are healthy checks and starts."""
    seconds, row = (HOUR, "an hour of events") if times > 1 else (TEN_MINUTES, "ten minutes of events")
    taken = [_cpu_seconds(seconds) / seconds * 100]
    return Table(
        title=f"alerts: {RULES} rules at {RATE} events a second",
        unit="% of a core",
        rows={row: taken},
        ours=row,
        compared=False,
        goals=[Goal(what="% of a core", found=min(taken), most=2.0)],
    )


def _cpu_seconds(seconds: int) -> float:
    built_in = load_rules()
    more = [
        NewRule(name=f"own-{number}", on=EventKind.HEALTH, where={"name": "=~web-.*", "health": "unhealthy"}, count=50)
        for number in range(RULES - len(built_in))
    ]
    scene = AlertScene(configured_rules.build_rules_in_force(built_in, Rules(add=tuple(more))))
    refs = [scene.add(f"web-{number}") for number in range(CONTAINERS)]
    began = time.process_time()
    for second in range(seconds):
        for number in range(RATE):
            at = second * RATE + number
            ref = refs[at % CONTAINERS]
            if at % 100 == 7:
                scene.end(ref)
                scene.start(ref)
            else:
                scene.happen(EventKind.HEALTH, ref, health="unhealthy" if at % 10 == 3 else "healthy")
        scene.wait(1)
    return time.process_time() - began


async def _storm(room: Path, times: int) -> Table:
    found: list[float] = []
    for number in range(times):
        folder = room / f"storm-{number}"
        folder.mkdir()
        found.append(float(await _calls(folder)))
    return Table(
        title=f"alerts: a storm of {STORM:,} incidents at once",
        unit="calls",
        rows={"calls of the chat": found},
        ours="calls of the chat",
        compared=False,
        goals=[Goal(what="calls", found=max(found), most=3)],
    )


class _Chat:
    """Counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def post(
        self,
        to: str,
        reply: Reply,
        thread: str = "",
        *,
        broadcast: bool = False,
        once: str = "",
        urgent: bool = False,
    ) -> SentMessage:
        self.calls += 1
        return SentMessage(channel=to, ts=str(self.calls))

    async def edit(self, channel: str, ts: str, reply: Reply) -> None:
        self.calls += 1


async def _calls(folder: Path) -> int:
    valkey, chat, counts = Valkey(folder), _Chat(), metrics.Metrics()
    valkey.start()
    store = Store.open(valkey.url)
    try:
        writer = IncidentWriter(store, counts, lambda: None)
        reporter = IncidentReporter(
            store, chat, counts, routing=lambda: Routing(default="C1"), changed=asyncio.Event(), leads=lambda: True
        )
        for number in range(STORM):
            writer.report(alert(fingerprint=str(number), owner=f"web-{number}", subject=_ref(number)))
        await _until_stored(writer)
        async with asyncio.timeout(60):
            while await store.changed_incidents(1):
                await reporter.flush()
                await asyncio.sleep(1.1)
        return chat.calls
    finally:
        await store.aclose()
        valkey.stop()


async def _until_stored(writer: IncidentWriter) -> None:
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(60):
        while writer.queued:
            await asyncio.sleep(0.01)
    task.cancel()


def _memory(times: int) -> Table:
    grown = [
        float(subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout)
        for _ in range(times)
    ]
    return Table(
        title=f"alerts: {OPEN:,} open incidents",
        unit="MiB",
        rows={"the process grows by": grown},
        ours="the process grows by",
        compared=False,
        goals=[Goal(what="MiB", found=min(grown), most=10)],
    )


def print_growth() -> None:
    """Fires that many alerts about containers that exist already, and prints by how many MiB the process has grown."""
    rules: list[Rule] = [rule for rule in load_rules() if rule.name == "crash"]
    scene = AlertScene(rules)
    scene.evaluator = Evaluator(rules, lambda alert: None, now_ns=lambda: scene.now)
    labels = {"com.docker.compose.project": "shop", "app": "web", "team": "payments", "env": "prod"}
    refs = [
        scene.add(f"web-{number}", labels=labels | {"com.docker.compose.service": f"web-{number}"})
        for number in range(OPEN)
    ]
    scene.end(refs[0])
    before = _resident()
    for ref in refs[1:]:
        scene.end(ref)
    print((_resident() - before) / 1024)
    assert len(scene.evaluator.firing) == OPEN


def _resident() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return float(line.split()[1])


def _ref(number: int) -> Ref:
    return Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"{number:064x}", name=f"web-{number}")


figure = Figure(name="alerts", summary="the cost of rules, of open incidents and of a storm", rounds=3, measure=measure)
