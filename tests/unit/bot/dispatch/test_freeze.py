"""Tests that a freeze refuses every change by every road, and that it can be read, lifted and left to end."""

import asyncio

import msgspec
import pytest

from core import errors
from core.model import actions, freezes, images
from core.model.background_jobs import JobStarted
from core.model.freezes import NOT_FROZEN, Freeze
from core.model.policy import Grant
from core.model.replies import Ending, Status
from core.model.results import Outcome
from core.store.client import Store
from runtimes.base import jobs
from runtimes.base.base_adapter import does
from tests.unit.bot.dispatch.world import ANN, BOB, ENGINE, EVE, World, now, words

OPERATORS = Grant(id="ops", who=BOB.id, can=("operator", "container.remove"))
ADMIN = Grant(id="boss", who=ANN.id, can=("admin",))
READER = Grant(id="readers", who=EVE.id, can=("viewer",))


@pytest.fixture
async def world(valkey):
    made = World(valkey, grants=(ADMIN, OPERATORS, READER))
    yield made
    await made.aclose()


async def says(dispatcher, world, line, who=BOB):
    return await dispatcher.answer(world.line(line, who))


async def refused(world):
    return [row for row in await world.rows() if row["phase"] == "refused"]


async def test_a_change_is_refused_with_who_why_and_until_when_and_is_audited(world):
    dispatcher = await world.replica()
    set_ = await says(dispatcher, world, "freeze --for 2h --reason 'data centre move'", ANN)
    assert set_.ending is Ending.OK and set_.everyone
    for line in ("restart web", "rm -f db", "stop web-2 --host h1"):
        reply = await says(dispatcher, world, line)
        assert reply.ending is Ending.REFUSED
        text = words(reply)
        assert "ann has frozen all changes since" in text and "until" in text and "data centre move" in text
    assert world.engine.done == []
    rows = await refused(world)
    assert [row["rule"] for row in rows] == ["freeze"] * 3
    assert all("data centre move" in row["reason"] and row["who"] == BOB.id for row in rows)
    assert (await says(dispatcher, world, "ps")).ending is Ending.OK
    assert (await says(dispatcher, world, "logs web")).ending is Ending.OK


async def test_a_question_of_before_is_not_answered_with_a_change(world):
    dispatcher = await world.replica()
    asked = await says(dispatcher, world, "rm -f web")
    assert asked.ending is Ending.ASKED
    await says(dispatcher, world, "freeze", ANN)
    answered = await says(dispatcher, world, asked.buttons[0].line)
    assert answered.ending is Ending.REFUSED and "has frozen all changes" in words(answered)
    assert world.engine.done == []
    await says(dispatcher, world, "unfreeze", ANN)
    assert (await says(dispatcher, world, asked.buttons[0].line)).ending is Ending.OK  # the question stayed open
    assert world.engine.done == [("container.remove", "web")]


async def test_every_other_process_refuses_too_and_also_the_one_that_was_just_before_its_request(world, monkeypatch):
    first, second = await world.replica("r1"), await world.replica("r2")
    await says(first, world, "freeze", ANN)
    assert (await says(second, world, "restart web")).ending is Ending.REFUSED
    await says(second, world, "unfreeze", ANN)
    store, begin = world.stores[1], world.stores[1].begin_change

    async def frozen_meanwhile(*args, **more):
        await world.stores[0].set_freeze(ANN.id, msgspec.json.encode(Freeze(by=ANN.id, by_name="ann")), 0)
        return await begin(*args, **more)

    monkeypatch.setattr(store, "begin_change", frozen_meanwhile)
    reply = await says(second, world, "restart web")
    assert reply.ending is Ending.REFUSED and "ann has frozen all changes" in words(reply)
    assert world.engine.done == []
    assert [(row["rule"], row["count"]) for row in await refused(world)] == [("freeze", 2)]
    assert not [row for row in await world.rows() if row["phase"] == "intent" and row["verb"].startswith("container")]


async def test_targets_that_still_wait_are_left_alone(world):
    dispatcher = await world.replica()
    for number in range(20):
        world.engine.add(f"many-{number}", {})
    world.engine.gate = asyncio.Event()
    asked = await says(dispatcher, world, "restart 'many-*'")
    running = asyncio.create_task(says(dispatcher, world, asked.buttons[0].line))
    await world.until("intent", 20)
    await says(dispatcher, world, "freeze", ANN)
    world.engine.gate.set()
    text = words(await running)
    assert len(world.engine.done) == 8  # those that were sent before
    assert text.count("ann has frozen all changes") == 12


class Puller(jobs.JobAdapter):
    """Pulls for ever."""

    def __init__(self):
        super().__init__(ENGINE)

    @does(images.PullImage)
    async def pull(self, action, seconds) -> JobStarted:
        return self.jobs.start(action.verb, self.work)

    async def work(self, job):
        await asyncio.Event().wait()
        return Outcome(status=Status.DONE)


async def test_a_change_that_runs_as_a_job_is_stopped(world):
    dispatcher = await world.replica()
    puller = Puller()
    dispatcher._fleet.remove(world.engine)
    dispatcher._fleet.add(puller)
    pulling = asyncio.create_task(says(dispatcher, world, "pull nginx:1.27"))
    await world.until("intent")
    await says(dispatcher, world, "freeze --reason fire", ANN)
    reply = await asyncio.wait_for(pulling, 60)
    assert reply.ending is Ending.UNKNOWN
    assert "stopped halfway, because ann has frozen all changes" in words(reply) and "fire" in words(reply)
    await puller.aclose()


async def test_who_may_freeze_and_lift(world):
    dispatcher = await world.replica()
    assert (await says(dispatcher, world, "freeze", EVE)).ending is Ending.REFUSED
    assert (await says(dispatcher, world, "restart web")).ending is Ending.OK  # nothing was frozen
    assert (await says(dispatcher, world, "freeze", BOB)).ending is Ending.OK
    assert (await says(dispatcher, world, "unfreeze", EVE)).ending is Ending.REFUSED
    other = await says(dispatcher, world, "unfreeze", ANN)
    assert other.ending is Ending.REFUSED and "The freeze was not ended: bob has frozen all changes" in words(other)
    assert (await says(dispatcher, world, "unfreeze --force", BOB)).ending is Ending.REFUSED
    again = await says(dispatcher, world, "freeze --for 1m", ANN)
    assert again.ending is Ending.REFUSED and "The freeze was not changed: bob has frozen" in words(again)
    assert (await says(dispatcher, world, "unfreeze", BOB)).ending is Ending.OK
    assert (await says(dispatcher, world, "restart web")).ending is Ending.OK
    await says(dispatcher, world, "freeze", BOB)
    assert (await says(dispatcher, world, "unfreeze --force", ANN)).ending is Ending.OK
    nothing = await says(dispatcher, world, "unfreeze", BOB)
    assert nothing.ending is Ending.NOTHING and "Changes are not frozen" in words(nothing)


async def test_a_freeze_is_shown_to_readers_and_by_can(world):
    dispatcher = await world.replica()
    assert "Changes are not frozen" in words(await says(dispatcher, world, "frozen", EVE))
    await says(dispatcher, world, "freeze --reason 'token=hunter2secret is out'", ANN)
    shown = words(await says(dispatcher, world, "frozen", EVE))
    assert "ann has frozen all changes" in shown and "hunter2secret" not in shown
    may = words(await says(dispatcher, world, "can web restart", ANN))
    assert "yes" in may and "command is refused anyway: ann has frozen" in may
    assert "froze" not in words(await says(dispatcher, world, "can web logs", ANN))


async def test_a_freeze_ends_by_itself(world):
    dispatcher = await world.replica()
    await says(dispatcher, world, "freeze --for 1s", ANN)
    assert (await says(dispatcher, world, "restart web")).ending is Ending.REFUSED
    async with asyncio.timeout(60):
        while (await world.stores[0].freeze()) is not None:
            await asyncio.sleep(0.05)
    assert (await says(dispatcher, world, "restart web")).ending is Ending.OK


@pytest.mark.parametrize("line", ["freeze web", "freeze --for 31d", "freeze --for 10", f"freeze --reason {'x' * 501}"])
async def test_a_freeze_that_cannot_be_meant_is_not_set(world, line):
    dispatcher = await world.replica()
    assert (await says(dispatcher, world, line, ANN)).ending is Ending.USAGE
    assert await world.stores[0].freeze() is None


async def test_what_only_people_are_told_and_what_takes_rights_away_still_works(world):
    dispatcher = await world.replica()
    await world.stores[0].add_grant(
        "g-1", msgspec.json.encode(Grant(id="g-1", who=EVE.id, can=("operator",), source="store"))
    )
    await says(dispatcher, world, "ps", ANN)
    await says(dispatcher, world, "freeze", ANN)
    assert (await says(dispatcher, world, "silence web --for 1h", ANN)).ending is Ending.OK
    assert (await says(dispatcher, world, "revoke g-1", ANN)).ending is Ending.OK
    granted = await says(dispatcher, world, f"grant {EVE.id} operator", ANN)
    assert granted.ending is Ending.REFUSED and "froze" in words(granted)


def test_every_change_is_frozen_unless_it_is_listed():
    changes = {kind.verb for kind in actions.all_actions() if kind.risk is not actions.Risk.READ}
    assert changes >= NOT_FROZEN
    frozen = changes - NOT_FROZEN
    engine_verbs = {verb for verb in changes if verb.split(".")[0] in ("container", "image", "pod", "unit", "service")}
    assert engine_verbs <= frozen


async def test_a_record_that_cannot_be_read_freezes_all_the_same(world):
    dispatcher = await world.replica()
    await world.stores[0].set_freeze("x", b"\xffnot json", 0)
    reply = await says(dispatcher, world, "restart web")
    assert reply.ending is Ending.REFUSED and "Somebody has frozen all changes" in words(reply)
    assert (await says(dispatcher, world, "unfreeze --force", ANN)).ending is Ending.OK


async def test_without_a_store_nothing_changes_and_nobody_says_that_nothing_is_frozen(world):
    dispatcher = await world.replica()
    away = Store.open("redis://127.0.0.1:1", timeout=0.2)
    dispatcher._store = dispatcher._fleet.builtin._store = away
    change = await says(dispatcher, world, "restart web")
    assert change.ending is Ending.FAILED and "changes are refused while they cannot be recorded" in words(change)
    shown = await says(dispatcher, world, "frozen", EVE)
    assert shown.ending is Ending.FAILED
    assert "cannot read whether changes are frozen" in words(
        shown
    ) and "Every change is refused until the store answers" in words(shown)
    assert world.engine.done == []
    await away.aclose()


def test_the_sentence_names_what_is_known():
    whole = Freeze(by="slack:T1/ANN", by_name="ann", since=1_700_000_000, until=1_700_007_200, reason="a move.")
    assert whole.sentence() == (
        "ann has frozen all changes since 2023-11-14T22:13:20Z, until 2023-11-15T00:13:20Z: a move."
    )
    assert Freeze(by="").sentence() == "Somebody has frozen all changes, until somebody lifts it."
    assert freezes.decode_freeze(msgspec.json.encode(whole)) == whole
    assert issubclass(errors.Frozen, errors.Refused)
    assert now()
