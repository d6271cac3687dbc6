"""Tests that an action gets its own time, whatever time the command had for finding its targets."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from bot.dispatch import execution
from core.model import actions, images
from core.model.background_jobs import JobStarted, ReadJob
from core.model.policy import Grant
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Status
from core.model.results import Outcome
from runtimes.base import jobs
from runtimes.base.base_adapter import does
from tests.unit.bot.dispatch.world import ADMIN, BOB, World, now, words

ENGINE = EngineRef(host="h1", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")


@pytest.fixture
async def world(valkey):
    made = World(valkey, grants=(ADMIN,))
    yield made
    await made.aclose()


class Puller(jobs.JobAdapter):
    """Pulls until `until`. `deadlines`: how many seconds each call had left when it arrived."""

    def __init__(self):
        super().__init__(ENGINE)
        self.until, self.deadlines = now(), {}

    async def run(self, action, call):
        self.deadlines[action.verb] = (call.deadline - now()).total_seconds()
        return await super().run(action, call)

    @does(images.PullImage)
    async def pull(self, action, seconds) -> JobStarted:
        return self.jobs.start(action.verb, self.work)

    async def work(self, job):
        while now() < self.until:
            await asyncio.sleep(0.02)
        return Outcome(status=Status.DONE, detail="as sha256:1")


async def test_a_pull_may_take_longer_than_the_command_had_for_its_targets(world):
    dispatcher = await world.replica()
    puller = Puller()
    dispatcher._fleet.remove(world.engine)
    dispatcher._fleet.add(puller)
    inv = world.line("pull nginx:1.27 --timeout 1800")
    inv = replace(inv, deadline=now() + timedelta(seconds=4))
    puller.until = inv.deadline + timedelta(seconds=0.4)
    reply = await dispatcher.answer(inv)
    assert reply.ending is Ending.OK, words(reply)
    assert now() > puller.until
    assert 1800 < puller.deadlines["image.pull"] < 1900
    await puller.aclose()


def test_a_plan_has_time_for_each_round_of_its_actions():
    def stops(count, timeout):
        return [actions.Stop(engine=ENGINE, target=WEB, timeout=timeout)] * count

    one = stops(1, 3600)[0].timeout_seconds()
    assert execution.maximum_plan_seconds(stops(8, 3600)) == one
    assert execution.maximum_plan_seconds(stops(9, 3600)) == 2 * one
    assert execution.maximum_plan_seconds([*stops(1, 5), *stops(1, 3600)]) == one
    assert ReadJob(engine=ENGINE, job="j").timeout_seconds() < one


async def test_a_revoked_permission_ends_the_job_that_it_allowed(world):
    dispatcher = await world.replica()
    puller = Puller()
    dispatcher._fleet.remove(world.engine)
    dispatcher._fleet.add(puller)
    puller.until = now() + timedelta(hours=1)
    grant = Grant(id="g1", who=BOB.id, can=("operator", "image.pull"))
    await world.stores[0].add_grant("g1", msgspec.json.encode(grant))
    pulling = asyncio.create_task(dispatcher.answer(world.line("pull nginx:1.27", who=BOB)))
    await world.until("intent")
    await world.stores[0].remove_grant("g1")
    reply = await asyncio.wait_for(pulling, 60)
    assert reply.ending is Ending.UNKNOWN
    assert "permission for it was taken away" in words(reply)
    assert [row["status"] for row in await world.rows() if row["phase"] == "outcome"] == ["unknown"]
    await puller.aclose()
