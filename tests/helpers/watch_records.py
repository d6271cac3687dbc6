"""Stores what is saved about the watch of engines in memory instead of the store, with the store's own values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.store.records import EventsFound, EventsWanted, StoredEvent, WatchRecord, WatchUpdate


class WatchRecords:
    """`kept`: the cursors by the engine's id; `records`: everything; `writes`: how many updates there were;
    `events`: the history."""

    def __init__(self) -> None:
        self.records: dict[str, WatchRecord] = {}
        self.writes = 0
        self.events: list[StoredEvent] = []

    @property
    def kept(self) -> dict[str, int]:
        return {engine: record.cursor for engine, record in self.records.items() if record.cursor is not None}

    async def watch_record(self, engine: str, /) -> WatchRecord:
        return self.records.get(engine, WatchRecord())

    async def update_watch(self, engine: str, update: WatchUpdate, /) -> None:
        self.writes += 1
        before = self.records.get(engine, WatchRecord())
        watched = {each: at for each, at in before.watched.items() if each not in update.forgotten}
        containers = {each: record for each, record in before.containers.items() if each not in update.removed}
        self.records[engine] = WatchRecord(
            cursor=before.cursor if update.cursor is None else update.cursor,
            recent=before.recent if update.cursor is None else update.recent,
            watched=watched if update.watched is None else watched | {update.watcher: update.watched},
            containers=containers | dict(update.changed),
        )

    async def record_events(self, events: Iterable[StoredEvent], /, *, lost: int, lost_until_us: int) -> int:
        self.events += events
        return len(self.events)

    async def take_own_changes(self, engine: str, containers: Sequence[str], /) -> dict[str, bytes]:
        return {}

    async def record_own_changes(self, engine: str, containers: Iterable[str], value: bytes, ttl: float, /) -> None:
        """Notes nothing."""

    async def find_events(self, wanted: EventsWanted, selects: object, /) -> EventsFound:
        return EventsFound()
