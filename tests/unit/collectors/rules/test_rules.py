"""Each rule: what makes it fire, what clears it, and the ordinary day that it says nothing about."""

from __future__ import annotations

import pytest

from collectors.rule import RuleInput, SeenEvent
from collectors.rule_catalogue import load_rules
from collectors.rules import (
    crash_loop,
    health_flapping,
    image_pull_failed,
    long_unhealthy,
    missed_events,
    node_down,
    out_of_memory,
    replicas_short,
    restart_gave_up,
    task_failed,
    update_stopped,
)
from core.model.end_causes import CauseKind
from core.model.events import EventKind
from core.model.gaps import Gap, GapReason, Recovery
from core.model.refs import Kind, Ref
from tests.helpers.alert_scene import ENGINE, SWARM, AlertScene
from tests.helpers.paths import ROOT

SHOP = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


def swarm(kind: Kind, name: str) -> Ref:
    return Ref(engine=SWARM, kind=kind, id=name.ljust(25, "x"), name=name)


def test_a_healthy_fleets_day_is_silent() -> None:
    """Deploys, stops, restarts, cron jobs, slow starts and short dips of a service cause no alert at all."""
    scene = AlertScene(load_rules())
    web = scene.add("shop-web-1", labels=SHOP)
    for number in range(2, 8):  # a day of deploys
        scene.end(web, CauseKind.REPLACED, "replaced by shop-web-1")
        scene.remove(web)
        web = scene.add(
            "shop-web-1", labels=dict(scene.containers.get(web.id, None).labels) if False else {}, number=number
        )
        scene.happen(EventKind.CREATED, web)
        scene.start(web)
        scene.happen(EventKind.HEALTH, web, health="healthy")
        scene.wait(600)
    for _ in range(3):
        scene.end(web, CauseKind.REQUESTED, "stopped by a client of its engine, killed after its grace period")
        scene.start(web)
        scene.wait(60)
    job = scene.add("backup", auto_remove=True)
    for _ in range(20):  # a cron job each minute
        scene.start(job)
        scene.wait(60)
        scene.end(job, CauseKind.FINISHED, "finished")
    scene.happen(EventKind.HEALTH, web, health="unhealthy")
    scene.wait(30)
    scene.happen(EventKind.HEALTH, web, health="healthy")
    scene.end(web, CauseKind.LOST, "its engine or its host stopped")
    scene.start(web)
    service = swarm(Kind.SERVICE, "mail_smtp")
    for state in ("updating", "completed"):
        scene.happen(EventKind.ROLLOUT, service, state=state)
        scene.happen(EventKind.REPLICAS, service, running="2", desired="3")
        scene.wait(60)
        scene.happen(EventKind.REPLICAS, service, running="3", desired="3")
    scene.happen(EventKind.PULLED, Ref(engine=ENGINE, kind=Kind.IMAGE, id="sha256:1", name="web:2"))
    scene.wait(3600)
    assert scene.said == []


def test_three_crashes_in_ten_minutes_are_a_crash_loop() -> None:
    scene = AlertScene([crash_loop.rule])
    web = scene.add("web")
    for _ in range(2):
        scene.end(web)
        scene.wait(30)
        scene.start(web)
    assert scene.said == []
    scene.wait(30)
    scene.end(web)
    assert scene.said == [
        "firing crash-loop: crash loop: 3 ends in 10 minutes, the last one crashed: it failed (exit code 2)"
    ]


def test_three_crashes_in_an_hour_are_no_crash_loop() -> None:
    scene = AlertScene([crash_loop.rule])
    web = scene.add("web")
    for _ in range(6):
        scene.end(web)
        scene.start(web)
        scene.wait(1000)
    assert scene.said == []


@pytest.mark.parametrize(("restarts", "loops"), [(8, True), (0, False), (None, False)])
def test_a_container_that_its_restart_policy_starts_over_and_over_loops_too(restarts, loops) -> None:
    scene = AlertScene([crash_loop.rule])
    web = scene.add("web", restarts=restarts)
    for _ in range(8):
        scene.start(web)
        scene.wait(10)
        scene.end(web, CauseKind.FINISHED, "finished")
    said = "firing crash-loop: restart loop: it finished 8 times in 10 minutes and was started again"
    assert scene.said == ([said] if loops else [])


def test_a_stop_ends_a_crash_loop() -> None:
    scene = AlertScene([crash_loop.rule])
    web = scene.add("web")
    for _ in range(3):
        scene.start(web)
        scene.end(web)
        scene.wait(5)
    scene.start(web)
    scene.end(web, CauseKind.REQUESTED, "stop through Quarterdeck")
    assert scene.said[-1] == "resolved crash-loop: stop through Quarterdeck"


def test_an_end_by_the_memory_limit_and_a_killed_child_are_both_out_of_memory() -> None:
    scene = AlertScene([out_of_memory.rule])
    web, db = scene.add("web"), scene.add("db")
    scene.end(web, CauseKind.OUT_OF_MEMORY, "out of memory (exit code 137)")
    scene.happen(EventKind.OOM, db)
    assert scene.said == [
        "firing out-of-memory: out of memory (exit code 137)",
        "firing out-of-memory: the kernel killed a process in it, because its memory limit is reached",
    ]


@pytest.mark.parametrize(
    ("labels", "more"),
    [
        ({"quarterdeck.job": "true"}, {}),
        ({"com.docker.compose.oneoff": "True"}, {}),
        ({}, {"auto_remove": True}),
    ],
)
def test_a_job_that_fails_is_reported_as_a_job_and_its_next_good_run_clears_it(labels, more) -> None:
    scene = AlertScene(load_rules())
    job = scene.add("backup", labels=labels, **more)
    scene.end(job)
    assert scene.said == ["firing job-failed: the job failed: crashed: it failed (exit code 2)"]
    scene.start(job)
    scene.end(job, CauseKind.FINISHED, "finished")
    assert scene.said[1:] == ["resolved job-failed: the next run finished"]


def test_an_engine_that_gave_up_restarting_is_reported_after_two_minutes() -> None:
    scene = AlertScene([restart_gave_up.rule])
    web = scene.add("web")
    scene.end(web)
    scene.wait(50)
    scene.start(web)
    scene.end(web)
    scene.wait(60)
    scene.start(web)
    scene.end(web)
    scene.wait(119)
    assert scene.said == []
    scene.wait(2)
    assert scene.said == [
        "firing restart-gave-up: it is not started again after 3 ends, the last one crashed: it failed (exit code 2)"
    ]
    scene.start(web)
    assert scene.said[1:] == ["resolved restart-gave-up: it was started again"]


def test_fifteen_minutes_without_health_are_worse_than_one() -> None:
    scene = AlertScene([long_unhealthy.rule])
    scene.happen(EventKind.HEALTH, scene.add("web"), health="unhealthy")
    scene.wait(899)
    assert scene.said == []
    scene.wait(2)
    assert scene.said == ["firing long-unhealthy: its health check fails"]


def test_a_health_check_that_changes_again_and_again_flaps() -> None:
    scene = AlertScene([health_flapping.rule])
    web = scene.add("web")
    for health in ("healthy", "unhealthy") * 3:
        scene.happen(EventKind.HEALTH, web, health=health)
        scene.wait(30)
    assert scene.said == []
    scene.happen(EventKind.HEALTH, web, health="healthy")
    assert scene.said == ["firing flapping: its health check changed its result 6 times in 15 minutes"]


def test_a_service_short_of_replicas_is_reported_after_two_minutes() -> None:
    scene = AlertScene([replicas_short.rule])
    service = swarm(Kind.SERVICE, "mail_smtp")
    scene.happen(EventKind.REPLICAS, service, running="1", desired="3")
    scene.wait(121)
    scene.happen(EventKind.REPLICAS, service, running="3", desired="3")
    assert scene.said == [
        "firing replicas-short: only 1 of 3 replicas run",
        "resolved replicas-short: 3 of 3 replicas run",
    ]
    scene.happen(EventKind.REPLICAS, service, running="?", desired="³")
    assert len(scene.said) == 2


def test_an_update_that_stops_is_reported_with_its_reason() -> None:
    scene = AlertScene([update_stopped.rule])
    service = swarm(Kind.SERVICE, "mail_smtp")
    scene.happen(EventKind.ROLLOUT, service, state="paused", why="update paused due to failure")
    scene.wait(1)
    scene.happen(EventKind.ROLLOUT, service, state="completed")
    assert scene.said == [
        "firing update-stopped: its update is paused: update paused due to failure",
        "resolved update-stopped: its update is complete",
    ]


def test_a_failed_task_is_its_services_trouble() -> None:
    scene = AlertScene([task_failed.rule, image_pull_failed.rule])
    why = "No such image: web:9"
    for task in ("mail_smtp.1", "mail_smtp.2"):
        scene.happen(
            EventKind.TASK_FAILED, swarm(Kind.TASK, task), state="rejected", service="mail_smtp", node="w1", why=why
        )
    assert {alert.owner for alert in scene.alerts} == {"mail_smtp"}
    assert sorted((alert.rule, alert.count) for alert in scene.alerts) == [
        ("image-pull-failed", 1),
        ("image-pull-failed", 2),
        ("task-failed", 1),
        ("task-failed", 2),
    ]
    assert scene.alerts[0].text.endswith(why)


def test_a_task_that_fails_while_its_service_is_updated_is_a_part_of_the_update() -> None:
    scene = AlertScene([task_failed.rule])
    task = swarm(Kind.TASK, "mail_smtp.1")
    scene.happen(EventKind.TASK_FAILED, task, state="failed", service="mail_smtp", rollout="updating")
    assert scene.said == []
    scene.happen(EventKind.TASK_FAILED, task, state="failed", service="mail_smtp")
    assert scene.said == ["firing task-failed: a task failed"]


def test_a_node_that_is_down_is_reported_after_half_a_minute() -> None:
    scene = AlertScene([node_down.rule])
    node = swarm(Kind.NODE, "worker-1")
    scene.happen(EventKind.NODE_STATE, node, state="down", why="heartbeat failure")
    scene.wait(31)
    scene.happen(EventKind.NODE_STATE, node, state="ready")
    assert scene.said == [
        "firing node-down: the node is down: heartbeat failure",
        "resolved node-down: the node is ready again",
    ]


def test_podmans_failed_pull_is_reported() -> None:
    scene = AlertScene([image_pull_failed.rule])
    image = Ref(engine=ENGINE, kind=Kind.IMAGE, id="", name="r.example/web:9")
    scene.happen(EventKind.OTHER, image, action="pull-error", why="manifest unknown")
    scene.happen(EventKind.OTHER, image, action="prune")
    assert scene.said == ["firing image-pull-failed: the image cannot be pulled: manifest unknown"]


def test_the_document_lists_every_rule_as_it_is() -> None:
    text = (ROOT / "docs/alerts.md").read_text()
    for rule in load_rules():
        hold = f"{int(rule.hold.total_seconds())} s" if rule.hold else ""
        assert f"| `{rule.name}` | {rule.severity} | {rule.summary} | {hold} |" in text


def test_a_time_without_quarterdeck_is_told_once_for_all_engines_and_not_for_each() -> None:
    for reason, fires in ((GapReason.NOT_WATCHED, False), (GapReason.STREAM_LOST, True)):
        gap = Gap(engine=ENGINE, engine_id="e", from_ns=1, until_ns=10**12, reason=reason, recovery=Recovery.RESYNCED)
        finding = missed_events.check(RuleInput(events=[SeenEvent(event=gap.to_event())]))
        assert (finding is not None) is fires
