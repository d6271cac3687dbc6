"""Self-healing on a real store and the real road: what it does, what it must not do, and what people see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from bot.healing.healer import Healer
from bot.notify.incident_writer import IncidentWriter, change_incident, stored_incidents
from collectors.alert_evaluator import Evaluator
from collectors.rules import crash, healing_gave_up
from core import errors, metrics
from core.model import healing
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.healing import HealingPolicy
from core.model.incidents import acknowledge
from core.model.maintenance import Maintenance
from core.model.policy import Ask, Grant, Guard
from core.model.policy_selectors import Selector
from core.model.swarm_status import ServiceState, SwarmState
from tests.unit.bot.dispatch.world import ADMIN, ENGINE, VIEWER, World

START = 1_700_000_000.0
POLICY = HealingPolicy(
    name="restart-web",
    rules=("crash",),
    on=Selector(name="web"),
    do="restart",
    verb="container.restart",
    wait=10.0,
    tries=2,
    budget=5,
    pause=1000.0,
)
GRANT = Grant(
    id="healing.0", who="rule:restart-web", can=("container.restart", "container.list"), on=Selector(name="web")
)


class FakeMirror:
    """What the healer reads of an engine."""

    def __init__(self, engine) -> None:
        self.ref, self.live, self.swarm_state = ENGINE, True, None
        self._engine = engine

    @property
    def containers(self):
        return self._engine.rows


class Process:
    """One bot process: rules, incidents and self-healing."""

    def __init__(self, scene: Scene, dispatcher, policy: HealingPolicy) -> None:
        store = dispatcher._store
        self.counts = metrics.Metrics()
        self.intake = IncidentWriter(store, self.counts, lambda: None)
        self.evaluator = Evaluator(
            [crash.rule, healing_gave_up.rule], self.intake.report, now_ns=lambda: int(scene.now * 1e9)
        )
        self.mirror = FakeMirror(scene.world.engine)
        self.healer = Healer(
            store=store,
            evaluator=self.evaluator,
            mirrors=lambda: [self.mirror],
            run_line=dispatcher.answer,
            in_force=lambda: replace(scene.world.policy, healing=(policy,)),
            counts=self.counts,
            now=lambda: scene.now,
        )

    async def stored(self) -> None:
        task = asyncio.create_task(self.intake.run())
        async with asyncio.timeout(60):
            while self.intake.queued:
                await asyncio.sleep(0.01)
        task.cancel()


class Scene:
    """Processes over one store, one engine and one clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = START
        self.processes: list[Process] = []

    async def process(self, policy: HealingPolicy = POLICY, *, name: str = "r1") -> Process:
        made = Process(self, await self.world.replica(name), policy)
        self.processes.append(made)
        return made

    async def crash(self, name: str = "web") -> None:
        row = self.world.engine.rows[self.world.engine.id(name)]
        self.now += 0.001
        died = Event(int(self.now * 1e9), EventKind.DIED, row.ref, Origin.LIVE, "container", "die", {"exit_code": "2"})
        for process in self.processes:
            process.evaluator.observe_end(died, Cause(kind=CauseKind.CRASHED, text="crashed (exit code 2)"), row)
            await process.stored()

    async def wait(self, seconds: float, *, ticks: Callable[[Process], bool] = lambda process: True) -> None:
        """Lets the time pass, with a tick every five seconds in each process."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 5)
            await asyncio.gather(*(each.healer.tick() for each in self.processes if ticks(each)))
            await asyncio.gather(*(each.healer.idle() for each in self.processes))

    async def notes(self) -> list[str]:
        store = self.world.stores[0]
        found = [each for each in await stored_incidents(store) if each.main.topic == "end"]
        return [note.text.removeprefix("Healing rule restart-web: ") for note in found[0].notes] if found else []

    @property
    def done(self) -> list[tuple[str, str]]:
        return self.world.engine.done


@pytest.fixture
async def scene(valkey):
    made = []

    def make(*guards: Guard, grants=(ADMIN, GRANT)) -> Scene:
        made.append(Scene(World(valkey, grants=grants, guards=guards)))
        return made[-1]

    yield make
    for each in made:
        await each.world.aclose()


async def test_it_restarts_waits_longer_and_gives_up_with_an_alert(scene) -> None:
    it = scene()
    process = await it.process()
    await it.crash()
    await it.wait(9)
    assert it.done == [], "the engine's restart policy comes first"
    await it.wait(10)
    assert it.done == [("container.restart", "web")]
    await it.crash()
    await it.wait(60)
    assert it.done == [("container.restart", "web")] * 2
    await it.wait(100)
    assert it.done == [("container.restart", "web")] * 2
    notes = await it.notes()
    assert notes[0].startswith("try 1 of 2: ") and "(If the trouble continues, the next try is in 20 s.)" in notes[0]
    assert notes[1].startswith("try 2 of 2: ") and "it gives up in 40 s" in notes[1]
    assert notes[2].startswith("gave up: restart-web tried 2 times to restart it.")
    assert [alert.rule for alert in process.evaluator.firing] == ["crash", "healing-gave-up"]
    rows = await it.world.rows()
    assert {(row["who"], row["line"].split("@")[0], row["place"]) for row in rows} == {
        ("rule:restart-web", "restart web", "healing")
    }
    assert [row["phase"] for row in rows] == ["intent", "outcome"] * 2


async def test_nothing_is_done_where_nothing_is_selected_or_a_label_forbids_it(scene) -> None:
    it = scene()
    await it.process()
    web = it.world.engine.id("web")
    row = it.world.engine.rows[web]
    await it.crash("db")
    await it.wait(60)
    it.world.engine.rows[web] = type(row)(
        **{name: getattr(row, name) for name in row.__struct_fields__} | {"labels": {"quarterdeck.healing": "off"}}
    )
    await it.crash()
    await it.wait(60)
    assert it.done == []
    assert await it.world.rows() == []


async def test_of_two_processes_one_acts(scene) -> None:
    it = scene()
    await it.process(name="r1")
    await it.process(name="r2")
    await it.crash()
    await it.wait(19)
    assert it.done == [("container.restart", "web")]
    assert len([note for note in await it.notes() if note.startswith("try 1")]) == 1


async def test_a_process_that_dies_between_the_try_and_the_act_does_not_act_later_nor_does_another(scene) -> None:
    it = scene()
    first = await it.process(name="r1")
    killed = asyncio.Event()

    async def killed_before_it_acts(case, lines, began) -> None:
        killed.set()

    first.healer._act = killed_before_it_acts
    await it.crash()
    await it.wait(19)
    assert killed.is_set()
    second = await it.process(name="r2")
    for alert in first.evaluator.firing:
        second.evaluator.restore([alert])
    it.processes.remove(first)
    await it.wait(healing.TRY_SECONDS - 10)
    assert it.done == []
    await it.wait(20)
    assert "Its outcome is not known, and it is not repeated" in (await it.notes())[0]
    assert it.done == []
    await it.wait(40)
    assert it.done == [("container.restart", "web")], "the second try, not the first one again"
    assert (await it.notes())[1].startswith("try 2 of 2")


async def test_a_try_that_another_process_has_taken_is_refused_by_the_road_too(scene) -> None:
    """The id of the command is the same for the same try."""
    it = scene()
    process = await it.process()
    await it.crash()
    await it.wait(19)
    assert it.done == [("container.restart", "web")]
    store = it.world.stores[0]
    (incident,) = [each for each in await stored_incidents(store) if each.main.topic == "end"]
    record = await process.healer._records.read("restart-web")
    taken = record[1].acts[-1]
    case = await process.healer._case(POLICY, incident.key, incident.main)
    assert case is not None
    result = await process.healer._runner.run(case, [f"restart web#{it.world.engine.id('web')[:12]}"], taken)
    assert (result.outcome, it.done) == ("unknown", [("container.restart", "web")])
    assert "was given before" in result.text


async def test_it_does_nothing_in_maintenance_and_says_so_once(scene) -> None:
    it = scene()
    process = await it.process()
    window = Maintenance(id="m-1", by="slack:T1/ANN", target="web", begin=START, end=START + 120)
    await process.healer._store.put_maintenance(window.id, msgspec.json.encode(window))
    await it.crash()
    await it.wait(110)
    assert it.done == []
    assert await it.notes() == ["not done: maintenance m-1 lasts until 2023-11-14T22:15:20Z"]
    await it.wait(20)
    assert it.done == [("container.restart", "web")]


async def test_it_does_nothing_while_somebody_takes_care_of_the_incident(scene) -> None:
    it = scene()
    await it.process()
    await it.crash()
    store = it.world.stores[0]
    (incident,) = await stored_incidents(store)
    await change_incident(store, incident.key, lambda known: acknowledge(known, "slack:T1/ANN", "ann"))
    await it.wait(60)
    assert it.done == []


async def test_it_does_nothing_during_a_rollout(scene) -> None:
    it = scene()
    process = await it.process()
    web = it.world.engine.id("web")
    row = it.world.engine.rows[web]
    labels = {"com.docker.swarm.service.id": "s1"}
    it.world.engine.rows[web] = type(row)(
        **{name: getattr(row, name) for name in row.__struct_fields__} | {"labels": labels}
    )
    state = ServiceState(id="s1", name="web", mode="replicated", stack="", desired=1, running=0, update="updating")
    process.mirror.swarm_state = SwarmState(services=(state,), nodes=(), read_at=0.0)
    await it.crash()
    await it.wait(60)
    assert it.done == []
    assert await it.notes() == ["not done: the service web is being updated"]
    process.mirror.swarm_state = None
    await it.wait(10)
    assert it.done == [("container.restart", "web")]


CONFIRM = Guard(id="guards.0", can=("ends",), ask=Ask.CONFIRM)
APPROVE = Guard(id="guards.0", can=("ends",), ask=Ask.APPROVE)
DENY = Guard(id="guards.0", can=("container.restart",), ask=Ask.DENY)


async def test_a_confirmation_is_answered_by_saving_the_rule(scene) -> None:
    it = scene(CONFIRM)
    await it.process()
    await it.crash()
    await it.wait(19)
    assert it.done == [("container.restart", "web")]


@pytest.mark.parametrize("guard", [APPROVE, DENY])
async def test_an_approval_and_a_denial_refuse_and_say_so(scene, guard) -> None:
    it = scene(guard)
    await it.process()
    await it.crash()
    await it.wait(60)
    assert it.done == []
    (note,) = await it.notes()
    assert note.startswith("not done: ") and "guards.0" in note
    assert {row["phase"] for row in await it.world.rows()} == {"refused"}


async def test_a_guard_that_is_stricter_later_refuses(scene) -> None:
    it = scene()
    process = await it.process()
    await process.healer.tick()  # the rule is saved
    it.world.policy = replace(it.world.policy, guards=(CONFIRM,))
    later = await it.process(name="r2")
    it.processes.remove(process)
    await it.crash()
    await it.wait(19)
    assert it.done == []
    assert "nobody is there to answer" in (await it.notes())[0]
    assert len(later.evaluator.firing) == 1


async def test_without_the_grant_of_its_rule_it_may_do_nothing(scene) -> None:
    it = scene(grants=(VIEWER, ADMIN))
    await it.process()
    await it.crash()
    await it.wait(19)
    assert it.done == []
    assert "does not have the permission container.restart" in (await it.notes())[0]


async def test_a_wider_reach_than_allowed_refuses(scene) -> None:
    it = scene()
    project = {"com.docker.compose.project": "shop"}
    for name, needs in (("web", ""), ("api", "web:service_started:true"), ("job", "web:service_started:true")):
        key = it.world.engine.id(name)
        row = it.world.engine.rows[key]
        labels = {**project, "com.docker.compose.service": name, "com.docker.compose.depends_on": needs}
        it.world.engine.rows[key] = type(row)(
            **{each: getattr(row, each) for each in row.__struct_fields__} | {"labels": labels}
        )
    await it.process(replace(POLICY, dependents=True, at_most=2))
    await it.crash()
    await it.wait(19)
    assert it.done == []
    assert "it would restart 3 containers, and at most 2 are allowed" in (await it.notes())[0]


async def test_dependents_that_its_rule_does_not_select_are_left_alone_and_the_try_says_so(scene) -> None:
    it = scene()
    for name, needs in (("web", ""), ("api", "web:service_started:true")):
        key = it.world.engine.id(name)
        row = it.world.engine.rows[key]
        labels = {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": name,
            "com.docker.compose.depends_on": needs,
        }
        it.world.engine.rows[key] = type(row)(
            **{each: getattr(row, each) for each in row.__struct_fields__} | {"labels": labels}
        )
    await it.process(replace(POLICY, dependents=True))
    await it.crash()
    await it.wait(19)
    assert it.done == [("container.restart", "web")]
    assert "There is no container “api@docker/h1" in (await it.notes())[0]


async def test_the_budget_is_said_once_and_no_act_goes_beyond_it(scene) -> None:
    it = scene()
    await it.process(replace(POLICY, budget=1, tries=9))
    await it.crash()
    await it.wait(300)
    assert it.done == [("container.restart", "web")]
    notes = await it.notes()
    assert [note for note in notes if "budget of 1 an hour" in note] == notes[1:]
    assert len(notes) == 2


async def test_a_failed_act_counts_as_a_try(scene) -> None:
    it = scene()
    await it.process()
    it.world.engine.fails = errors.Rejected(500, "the device is busy")
    await it.crash()
    await it.wait(19)
    assert "try 1 of 2" in (await it.notes())[0]
    assert "busy" in (await it.notes())[0]


async def test_the_end_of_the_trouble_ends_the_alert_and_forgets_the_incident(scene) -> None:
    it = scene()
    process = await it.process()
    await it.crash()
    await it.wait(150)
    assert [alert.rule for alert in process.evaluator.firing] == ["crash", "healing-gave-up"]
    it.now += 400
    process.evaluator.tick(lambda engine: it.world.engine.rows)  # it runs, and has been quiet
    await it.wait(5)
    assert process.evaluator.firing == []
