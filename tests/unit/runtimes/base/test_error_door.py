"""Whatever an adapter raises, its callers get an error of ours with the engine, and the log gets the traceback."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core import errors
from core.model import actions
from core.model.containers import Containers
from core.model.events import Event
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Call
from runtimes.base import base_adapter
from runtimes.base.base_adapter import BaseAdapter, does
from runtimes.base.identifying_adapter import IdentifyingAdapter
from runtimes.base.multi_request_change import MultiRequestChange
from runtimes.engine_registry import KINDS

ENGINE = EngineRef(host="h1", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")


class Strange(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError("no words")


def every_exception() -> list[type[BaseException]]:
    found, queue = [], [Exception]
    while queue:
        kind = queue.pop()
        if kind.__module__ == "builtins" and not issubclass(kind, Warning):
            found.append(kind)
            queue += kind.__subclasses__()
    return sorted(set(found), key=lambda kind: kind.__name__)


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "UnicodeDecodeError": ("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "UnicodeEncodeError": ("utf-8", "\ud800", 0, 1, "surrogates"),
    "UnicodeTranslateError": ("\ud800", 0, 1, "surrogates"),
}


def made(kind: type[BaseException]) -> BaseException:
    if kind is ExceptionGroup:
        return ExceptionGroup("several", [KeyError("a"), OSError(5, "b")])
    return kind(*ARGUMENTS.get(kind.__name__, ("odd",)))


def everything() -> st.SearchStrategy[BaseException]:
    ours = st.sampled_from([Strange(), asyncio.CancelledError(), SystemExit(3), BaseExceptionGroup("", [SystemExit()])])
    return st.one_of(st.sampled_from(every_exception()).map(made), ours)


class Engine(BaseAdapter):
    """Raises `error` wherever it is asked; its stream does so after `batches` batches."""

    def __init__(self, error: BaseException, batches: int = 0) -> None:
        super().__init__(ENGINE)
        self.error, self.batches = error, batches

    @does(actions.ListContainers)
    async def list(self, action: actions.ListContainers, seconds: float) -> Containers:
        await asyncio.sleep(0)
        raise self.error

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Any:
        raise self.error

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> Any:
        raise self.error

    async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        try:
            for _ in range(self.batches):
                yield ()
            raise self.error
        finally:
            await asyncio.sleep(0)


def call(seconds: float = 30.0) -> Call:
    return Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="i")


async def follow(engine: BaseAdapter) -> int:
    seen = 0
    async for _ in engine.events(None):
        seen += 1
    return seen


@given(error=everything(), batches=st.integers(0, 3))
def test_anything_becomes_an_invalid_response_with_the_engine_and_a_reference(
    error: BaseException, batches: int
) -> None:
    async def check() -> None:
        engine = Engine(error, batches)
        ways: dict[str, tuple[Any, bool]] = {
            "container.list": (lambda: engine.run(actions.ListContainers(engine=ENGINE), call()), False),
            "container.restart": (lambda: engine.run(actions.Restart(target=WEB, engine=ENGINE), call()), True),
            "container.inspect": (lambda: engine.describe([WEB.id], 5), False),
            "events": (lambda: follow(engine), False),
        }
        for doing, (way, sent) in ways.items():
            # A TimeoutError is an engine that did not answer.
            kind = errors.TimedOut if isinstance(error, TimeoutError) and doing != "events" else errors.InvalidResponse
            with capture_logs() as lines, pytest.raises(errors.EngineError) as caught:
                await way()
            found = caught.value
            assert type(found) is kind
            assert found.sent is sent
            if isinstance(found, errors.InvalidResponse):
                (line,) = [line for line in lines if line["log_level"] == "error"]
                assert line["ref"] in found.message
                assert str(ENGINE) in found.message and doing in found.message
                assert (line["engine"], line["action"]) == (str(ENGINE), doing)
                assert line["exc_info"] is found.__cause__

    asyncio.run(check())


@given(error=st.sampled_from([errors.NotFound("gone"), errors.Rejected(409, "no"), errors.Unreachable("away")]))
def test_an_error_of_ours_passes_unchanged(error: errors.QuarterdeckError) -> None:
    async def check() -> None:
        engine = Engine(error)
        for way in (
            lambda: engine.run(actions.Restart(target=WEB, engine=ENGINE), call()),
            lambda: engine.describe([WEB.id], 5),
            lambda: follow(engine),
        ):
            with pytest.raises(errors.QuarterdeckError) as caught:
                await way()
            assert caught.value is error

    asyncio.run(check())


async def test_a_real_cancellation_passes() -> None:
    class Waits(Engine):
        @does(actions.ListContainers)
        async def list(self, action: actions.ListContainers, seconds: float) -> Containers:
            await asyncio.Event().wait()
            raise AssertionError

        async def _describe_containers(self, ids: Sequence[str], deadline: float) -> Any:
            await asyncio.Event().wait()

        async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
            yield ()
            await asyncio.Event().wait()

    engine = Waits(KeyError())
    for work in (
        engine.run(actions.ListContainers(engine=ENGINE), call()),
        engine.describe([WEB.id], 5),
        follow(engine),
    ):
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_stream_is_closed_when_its_reader_stops() -> None:
    closed = []

    class Streams(Engine):
        async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
            try:
                yield ()
                await asyncio.Event().wait()
            finally:
                closed.append(True)

    stream: Any = Streams(KeyError()).events(None)
    assert await anext(stream) == ()
    await stream.aclose()
    assert closed == [True]


async def test_the_same_bug_is_logged_once_an_hour_and_has_one_reference() -> None:
    engine, now = Engine(KeyError("a")), [0.0]
    engine._bugs._now = lambda: now[0]
    references = set()
    with capture_logs() as lines:
        for _ in range(100):
            now[0] += 60.0
            with pytest.raises(errors.InvalidResponse) as caught:
                await follow(engine)
            references.add(caught.value.message.rpartition(" ")[2])
    assert len(references) == 1
    assert [line["times"] for line in lines] == [1, 61]
    engine.error = KeyError("b")
    with capture_logs() as lines, pytest.raises(errors.InvalidResponse):
        await engine.run(actions.ListContainers(engine=ENGINE), call())
    assert len(lines) == 1


async def test_different_bugs_do_not_fill_the_memory() -> None:
    engine = Engine(KeyError())
    for number in range(1000):
        engine._bugs.report(KeyError(), f"verb {number}")
    assert len(engine._bugs._bugs) == 256


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_adapter_has_a_way_around_the_door(kind: str) -> None:
    module, _, name = KINDS[kind].adapter.partition(":")
    adapter = getattr(importlib.import_module(module), name)
    for method in ("run", "describe", "events"):
        assert getattr(adapter, method) is getattr(base_adapter.BaseAdapter, method)


# ── what is known of a change whose answer is missing ────────────────────────────────────────────────────────────────


class Twins(IdentifyingAdapter):
    """Another engine answers at its address."""

    kind = "docker"

    def __init__(self, error: errors.EngineError) -> None:
        super().__init__("unix:///x.sock")
        self.error = error

    async def _ask_identity(self, seconds: float) -> None:
        raise self.error

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Any:
        await self._identify(seconds)


@pytest.mark.parametrize(
    "error",
    [
        errors.Unreachable("away", sent=True),
        errors.TimedOut("slow", sent=True),
        errors.InvalidResponse("odd"),
        errors.DuplicateEngine("twice"),
    ],
)
async def test_nothing_was_changed_if_the_engine_could_not_be_identified(error: errors.EngineError) -> None:
    engine = Twins(error)
    with pytest.raises(type(error)) as caught:
        await engine.run(actions.Restart(target=WEB, engine=ENGINE), call())
    assert not caught.value.sent
    assert caught.value.full_message() == error.full_message()


@given(
    error=st.sampled_from(
        [
            errors.Unreachable("away", sent=True, hint="Look."),
            errors.Unreachable("away"),
            errors.TimedOut("slow", sent=False),
            errors.Rejected(409, "taken", hint="Wait."),
            errors.InvalidResponse("odd"),
            errors.DuplicateEngine("twice"),
            errors.EventsUnsupported(),
            errors.EngineError("odd"),
        ]
    ),
    sent=st.booleans(),
)
def test_an_error_with_another_sent_is_the_same_error_otherwise(error: errors.EngineError, sent: bool) -> None:
    before = error.sent
    other = error.with_sent(sent)
    assert type(other) is type(error)
    assert (other.sent, error.sent) == (sent, before)
    assert vars(other) | {"sent": 0} == vars(error) | {"sent": 0}
    assert (str(other), other.args) == (str(error), error.args)


@given(
    changed=st.booleans(),
    error=st.sampled_from(
        [
            errors.Unreachable("away", sent=True),
            errors.Unreachable("away"),
            errors.TimedOut("slow", sent=True),
            errors.InvalidResponse("odd"),
        ]
    ),
)
def test_a_change_of_several_requests_is_unknown_from_its_first_change_on(
    changed: bool, error: errors.EngineError
) -> None:
    async def fail() -> None:
        raise error

    async def check() -> None:
        steps = MultiRequestChange(5)
        steps.changed = changed
        with pytest.raises(type(error)) as read:
            await steps.read(fail())
        assert read.value.sent is changed
        with pytest.raises(type(error)) as change:
            await steps.change(fail())
        assert change.value.sent is (changed or error.sent)

    asyncio.run(check())
