"""Decodes the JSON that Docker and Podman send alike into Quarterdeck's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from core import errors
from core.model.containers import Port
from core.model.images import Image
from core.model.networks_and_volumes import Volume
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker_like import json_models
from runtimes.formats import json_decoder, timestamps

SHORT_ID = 12
NO_NAME = ("<none>:<none>", "<none>@<none>")
MAX_REFS = 20_000


class RefCache:
    """Caches the Refs of one engine, so that a resource that occurs often is one object. `kinds` maps the
    engine's own names of kinds to Kind."""

    def __init__(self, engine: EngineRef, kinds: Mapping[str, Kind]) -> None:
        self._engine = engine
        self._kinds = kinds
        self._refs: dict[tuple[str, str, str], Ref] = {}
        self.find = self._refs.get

    def ref(self, kind: str, id: str, name: str) -> Ref:  # noqa: A002
        key = (kind, id, name)
        found = self._refs.get(key)
        if found is None:
            if len(self._refs) >= MAX_REFS:
                self._refs.clear()
            found = Ref(engine=self._engine, kind=self._kinds.get(kind, Kind.ENGINE), id=id, name=name)
            self._refs[key] = found
        return found


def inspection(engine: EngineRef, body: bytes) -> json_models.Inspection:
    try:
        return json_models.INSPECTION.decode(body)
    except msgspec.DecodeError as error:
        raise errors.InvalidResponse(
            f"{engine} sent an inspection that cannot be decoded: {error}.",
            hint="Check that Quarterdeck supports this version of the engine.",
        ) from error


def images(engine: EngineRef, body: bytes) -> tuple[Image, ...]:
    return tuple([_image(engine, row) for row in json_decoder.decode_json(list[json_models.Image], body)])


def _image(engine: EngineRef, row: json_models.Image) -> Image:
    tags = tuple([tag for tag in row.tags or () if tag not in NO_NAME])
    name = tags[0] if tags else row.id.rpartition(":")[2][:SHORT_ID]
    return Image(
        ref=Ref(engine=engine, kind=Kind.IMAGE, id=row.id, name=name),
        tags=tags,
        digests=tuple([digest for digest in row.digests or () if digest not in NO_NAME]),
        size=row.size,
        created_at=float(row.created),
        labels=row.labels or {},
        containers=row.containers if row.containers is not None and row.containers >= 0 else None,
    )


def volumes(engine: EngineRef, rows: Sequence[json_models.Volume]) -> tuple[Volume, ...]:
    return tuple(
        [
            Volume(
                ref=Ref(engine=engine, kind=Kind.VOLUME, id=row.name, name=row.name),
                driver=row.driver,
                place=row.mountpoint,
                created_at=_volume_time(row.created),
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
        inside = int(number) if number.isdigit() else 0
        found += [
            Port(inside, protocol or "tcp", int(bound.port) if bound.port.isdigit() else None, bound.ip)
            for bound in bindings or ()
        ] or [Port(inside, protocol or "tcp")]
    return tuple(found)


def _volume_time(text: str) -> float:
    # For a plugin's volume, the engine passes on what the plugin writes.
    try:
        return timestamps.parse_seconds(text) or 0.0
    except errors.InvalidResponse:
        return 0.0
