"""Records the last end of each container of one engine. Counts its restarts by the cause of the end before each
restart.

It receives the events of containers in the engine's order. The cause of an end arrives a few seconds after the end. A
container's record is removed with the container. The number of records is limited; beyond it, the oldest record is
removed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import field

from core.lazy_dataclass import dataclass
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind

MAX_RECORDS = 20_000
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_DIED, _REMOVED, _STARTED = EventKind.DIED, EventKind.REMOVED, EventKind.STARTED
RECORDED = frozenset({_DIED, _REMOVED, _STARTED})
"""The kinds of events that change a record."""


@dataclass(slots=True, kw_only=True)
class EndRecord:
    """The last end of one container. `at_ns`: by the engine's clock, 0 before the first end that was seen. `exit_code`:
    as the event reports it. `cause`: None until it is known. `restarts`: how often the container started again, by the
    cause of the end before."""

    at_ns: int = 0
    exit_code: int | None = None
    cause: CauseKind | None = None
    restarts: dict[CauseKind, int] = field(default_factory=dict)
    started_again: bool = False
    counted: bool = False


class EndRecords:
    """Holds the records by container id."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, EndRecord] = OrderedDict()

    @property
    def by_container(self) -> Mapping[str, EndRecord]:
        return self._records

    def observe(self, event: Event) -> None:
        """Takes one event of a container."""
        kind, container_id = event.kind, event.subject.id
        if kind is _DIED:
            record = self._records.setdefault(container_id, EndRecord())
            code = event.attrs.get("exit_code", "")
            record.at_ns, record.exit_code = event.at_ns, int(code) if code.lstrip("-").isdecimal() else None
            record.cause, record.started_again, record.counted = None, False, False
            self._records.move_to_end(container_id)
            if len(self._records) > MAX_RECORDS:
                self._records.popitem(last=False)
        elif kind is _STARTED:
            if (found := self._records.get(container_id)) is not None and found.at_ns:
                found.started_again = True
                _count(found)
        elif kind is _REMOVED:
            self._records.pop(container_id, None)

    def set_cause(self, died: Event, cause: Cause) -> None:
        """Takes the cause of an end. The cause of an end before the last one only counts as a restart."""
        record = self._records.get(died.subject.id)
        if record is None:
            return
        if record.at_ns == died.at_ns:
            record.cause = cause.kind
            _count(record)
        else:
            record.restarts[cause.kind] = record.restarts.get(cause.kind, 0) + 1

    def restore(self, died: Event, cause: CauseKind | None) -> None:
        """Takes an end that an earlier process has seen, unless a later one is known. It counts no restart."""
        record = self._records.setdefault(died.subject.id, EndRecord())
        if died.at_ns > record.at_ns:
            self.observe(died)
            record.cause, record.counted = cause, True

    def keep(self, containers: Iterable[str]) -> None:
        """Removes the records of all other containers: the event of their removal was missed."""
        existing = set(containers)
        for container_id in [each for each in self._records if each not in existing]:
            del self._records[container_id]


def _count(record: EndRecord) -> None:
    """Counts the restart once, when both the new start and the cause of the end are known."""
    if record.cause is not None and record.started_again and not record.counted:
        record.counted = True
        record.restarts[record.cause] = record.restarts.get(record.cause, 0) + 1
