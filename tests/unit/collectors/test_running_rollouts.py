"""What ends while its Swarm service is updated is a part of the update."""

from __future__ import annotations

import pytest

from collectors import running_rollouts
from collectors.rules import crash
from collectors.running_rollouts import MAX_NS, RunningRollouts
from core.model.events import Event, EventKind, Origin
from core.model.refs import Kind, Ref
from tests.helpers.alert_scene import SWARM, AlertScene

LABELS = {"com.docker.swarm.service.name": "shop_web", "com.docker.swarm.service.id": "shop_web"}


def service_event(at_ns: int, state: str, *, name: str = "shop_web", rollout: bool = False) -> Event:
    subject = Ref(engine=SWARM, kind=Kind.SERVICE, id=name, name=name)
    kind, key = (EventKind.ROLLOUT, "state") if rollout else (EventKind.OTHER, "update")
    return Event(at_ns, kind, subject, Origin.LIVE, "service", "update", {key: state})


def test_crashes_while_the_service_is_updated_are_silent_and_those_after_it_are_not() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("shop_web.1", labels=LABELS)
    other = scene.add("other")
    scene.evaluator.observe([service_event(scene.now, "updating")], scene.containers)
    scene.end(web)
    assert scene.said == []
    scene.end(other)
    assert len(scene.said) == 1
    scene.evaluator.observe([service_event(scene.now + 1, "completed", rollout=True)], scene.containers)
    scene.end(web)
    assert len(scene.said) == 2


def test_an_update_in_one_swarm_hides_no_crash_of_a_service_of_that_name_in_another() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("shop_web.1", labels={**LABELS, "com.docker.swarm.service.id": "of-production"})
    scene.evaluator.observe([service_event(scene.now, "updating")], scene.containers)
    scene.end(web)
    assert len(scene.said) == 1


@pytest.mark.parametrize("rollout", [True, False])
@pytest.mark.parametrize("end", ["completed", "paused", "rollback_completed", "rollback_paused"])
def test_an_update_ends_with_any_of_the_managers_words(end: str, rollout: bool) -> None:
    rollouts = RunningRollouts()
    rollouts.observe(service_event(10, "updating"))
    assert rollouts.includes("shop_web", 10) and not rollouts.includes("shop_web", 9)
    rollouts.observe(service_event(11, "rollback_started", rollout=True))
    assert rollouts.includes("shop_web", 12)
    rollouts.observe(service_event(13, end, rollout=rollout))
    assert not rollouts.includes("shop_web", 14)


def test_an_update_whose_end_was_missed_is_forgotten_and_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_rollouts, "MAX_SERVICES", 2)
    rollouts = RunningRollouts()
    for number in range(3):
        rollouts.observe(service_event(number, "updating", name=f"s{number}"))
    assert [rollouts.includes(f"s{number}", 10) for number in range(3)] == [False, True, True]
    assert not rollouts.includes("s2", MAX_NS + 3)


def test_other_events_of_services_and_events_of_other_things_change_nothing() -> None:
    rollouts = RunningRollouts()
    rollouts.observe(service_event(1, "updating"))
    rollouts.observe(Event(2, EventKind.OTHER, service_event(2, "").subject, Origin.LIVE, "service", "update", {}))
    task = Ref(engine=SWARM, kind=Kind.TASK, id="t", name="shop_web")
    rollouts.observe(Event(3, EventKind.ROLLOUT, task, Origin.LIVE, "service", "x", {"state": "completed"}))
    assert rollouts.includes("shop_web", 4)
