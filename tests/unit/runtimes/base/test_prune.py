"""How a prune goes on the engine's side when answers are lost, refused or late."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions, images, prune
from core.model.background_jobs import ReadJob, StopJob
from core.model.events import EventKind
from core.model.replies import Status
from core.ports import Call
from runtimes.base.base_adapter import does
from tests.fake_engine.engine import FakeRuntime


class Failing(FakeRuntime):
    """`failing`: what removing a container of that name raises; `hold`: waits for it before each removal."""

    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.failing = {}
        self.hold = None

    @does(actions.Remove)
    async def remove(self, action, seconds):
        if self.hold is not None:
            await self.hold.wait()
        if (error := self.failing.get(action.target.name)) is not None:
            raise error
        return await super().remove(action, seconds)


@pytest.fixture
async def engine():
    made = Failing("h1", kind="docker")
    for name in ("one", "two", "three"):
        made.happen(EventKind.DIED, made.add(name), exit_code="0")
    yield made
    await made.aclose()


async def do(engine, action):
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    return await engine.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))


async def pinned(engine):
    found = await do(engine, prune.FindUnused(engine=engine.ref))
    return tuple(prune.choose(found.rows, (prune.Kind.CONTAINER,)))


async def ended(engine, job):
    while True:
        page = await do(engine, ReadJob(engine=engine.ref, job=job, wait=1.0))
        if page.outcome is not None:
            return page.outcome


async def pruned(engine):
    started = await do(engine, prune.PruneContainers(engine=engine.ref, pinned=await pinned(engine)))
    return await ended(engine, started.job)


async def test_a_refusal_keeps_one_and_the_others_go(engine):
    engine.failing["three"] = errors.Rejected(409, "three is\nbusy. " + "x" * 500)
    outcome = await pruned(engine)
    assert outcome.status == Status.DONE
    assert outcome.detail.startswith("removed 2 containers") and "1 kept: three three is busy" in outcome.detail
    assert len(outcome.detail) < 400


async def test_a_lost_answer_ends_it_and_says_what_was_done(engine):
    engine.failing["three"] = errors.Unreachable("It is gone.", sent=True)  # after `one`, by their names
    outcome = await pruned(engine)
    assert outcome.status == Status.UNKNOWN
    assert (
        "removed 1 container" in outcome.detail
        and "The other resources were not removed: It is gone." in outcome.detail
    )
    assert {row.ref.name for row in engine.containers.values()} == {"two", "three"}


async def test_an_engine_that_is_away_before_the_first_removal_changed_nothing(engine):
    action = prune.PruneContainers(engine=engine.ref, pinned=await pinned(engine))
    engine.reachable = False
    outcome = await ended(engine, (await do(engine, action)).job)
    assert outcome.status == Status.FAILED and outcome.detail.startswith("removed nothing")


async def test_a_stopped_prune_is_unknown_and_says_how_far_it_was(engine):
    engine.hold = asyncio.Event()
    action = prune.PruneContainers(engine=engine.ref, pinned=await pinned(engine))
    engine.asked.clear()
    started = await do(engine, action)
    while "unused" not in engine.asked:
        await asyncio.sleep(0.001)
    await do(engine, StopJob(engine=engine.ref, job=started.job, who="t"))
    outcome = await ended(engine, started.job)
    assert (outcome.status, outcome.detail) == (Status.UNKNOWN, "removed nothing. It was stopped.")


async def test_it_ends_in_time(engine, monkeypatch):
    monkeypatch.setattr(prune, "TIMEOUT_SECONDS", 0.05)
    engine.hold = asyncio.Event()
    outcome = await pruned(engine)
    assert outcome.status == Status.UNKNOWN and "did not end within" in outcome.detail


async def test_an_image_is_removed_with_all_its_names(engine):
    engine.add_image("shop/web:1", "shop/web:2")
    found = await do(engine, prune.FindUnused(engine=engine.ref, kinds=(prune.Kind.IMAGE,)))
    rows = prune.choose(found.rows, (prune.Kind.IMAGE,), everything=(prune.Kind.IMAGE,))
    mine = tuple(row for row in rows if "shop/web:1" in row.names)
    started = await do(engine, prune.PruneImages(engine=engine.ref, pinned=mine))
    assert (await ended(engine, started.job)).status == Status.DONE
    listed = await do(engine, images.ListImages(engine=engine.ref))
    assert not any("shop/web:2" in row.tags for row in listed.rows)


async def test_a_prune_of_one_kind_removes_no_other_whatever_is_pinned(engine):
    started = await do(engine, prune.PruneImages(engine=engine.ref, pinned=await pinned(engine)))
    outcome = await ended(engine, started.job)
    assert outcome.status == Status.NOOP and len(engine.containers) == 3
