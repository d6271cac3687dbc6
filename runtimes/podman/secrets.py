"""Lists Podman's secrets, by their names and times."""

from __future__ import annotations

import abc

import msgspec

from core.model.refs import Kind, Ref
from core.model.secrets_and_configs import ListSecrets, StoredValue, StoredValues
from runtimes.base.base_adapter import does
from runtimes.formats import json_decoder, json_field_types, timestamps
from runtimes.podman import client


class SecretVerbs(client.EngineClient, abc.ABC):
    """Serves the verb that lists secrets, for Podman."""

    @does(ListSecrets)
    async def list_secrets(self, action: ListSecrets, seconds: float) -> StoredValues:
        response = await self._request("GET", "/secrets/json", seconds)
        rows = await json_decoder.decode_all_rows(_Row, response.body, self.skipped)
        return StoredValues(rows=tuple(map(self._secret, rows)))

    def _secret(self, row: _Row) -> StoredValue:
        return StoredValue(
            ref=Ref(engine=self.ref, kind=Kind.SECRET, id=row.id, name=row.spec.name or row.id[:12]),
            driver=row.spec.driver.name if row.spec.driver is not None else "",
            created_at=timestamps.parse_seconds(row.created, self.skipped) or 0.0,
            updated_at=timestamps.parse_seconds(row.updated, self.skipped) or 0.0,
            labels=row.spec.labels or {},
        )


class _Driver(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")


class _Spec(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    driver: _Driver | None = msgspec.field(name="Driver", default=None)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


class _Row(msgspec.Struct):
    id: str = msgspec.field(name="ID")
    created: str = msgspec.field(name="CreatedAt", default="")
    updated: str = msgspec.field(name="UpdatedAt", default="")
    spec: _Spec = msgspec.field(name="Spec", default_factory=_Spec)
