"""Creates the runtime of the built-in commands at its first use, for a process that may not need it.

The code of these commands, such as tests of alert rules, is a large part of the program. A process that runs one
command on containers does not need it.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from core import errors
from core.model.actions import Action
from core.model.bot_actions import BOT
from core.model.events import Event
from core.model.refs import EngineRef
from core.ports import Call

if TYPE_CHECKING:
    from bot.builtin_runtime import BuiltinRuntime

R = TypeVar("R")


class LazyBuiltinRuntime:
    """A core.ports.Runtime. `create`: imports and creates the runtime, and is called once."""

    def __init__(self, create: Callable[[], BuiltinRuntime]) -> None:
        self._create = create

    @functools.cached_property
    def runtime(self) -> BuiltinRuntime:
        return self._create()

    def create(self) -> None:
        """Creates the runtime now, in a process that will need it."""
        assert self.runtime

    @property
    def ref(self) -> EngineRef:
        return BOT

    @property
    def verbs(self) -> frozenset[str]:
        return self.runtime.verbs

    def verb_refusal(self, verb: str) -> errors.QuarterdeckError | None:
        return self.runtime.verb_refusal(verb)

    def refusal(self, action: Action[Any]) -> errors.QuarterdeckError | None:
        return self.runtime.refusal(action)

    async def run(self, action: Action[R], call: Call) -> R:
        return await self.runtime.run(action, call)

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        return self.runtime.events(since_ns)

    async def aclose(self) -> None:
        """Closes the runtime, if it was created."""
        if "runtime" in self.__dict__:
            await self.runtime.aclose()
