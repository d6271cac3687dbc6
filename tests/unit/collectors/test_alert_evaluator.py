"""The evaluator: each begin, repetition and end of trouble is reported once, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from collectors import alert_evaluator, recent_events_by_owner
from collectors.rule import Rule, RuleInput
from collectors.rules import crash, crash_loop, unhealthy
from core.model.alerts import AlertState, Cleared, Finding, Firing, Severity
from core.model.end_causes import CauseKind
from core.model.events import EventKind, Origin
from core.model.refs import EngineRef
from tests.helpers.alert_scene import AlertScene

SHOP = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


def test_a_crash_fires_and_resolves_when_it_runs_quietly_again() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web", labels=SHOP)
    scene.end(web)
    assert scene.said == ["firing crash: crashed: it failed (exit code 2)"]
    alert = scene.alerts[0]
    assert (alert.owner, alert.severity, alert.count, alert.late) == ("shop/web", Severity.MEDIUM, 1, False)
    scene.start(web)
    scene.wait(299)
    assert len(scene.alerts) == 1
    scene.wait(2)
    assert scene.said[1:] == ["resolved crash: no trouble since"]
    assert scene.evaluator.firing == []


def test_a_crashed_container_that_stays_down_is_not_resolved_by_silence() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    scene.end(web)
    scene.wait(3600)
    assert len(scene.alerts) == 1
    scene.start(web)
    scene.wait(60)
    assert scene.said[1:] == ["resolved crash: no trouble since"]


def test_a_removed_container_resolves_its_alert() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    scene.end(web)
    scene.remove(web)
    scene.wait(301)
    assert scene.said[1:] == ["resolved crash: it no longer exists"]


def test_while_an_engine_is_not_watched_silence_resolves_nothing() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    scene.end(web)
    scene.start(web)
    scene.engine_is_watched = False
    scene.wait(3600)
    assert len(scene.alerts) == 1
    scene.engine_is_watched = True
    scene.wait(60)
    assert scene.said[1:] == ["resolved crash: no trouble since"]


def test_a_stop_by_somebody_resolves_a_crash() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    scene.end(web)
    scene.start(web)
    scene.end(web, CauseKind.REQUESTED, "stopped by a client of its engine")
    assert scene.said[1:] == ["resolved crash: stopped by a client of its engine"]


def test_the_same_trouble_is_one_alert_that_counts_also_after_the_container_is_recreated() -> None:
    scene = AlertScene([crash.rule])
    old = scene.add("shop-web-1", labels=SHOP)
    scene.end(old)
    scene.remove(old)
    new = scene.add("shop-web-1", labels=SHOP, number=2)
    scene.wait(10)
    scene.end(new)
    assert [alert.count for alert in scene.alerts] == [1, 2]
    assert len({alert.fingerprint for alert in scene.alerts}) == 1
    assert scene.alerts[1].subject == new and scene.alerts[1].since_ns == scene.alerts[0].at_ns


def test_a_renamed_container_is_the_same_trouble_until_that_is_over() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    scene.end(web)
    renamed = msgspec.structs.replace(web, name="web2")
    scene.containers[web.id] = msgspec.structs.replace(scene.containers[web.id], ref=renamed)
    scene.happen(EventKind.RENAMED, renamed, old_name="/web")
    scene.start(renamed)
    scene.end(renamed)
    assert [(alert.owner, alert.count) for alert in scene.alerts] == [("web", 1), ("web", 2)]
    scene.start(renamed)
    scene.wait(400)
    assert scene.said[-1] == "resolved crash: no trouble since"
    scene.end(renamed)
    assert scene.alerts[-1].owner == "web2", "it belongs to its name again"


def test_replicas_and_engines_have_alerts_of_their_own() -> None:
    scene = AlertScene([crash.rule])
    second = {**SHOP, "com.docker.compose.container-number": "2"}
    scene.end(scene.add("shop-web-1", labels=SHOP))
    scene.end(scene.add("shop-web-2", labels=second))
    other = msgspec.structs.replace(scene.add("x"), engine=EngineRef(host="h2", kind="docker"))
    scene.containers[other.id] = msgspec.structs.replace(scene.containers[other.id], ref=other)
    scene.end(other)
    scene.end(scene.add("x"))
    assert len({alert.fingerprint for alert in scene.alerts}) == 4


def test_trouble_must_last_as_long_as_the_rule_holds() -> None:
    scene = AlertScene([unhealthy.rule])
    web = scene.add("web")
    scene.happen(EventKind.HEALTH, web, health="unhealthy")
    scene.wait(59)
    assert scene.said == [] and len(scene.evaluator.waiting) == 1
    scene.happen(EventKind.HEALTH, web, health="healthy")
    scene.wait(120)
    assert scene.said == [] and not scene.evaluator.waiting
    scene.happen(EventKind.HEALTH, web, health="unhealthy")
    scene.wait(61)
    assert scene.said == ["firing unhealthy: its health check fails"]
    scene.happen(EventKind.HEALTH, web, health="healthy")
    assert scene.said[1:] == ["resolved unhealthy: its health check succeeds again"]


def test_trouble_that_a_replay_also_ends_is_never_reported() -> None:
    scene = AlertScene([unhealthy.rule])
    web = scene.add("web")
    scene.happen(EventKind.HEALTH, web, origin=Origin.REPLAY, age=3600, health="unhealthy")
    scene.happen(EventKind.HEALTH, web, origin=Origin.REPLAY, age=3000, health="healthy")
    scene.wait(60)
    assert scene.said == []


def test_trouble_found_in_a_replay_is_marked_as_late() -> None:
    scene = AlertScene([crash.rule, unhealthy.rule])
    scene.end(scene.add("web"), origin=Origin.RESYNC, age=1800)
    scene.happen(EventKind.HEALTH, scene.add("db"), origin=Origin.REPLAY, age=1800, health="unhealthy")
    scene.wait(10)
    assert [(alert.rule, alert.late) for alert in scene.alerts] == [("crash", True), ("unhealthy", True)]


def test_an_event_that_arrives_twice_counts_once() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    died = scene.event(EventKind.DIED, web)
    scene.end_again(died)
    scene.end_again(msgspec.structs.replace(died, origin=Origin.REPLAY))
    assert len(scene.alerts) == 1


@pytest.mark.parametrize("word", ["off", "OFF", " false ", "0"])
def test_a_label_switches_alerts_off(word: str) -> None:
    scene = AlertScene([crash.rule])
    scene.end(scene.add("web", labels={"quarterdeck.alerts": word}))
    assert scene.said == []


def test_labels_choose_the_severity_the_team_and_the_channel_and_nonsense_chooses_nothing() -> None:
    scene = AlertScene([crash.rule])
    labels = {"quarterdeck.severity": "critical", "quarterdeck.team": "payments", "quarterdeck.channel": "C1"}
    scene.end(scene.add("web", labels=labels))
    scene.end(scene.add("db", labels={"quarterdeck.severity": "<!channel>", "quarterdeck.team": "x" * 5000}))
    first, second = scene.alerts
    assert (first.severity, first.team, first.channel) == (Severity.HIGH, "payments", "C1")
    assert second.severity is crash.rule.severity and len(second.team) == 80


def test_an_alert_says_whether_anybody_has_seen_the_labels_of_its_container() -> None:
    scene = AlertScene([crash.rule])
    plain, web = scene.add("plain"), scene.add("web", labels=SHOP)
    scene.end(plain)
    row = scene.containers.pop(web.id)
    scene.end_again(scene.event(EventKind.DIED, web))
    scene.containers[web.id] = row
    scene.end(web)
    known = [(alert.owner, alert.labels_known, alert.labels) for alert in scene.alerts]
    assert known == [("plain", True, {}), ("web", False, {}), ("shop/web", True, SHOP)]


def test_an_alert_learns_the_labels_of_its_container_later() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web", labels={"team": "x"})
    row = scene.containers.pop(web.id)
    scene.end_again(scene.event(EventKind.DIED, web))
    scene.containers[web.id] = row
    scene.end(web)
    assert [(alert.count, alert.labels_known, alert.labels) for alert in scene.alerts] == [
        (1, False, {}),
        (2, True, {"team": "x"}),
    ]


def test_nothing_is_reported_about_our_own_container() -> None:
    own = AlertScene([]).add("quarterdeck").id
    scene = AlertScene([crash.rule], own_ids=[own])
    scene.end(scene.add("quarterdeck"))
    assert scene.said == []


def test_a_bug_in_one_rule_silences_no_other() -> None:
    def check(seen: RuleInput) -> Finding | None:
        raise KeyError("x")

    broken = Rule(
        name="broken", summary="", severity=Severity.LOW, on=frozenset({EventKind.DIED}), check=check, topic="x"
    )
    scene = AlertScene([broken, crash.rule])
    scene.end(scene.add("web"))
    assert len(scene.alerts) == 1


def test_open_alerts_are_limited_and_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_evaluator, "MAX_OPEN", 3)
    scene = AlertScene([crash.rule])
    for number in range(5):
        scene.end(scene.add(f"web{number}"))
    assert len(scene.evaluator.firing) == 3 and scene.evaluator.dropped == 2


def test_the_memory_for_events_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_events_by_owner, "MAX_OWNERS", 10)
    scene = AlertScene([crash_loop.rule])
    for number in range(50):
        scene.start(scene.add(f"web{number}"))
    assert len(scene.evaluator._windows) == 10
    web = scene.add("web")
    for _ in range(500):
        scene.now += 1
        scene.happen(EventKind.STARTED, web)
    assert max(len(events) for events in scene.evaluator._windows._events.values()) == recent_events_by_owner.MAX_EVENTS


def test_what_happens_before_the_alerts_of_an_earlier_process_are_known_is_added_to_their_count() -> None:
    before = AlertScene([crash.rule])
    web = before.add("web")
    for _ in range(3):
        before.end(web)
    after = AlertScene([crash.rule])
    after.now, after.containers = before.now, before.containers
    after.end(web)
    after.end(web)
    after.evaluator.restore([before.alerts[-1]])
    after.end(web)
    assert [alert.count for alert in after.alerts] == [1, 2, 5, 6]
    assert after.alerts[-1].since_ns == before.alerts[0].since_ns


def test_open_alerts_go_on_after_a_restart_and_are_not_reported_again() -> None:
    scene = AlertScene([crash.rule])
    web = scene.add("web")
    scene.end(web)
    after = AlertScene([crash.rule])
    after.containers = scene.containers
    after.evaluator.restore(scene.evaluator.firing)
    after.wait(5)
    assert after.said == []
    after.now = scene.now
    after.end_again(scene.last_end)  # the engine sends it again
    after.end(web)
    assert [(alert.count, alert.fingerprint) for alert in after.alerts] == [(2, scene.alerts[0].fingerprint)]
    after.start(web)
    after.wait(301)
    assert after.alerts[-1].state is AlertState.RESOLVED


_STEP = st.sampled_from(["fire", "clear", "wait"])


@hypothesis.given(st.lists(_STEP, max_size=40))
def test_reports_are_well_formed_in_any_order_of_events(steps: list[str]) -> None:
    """A resolution follows a firing, and what fires last is what `firing` says."""

    def check(seen: RuleInput) -> Finding | None:
        return Cleared("over") if seen.last.kind is EventKind.STARTED else Firing("bad")

    rule = Rule(
        name="any",
        summary="",
        severity=Severity.LOW,
        on=frozenset({EventKind.STARTED, EventKind.PAUSED}),
        check=check,
        topic="x",
        hold=timedelta(seconds=2),
        settle=timedelta(seconds=5),
    )
    scene = AlertScene([rule])
    web = scene.add("web")
    for step in steps:
        if step == "wait":
            scene.wait(3)
        else:
            scene.now += 1
            scene.happen(EventKind.PAUSED if step == "fire" else EventKind.STARTED, web)
    states = [alert.state for alert in scene.alerts]
    for before, after in zip([AlertState.RESOLVED, *states], states, strict=False):
        assert not (after is AlertState.RESOLVED and before is AlertState.RESOLVED)
    assert bool(scene.evaluator.firing) == (bool(states) and states[-1] is AlertState.FIRING)


def test_after_its_end_an_alert_rests_for_the_cooldown() -> None:
    scene = AlertScene([replace(crash.rule, cooldown=timedelta(minutes=10))])
    web = scene.add("web")
    scene.end(web)
    scene.start(web)
    scene.wait(400)
    assert [alert.state for alert in scene.alerts] == ["firing", "resolved"]
    scene.end(web)
    assert len(scene.alerts) == 2
    assert scene.evaluator.statistics.held_back["crash"] == 1
    scene.start(web)
    scene.wait(601)
    scene.end(web)
    assert [alert.state for alert in scene.alerts] == ["firing", "resolved", "firing"]


def test_trouble_that_only_a_good_sign_ends_is_reported_after_the_cooldown() -> None:
    scene = AlertScene([replace(unhealthy.rule, hold=timedelta(0), cooldown=timedelta(minutes=5))])
    web = scene.add("web")
    for health in ("unhealthy", "healthy", "unhealthy"):
        scene.happen(EventKind.HEALTH, web, health=health)
    assert [alert.state for alert in scene.alerts] == ["firing", "resolved"]
    scene.wait(301)
    assert [alert.state for alert in scene.alerts] == ["firing", "resolved", "firing"]


def test_it_counts_what_each_rule_saw_found_and_held_back() -> None:
    scene = AlertScene([crash.rule, unhealthy.rule])
    web = scene.add("web")
    scene.end(web)
    scene.happen(EventKind.HEALTH, web, health="unhealthy")
    scene.happen(EventKind.HEALTH, web, health="healthy")
    counts = scene.evaluator.statistics
    assert dict(counts.asked) == {"crash": 1, "unhealthy": 3}
    assert (dict(counts.fired), dict(counts.held_back)) == ({"crash": 1}, {"unhealthy": 1})
    assert counts.last_ns["crash"] == scene.last_end.at_ns
