"""An alert rule that is slow delays events, and loses none: the engine's stream is read on meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from collectors.alert_evaluator import Evaluator
from collectors.rule import Rule, RuleInput
from core.model.alerts import Finding, Severity
from core.model.events import EventKind
from tests.helpers.watch_bench import Bench

pytestmark = pytest.mark.looptime
EVENTS = 20_000
SLOW_SECONDS = 0.0005  # for every tenth event: the others are executions, as on hosts with health probes


async def test_twenty_thousand_events_pass_a_slow_rule_and_none_is_lost() -> None:
    asked = 0

    def check(seen: RuleInput) -> Finding | None:
        nonlocal asked
        asked += 1
        began = time.perf_counter()
        while time.perf_counter() - began < SLOW_SECONDS:
            pass
        return None

    slow = Rule(
        name="slow", summary="", severity=Severity.LOW, on=frozenset({EventKind.HEALTH}), check=check, topic="slow"
    )
    bench = Bench()
    bench.restart(Evaluator([slow], lambda alert: None, now_ns=bench.now_ns))
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        lists = bench.count("relists_total", outcome="ok")
        for number in range(EVENTS):
            if number % 10 == 0:
                bench.engine.happen(EventKind.HEALTH, web, health="unhealthy")
            else:
                bench.engine.happen(EventKind.OTHER, web, action="exec_start")
            if number % 500 == 0:
                await asyncio.sleep(0)  # the engine sends on while the rule is asked

        def counted() -> float:
            actions = ("health_status", "exec_start")
            return sum(bench.count("events_total", type="container", action=each) for each in actions)

        await bench.until(lambda: counted() >= EVENTS)
        assert counted() == EVENTS
        assert bench.count("stream_overflows_total") == 0
        assert bench.gaps() == []
        assert bench.count("relists_total", outcome="ok") == lists, "a loss would have caused a list"
        assert asked == EVENTS / 10
        assert bench.mirror.containers[web.id].health == "unhealthy"
