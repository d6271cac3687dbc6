"""The replay of past events against a rule: the same messages as live, and why the rest was suppressed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bot import event_file
from collectors.rule_catalogue import load_rules
from collectors.rule_replay import RuleReplay, is_stored
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.incidents import REOPEN_NS
from core.model.rule_tests import MAX_MESSAGES
from tests.helpers.alert_scene import SECOND, START, AlertScene
from tests.helpers.paths import ROOT

RULES = {rule.name: rule for rule in load_rules()}
CRASH = RULES["crash"]


class Past:
    """Events that happened, as the history stores them."""

    def __init__(self) -> None:
        self.scene = AlertScene([])
        self.events: list[Event] = []

    def crash(
        self, name: str, at: float, cause: str = "crashed", text: str = "crashed: it failed (exit code 2)"
    ) -> None:
        ref = self.scene.add(name)
        attrs = {"exit_code": "2", "cause": cause, "cause_text": text}
        self.events.append(
            Event(START + int(at * SECOND), EventKind.DIED, ref, Origin.REPLAY, "container", "die", attrs)
        )

    def happen(self, kind: EventKind, name: str, at: float, **attrs: str) -> None:
        ref = self.scene.add(name)
        self.events.append(Event(START + int(at * SECOND), kind, ref, Origin.LIVE, "container", str(kind), attrs))

    def replay(self, rule=CRASH, until: float = 86_400, known: dict[str, Container] | None = None) -> RuleReplay:
        made = RuleReplay(rule, known or {})
        made.feed(sorted(self.events, key=lambda event: event.at_ns))
        made.finish(START + int(until * SECOND))
        return made


def test_one_trouble_is_one_message_and_the_repetitions_are_suppressed() -> None:
    past = Past()
    for number in range(20):
        past.crash("web", number * 30)
    past.crash("db", 50)
    made = past.replay()
    assert made.found == 21
    assert [(message.owner, message.times) for message in made.messages] == [("web", 20), ("db", 1)]
    assert (made.repeated, made.reopened, made.held_back, made.waiting) == (19, 0, 0, 0)
    assert made.found - len(made.messages) == made.repeated + made.reopened + made.held_back + made.waiting


def test_what_comes_back_within_the_hour_is_the_old_message_and_later_a_new_one() -> None:
    past = Past()
    past.happen(EventKind.STARTED, "web", 0)
    for at in (1, 2000, 2000 + 1000 + REOPEN_NS / SECOND + 10):
        past.crash("web", at)
        past.happen(EventKind.STARTED, "web", at + 1)
    made = past.replay()
    assert len(made.messages) == 2
    assert made.reopened == 1
    assert all(message.until_ns for message in made.messages), "the container runs, so the trouble is over"


def test_what_is_over_too_soon_is_held_back_and_what_has_not_lasted_yet_waits() -> None:
    past = Past()
    unhealthy = RULES["unhealthy"]
    past.happen(EventKind.HEALTH, "web", 0, health="unhealthy")
    past.happen(EventKind.HEALTH, "web", 20, health="healthy")
    past.happen(EventKind.HEALTH, "web", 100, health="unhealthy")
    made = past.replay(unhealthy, until=130)
    assert (made.messages, made.held_back, made.waiting) == ([], 1, 1)
    shorter = past.replay(replace(unhealthy, hold=timedelta(seconds=10)), until=130)
    assert len(shorter.messages) == 1
    assert shorter.reopened == 1


def test_ends_that_somebody_asked_for_are_no_trouble() -> None:
    past = Past()
    past.crash("web", 1, "requested", "stopped by a client of its engine")
    past.crash("web", 2, "replaced", "replaced by web")
    past.crash("job", 3, "finished", "finished")
    made = past.replay()
    assert (made.found, made.messages) == (0, [])


def test_a_container_that_is_removed_right_after_its_end_was_a_job() -> None:
    past = Past()
    past.crash("backup", 1)
    past.happen(EventKind.REMOVED, "backup", 1.2)
    assert past.replay().messages == []
    (message,) = past.replay(RULES["job-failed"]).messages
    assert message.text.startswith("the job failed")


def test_the_labels_of_containers_that_exist_count() -> None:
    past = Past()
    past.crash("web", 1)
    key = past.events[0].subject.id
    row = past.scene.containers[key]
    labelled = Container(
        **{name: getattr(row, name) for name in row.__struct_fields__} | {"labels": {"quarterdeck.alerts": "off"}}
    )
    assert past.replay(known={key: labelled}).found == 0


def test_it_says_the_same_as_the_running_process() -> None:
    """One day of crashes, live and replayed."""
    scene = AlertScene([CRASH])
    past = Past()
    web = scene.add("web")
    for gap in (5, 400, 30, 30, 5000, 10):
        scene.wait(gap)
        scene.end(web)
        past.events.append(
            Event(
                scene.now,
                EventKind.DIED,
                web,
                Origin.LIVE,
                "container",
                "die",
                {"cause": "crashed", "cause_text": "crashed: it failed (exit code 2)"},
            )
        )
        scene.wait(1)
        scene.start(web)
        past.events.append(Event(scene.now, EventKind.STARTED, web, Origin.LIVE, "container", "start", {}))
    scene.wait(3600)
    made = RuleReplay(CRASH, {})
    made.feed(past.events)
    made.finish(scene.now)
    assert made.found == sum(said.startswith("firing") for said in scene.said)
    begins = [alert.at_ns for alert in scene.alerts if alert.count == 1 and str(alert.state) == "firing"]
    assert len(made.messages) + made.reopened == len(begins)


@pytest.mark.parametrize(("name", "stored"), [("crash", True), ("engine-down", False), ("data-root-full", False)])
def test_rules_about_readings_of_the_host_cannot_be_replayed(name: str, stored: bool) -> None:
    assert is_stored(RULES[name]) is stored


def test_the_messages_that_are_returned_are_limited() -> None:
    past = Past()
    for number in range(MAX_MESSAGES + 5):
        past.crash(f"web{number}", number)
    made = past.replay()
    assert len(made.messages) == MAX_MESSAGES + 5
    assert len(made.newest_messages()) == MAX_MESSAGES


@pytest.mark.parametrize("name", ["docker-20.10", "docker-26.1", "podman-4.3.libpod", "podman-5.4.libpod"])
def test_recorded_events_of_real_engines_are_replayed_with_their_causes(name: str) -> None:
    events = event_file.read_events(str(ROOT / "tests" / "captures" / f"{name}.events.jsonl"))
    made = RuleReplay(CRASH, {}, raw=True)
    made.feed(events)
    made.finish(events[-1].at_ns + 60 * SECOND)
    failed = [
        event for event in events if event.kind is EventKind.DIED and event.attrs.get("exit_code") not in ("0", None)
    ]
    assert made.asked > 0
    assert made.found <= len(failed), "a stop is no crash"
    assert json.dumps([message.text for message in made.messages])
    assert all(message.subject.engine.host == "file" for message in made.messages)
