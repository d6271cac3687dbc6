"""Lets an engine's adapter report what an action is waiting for. Whoever runs the action receives these reports.

The reports are linked to an action by the asyncio task that runs it, so no adapter has to pass them on. If nobody has
asked for the reports of a task, they are dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar


class ActionStep:
    """What one action is waiting for. `what`: a participle, empty as long as the adapter has reported nothing; `limit`:
    how many seconds it may take at most, infinity without a limit. `began`: when the action was sent."""

    def __init__(self) -> None:
        self.began = self._since = _now()
        self.what, self.limit = "", math.inf

    def begin(self, what: str, limit: float) -> None:
        self.what, self.limit, self._since = what, limit, _now()

    def text(self, otherwise: str) -> str:
        """Formats the step with its time: `waiting for it to stop, 4 of 10 s`. `otherwise`: what it waits for if the
        adapter has reported nothing."""
        seconds = int(_now() - self._since)
        if math.isinf(self.limit):
            return f"{self.what or otherwise}, {seconds} s"
        return f"{self.what}, {min(seconds, int(self.limit))} of {self.limit:.0f} s"


_step: ContextVar[ActionStep | None] = ContextVar("action_step", default=None)


@contextlib.contextmanager
def listen() -> Iterator[ActionStep]:
    """Yields the step of the action that is run inside this context."""
    step = ActionStep()
    token = _step.set(step)
    try:
        yield step
    finally:
        _step.reset(token)


def begin(what: str, limit: float = math.inf) -> None:
    """Reports what the running action waits for from now on, at most `limit` seconds."""
    if (step := _step.get()) is not None:
        step.begin(what, limit)


def _now() -> float:
    """Returns the event loop's time in seconds."""
    return asyncio.get_running_loop().time()
