"""Converts JSON that has the same form in Docker and Podman into Quarterdeck's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.model.containers import Port
from core.model.images import Image
from core.model.networks_and_volumes import Volume
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker_like import json_models
from runtimes.formats import json_decoder, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter

SHORT_ID = 12
NO_NAME = ("<none>:<none>", "<none>@<none>")
MAX_REFS = 20_000
MAX_PORT_DIGITS = 5
HEALTH_INTERVAL_SECONDS = 30.0  # of a check without an interval of its own
MAX_CACHED_LENGTH = 1_024  # characters of an id and a name


class RefCache:
    """Caches the Refs of one engine, so that a resource that occurs often is one object. `kinds` maps the
    engine's own names of kinds to Kind. `by_id`: the engine's own name of the kind, and the newest Ref; code that runs
    for every event looks there first."""

    def __init__(self, engine: EngineRef, kinds: Mapping[str, Kind]) -> None:
        self._engine = engine
        self._kinds = kinds
        self.by_id: dict[str, tuple[str, Ref]] = {}

    def ref(self, kind: str, id: str, name: str) -> Ref:  # noqa: A002
        cached = self.by_id.get(id)
        if cached is not None and cached[1].name == name and cached[0] == kind:
            return cached[1]
        found = Ref(engine=self._engine, kind=self._kinds.get(kind, Kind.ENGINE), id=id, name=name)
        if len(id) + len(name) <= MAX_CACHED_LENGTH:
            if len(self.by_id) >= MAX_REFS:
                self.by_id.clear()
            self.by_id[id] = (kind, found)
        return found


async def images(engine: EngineRef, body: bytes, skipped: SkippedDataCounter | None = None) -> tuple[Image, ...]:
    rows = await json_decoder.decode_all_rows(json_models.Image, body, skipped)
    return tuple([_image(engine, row) for row in rows])


def image_ref(engine: EngineRef, row: json_models.Image) -> Ref:
    """Returns the Ref of an image, by its first name or its short id."""
    name = next((tag for tag in row.tags or () if tag not in NO_NAME), row.id.rpartition(":")[2][:SHORT_ID])
    return Ref(engine=engine, kind=Kind.IMAGE, id=row.id, name=name)


def _image(engine: EngineRef, row: json_models.Image) -> Image:
    tags = tuple([tag for tag in row.tags or () if tag not in NO_NAME])
    return Image(
        ref=image_ref(engine, row),
        tags=tags,
        digests=tuple([digest for digest in row.digests or () if digest not in NO_NAME]),
        size=row.size,
        created_at=float(row.created),
        labels=row.labels or {},
        containers=row.containers if row.containers is not None and row.containers >= 0 else None,
    )


def volumes(
    engine: EngineRef, rows: Sequence[json_models.Volume], skipped: SkippedDataCounter | None = None
) -> tuple[Volume, ...]:
    return tuple(
        [
            Volume(
                ref=Ref(engine=engine, kind=Kind.VOLUME, id=row.name, name=row.name),
                driver=row.driver,
                place=row.mountpoint,
                created_at=timestamps.parse_seconds(row.created, skipped) or 0.0,
                labels=row.labels or {},
            )
            for row in rows
        ]
    )


def published_ports(ports: Mapping[str, Sequence[json_models.PortBinding] | None]) -> tuple[Port, ...]:
    """The ports in an inspection, such as `80/tcp`, with the host's ports that they are bound to."""
    found = []
    for port, bindings in ports.items():
        number, _, protocol = port.partition("/")
        inside = _port_number(number) or 0
        found += [Port(inside, protocol or "tcp", _port_number(bound.port), bound.ip) for bound in bindings or ()] or [
            Port(inside, protocol or "tcp")
        ]
    return tuple(found)


def health_seconds(check: json_models.HealthCheck | None) -> float | None:
    """Returns Container.health_seconds of the settings of a health check."""
    if check is None or not check.test or check.test[0] == "NONE":
        return None
    return max(0, check.start_period) / 1e9 + (max(0, check.interval) / 1e9 or HEALTH_INTERVAL_SECONDS)


def _port_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_PORT_DIGITS else None
