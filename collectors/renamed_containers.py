"""Remembers the owner (service, project or container name) that a container had before it was renamed, so that its next
crash belongs to the same alert.

A container without the labels of Compose, a Swarm or a pod is identified by its name. If such a container is renamed
while an alert about it is open, its next crash belongs to the same alert. A crash of a new container with the old name
belongs to that alert too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from collectors.recent_events_by_owner import OwnerKey
from core.model.containers import Container
from core.model.events import Event
from core.model.owners import find_owner

MAX_CONTAINERS = 1_000


class OwnersBeforeRename:
    """Holds the owners before the renaming, by the id of the container."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, OwnerKey] = OrderedDict()

    def observe(self, event: Event, container: Container | None, open_keys: Iterable[OwnerKey]) -> None:
        """Takes a renaming. `open_keys`: the owners about whom an alert is open."""
        labels = container.labels if container is not None else {}
        subject, old_name = event.subject, event.attrs.get("old_name", "").removeprefix("/")
        if not old_name or subject.id in self._owners:
            return
        before = find_owner(msgspec.structs.replace(subject, name=old_name), labels)
        key = (subject.engine, subject.kind, before)
        if before != find_owner(subject, labels) and key in open_keys:
            self._owners[subject.id] = key
            if len(self._owners) > MAX_CONTAINERS:
                self._owners.popitem(last=False)

    def owner_of(self, container_id: str) -> str:
        """Returns the owner of a renamed container; empty for any other one."""
        key = self._owners.get(container_id)
        return key[2] if key is not None else ""

    def alert_ended(self, key: OwnerKey, open_keys: Iterable[OwnerKey]) -> None:
        """Forgets the containers of an owner if no alert about it is open any more."""
        if key in self._owners.values() and key not in open_keys:
            self._owners = OrderedDict((each, known) for each, known in self._owners.items() if known != key)
