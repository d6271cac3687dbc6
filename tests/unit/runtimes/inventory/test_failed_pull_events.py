"""A pull by Quarterdeck that fails is reported, because Docker says nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.model.background_jobs import JobPage, JobStarted, ReadJob
from core.model.create_container import CreateContainer
from core.model.events import Event
from core.model.images import PullImage
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.results import Outcome
from core.ports import Call
from runtimes.inventory.failed_pull_events import MAX_JOBS, FailedPullEvents

ENGINE = EngineRef(host="h1", kind="docker")
CALL = Call(id="c", who="slack:T1/ANN", deadline=datetime.now(UTC), invocation="i")


def run(watch: FailedPullEvents, action, outcome: Outcome | None, job: str = "j1") -> None:
    watch.observe(action, CALL, JobStarted(job))
    read = ReadJob(engine=ENGINE, job=job)
    watch.observe(read, CALL, JobPage(cursor="1"))
    watch.observe(read, CALL, JobPage(cursor="2", outcome=outcome))


@pytest.fixture
def reported() -> list[Event]:
    return []


@pytest.fixture
def watch(reported) -> FailedPullEvents:
    made = FailedPullEvents(lambda: 7)
    made.listener = reported.append
    return made


def test_a_failed_pull_is_an_event_of_the_image(watch, reported) -> None:
    run(watch, PullImage(engine=ENGINE, image="web"), Outcome(status=Status.FAILED, detail="manifest unknown"))
    (event,) = reported
    assert (event.action, event.subject.name, event.type) == ("pull-error", "web:latest", "image")
    assert event.attrs == {"why": "manifest unknown", "by": "slack:T1/ANN"}


def test_a_new_container_reports_only_the_failure_of_its_pull(watch, reported) -> None:
    make = CreateContainer(engine=ENGINE, image="web:1")
    run(watch, make, Outcome(status=Status.FAILED, detail="the name is in use"), "j1")
    assert reported == []
    run(watch, make, Outcome(status=Status.FAILED, detail="web:1 was not pulled: unauthorized"), "j2")
    assert [event.subject.name for event in reported] == ["web:1"]


@pytest.mark.parametrize("status", [Status.DONE, Status.NOOP, Status.UNKNOWN])
def test_any_other_outcome_and_other_jobs_are_not_reported(watch, reported, status) -> None:
    run(watch, PullImage(engine=ENGINE, image="web"), Outcome(status=status, detail="x"))
    watch.observe(ReadJob(engine=ENGINE, job="other"), CALL, JobPage(cursor="", outcome=Outcome(status=Status.FAILED)))
    assert reported == []


def test_the_number_of_jobs_is_limited(watch, reported) -> None:
    for number in range(MAX_JOBS + 1):
        watch.observe(PullImage(engine=ENGINE, image="web"), CALL, JobStarted(f"j{number}"))
    failed = JobPage(cursor="", outcome=Outcome(status=Status.FAILED, detail="x"))
    watch.observe(ReadJob(engine=ENGINE, job="j0"), CALL, failed)
    assert reported == []
    watch.observe(ReadJob(engine=ENGINE, job=f"j{MAX_JOBS}"), CALL, failed)
    assert len(reported) == 1
