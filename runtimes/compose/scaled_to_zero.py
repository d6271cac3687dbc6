"""Stores the last container of each Compose service that was scaled to zero, so that the service can be scaled up
again.

Docker Compose stores nothing but containers. So a service without containers is known only to its Compose file and to
this module. Its entry holds the inspection with all values of environment variables. So it is only in the memory of
this process, never in the store or in a reply, and it is lost with the process. The number and the age of entries are
limited. An entry is removed when the service has a container again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any

from core.lazy_dataclass import dataclass
from core.model.containers import Container
from core.model.refs import EngineRef
from core.model.services import Service
from runtimes.compose import services

MAX_SERVICES = 64
MAX_AGE_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledToZeroService:
    """`row`: the container that was removed; `inspection`: its inspection; `at`: when, by this process's clock."""

    row: Container
    inspection: dict[str, Any] = field(repr=False)
    at: float


class ScaledToZeroServices:
    """Holds the entries of one engine, by project and service."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._entries: OrderedDict[tuple[str, str], ScaledToZeroService] = OrderedDict()

    def remember(self, row: Container, inspection: dict[str, Any]) -> None:
        key = _key(row)
        self._entries.pop(key, None)
        self._entries[key] = ScaledToZeroService(row=row, inspection=inspection, at=self._now())
        while len(self._entries) > MAX_SERVICES:
            self._entries.popitem(last=False)

    def find(self, project: str, service: str) -> ScaledToZeroService | None:
        entry = self._entries.get((project, service))
        return entry if entry is not None and self._now() - entry.at <= MAX_AGE_SECONDS else None

    def forget(self, project: str, service: str) -> None:
        self._entries.pop((project, service), None)

    def missing_from(self, engine: EngineRef, rows: Iterable[Container]) -> Sequence[Service]:
        """Returns the remembered services that have no container among these rows, and forgets the others."""
        for key in {_key(row) for row in rows if not row.one_off} & self._entries.keys():
            del self._entries[key]
        return [
            services.emptied_service(engine, *key, entry.row)
            for key, entry in self._entries.items()
            if self._now() - entry.at <= MAX_AGE_SECONDS
        ]


def _key(row: Container) -> tuple[str, str]:
    return row.labels.get(services.PROJECT, ""), row.labels.get(services.SERVICE, "")
