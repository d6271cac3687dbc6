"""That long actions go on is shown each second, with what the engine's adapter waits for; on fake loop time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.dispatch import plan_progress
from core.model.actions import Action, InspectContainer, Restart
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Progress
from runtimes.base import stop_grace

pytestmark = pytest.mark.looptime
ENGINE = EngineRef(host="h1", kind="docker")


def ref(name: str) -> Ref:
    return Ref(engine=ENGINE, kind=Kind.CONTAINER, id=name * 16, name=name)


def restart(name: str) -> Action[Any]:
    return Restart(engine=ENGINE, target=ref(name))


class Talk:
    def __init__(self) -> None:
        self.shown: list[Progress] = []

    def progress(self, progress: Progress) -> bool:
        self.shown.append(progress)
        return True


async def run(*plan: Action[Any], grace: float | None = None, takes: float = 4.5) -> list[Progress]:
    talk = Talk()

    async def one(action: Action[Any]) -> None:
        with shown.running(action):
            if grace is not None:
                stop_grace.report(grace)
            await asyncio.sleep(takes)

    with plan_progress.PlanProgress(plan, talk) as shown:  # type: ignore[arg-type]
        await asyncio.gather(*map(one, plan))
    await asyncio.sleep(10)
    return talk.shown


async def test_a_stop_counts_up_to_its_grace() -> None:
    shown = await run(restart("web"), grace=10)
    assert [one.progress for one in shown] == [f"waiting for it to stop, {second} of 10 s" for second in (1, 2, 3, 4)]
    assert {(one.name, one.ticking, one.read_only) for one in shown} == {("web", True, False)}


async def test_without_a_limit_or_a_step_only_the_time_is_told() -> None:
    assert (await run(restart("web"), grace=float("inf")))[-1].progress == "waiting for it to stop, 4 s"
    assert (await run(restart("web")))[-1].progress == "waiting for docker/h1, 4 s"
    assert (await run(InspectContainer(engine=ENGINE, target=ref("web"))))[-1].read_only


async def test_several_are_one_sentence() -> None:
    (first, *_) = await run(*map(restart, ("a", "b", "c", "d", "e")), grace=10)
    wait = "waiting for it to stop, 1 of 10 s"
    assert first.progress == f"0 of 5 done; a: {wait}; b: {wait}; c: {wait} and 2 more"
    assert first.name == "5 targets"


async def test_what_is_quick_shows_nothing() -> None:
    assert await run(restart("web"), takes=0.9) == []
