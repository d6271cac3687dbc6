"""Restarts that only the engine's own count shows."""

from __future__ import annotations

import msgspec

from collectors.restart_count_events import RestartCountEvents
from collectors.rules import crash_loop
from tests.helpers.alert_scene import AlertScene


class Scene(AlertScene):
    """Containers with a count of restarts."""

    def __init__(self) -> None:
        super().__init__([crash_loop.rule])
        self.watch = RestartCountEvents(lambda: self.now)
        self.version = 0

    def count(self, ref, restarts: int | None, **more) -> list[str]:
        self.containers[ref.id] = msgspec.structs.replace(self.containers[ref.id], restarts=restarts, **more)
        self.version += 1
        self.wait(1)
        self.evaluator.observe(self.watch.compare(self.containers, self.version), self.containers)
        return self.said


def test_the_first_count_is_a_silent_baseline_and_an_increase_that_no_event_shows_is_a_loop() -> None:
    scene = Scene()
    web = scene.add("web")
    assert scene.count(web, 40) == []
    assert scene.count(web, 42) == []
    assert scene.count(web, None) == []
    assert scene.count(web, 43, exit_code=1) == [
        "firing crash-loop: crash loop: its engine restarted it 3 times in 10 minutes"
    ]


def test_restarts_whose_ends_were_reported_are_counted_once() -> None:
    scene = Scene()
    web = scene.add("web")
    scene.count(web, 0)
    for number in range(1, 3):
        scene.end(web)
        scene.start(web)
        scene.count(web, number)
    assert scene.said == [], "two crashes are no loop"


def test_a_worker_that_finishes_and_is_started_again_may_do_so_more_often() -> None:
    scene = Scene()
    web = scene.add("web")
    scene.count(web, 0, exit_code=0)
    assert scene.count(web, 7) == []
    assert len(scene.count(web, 8)) == 1


def test_a_count_that_goes_back_and_an_unchanged_version_are_no_increase() -> None:
    scene = Scene()
    web = scene.add("web")
    scene.count(web, 9)
    assert scene.count(web, 0) == []
    assert scene.watch.compare({}, scene.version) == ()
