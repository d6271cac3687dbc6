"""Stores the newest changes by Quarterdeck that can end containers of one engine, so that the cause of an end can
name the requester.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from core.lazy_dataclass import dataclass
from core.model import effects
from core.model.actions import Action, Kill, Risk
from core.model.refs import Kind, Ref
from core.ports import Call

R = TypeVar("R")
CAPACITY = 256
HARMLESS_VERBS = frozenset({"container.pause", "container.exec", "container.healthcheck", "pod.pause"})
# The event of an end may arrive later than the deadline of the call.
WINDOW_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChange:
    """One change. `verb`: such as `container.stop`. `who`: the requester's id. `until`: our time, in seconds since the
    epoch, until which an end may be its effect."""

    verb: str
    who: str
    until: float


class OwnChanges:
    """Stores the last CAPACITY changes that can end containers of one engine. `now`: our clock, in seconds since the
    epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._calls: deque[tuple[OwnChange, set[str]]] = deque(maxlen=CAPACITY)

    def noted(self, action: Action[R], call: Call, is_over: Callable[[str], bool] | None = None) -> Action[R]:
        """Stores `action` if it can end containers, and returns it. `is_over`: whether a container has ended
        already, by its id. If such a container is restarted, its next end is no effect of that."""
        ids = {each for each in ended_containers(action) if is_over is None or not is_over(each)}
        if ids:
            until = call.deadline.timestamp() + WINDOW_SECONDS
            self._calls.append((OwnChange(verb=action.verb, who=call.who, until=until), ids))
        return action

    def take(self, container_id: str) -> OwnChange | None:
        """Returns the newest change that may have ended this container. A change ends each container only once, so it
        is not returned for this container again."""
        if not self._calls:
            return None
        now = self._now()
        for found, ids in reversed(self._calls):
            if container_id in ids and now <= found.until:
                ids.discard(container_id)
                return found
        return None


def ended_containers(action: Action[Any]) -> set[str]:
    """Returns the ids of the containers that an action ends."""
    return {ref.id for ref in _ended(action) if ref.kind is Kind.CONTAINER}


def _ended(action: Action[Any]) -> Iterator[Ref]:
    """Yields the containers and other resources that an action ends, not those that it only freezes or executes in."""
    if action.risk is Risk.READ or action.verb in HARMLESS_VERBS:
        return
    if effects.TABLE[action.verb].ends and not (isinstance(action, Kill) and not is_ending_signal(action.signal)):
        yield from (*action.targets(), *action.members)
    yield from (effect.ref for effect in action.effects or () if effect.ends and effect.verb not in HARMLESS_VERBS)


def is_ending_signal(name: str) -> bool:
    """Whether a signal asks a container to end. Others, such as HUP, often mean “reload”."""
    return name.strip().upper().removeprefix("SIG") in (*effects.ENDING_SIGNALS, "2", "3", "6", "9", "15")
