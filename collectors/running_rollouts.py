"""Tracks which Swarm services are being updated, so that the ends of their containers count as a part of the update.

A manager reports when an update begins and ends. The end of a container comes from the engine of its node. Its label
has the id of the service, because services of two Swarms can have one name. If the end of an update is missed, the
update is removed after an hour.
"""

from __future__ import annotations

from collections import OrderedDict

from core.model.events import Event, EventKind
from core.model.refs import Kind

RUNNING = frozenset({"updating", "rollback_started"})
MAX_SERVICES = 1_000
MAX_NS = 3_600 * 1_000_000_000


class RunningRollouts:
    """Holds the services whose update runs, by id. Times are nanoseconds since the epoch."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, int] = OrderedDict()

    def observe(self, event: Event) -> None:
        """Takes an event of a Swarm service; all other events change nothing."""
        if event.subject.kind is not Kind.SERVICE:
            return
        state = event.attrs.get("update") or (event.attrs.get("state") if event.kind is EventKind.ROLLOUT else None)
        if state in RUNNING:
            self._since[event.subject.id] = event.at_ns
            self._since.move_to_end(event.subject.id)
            if len(self._since) > MAX_SERVICES:
                self._since.popitem(last=False)
        elif state:
            self._since.pop(event.subject.id, None)

    def includes(self, service_id: str, at_ns: int) -> bool:
        """Whether the service was being updated at that time."""
        since = self._since.get(service_id)
        return since is not None and since <= at_ns <= since + MAX_NS
