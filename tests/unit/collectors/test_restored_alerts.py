"""An alert of before a restart goes on as long as its trouble lasts, and ends if that was over while nobody watched or
before the store could be read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from collectors.restored_alerts import RestoredAlerts
from collectors.rule_catalogue import load_rules
from core.model.alerts import Alert
from core.model.bot_actions import BOT
from core.model.disk_use import Filesystem
from core.model.events import EventKind
from core.model.refs import EngineRef, Kind, Ref
from core.model.swarm_status import NodeState, ServiceState, SwarmState
from core.model.units import Unit
from tests.helpers.alert_scene import ENGINE, SWARM, AlertScene
from tests.helpers.alerts import alert

RULES = {rule.name: rule for rule in load_rules()}
ENGINE_ITSELF = Ref(engine=ENGINE, kind=Kind.ENGINE, id=str(ENGINE), name=str(ENGINE))
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="1" * 64, name="web")
UNIT = Ref(engine=ENGINE, kind=Kind.UNIT, id="web.service", name="web.service")
NODE = Ref(engine=SWARM, kind=Kind.NODE, id="n1", name="n1")
SERVICE = Ref(engine=SWARM, kind=Kind.SERVICE, id="s1", name="web")


class Scene:
    """A process that was just started. `swarm`, `rows` and so on: what its engines report."""

    def __init__(self) -> None:
        self.scene = AlertScene(list(RULES.values()))
        self.restored = RestoredAlerts(self.scene.evaluator, lambda: self.scene.now)
        self.rows = {}
        self.live = True
        self.swarm = None
        self.resources = SimpleNamespace(filesystem=None, units=None)
        self.faulty: set[EngineRef] = set()

    def stored(self, rule: str, subject: Ref) -> Alert:
        found = alert(rule, subject=subject, owner=subject.name, fingerprint=f"{rule} {subject.id}", text="bad")
        self.restored.add([found])
        return found

    def tick(self, *engines: EngineRef) -> list[str]:
        mirrors = {
            ref: SimpleNamespace(
                ref=ref,
                live=self.live,
                containers=self.rows,
                swarm_state=self.swarm if ref == SWARM else None,
                resources=self.resources,
            )
            for ref in engines
            if ref not in self.faulty
        }
        self.restored.compare(engines, mirrors)
        return self.scene.said

    def add(self, **more) -> None:
        ref = self.scene.add("x", **more)
        self.rows = {WEB.id: self.scene.containers[ref.id]}

    def of_swarm(self, *, state: str = "ready", running: int = 3, update: str = "") -> None:
        service = ServiceState(
            id="s1", name="web", mode="replicated", stack="", desired=3, running=running, update=update
        )
        node = NodeState(id="n1", name="n1", role="worker", state=state, availability="active")
        self.swarm = SwarmState(services=(service,), nodes=(node,), read_at=1.0)


GOOD = [
    ("engine-down", ENGINE_ITSELF, {}, "answers"),
    ("data-root-full", ENGINE_ITSELF, {"filesystem": Filesystem(size=100, free=50, device=1)}, "50 % full"),
    ("unhealthy", WEB, {"health": "healthy"}, "succeeds again"),
    ("long-unhealthy", WEB, {"health": "unhealthy", "state": "exited"}, "the container ended"),
    ("restart-gave-up", WEB, {"state": "running"}, "started again"),
    ("unhealthy", WEB, {}, "the container ended"),
    ("restart-gave-up", WEB, {}, "removed"),
    ("unit-failed", UNIT, {"units": [Unit(ref=UNIT, active="active", sub="running")]}, "active again"),
    ("unit-failed", UNIT, {"units": []}, "removed"),
    ("node-down", NODE, {"swarm": {}}, "ready again"),
    ("replicas-short", SERVICE, {"swarm": {}}, "3 of 3"),
    ("update-stopped", SERVICE, {"swarm": {"update": "completed"}}, "complete"),
]
BAD = [
    ("data-root-full", ENGINE_ITSELF, {"filesystem": Filesystem(size=100, free=5, device=1)}),
    ("unhealthy", WEB, {"health": "unhealthy"}),
    ("restart-gave-up", WEB, {"state": "exited"}),
    ("unit-failed", UNIT, {"units": [Unit(ref=UNIT, active="failed", sub="failed")]}),
    ("node-down", NODE, {"swarm": {"state": "down"}}),
    ("replicas-short", SERVICE, {"swarm": {"running": 2}}),
    ("update-stopped", SERVICE, {"swarm": {"update": "paused"}}),
    ("data-root-full", ENGINE_ITSELF, {}),
    ("unit-failed", UNIT, {}),
    ("node-down", NODE, {}),
]


def arrange(scene: Scene, found: dict) -> None:
    found = dict(found)
    if "swarm" in found:
        scene.of_swarm(**found.pop("swarm"))
    for name in ("filesystem", "units"):
        if name in found:
            setattr(scene.resources, name, found.pop(name))
    if found:
        scene.add(**found)


@pytest.mark.parametrize(("rule", "subject", "found", "said"), GOOD)
def test_an_alert_ends_whose_trouble_was_over_while_nobody_watched(rule, subject, found, said) -> None:
    scene = Scene()
    scene.stored(rule, subject)
    scene.faulty = {subject.engine}
    assert scene.tick(subject.engine) == [], "while its engine does not answer, it goes on"
    scene.faulty = set()
    arrange(scene, found)
    scene.tick(subject.engine)
    (ended,) = scene.scene.said
    assert ended.startswith(f"resolved {rule}: ") and said in ended
    scene.tick(subject.engine)
    assert len(scene.scene.said) == 1


@pytest.mark.parametrize(("rule", "subject", "found"), BAD)
def test_an_alert_goes_on_whose_trouble_lasts_or_whose_subject_is_not_known_yet(rule, subject, found) -> None:
    scene = Scene()
    stored = scene.stored(rule, subject)
    arrange(scene, found)
    for _ in range(3):
        assert scene.tick(subject.engine) == []
    assert scene.scene.evaluator.firing == [stored]


def test_a_container_that_is_not_listed_yet_is_not_gone() -> None:
    scene = Scene()
    scene.stored("unhealthy", WEB)
    scene.live = False
    assert scene.tick(ENGINE) == []
    scene.live = True
    assert scene.tick(ENGINE) == ["resolved unhealthy: the container ended"]


def test_the_rules_that_only_good_news_end_are_all_tried_here() -> None:
    assert {rule for rule, *_ in GOOD} == {name for name, rule in RULES.items() if rule.settle is None}


def test_an_alert_waits_until_its_engine_is_watched_here() -> None:
    scene = Scene()
    stored = scene.stored("stream-blind", ENGINE_ITSELF)
    about_bot = scene.stored("nobody-watched", Ref(engine=BOT, kind=Kind.BOT, id="quarterdeck", name="quarterdeck"))
    scene.tick(SWARM)
    scene.scene.wait(3600 * 2)
    assert [each for each in scene.scene.alerts if each.subject.engine == ENGINE] == [], "another process watches it"
    assert scene.restored.engines() == {ENGINE}
    scene.tick(SWARM, ENGINE)
    assert stored in scene.scene.evaluator.firing
    assert about_bot.rule in {each.rule for each in scene.scene.alerts}


def test_all_alerts_of_an_engine_that_nobody_watches_any_more_end() -> None:
    scene = Scene()
    scene.stored("node-down", NODE)
    web = scene.scene.add("web")
    scene.tick(ENGINE)
    scene.scene.end(web)
    assert scene.restored.engines() == {ENGINE, SWARM}
    scene.restored.end_alerts_of(SWARM)
    assert scene.scene.said[1:] == ["resolved node-down: Quarterdeck does not watch the engine now"]
    scene.restored.end_alerts_of(ENGINE)
    assert scene.scene.said[2:] == ["resolved crash: Quarterdeck does not watch the engine now"]
    assert scene.scene.evaluator.firing == [] and scene.restored.engines() == frozenset()


def test_trouble_that_was_found_again_before_the_store_answered_fires_at_once() -> None:
    scene = AlertScene([RULES["unhealthy"]])
    web = scene.add("web")
    scene.happen(EventKind.HEALTH, web, health="unhealthy")
    (waits,) = scene.evaluator.waiting
    stored = alert("unhealthy", subject=web, owner="web", fingerprint=waits.fingerprint, count=3)
    scene.evaluator.restore([stored])
    (said,) = scene.alerts
    assert (said.state, said.count, said.since_ns) == ("firing", 4, stored.since_ns)
    scene.happen(EventKind.HEALTH, web, health="healthy")
    assert scene.said[1:] == ["resolved unhealthy: its health check succeeds again"]


def test_an_alert_of_a_rule_that_was_switched_off_ends() -> None:
    scene = AlertScene([RULES["crash"]])
    scene.evaluator.restore([alert("unhealthy"), alert("test")])
    assert scene.said == ["resolved unhealthy: its rule does not run any more"]
    scene.wait(61)
    assert scene.said[1:] == ["resolved test: no trouble since"]
