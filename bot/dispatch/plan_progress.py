"""Shows once a second that the actions of a plan are still running, and what each of them is waiting for.

Jobs report their own progress. During the first second, nothing is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from core import action_progress
from core.model.actions import Action, Risk
from core.ports import Progress, Responder
from core.text import redact

TICK_SECONDS = 1.0
MAX_SHOWN = 3  # running actions that one sentence names


class PlanProgress:
    """The progress of one plan. Use it with `with`, which ends the showing."""

    def __init__(self, plan: Sequence[Action[Any]], responder: Responder | None) -> None:
        self._plan, self._responder = plan, responder
        self._running: dict[int, tuple[Action[Any], action_progress.ActionStep]] = {}
        self._ended = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> PlanProgress:
        self._set_timer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._responder = None

    @contextlib.contextmanager
    def running(self, action: Action[Any]) -> Iterator[None]:
        """Shows this action until the context is left."""
        with action_progress.listen() as step:
            self._running[id(step)] = (action, step)
            try:
                yield
            finally:
                del self._running[id(step)]
                self._ended += 1

    def _set_timer(self) -> None:
        if self._responder is not None:
            self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        if self._responder is None:
            return
        if self._running:
            read_only = all(action.risk is Risk.READ for action in self._plan)
            self._responder.progress(
                Progress(name=self._name(), progress=redact.redact(self._text()), read_only=read_only, ticking=True)
            )
        self._set_timer()

    def _name(self) -> str:
        return self._plan[0].targets()[0].name if len(self._plan) == 1 else f"{len(self._plan)} targets"

    def _text(self) -> str:
        shown = list(self._running.values())
        if len(self._plan) == 1:
            return _step_text(*shown[0])
        parts = [f"{action.targets()[0].name}: {_step_text(action, step)}" for action, step in shown[:MAX_SHOWN]]
        more = f" and {len(shown) - MAX_SHOWN} more" if len(shown) > MAX_SHOWN else ""
        return f"{self._ended} of {len(self._plan)} done; {'; '.join(parts)}{more}"


def _step_text(action: Action[Any], step: action_progress.ActionStep) -> str:
    return step.text(f"waiting for {action.engine}")
