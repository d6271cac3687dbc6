"""Holds the current policy: merges the configured policy with the grants that it reads from the store.

The store has a version number that increases with each change of its grants. Every command reads that number first. If
the number has changed, the grants are read again. So a revoked grant is invalid from the next command on, on every
replica.
"""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import structlog

from core.model.policy import Grant, Policy
from core.store.client import Store

log = structlog.get_logger(__name__)
# How long a container counts as a part of Quarterdeck after its process ended: an update leaves the old one behind.
OWN_CONTAINER_TTL_SECONDS = 30 * 86_400.0


class PolicyInForce:
    """Holds the policy in force. Call `refresh` with the store's policy version before each command."""

    def __init__(self, store: Store, configured: Policy) -> None:
        self._store = store
        self._configured = configured
        self._stored_grants: tuple[Grant, ...] = ()
        self._version: int | None = None
        self._replica_ids: frozenset[str] = frozenset()
        self._merged = configured

    @property
    def policy(self) -> Policy:
        """Returns the configured policy merged with the stored grants, as of the last `refresh`."""
        return self._merged

    def is_own(self, container_id: str) -> bool:
        """Returns whether Quarterdeck runs in this container."""
        return self.policy.is_own(container_id)

    @property
    def configured(self) -> Policy:
        """Returns the configured policy alone. It is in force while the store cannot be reached."""
        return self._configured

    async def refresh(self, version: int) -> Policy:
        """Returns the policy at `version` or later. Raises StoreDown."""
        if version != self._version:
            self._version, rows = await self._store.grants()
            self._stored_grants = tuple(
                grant for grant_id, data in sorted(rows.items()) if (grant := _decode(grant_id, data))
            )
            self._merge()
        return self._merged

    def replace_configured(self, configured: Policy) -> None:
        """Replaces the configured policy after a reload. Cannot fail."""
        self._configured = replace(configured, replica_ids=self._replica_ids)
        self._merge()

    def replace_replica_ids(self, container_ids: frozenset[str]) -> None:
        """Replaces the containers of the other processes that share the store."""
        if container_ids != self._replica_ids:
            self._replica_ids = container_ids
            self._configured = replace(self._configured, replica_ids=container_ids)
            self._merge()

    async def share_containers(self) -> None:
        """Exchanges the containers of this process and of the other processes that share the store. Raises
        StoreDown."""
        ids = {*self._configured.self_ids, self._configured.self_name} - {""}
        found = await self._store.share_containers(ids, at=time.time(), ttl=OWN_CONTAINER_TTL_SECONDS)
        self.replace_replica_ids(found - self._configured.self_ids)

    def _merge(self) -> None:
        grants = (*self._configured.grants, *self._stored_grants)
        self._merged = replace(self._configured, grants=grants, version=self._version or 0)


def _decode(grant_id: str, data: bytes) -> Grant | None:
    try:
        return msgspec.json.decode(data, type=Grant)
    except msgspec.MsgspecError:
        # Fails closed: a grant that cannot be decoded grants nothing.
        log.error(
            "A stored grant could not be decoded. It is not in force.",
            action="read-grant",
            grant=grant_id,
            hint="Run the same version of Quarterdeck on all replicas, or give the grant again with: grant",
        )
        return None
