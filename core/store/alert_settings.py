"""Stores the alert settings that people made in chat: maintenance windows, mutes, and the channel of alerts. Reads the
silences with them.

All settings are small and are read together, once a second, by the process that posts incidents.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.lazy_dataclass import dataclass
from core.store import keys
from core.store.connection import text
from core.store.incidents import IncidentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlertSettings:
    """The stored settings. `silences`, `maintenance`: records by id. `mutes`: until when, by person. `channel`: the
    record of the channel that `alerts here` named; None without one."""

    silences: Mapping[str, bytes]
    maintenance: Mapping[str, bytes]
    mutes: Mapping[str, bytes]
    channel: bytes | None


class AlertSettingsStore(IncidentStore):
    """Reads and changes the settings. Values are the caller's bytes. Methods raise errors.StoreDown or StoreError."""

    async def alert_settings(self) -> StoredAlertSettings:
        """Returns all settings, in one round trip."""
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._key(keys.SILENCES))
            pipe.hgetall(self._key(keys.MAINTENANCE))
            pipe.hgetall(self._key(keys.MUTES))
            pipe.get(self._key(keys.ALERT_CHANNEL))
            silences, maintenance, mutes, channel = await pipe.execute()
        return StoredAlertSettings(
            silences=_by_text(silences), maintenance=_by_text(maintenance), mutes=_by_text(mutes), channel=channel
        )

    async def maintenance(self) -> dict[str, bytes]:
        """Returns every stored maintenance window by id."""
        async with self._call():
            return _by_text(await self._client.hgetall(self._key(keys.MAINTENANCE)))

    async def put_maintenance(self, id: str, value: bytes) -> None:  # noqa: A002
        async with self._call():
            await self._client.hset(self._key(keys.MAINTENANCE), id, value)

    async def change_maintenance(self, id: str, before: bytes, value: bytes | None) -> bool:  # noqa: A002
        """Replaces a window that is still `before`; None removes it. Returns False if somebody was faster."""
        return bool(await self._run("replace_field", names=(keys.MAINTENANCE,), args=(id, before, value or b"")))

    async def mutes(self) -> dict[str, bytes]:
        async with self._call():
            return _by_text(await self._client.hgetall(self._key(keys.MUTES)))

    async def put_mute(self, person: str, value: bytes) -> None:
        async with self._call():
            await self._client.hset(self._key(keys.MUTES), person, value)

    async def remove_mutes(self, *people: str) -> int:
        """Returns how many of them were muted."""
        if not people:
            return 0
        async with self._call():
            return int(await self._client.hdel(self._key(keys.MUTES), *people))

    async def alert_channel(self) -> bytes | None:
        async with self._call():
            value: bytes | None = await self._client.get(self._key(keys.ALERT_CHANNEL))
        return value

    async def put_alert_channel(self, value: bytes | None) -> None:
        """Stores the channel of alerts; None removes it."""
        async with self._call():
            if value is None:
                await self._client.delete(self._key(keys.ALERT_CHANNEL))
            else:
                await self._client.set(self._key(keys.ALERT_CHANNEL), value)


def _by_text(found: Mapping[bytes, bytes]) -> dict[str, bytes]:
    return {text(key): value for key, value in found.items()}
