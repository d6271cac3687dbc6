"""Changes and their record on a real store, when something breaks between two steps: nothing happens twice, no outcome
is lost, no lease stays, and the next process reports what is true."""

import asyncio
import dataclasses

import pytest

from bot.dispatch import change_record, lease_renewal, reply_formatting
from commands.catalogue import load_catalogue
from core import errors
from core.model.policy import Policy
from core.model.replies import Ending
from tests.unit.bot.dispatch.world import ANN, World, words

SUE = dataclasses.replace(ANN, id="slack:T1/SUE", name="sue")


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    yield made
    await made.aclose()


@pytest.fixture
def killed(monkeypatch):
    """Ends a task as if its process had been killed: what it still holds is not released."""

    async def end(task):
        with monkeypatch.context() as patch:
            patch.setattr(change_record.ChangeRecord, "close", lambda self: asyncio.sleep(0))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return end


async def leases(world):
    return sorted(key.decode() for key in await world.stores[0]._client.keys("{qd}:hold:*"))


async def outcomes(world):
    return [(row["target"].partition("@")[0], row["status"]) for row in await world.rows() if row["phase"] == "outcome"]


# Killed between two steps


async def test_killed_while_one_of_three_runs_only_that_one_is_unknown(world, killed):
    dead = await world.replica("dead")
    world.engine.gates["web-2"] = asyncio.Event()
    task = asyncio.create_task(dead.answer(world.line("restart web web-2 db")))
    await world.until("outcome", 2)
    assert sorted(await outcomes(world)) == [("db", "done"), ("web", "done")]
    await killed(task)
    await world.stores[0].remove_replica("dead")
    (lost,) = await world.recover()
    assert "web@docker/h1: done" in lost.text
    assert "db@docker/h1: done" in lost.text
    assert "not known whether the change was made for web-2@docker/h1" in lost.text
    assert sorted(await outcomes(world)) == [("db", "done"), ("web", "done"), ("web-2", "unknown")]
    assert not await world.recover()


async def test_killed_after_the_last_outcome_happened_it_is_unknown_and_not_repeated(world, killed, monkeypatch):
    dead = await world.replica("dead")
    never = asyncio.Event()

    async def hang(*given, **named):
        await never.wait()

    monkeypatch.setattr(world.stores[0], "end_change", hang)
    task = asyncio.create_task(dead.answer(world.line("restart web")))
    async with asyncio.timeout(60):
        while not world.engine.done:
            await asyncio.sleep(0.01)
    await killed(task)
    await world.stores[0].remove_replica("dead")
    (lost,) = await world.recover()
    assert "Quarterdeck does not repeat it" in lost.text
    assert await outcomes(world) == [("web", "unknown")]
    assert world.engine.done == [("container.restart", "web")]


async def test_cancelled_while_it_runs_it_leaves_no_lease_and_is_reported_later(world):
    dispatcher = await world.replica("dead")
    world.engine.gates["db"] = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web db")))
    await world.until("outcome")
    assert len(await leases(world)) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await leases(world)
    await world.stores[0].remove_replica("dead")
    (lost,) = await world.recover()
    assert "web@docker/h1: done" in lost.text
    assert sorted(await outcomes(world)) == [("db", "unknown"), ("web", "done")]


# Delivered twice


async def test_a_second_delivery_in_the_middle_of_a_change_does_nothing(world):
    first, second = await world.replica("r1"), await world.replica("r2")
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(first.answer(world.line("restart web db", id_="same")))
    await world.until("intent", 2)
    assert await second.answer(world.line("restart web db", id_="same")) is None
    world.engine.gate.set()
    assert (await task).ending is Ending.OK
    assert await second.answer(world.line("restart web db", id_="same")) is None
    assert sorted(name for _, name in world.engine.done) == ["db", "web"]
    assert sorted(await outcomes(world)) == [("db", "done"), ("web", "done")]


# Several targets


async def test_if_the_third_target_is_busy_no_target_is_touched(world):
    dispatcher = await world.replica()
    world.engine.gates["db"] = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart db")))
    await world.until("intent")
    busy = await dispatcher.answer(world.line("stop web web-2 db", SUE))
    assert busy.ending is Ending.REFUSED
    assert "ann started container.restart on db" in words(busy)
    assert not world.engine.done
    assert len(await leases(world)) == 1
    assert (await dispatcher.answer(world.line("stop web web-2", SUE))).ending is Ending.OK
    (row,) = [row for row in await world.rows() if row["phase"] == "refused"]
    assert (row["rule"], row["target"].partition("@")[0], row["who"]) == ("busy", "db", SUE.id)
    world.engine.gates["db"].set()
    assert (await task).ending is Ending.OK


async def test_two_targets_named_twice_are_leased_once(world):
    dispatcher = await world.replica()
    reply = await dispatcher.answer(world.line("restart web 'web*' web-2"))
    assert reply.ending is Ending.OK
    assert not await leases(world)


async def test_a_lease_that_expired_meanwhile_stays_with_its_next_holder(world, monkeypatch):
    dispatcher = await world.replica()
    monkeypatch.setattr(lease_renewal, "MARGIN_SECONDS", 0.05 - lease_renewal.MAX_SECONDS)
    world.engine.gates["web"] = asyncio.Event()
    first = asyncio.create_task(dispatcher.answer(world.line("restart web")))
    await world.until("intent")
    async with asyncio.timeout(60):
        while await leases(world):
            await asyncio.sleep(0.01)
    monkeypatch.setattr(lease_renewal, "MARGIN_SECONDS", 30.0)
    gate = world.engine.gates["web"]
    world.engine.gates["web"] = asyncio.Event()
    second = asyncio.create_task(dispatcher.answer(world.line("stop web", SUE)))
    await world.until("intent", 2)
    gate.set()
    assert (await first).ending is Ending.OK
    assert len(await leases(world)) == 1
    assert "sue started container.stop on web" in words(await dispatcher.answer(world.line("restart web")))
    world.engine.gates["web"].set()
    assert (await second).ending is Ending.OK
    assert not await leases(world)
    assert await outcomes(world) == [("web", "done"), ("web", "done")]


async def test_a_lease_lasts_as_long_as_its_change_runs(world, monkeypatch):
    monkeypatch.setattr(lease_renewal, "INTERVAL_SECONDS", 0.02)
    dispatcher = await world.replica()
    world.engine.gates["web"] = asyncio.Event()
    first = asyncio.create_task(dispatcher.answer(world.line("restart web")))
    await world.until("intent")
    (key,) = await leases(world)
    client = world.stores[0]._client
    for _ in range(3):
        await client.pexpire(key, 25_000)  # as if it had been taken some time ago
        async with asyncio.timeout(60):
            while await client.pttl(key) <= 25_000:
                await asyncio.sleep(0.01)
    assert "ann started container.restart on web" in words(await dispatcher.answer(world.line("stop web", SUE)))
    world.engine.gates["web"].set()
    assert (await first).ending is Ending.OK
    assert not await leases(world)


# The store, full or away


async def test_a_store_that_is_full_at_the_end_still_records_it(world):
    dispatcher = await world.replica()
    client = world.stores[0]._client
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web db")))
    await world.until("intent", 2)
    await client.config_set("maxmemory", 1)
    try:
        world.engine.gate.set()
        assert (await task).ending is Ending.OK
        refused = await dispatcher.answer(world.line("restart api"))
        assert refused.ending is Ending.FAILED
        assert "Nothing was done" in words(refused)
        assert not await leases(world)
        assert not await client.keys("{qd}:inv*")
    finally:
        await client.config_set("maxmemory", 0)
    assert sorted(await outcomes(world)) == [("db", "done"), ("web", "done")]
    assert len(dispatcher._audit.deferred) == 0


async def test_a_store_that_is_away_at_the_end_gets_it_when_it_is_back(world, valkey):
    dispatcher = await world.replica("dead")
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web db")))
    await world.until("intent", 2)
    valkey.stop()
    world.engine.gate.set()
    reply = await task
    assert reply.ending is Ending.OK
    with pytest.raises(errors.StoreDown):
        await dispatcher.flush_spool()
    valkey.start()
    assert len(await leases(world)) == 2
    await dispatcher.flush_spool()
    assert not await leases(world)
    assert sorted(await outcomes(world)) == [("db", "done"), ("web", "done")]
    await world.stores[0].remove_replica("dead")
    assert not await world.recover()
    assert len(dispatcher._audit.deferred) == 0


async def test_reads_while_the_store_is_away_are_in_the_audit_afterwards(world, valkey):
    dispatcher = await world.replica()
    valkey.stop()
    assert (await dispatcher.answer(world.line("ps"))).ending is Ending.OK
    valkey.start()
    assert await world.rows() == []
    await dispatcher.flush_spool()
    assert [row["phase"] for row in await world.rows()] == ["read"]


async def test_a_refusal_while_the_store_is_away_is_in_the_audit_afterwards(world, valkey):
    dispatcher = await world.replica()
    nobody = dataclasses.replace(SUE, id="other:nobody", groups=frozenset())
    dispatcher._policies.replace_configured(Policy())
    valkey.stop()
    assert (await dispatcher.answer(world.line("ps", nobody))).ending is Ending.REFUSED
    valkey.start()
    await dispatcher.flush_spool()
    assert [(row["phase"], row["who"]) for row in await world.rows()] == [("refused", nobody.id)]


async def test_an_outcome_the_store_did_not_take_at_once_is_written_with_the_end(world, monkeypatch):
    dispatcher = await world.replica()

    async def away(*given):
        raise errors.StoreDown

    monkeypatch.setattr(world.stores[0], "record_outcomes", away)
    assert (await dispatcher.answer(world.line("restart web db web-2"))).ending is Ending.OK
    assert sorted(await outcomes(world)) == [("db", "done"), ("web", "done"), ("web-2", "done")]


async def test_an_intent_whose_answer_was_lost_is_undone_and_nothing_is_sent(world, monkeypatch):
    dispatcher = await world.replica("dead")
    store, begin = world.stores[0], world.stores[0].begin_change

    async def answer_lost(*given, **named):
        await begin(*given, **named)
        raise errors.StoreDown("The store did not answer in time.")

    monkeypatch.setattr(store, "begin_change", answer_lost)
    reply = await dispatcher.answer(world.line("restart web db"))
    assert reply.ending is Ending.FAILED
    assert "Nothing was done" in words(reply)
    assert not world.engine.done
    assert not await leases(world)
    assert sorted(await outcomes(world)) == [("db", "failed"), ("web", "failed")]
    await store.remove_replica("dead")
    assert not await world.recover()


async def test_cancelled_while_the_intent_is_written_it_is_undone(world, monkeypatch):
    dispatcher = await world.replica("dead")
    store, begin = world.stores[0], world.stores[0].begin_change
    written = asyncio.Event()

    async def answer_late(*given, **named):
        await begin(*given, **named)
        written.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(store, "begin_change", answer_late)
    task = asyncio.create_task(dispatcher.answer(world.line("restart web")))
    await written.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await leases(world)
    assert not world.engine.done
    assert await outcomes(world) == [("web", "failed")]
    await store.remove_replica("dead")
    (lost,) = await world.recover()
    assert "Nothing was done" in lost.text


async def test_an_end_whose_answer_was_lost_is_written_once(world, monkeypatch):
    dispatcher = await world.replica()
    store, end = world.stores[0], world.stores[0].end_change

    async def answer_lost(*given, **named):
        await end(*given, **named)
        raise errors.StoreDown("The store did not answer in time.")

    monkeypatch.setattr(store, "end_change", answer_lost)
    assert (await dispatcher.answer(world.line("restart web"))).ending is Ending.OK
    monkeypatch.setattr(store, "end_change", end)
    await dispatcher.flush_spool()
    assert await outcomes(world) == [("web", "done")]
    assert not await store._client.keys("{qd}:inv*")


async def test_another_process_that_took_the_command_over_is_not_followed_by_a_change(world):
    dispatcher = await world.replica("dead")
    store, begin = world.stores[0], world.stores[0].begin_change

    async def overtaken(*given, **named):
        await store.remove_replica("dead")
        (lost,) = await world.recover()
        assert "Nothing was done" in lost.text
        return await begin(*given, **named)

    store.begin_change = overtaken
    reply = await dispatcher.answer(world.line("restart web"))
    assert reply.ending is Ending.FAILED
    assert "this process did nothing" in words(reply)
    assert not world.engine.done
    assert await world.rows() == []


# Bugs


async def test_a_bug_in_showing_a_change_does_not_hide_its_outcome(world, monkeypatch):
    dispatcher = await world.replica()

    def broken(results):
        raise ZeroDivisionError

    command = load_catalogue().find("restart")
    broken_command = dataclasses.replace(command, render=lambda context, results: broken(results))
    catalogue = dispatcher._catalogue
    find = catalogue.find

    def found(name):
        return broken_command if name == "restart" else find(name)

    monkeypatch.setattr(type(catalogue), "find", lambda self, name: found(name))
    reply = await dispatcher.answer(world.line("restart web"))
    assert reply.ending is Ending.ERROR
    assert await outcomes(world) == [("web", "done")]
    assert not await leases(world)


async def test_a_bug_in_one_action_leaves_it_unknown_and_the_others_recorded(world, monkeypatch):
    dispatcher = await world.replica()
    change = world.engine.change

    async def broken(action):
        if action.target.name == "db":
            raise ZeroDivisionError
        await asyncio.sleep(0.05)
        return await change(action)

    monkeypatch.setattr(world.engine, "change", broken)
    reply = await dispatcher.answer(world.line("restart web db"))
    assert reply.ending is Ending.UNKNOWN
    assert "1 unknown, 1 restarted." in words(reply)
    assert sorted(await outcomes(world)) == [("db", "unknown"), ("web", "done")]
    assert not await leases(world)


def test_an_error_of_the_store_says_that_nothing_was_done():
    error = reply_formatting.make_store_failure_error(errors.StoreDown("It is gone.", hint="Start it."))
    assert error.message.startswith("Nothing was done") and error.hint == "Start it."
