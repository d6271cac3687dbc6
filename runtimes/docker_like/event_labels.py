"""Reads the labels of containers from their events, where Docker and Podman copy them into the attributes.

Most events are about containers whose labels are known. So events are decoded without labels first. If the labels of a
container are unknown, its events are decoded a second time, with labels. A label that has the same name as an attribute
of the engine cannot be read this way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from core.model.events import Event, EventKind
from core.oldest_entries import limit_entries
from runtimes.formats import event_attributes, json_decoder

LABELLED = frozenset({EventKind.CREATED, EventKind.STARTED, EventKind.DIED})
"""The kinds of events whose labels are read, if the container's labels are not known."""
MAX_KNOWN = 20_000
MAX_LINES = 8  # that have the id of one container and are about another resource


class _Actor(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] = msgspec.field(name="Attributes", default_factory=dict)


class _Event(msgspec.Struct, gc=False):
    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Action", default="")
    actor: _Actor = msgspec.field(name="Actor", default_factory=_Actor)


class LabelsOfEvents:
    """Reads labels from the events of one engine. `own`: the attributes that the engine itself sets, by action; those
    under an empty action are set for every action."""

    def __init__(self, own: Mapping[str, Collection[str]]) -> None:
        self._own = own
        self._known: dict[str, None] = {}
        self._wanted: list[str] = []

    def known(self, container_id: str) -> None:
        """Records that a list or an inspection has shown the labels of a container."""
        if container_id not in self._known:
            self._known[container_id] = None
            limit_entries(self._known, MAX_KNOWN)

    def want(self, container_id: str) -> None:
        """Asks for the labels of a container, if they are not known, from the lines that are being decoded."""
        if container_id not in self._known:
            self._known[container_id] = None
            limit_entries(self._known, MAX_KNOWN)
            self._wanted.append(container_id)

    @property
    def wanted(self) -> bool:
        return bool(self._wanted)

    def take_one(self, container_id: str) -> bool:
        """Returns whether the labels of this container were asked for since the last call, and takes the question
        back."""
        asked = container_id in self._wanted
        self._wanted.clear()
        return asked

    def take(self, lines: bytes) -> dict[str, dict[str, str]]:
        """Returns the labels of the containers that were asked for since the last call, by id. Their events are in
        `lines`, in the order of the questions."""
        wanted, self._wanted = self._wanted, []
        found, start = {}, 0
        for container_id in wanted:
            for line, at in _lines_with(lines, container_id.encode(), start):
                event = json_decoder.decode_lines_or_none(_Event, line)
                if event and event[0].type == "container" and event[0].actor.id == container_id:
                    own = {*self._own.get("", ()), *self._own.get(event[0].action, ())}
                    found[container_id] = event_attributes.labels(event[0].actor.attributes, own)
                    start = at
                    break
        return found


def add(events: list[Event], labels: Mapping[str, dict[str, str]]) -> list[Event]:
    """Returns the events. The first one of each container that is in `labels` has its labels."""
    left = dict(labels)
    for number, event in enumerate(events):
        if not left:
            break
        if event.kind in LABELLED and (found := left.pop(event.subject.id, None)) is not None:
            events[number] = msgspec.structs.replace(event, labels=found)
    return events


def _lines_with(lines: bytes, text: bytes, start: int) -> Iterable[tuple[bytes, int]]:
    """Yields a few lines that contain a text, from a position on, with the position of each."""
    for _ in range(MAX_LINES):
        at = lines.find(text, start)
        if at < 0:
            return
        first, last = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at)
        last = len(lines) if last < 0 else last
        yield lines[first:last], first
        start = last
