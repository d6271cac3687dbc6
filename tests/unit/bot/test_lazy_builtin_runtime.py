"""The runtime of the built-in commands, created when the first of them runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.lazy_builtin_runtime import LazyBuiltinRuntime
from core.model.bot_actions import BOT, ListGrants
from core.ports import Call
from runtimes.base.base_adapter import BaseAdapter, does
from runtimes.inventory.fleet import Fleet


class Runtime(BaseAdapter):
    closed = False

    @does(ListGrants)
    async def grants(self, action: ListGrants, seconds: float) -> tuple[Any, ...]:
        return ()

    async def aclose(self) -> None:
        self.closed = True


class Creation:
    def __init__(self) -> None:
        self.made: list[Runtime] = []

    def __call__(self) -> Any:
        self.made.append(Runtime(BOT))
        return self.made[-1]


def call() -> Call:
    return Call(id="1", who="console:ann", deadline=datetime.now(UTC) + timedelta(minutes=1), invocation="")


async def test_it_is_created_by_its_first_command_and_once() -> None:
    create = Creation()
    builtin = LazyBuiltinRuntime(create)
    fleet = Fleet([], builtin=builtin)
    assert fleet.runtime(BOT) is builtin and builtin.ref == BOT and create.made == []
    for _ in range(2):
        assert await fleet.run(ListGrants(engine=BOT), call()) == ()
    assert builtin.verbs == {ListGrants.verb} and len(create.made) == 1
    await builtin.aclose()
    assert create.made[0].closed


async def test_one_that_was_never_used_is_not_created_to_be_closed() -> None:
    create = Creation()
    await LazyBuiltinRuntime(create).aclose()
    assert create.made == []


async def test_a_failure_to_create_it_is_reported_and_tried_again() -> None:
    failures = [RuntimeError("no"), None]

    def create() -> Any:
        if (failure := failures.pop(0)) is not None:
            raise failure
        return Runtime(BOT)

    builtin = LazyBuiltinRuntime(create)
    with pytest.raises(RuntimeError):
        builtin.create()
    assert await builtin.run(ListGrants(engine=BOT), call()) == ()
