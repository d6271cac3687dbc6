"""A wait for the end of a container whose engine does not always answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core import errors
from core.model.container_reads import WaitForEnd
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.container_wait import WaitVerbs

ENGINE = EngineRef(host="h", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="c1", name="web")
AWAY = errors.Unreachable("The engine does not answer.")


def row(state: str, exit_code: int | None = None) -> Container:
    return Container(
        ref=WEB,
        image="i",
        image_id="",
        command="",
        state=state,
        status="",
        created_at=0.0,
        labels={},
        exit_code=exit_code,
    )


class Engine(WaitVerbs):
    """`answers`: to the inspections, the last one again and again."""

    def __init__(self, *answers: Container | errors.EngineError) -> None:
        super().__init__(ENGINE)
        self.answers = list(answers)

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {WEB.id: answer}


async def wait(engine: Engine, timeout: int) -> Outcome | None:
    action = WaitForEnd(engine=ENGINE, target=WEB, timeout=timeout)
    started = await engine.wait_for_end(action, 5.0)
    task = engine.jobs._find(started.job).task
    assert task is not None
    await task
    return (await engine.jobs._find(started.job).page("", 0.0)).outcome


@pytest.mark.parametrize(
    "answer", [AWAY, errors.TimedOut("It is slow.", sent=False), errors.Rejected(500, "removal in progress")]
)
async def test_an_engine_that_does_not_answer_for_a_moment_does_not_end_the_wait(
    answer: errors.EngineError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.base.container_wait.PAUSE_SECONDS", 0.0)
    outcome = await wait(Engine(row("running"), answer, answer, row("running"), row("exited", exit_code=3)), 60)
    assert outcome is not None
    assert (outcome.status, outcome.detail) == (Status.DONE, "has ended with code 3")


async def test_an_engine_that_does_not_answer_at_the_end_of_the_time_is_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtimes.base.container_wait.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("runtimes.base.container_wait.MAX_WAIT_SECONDS", 0.2)
    outcome = await wait(Engine(row("running"), AWAY), 60)
    assert outcome is not None
    assert (outcome.status, outcome.detail) == (Status.FAILED, "The engine does not answer.")
