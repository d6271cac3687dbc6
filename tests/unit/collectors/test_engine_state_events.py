"""Which engines are watched: each change is one event, and the rules make one alert of it."""

from __future__ import annotations

from collectors.engine_state_events import EngineStateEvents
from collectors.rules import engine_down, missed_events
from core.model.gaps import Gap, GapReason, Recovery
from core.model.refs import EngineRef
from tests.helpers.alert_scene import SECOND, AlertScene

H1, H2 = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="podman")


class Watch:
    def __init__(self) -> None:
        self.scene = AlertScene([engine_down.rule, missed_events.rule])
        self.watch = EngineStateEvents(lambda: self.scene.now)

    def look(self, **states: str) -> None:
        engines = [({"h1": H1, "h2": H2}[name], why) for name, why in states.items()]
        self.scene.evaluator.observe(self.watch.compare(engines), {})

    def gap(self, seconds: float, recovery: Recovery, reason: GapReason = GapReason.STREAM_LOST) -> None:
        gap = Gap(
            engine=H1,
            engine_id="id",
            from_ns=self.scene.now,
            until_ns=self.scene.now + int(seconds * SECOND),
            reason=reason,
            recovery=recovery,
        )
        self.scene.now += int(seconds * SECOND)
        self.scene.evaluator.observe([gap.to_event()], {})


def test_an_engine_that_is_down_for_half_a_minute_is_one_alert_until_it_answers() -> None:
    watch = Watch()
    watch.look(h1="", h2="")
    watch.look(h1="The daemon does not answer.", h2="")
    watch.scene.wait(29)
    watch.look(h1="The daemon does not answer. Again.", h2="")
    assert watch.scene.said == []
    watch.scene.wait(2)
    assert watch.scene.said == ["firing engine-down: the engine is not watched: The daemon does not answer."]
    watch.look(h1="", h2="")
    assert watch.scene.said[1:] == ["resolved engine-down: the engine answers, and its events are received"]


def test_a_restart_of_an_engine_is_silent() -> None:
    watch = Watch()
    watch.look(h1="")
    watch.look(h1="The event stream ended.")
    watch.scene.wait(10)
    watch.look(h1="")
    watch.gap(10, Recovery.RESYNCED)
    watch.scene.wait(60)
    assert watch.scene.said == []


def test_an_engine_that_was_never_reached_is_down_and_a_removed_one_is_not() -> None:
    watch = Watch()
    watch.look(h1="", h2="There is no socket.")
    watch.scene.wait(31)
    assert [alert.owner for alert in watch.scene.alerts] == ["podman/h2"]
    watch.look(h1="")
    assert watch.scene.said[1:] == ["resolved engine-down: Quarterdeck does not watch the engine now"]


def test_missed_events_are_told_once_after_each_gap() -> None:
    watch = Watch()
    watch.gap(3600, Recovery.REPLAYED)
    assert watch.scene.said == []
    watch.gap(3600, Recovery.RESYNCED, GapReason.NOT_WATCHED)
    assert watch.scene.said == []  # the rule nobody-watched reports it
    watch.gap(3600, Recovery.RESYNCED, GapReason.STREAM_LOST)
    (said,) = watch.scene.said
    assert "its events from 2023-11-15T00:13:20Z to 2023-11-15T01:13:20Z were missed: the event stream was lost" in said
    watch.scene.wait(61)
    watch.gap(1, Recovery.LOST, GapReason.EVENTS_DROPPED)
    assert len([alert for alert in watch.scene.alerts if alert.state == "firing"]) == 2
