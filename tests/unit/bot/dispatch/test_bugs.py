"""A bug in one adapter, in one action of several, in a rendering or in a responder costs only its own part."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bot.dispatch import change_record, execution, rendering
from commands.catalogue import load_catalogue
from commands.spec import Result
from core import errors, unexpected_errors
from core.model import actions
from core.model.containers import Containers
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef
from core.model.replies import Ending, Reply, Table, Text
from core.text import redact
from runtimes.base.base_adapter import BaseAdapter, does
from tests.unit.bot.dispatch import world as worlds
from tests.unit.bot.dispatch.world import BOB, OPERATOR, World, words


@pytest.fixture(autouse=True)
def quiet():
    """To print a traceback takes longer than all else here."""
    with capture_logs():
        yield


NAMES = ("n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7")


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


ANYTHING = [
    KeyError("Id"),
    IndexError(),
    AttributeError("'NoneType' object has no attribute 'get'"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    StopAsyncIteration(),
    TimeoutError(),
    OSError(24, "Too many open files"),
    asyncio.CancelledError(),
    asyncio.InvalidStateError(),
    SystemExit(1),
    ExceptionGroup("two", [KeyError(1), ValueError(2)]),
    BaseExceptionGroup("two", [asyncio.CancelledError()]),
    Unprintable(),
    errors.Rejected(500, "server error"),
    errors.Unreachable("It is away.", sent=True),
    errors.Unreachable("It is away."),
    errors.NotFound("It is gone."),
    errors.StoreDown("It is away."),
]


class Engine(worlds.Engine):
    """Raises `raised[name]` when that container is changed."""

    def __init__(self, ref=worlds.ENGINE):
        super().__init__(ref)
        self.raised = {}
        self.running = set()
        self.rows.clear()

    async def change(self, action):
        name = action.target.name
        if name not in self.raised:
            gate = self.gates.get(name)
            self.running.add(name)
            if gate is not None:
                await gate.wait()
            self.running.discard(name)
            return await super().change(action)
        raise self.raised[name]


def eight(valkey):
    made = World(valkey)
    made.engine = Engine()
    for name in NAMES:
        made.engine.add(name, {})
    return made


@pytest.fixture
async def world(valkey):
    async with contextlib.aclosing(eight(valkey)) as made:
        yield made


async def leases(world):
    return sorted(key.decode() for key in await world.stores[0]._client.keys("{qd}:hold:*"))


async def outcomes(world):
    return {row["target"].partition("@")[0]: row["status"] for row in await world.rows() if row["phase"] == "outcome"}


def table_of(reply):
    return next(block for block in reply.blocks if isinstance(block, Table))


def expected(error):
    if isinstance(error, errors.QuarterdeckError):
        return "unknown" if isinstance(error, errors.EngineError) and error.sent else "failed"
    return "unknown"


async def ask(dispatcher, world, line):
    """Gives a command, and confirms it."""
    reply = await dispatcher.answer(world.line(line))
    return await dispatcher.answer(world.line(reply.buttons[0].line))


@given(raised=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(ANYTHING), max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_any_of_eight_actions_raises_every_outcome_is_told_and_audited(valkey, raised):
    async def check():
        async with contextlib.aclosing(eight(valkey)) as world:
            dispatcher = await world.replica()
            await world.stores[0]._client.flushdb()
            world.engine.raised = raised
            reply = await ask(dispatcher, world, f"restart {' '.join(NAMES)}")
            wanted = {name: expected(raised[name]) if name in raised else "done" for name in NAMES}
            assert await outcomes(world) == wanted
            (table,) = [block for block in reply.blocks if isinstance(block, Table)]
            told = dict(table.rows)
            for name, status in wanted.items():
                assert told[name].startswith({"done": "restarted", "unknown": "not known"}.get(status, "not restarted"))
            assert not await leases(world)
            assert (reply.ending is Ending.OK) is (set(wanted.values()) == {"done"})

    asyncio.run(check())


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
async def test_the_leases_of_the_others_are_held_until_they_end(world, error):
    dispatcher = await world.replica()
    world.engine.raised = {"n1": error}
    gate = world.engine.gates["n0"] = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart n0 n1 n2")))
    await world.until("outcome", 2)
    assert await outcomes(world) == {"n1": expected(error), "n2": "done"}
    assert any(world.engine.id("n0") in key for key in await leases(world))
    assert not task.done()
    other = await dispatcher.answer(world.line("restart n0"))
    assert other.ending is Ending.REFUSED and "has not finished" in words(other)
    gate.set()
    reply = await task
    assert ("n0", "restarted") in [(name, phrase.partition(" ")[0]) for name, phrase in reply.blocks[1].rows]
    assert not await leases(world)


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
async def test_a_list_that_fails_costs_only_the_rows_of_its_engine(world, error):
    class Sick(BaseAdapter):
        @does(actions.ListContainers)
        async def list(self, action, seconds):
            raise error

    dispatcher = await world.replica()
    sick = EngineRef(host="h2", kind="podman")
    dispatcher._fleet.add(Sick(sick))
    reply = await dispatcher.answer(world.line("ps"))
    assert reply.ending is Ending.OK
    assert set(NAMES) <= {row[0] for row in table_of(reply).rows}
    assert f"No result from {sick}: " in words(reply)
    assert (await dispatcher.answer(world.line("restart n0"))).ending is Ending.OK
    assert (await dispatcher.answer(world.line("logs n0"))).ending is Ending.OK
    missing = await dispatcher.answer(world.line("restart elsewhere"))
    assert f"{sick} did not answer" in words(missing)


async def test_a_row_that_no_rule_can_be_applied_to_is_hidden_and_costs_no_other_row(world):
    everywhere = Grant(id="viewers", who="everyone", can=("viewer",), on=Selector(host="h*"))
    world.policy = Policy(grants=(everywhere, OPERATOR))
    dispatcher = await world.replica()
    engine = world.engine
    key = engine.id("n3")
    engine.rows[key] = msgspec.structs.replace(engine.rows[key], labels=None)
    with capture_logs() as lines:
        reply = await dispatcher.answer(world.line("ps", who=BOB))
    assert {row[0] for row in table_of(reply).rows} == set(NAMES) - {"n3"}
    assert {line["action"] for line in lines if line["log_level"] == "error"} == {"permission"}


# The bot's own parts


@pytest.fixture
def dispatch(world, monkeypatch):
    """Gives a command after replacing an attribute by one that raises."""

    async def give(line, owner=None, name="", error=None, responder=None):
        def broken(*given, **named):
            raise error or KeyError(name)

        dispatcher = await world.replica()
        with monkeypatch.context() as patch:
            if owner is not None:
                patch.setattr(owner, name, broken)
            return await dispatcher.answer(world.line(line), responder)

    return give


async def test_a_reply_that_cannot_be_rendered_lists_what_was_done(world, dispatch, monkeypatch):
    world.engine.raised = {"n1": errors.Rejected(500, "server error")}
    command = load_catalogue().find("restart")

    def render(context, results):
        raise KeyError("a bug")

    monkeypatch.setattr(rendering, "_can_render", None)
    monkeypatch.setattr(type(command), "render", property(lambda self: render), raising=False)
    reply = await dispatch("restart n0 n1")
    assert reply.ending is Ending.ERROR
    assert [(row[0].partition("@")[0], row[1]) for row in reply.blocks[1].rows] == [("n0", "done"), ("n1", "failed")]
    assert "because of a bug, reference" in words(reply)
    assert await outcomes(world) == {"n0": "done", "n1": "failed"}


def test_one_result_that_cannot_be_rendered_costs_only_itself():
    engines = [EngineRef(host=f"h{number}", kind="docker") for number in range(3)]
    results = [Result(action=actions.ListContainers(engine=each), value=Containers(rows=())) for each in engines]
    results[1] = Result(action=results[1].action, value=Containers(rows=(None,)))

    def render(context, given):
        for result in given:
            for row in getattr(result.value, "rows", ()):
                row.ref  # noqa: B018
        return Reply(blocks=[Text(text=str(result.error or result.action.engine)) for result in given])

    command = dataclasses.replace(load_catalogue().find("ps"), render=render)
    with capture_logs() as lines:
        reply = rendering.render(command, None, results, unexpected_errors.BugReporter())
    (line,) = lines
    shown = [block.text for block in reply.blocks]
    assert (shown[0], shown[2]) == ("docker/h0", "docker/h2")
    assert shown[1].startswith("container.list on docker/h1 cannot be shown") and line["ref"] in shown[1]


async def test_an_outcome_that_cannot_be_recorded_is_told_and_the_leases_are_freed(world, dispatch):
    reply = await dispatch("restart n0 n1", change_record.ChangeRecord, "record")
    assert reply.ending is Ending.OK and "2 restarted" in words(reply)
    assert await outcomes(world) == {"n0": "unknown", "n1": "unknown"}
    assert not await leases(world)


async def test_an_end_that_cannot_be_recorded_is_told_and_the_leases_are_freed(world, dispatch):
    reply = await dispatch("restart n0", change_record.ChangeRecord, "end")
    assert reply.ending is Ending.OK and "n0 restarted" in words(reply)
    assert not await leases(world)


async def test_a_reply_that_cannot_be_searched_for_secrets_is_not_shown(world, dispatch):
    reply = await dispatch("restart n0", redact, "redact_reply")
    assert reply.ending is Ending.ERROR and "n0" not in words(reply)
    assert await outcomes(world) == {"n0": "done"}
    assert not await leases(world)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("started", KeyError()),
        ("started", asyncio.CancelledError()),
        ("finish", KeyError()),
        ("finish", asyncio.CancelledError()),
        ("finish", errors.Undeliverable("The channel is gone.")),
    ],
)
async def test_a_responder_that_fails_does_not_prevent_the_change(world, dispatch, step, error):
    class Mute:
        def started(self, action):
            if step == "started":
                raise error

        async def finish(self, reply):
            if step == "finish":
                raise error

    reply = await dispatch("restart n0", responder=Mute())
    assert reply.ending is Ending.OK
    assert world.engine.done == [("container.restart", "n0")]
    assert await outcomes(world) == {"n0": "done"}
    assert not await leases(world)


async def test_a_hung_engine_holds_no_slot_of_another(world):
    hung = Engine(EngineRef(host="h2", kind="docker"))
    names = [f"h{number}" for number in range(execution.MAX_CONCURRENT)]
    for name in names:
        hung.add(name, {})
        hung.gates[name] = asyncio.Event()
    dispatcher = await world.replica()
    dispatcher._fleet.add(hung)
    task = asyncio.create_task(ask(dispatcher, world, f"restart {' '.join(names)} n0 n1"))
    await world.until("outcome", 2)
    assert await outcomes(world) == {"n0": "done", "n1": "done"}
    for gate in hung.gates.values():
        gate.set()
    assert (await task).ending is Ending.OK
