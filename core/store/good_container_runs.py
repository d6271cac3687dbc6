"""Stores the settings with which the container of each owner ran well last, so that a crash card can show the
differences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from core.model.past_run_settings import PastRunSettings
from core.store import keys
from core.store.audit_trail import AuditTrail
from core.store.connection import text
from core.store.records import engine_key

MAX_RUNS = 10_000
SCAN_COUNT = 500
_decode = msgspec.json.Decoder(PastRunSettings).decode


class GoodContainerRunsStore(AuditTrail):
    """Reads and writes good runs by engine and owner. Methods raise errors.StoreDown or errors.StoreError."""

    async def good_run(self, engine: str, owner: str) -> PastRunSettings | None:
        """`engine`: the engine's id. Returns None if no good run is stored."""
        async with self._call():
            value = await self._client.hget(self._key(keys.GOOD_RUNS), _field(engine, owner))
        return _decoded(value)

    async def put_good_runs(self, engine: str, runs: Mapping[str, PastRunSettings]) -> None:
        """Stores the runs of these owners. Raises StoreFull if the rest of the memory is reserved for changes."""
        self.check_reserve()
        if runs:
            rows = {_field(engine, owner): msgspec.json.encode(run) for owner, run in runs.items()}
            async with self._call():
                await self._client.hset(self._key(keys.GOOD_RUNS), mapping=rows)

    async def remove_old_runs(self, most: int = MAX_RUNS) -> int:
        """Removes the oldest runs beyond `most`. Returns how many."""
        async with self._call():
            excess = int(await self._client.hlen(self._key(keys.GOOD_RUNS))) - most
        if excess <= 0:
            return 0
        ages: list[tuple[float, str]] = []
        cursor = 0
        while True:
            async with self._call():
                cursor, part = await self._client.hscan(self._key(keys.GOOD_RUNS), cursor, count=SCAN_COUNT)
            for field, value in part.items():
                run = _decoded(value)
                ages.append((run.at if run is not None else 0.0, text(field)))
            if cursor == 0:
                break
        removed = [field for _, field in sorted(ages)[:excess]]
        async with self._call():
            return int(await self._client.hdel(self._key(keys.GOOD_RUNS), *removed))


def _field(engine: str, owner: str) -> str:
    return f"{engine_key(engine)}:{hashlib.blake2s(owner.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def _decoded(value: bytes | None) -> PastRunSettings | None:
    """None for a run that another version wrote and this one cannot read."""
    try:
        return None if value is None else _decode(value)
    except (msgspec.DecodeError, ValueError):
        return None
