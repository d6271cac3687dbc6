"""Opens the store from the configuration: connects to the configured server, or starts the embedded one."""

from __future__ import annotations

import structlog

from core import errors, supervise
from core.config import load
from core.store import embedded_server, records
from core.store.client import Store

log = structlog.get_logger(__name__)
Opened = tuple[Store, embedded_server.EmbeddedStore | None]
"""The store, and the server of the embedded one."""


async def open_store(settings: load.Config, supervisor: supervise.Supervisor, *, visits: bool) -> Opened:
    """Opens the configured store, or starts the embedded one. `visits`: a single command of root may use the store of
    another user's bot. A bot of root may not: that user decides about the grants in it."""
    embedded_store: embedded_server.EmbeddedStore | None = None
    if settings.store.url is None:
        embedded_store = embedded_server.EmbeddedStore(
            settings.state, max_bytes=settings.store.max_megabytes << 20, visits=visits
        )
        supervisor.on_close("embedded store", embedded_store.aclose)
        try:
            await embedded_store.ensure()
        except errors.StoreError as error:
            log.error(
                "The embedded store did not start. Commands that change something are refused.",
                reason=error.full_message(),
            )
        url = embedded_store.url
    else:
        url = settings.store.url.get_secret_value()
    store = Store.open(
        url, timeout=settings.store.timeout, audit=_audit_limits(settings), events=_event_limits(settings)
    )
    supervisor.on_close("store", store.aclose)
    return store, embedded_store


def _audit_limits(settings: load.Config) -> records.AuditLimits:
    """Returns the limits of the audit. In the embedded store, half of the memory is left for everything else."""
    megabytes = settings.audit.keep_megabytes
    if settings.store.url is None:
        megabytes = min(megabytes, settings.store.max_megabytes // 2)
    age = settings.audit.keep_for.total_seconds() if settings.audit.keep_for else 0.0
    return records.AuditLimits(
        rows=settings.audit.keep, bytes=megabytes << 20, seconds=age, reads=settings.audit.keep_reads
    )


def _event_limits(settings: load.Config) -> records.EventLimits:
    """Returns the limits of the history of events."""
    megabytes = settings.history.keep_megabytes
    if settings.store.url is None:
        megabytes = min(megabytes, settings.store.max_megabytes // 6)
    seconds = settings.history.keep_for.total_seconds()
    return records.EventLimits(rows=settings.history.keep, bytes=megabytes << 20, seconds=seconds)
