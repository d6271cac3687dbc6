"""The evidence for a crash card, from an engine in memory that is watched: and the log only where it may be shown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from bot import plain_text
from bot.notify.crash_evidence import LOG_LINES, CrashEvidence
from bot.notify.good_container_runs import GOOD_SECONDS, PAUSE_SECONDS, GoodContainerRunsRecorder
from core import errors
from core.model.alerts import AlertState
from core.model.end_causes import Cause, CauseKind
from core.model.events import EventKind
from core.model.incidents import Incident, merge_alert
from core.model.past_run_settings import PastRunSettings
from core.model.resource_usage import Usage
from core.model.results import LogLine
from tests.helpers.alerts import alert
from tests.helpers.watch_bench import Bench

pytestmark = pytest.mark.looptime
MIB = 1 << 20


class Runs:
    """Good runs, in memory; `down` makes it fail as the store does."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], PastRunSettings] = {}
        self.down = False

    async def good_run(self, engine: str, owner: str, /) -> PastRunSettings | None:
        if self.down:
            raise errors.StoreDown
        return self.stored.get((engine, owner))

    async def put_good_runs(self, engine: str, runs, /) -> None:
        self.stored |= {(engine, owner): run for owner, run in runs.items()}


class Scene:
    """An engine that is watched, and the cards about its containers."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.runs = Runs()
        self.asked: list[str] = []
        self.may = True
        self.evidence = CrashEvidence(lambda: [self.bench.mirror], self.runs, may_read_log=self._may)
        self.recorder = GoodContainerRunsRecorder(lambda: [self.bench.mirror], self.runs, now=self.bench.now)

    async def _may(self, incident: Incident, row, channel: str) -> bool:
        self.asked.append(channel)
        return self.may

    def say(self, ref, text: str) -> None:
        at = datetime.fromtimestamp(self.bench.now(), UTC).isoformat()
        self.bench.engine.logs[ref.id].append(LogLine(at=at, stream="stdout", text=text))

    async def crash(self, ref) -> Incident:
        self.bench.engine.happen(EventKind.DIED, ref, exit_code="137")
        await self.bench.until(lambda: any(event.kind is EventKind.DIED for event in self.bench.mirror.history))
        await asyncio.sleep(3)
        died = next(event for event in reversed([*self.bench.mirror.history]) if event.kind is EventKind.DIED)
        made = merge_alert(
            None,
            alert(
                subject=ref,
                owner=ref.name,
                at=died.at_ns,
                cause=Cause(kind=CauseKind.OUT_OF_MEMORY, text="out of memory (exit code 137)"),
                state=AlertState.FIRING,
            ),
        )
        assert made is not None
        return made

    async def card(self, incident: Incident, *, logs: bool = False) -> str:
        return plain_text.render(await self.evidence.card(incident, "C1", logs=logs))


async def test_the_card_has_the_exit_code_the_memory_the_changes_and_the_recent_ends() -> None:
    scene = Scene()
    async with scene.bench.watching():
        web = scene.bench.engine.add("web", image="web:1")
        scene.bench.engine.host_configs[web.id] = {"Memory": 512 * MIB}
        await scene.bench.until(lambda: scene.bench.mirror.live and web.id in scene.bench.mirror.containers)
        await asyncio.sleep(GOOD_SECONDS + 1)
        await scene.recorder.run()
        assert [owner for _, owner in scene.runs.stored] == ["web"]
        usage = scene.bench.mirror.usage
        for memory in (300, 500):
            usage.add([Usage(ref=web, memory=memory * MIB, cpu_percent=12.5)])
            await asyncio.sleep(15)
        new = scene.bench.engine.containers[web.id]
        scene.bench.engine.containers[web.id] = type(new)(
            **{name: getattr(new, name) for name in new.__struct_fields__} | {"image": "web:2"}
        )
        text = await scene.card(await scene.crash(web))
    assert "137: ended by SIGKILL" in text
    assert "500 MiB of 512 MiB (98 %), 15 s before the end" in text
    assert "Image: web:1 → web:2" in text
    assert "Recent ends" in text
    assert ("memory" in text and "cpu" in text and "▁" in text) or "█" in text


async def test_the_last_lines_of_the_run_that_ended_and_of_no_other() -> None:
    scene = Scene()
    async with scene.bench.watching():
        web = scene.bench.engine.add("web")
        await scene.bench.until(lambda: scene.bench.mirror.live and web.id in scene.bench.mirror.containers)
        for number in range(LOG_LINES + 10):
            scene.say(web, f"line {number}")
        scene.say(web, "password=hunter2")
        incident = await scene.crash(web)
        scene.bench.engine.happen(EventKind.STARTED, web)
        await asyncio.sleep(5)
        scene.say(web, "the next run")
        text = await scene.card(incident, logs=True)
        hidden = await scene.card(incident, logs=False)
    assert f"The last {LOG_LINES} log lines" in text
    assert "line 39" in text and "line 10\n" not in text
    assert "the next run" not in text
    assert "hunter2" not in text and "password=" in text
    assert "line 39" not in hidden
    assert scene.asked == ["C1"]


@pytest.mark.parametrize("label", ["off", "OFF", "false", "no"])
async def test_a_label_forbids_the_log_in_every_channel(label) -> None:
    scene = Scene()
    async with scene.bench.watching():
        web = scene.bench.engine.add("web", labels={"quarterdeck.logs": label})
        await scene.bench.until(lambda: scene.bench.mirror.live and web.id in scene.bench.mirror.containers)
        scene.say(web, "secret plans")
        incident = await scene.crash(web)
        assert "secret plans" not in await scene.card(incident, logs=True)
    assert scene.asked == []


async def test_a_guard_against_reading_the_log_counts() -> None:
    scene = Scene()
    scene.may = False
    async with scene.bench.watching():
        web = scene.bench.engine.add("web")
        await scene.bench.until(lambda: scene.bench.mirror.live and web.id in scene.bench.mirror.containers)
        scene.say(web, "secret plans")
        assert "secret plans" not in await scene.card(await scene.crash(web), logs=True)


async def test_what_cannot_be_read_is_left_out() -> None:
    """The container was removed, the store is away, the engine hangs: the card says the rest."""
    scene = Scene()
    scene.runs.down = True
    async with scene.bench.watching():
        web = scene.bench.engine.add("web")
        await scene.bench.until(lambda: scene.bench.mirror.live and web.id in scene.bench.mirror.containers)
        incident = await scene.crash(web)
        scene.bench.engine.happen(EventKind.REMOVED, web)
        await asyncio.sleep(1)
        text = await scene.card(incident, logs=True)
        assert "The container was removed" in text and "137: ended by SIGKILL" in text
        scene.bench.engine.slow = 60.0
        text = await scene.card(incident, logs=True)
    assert "container web@fake/fake" in text


@pytest.mark.parametrize("steps", range(12))
async def test_a_card_can_be_given_up_at_every_step_without_a_question_that_nobody_asked(steps) -> None:
    """A coroutine that was made and never awaited is a warning, and so a failure here."""
    scene = Scene()
    async with scene.bench.watching():
        web = scene.bench.engine.add("web")
        await scene.bench.until(lambda: scene.bench.mirror.live and web.id in scene.bench.mirror.containers)
        incident = await scene.crash(web)
        card = asyncio.get_running_loop().create_task(scene.evidence.card(incident, "C1", logs=True))
        for _ in range(steps):
            await asyncio.sleep(0)
        card.cancel()
        await asyncio.wait([card])


async def test_only_runs_of_some_minutes_that_are_not_unhealthy_are_good_and_each_is_inspected_once() -> None:
    scene = Scene()
    async with scene.bench.watching():
        web = scene.bench.engine.add("web")
        sick = scene.bench.engine.add("sick")
        await scene.bench.until(lambda: scene.bench.mirror.live and sick.id in scene.bench.mirror.containers)
        await scene.recorder.run()
        assert scene.runs.stored == {}
        scene.bench.engine.happen(EventKind.HEALTH, sick, health="unhealthy")
        await asyncio.sleep(GOOD_SECONDS + 1)
        await scene.recorder.run()
        await scene.recorder.run()
        assert [owner for _, owner in scene.runs.stored] == ["web"]
        inspections = [verb for verb in scene.bench.engine.asked if verb == "inspect"]
        await scene.recorder.run()
        assert [verb for verb in scene.bench.engine.asked if verb == "inspect"] == inspections
        assert web.id


async def test_a_container_that_cannot_be_inspected_keeps_no_other_from_being_recorded(monkeypatch) -> None:
    monkeypatch.setattr("bot.notify.good_container_runs.INSPECTED", 2)
    scene = Scene()
    async with scene.bench.watching():
        refs = {name: scene.bench.engine.add(name) for name in ("a", "b", "large", "z")}
        await scene.bench.until(lambda: scene.bench.mirror.live and len(scene.bench.mirror.containers) == 4)
        await asyncio.sleep(GOOD_SECONDS + 1)
        run, tried = scene.bench.mirror.run, []

        async def inspected(action, call):
            tried.append(action.target.name)
            if action.target.id in (refs["a"].id, refs["large"].id):
                raise errors.InvalidResponse("The document has more than 4 MiB.")
            return await run(action, call)

        monkeypatch.setattr(scene.bench.mirror, "run", inspected)
        rounds = [await scene.recorder.run() for _ in range(2)]
        assert {owner for _, owner in scene.runs.stored} == {"b", "z"}
        assert all("more than 4 MiB" in fault for each in rounds for fault in each.faults)
        assert sorted(tried) == ["a", "b", "large", "z"]
        await scene.recorder.run()
        assert len(tried) == 4
        await asyncio.sleep(PAUSE_SECONDS + 1)
        await scene.recorder.run()
        assert sorted(tried[4:]) == ["a", "large"]
