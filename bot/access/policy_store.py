"""The policy in force: what the configuration says and the grants the store holds, merged, re-read only when the
store's version moved. Every command learns that version on entering, so a revoke holds from the next command on every
replica."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import structlog

from core.model.policy import Grant, Policy
from core.store.client import Store

log = structlog.get_logger(__name__)


class PolicyStore:
    def __init__(self, store: Store, base: Policy) -> None:
        self._store = store
        self._base = base
        self._stored: tuple[Grant, ...] = ()
        self._version: int | None = None
        self._merged = base

    @property
    def base(self) -> Policy:
        """What holds while the store is away: the configuration alone."""
        return self._base

    @property
    def policy(self) -> Policy:
        return self._merged

    def rebase(self, base: Policy) -> None:
        """A reloaded configuration; one swap, nothing in it can fail."""
        self._base = base
        self._merge()

    async def catch_up(self, version: int) -> Policy:
        """The policy at `version` or later. Raises StoreDown."""
        if version != self._version:
            self._version, rows = await self._store.grants()
            self._stored = tuple(grant for name, data in sorted(rows.items()) if (grant := _read(name, data)))
            self._merge()
        return self._merged

    def _merge(self) -> None:
        self._merged = replace(self._base, grants=(*self._base.grants, *self._stored), version=self._version or 0)


def _read(name: str, data: bytes) -> Grant | None:
    try:
        return msgspec.json.decode(data, type=Grant)
    except msgspec.MsgspecError:
        # Fails closed: a grant nobody can read grants nothing, and the log says which.
        log.error("a stored grant cannot be read and is not in force", action="read-grant", grant=name)
        return None
