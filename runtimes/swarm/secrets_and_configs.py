"""Lists the secrets and configs of a Swarm, by their names and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from core.model.refs import EngineRef, Kind, Ref
from core.model.secrets_and_configs import ListConfigs, ListSecrets, StoredValue, StoredValues
from runtimes.base.base_adapter import does
from runtimes.base.jobs import JobAdapter
from runtimes.formats import json_decoder, json_field_types, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm.manager_pool import ManagerPool


class SecretAndConfigVerbs(JobAdapter):
    """Serves the verbs that list secrets and configs, for a Swarm."""

    managers: ManagerPool

    @does(ListSecrets)
    async def list_secrets(self, action: ListSecrets, seconds: float) -> StoredValues:
        answer = await self.managers.ask(action.verb, "GET", "/secrets", seconds)
        return StoredValues(rows=await decode(self.ref, Kind.SECRET, answer.body, self.skipped))

    @does(ListConfigs)
    async def list_configs(self, action: ListConfigs, seconds: float) -> StoredValues:
        answer = await self.managers.ask(action.verb, "GET", "/configs", seconds)
        return StoredValues(rows=await decode(self.ref, Kind.CONFIG, answer.body, self.skipped))


async def decode(engine: EngineRef, kind: Kind, body: bytes, skipped: SkippedDataCounter) -> tuple[StoredValue, ...]:
    """Decodes the rows of `/secrets` or `/configs`. The content of a config is not even decoded."""
    rows = await json_decoder.decode_all_rows(_Row, body, skipped)
    return tuple(
        StoredValue(
            ref=Ref(engine=engine, kind=kind, id=row.id, name=row.spec.name or row.id[:12]),
            driver=row.spec.driver.name if row.spec.driver is not None else "",
            created_at=timestamps.parse_seconds(row.created, skipped) or 0.0,
            updated_at=timestamps.parse_seconds(row.updated, skipped) or 0.0,
            labels=row.spec.labels or {},
        )
        for row in sorted(rows, key=lambda row: row.spec.name)
    )


class _Driver(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")


class _Spec(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    driver: _Driver | None = msgspec.field(name="Driver", default=None)


class _Row(msgspec.Struct):
    id: str = msgspec.field(name="ID")
    created: str = msgspec.field(name="CreatedAt", default="")
    updated: str = msgspec.field(name="UpdatedAt", default="")
    spec: _Spec = msgspec.field(name="Spec", default_factory=_Spec)


def values_of_spec(engine: EngineRef, spec: Mapping[str, Any]) -> tuple[Ref, ...]:
    """Returns the secrets and configs that the tasks of a service's specification can read."""
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return tuple(
        Ref(engine=engine, kind=kind, id=str(one[f"{word}ID"]), name=str(one.get(f"{word}Name") or one[f"{word}ID"]))
        for kind, word in ((Kind.SECRET, "Secret"), (Kind.CONFIG, "Config"))
        for one in container.get(f"{word}s") or ()
        if one.get(f"{word}ID")
    )
