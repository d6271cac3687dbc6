"""Encodes the containers of one engine for the store, so that a restarted process finds out what has changed meanwhile.

Only changes are written. A record has the fields that are compared after a restart, and those that name the container's
owner: its name, image, state, health, times, exit code and labels. The number of containers and the size of each record
are limited; what does not fit is left out. A record that cannot be decoded is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import msgspec

from core.lazy_dataclass import dataclass
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref

MAX_CONTAINERS = 5_000
MAX_RECORD_BYTES = 4_096  # a larger record is written without labels


class _Record(msgspec.Struct, array_like=True, gc=False):
    """One container. New fields are added at the end, with a default."""

    name: str
    image: str
    state: str
    health: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    exit_code: int | None
    oom_killed: bool | None
    labels: dict[str, str]


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsavedChanges:
    """What is to be written: `changed` records and `removed` ids. `rows`: the containers that the store has then."""

    changed: Mapping[str, bytes] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    rows: Mapping[str, Container] | None = None

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


class SavedContainers:
    """Tracks which containers of one engine the store has."""

    def __init__(self) -> None:
        self._rows: Mapping[str, Container] = {}
        self._stored: dict[str, int] = {}  # a hash of each record that the store has

    def load(self, records: Mapping[str, bytes], engine: EngineRef) -> list[Container]:
        """Returns the containers in the store, as they were when they were saved."""
        self._rows, self._stored = {}, {each: hash(record) for each, record in records.items()}
        found = []
        for container_id, record in records.items():
            try:
                row = _DECODER.decode(record)
            except msgspec.MsgspecError:
                continue
            found.append(_container(container_id, row, engine))
        return found

    def changes(self, rows: Mapping[str, Container] | None) -> UnsavedChanges:
        """Compares all containers of the engine with what the store has. None: they are not known."""
        if rows is None:
            return UnsavedChanges()
        changed = {}
        room = MAX_CONTAINERS - len(self._stored)
        for container_id, row in rows.items():
            if self._rows.get(container_id) is row:
                continue
            record, before = _encode(row), self._stored.get(container_id)
            if hash(record) == before or (before is None and room <= 0):
                continue
            room -= before is None
            changed[container_id] = record
        return UnsavedChanges(changed=changed, removed=frozenset(self._stored.keys() - rows.keys()), rows=rows)

    def saved(self, changes: UnsavedChanges) -> None:
        """Records that the store has these changes."""
        if changes.rows is not None:
            self._rows = changes.rows
            self._stored.update((each, hash(record)) for each, record in changes.changed.items())
            for container_id in changes.removed:
                del self._stored[container_id]


def _encode(row: Container) -> bytes:
    record = _Record(
        row.ref.name, row.image, row.state, row.health, row.created_at, row.started_at, row.finished_at, row.exit_code,
        row.oom_killed, row.labels,
    )  # fmt: skip
    encoded = _ENCODER.encode(record)
    if len(encoded) > MAX_RECORD_BYTES:
        record.labels = {}
        encoded = _ENCODER.encode(record)
    return encoded


def _container(container_id: str, row: _Record, engine: EngineRef) -> Container:
    return Container(
        ref=Ref(engine=engine, kind=Kind.CONTAINER, id=container_id, name=row.name),
        image=row.image,
        image_id="",
        command="",
        state=row.state,
        status="",
        created_at=row.created_at,
        labels=row.labels,
        health=row.health,
        started_at=row.started_at,
        finished_at=row.finished_at,
        exit_code=row.exit_code,
        oom_killed=row.oom_killed,
    )
