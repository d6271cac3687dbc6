"""Records every few seconds that this process is alive, and reports the unfinished commands of processes that have
died.
"""

from __future__ import annotations

import structlog

from bot.app import LEASE_SECONDS, App
from core import errors, shared_ticks
from core.repeated_log import RepeatedLog

log = structlog.get_logger(__name__)
HEARTBEAT_SECONDS = 5.0
MEASURED_EVERY = 3  # records; measuring the store costs more than a record
RECOVERY_SECONDS = 5.0  # between searches for unfinished commands of dead replicas


async def record_heartbeats(app: App) -> None:
    """Records every few seconds that this replica is alive, and writes the records that wait for the store. Measures
    the store at first, whenever it answers again, and from time to time. Never returns."""
    repeated = RepeatedLog()
    recorded = 0  # since the store answers
    while True:
        try:
            if recorded % MEASURED_EVERY == 0:
                await app.probe()
            await app.store.heartbeat(app.replica, LEASE_SECONDS)
            recorded += 1
            await app.policies.share_containers()
            await app.dispatcher.flush_spool()
            if repeated.ended():
                log.info("The store answered again and accepted a write.", action="heartbeat")
        except errors.StoreError as error:
            app.metrics.store_up.set(0)
            recorded = 0
            if times := repeated.due(error.message):
                log.warning(
                    "The store did not answer, or it refused a write.",
                    action="heartbeat",
                    reason=error.full_message(),
                    times=times,
                )
        await shared_ticks.sleep_to_tick(HEARTBEAT_SECONDS)


async def keep_recovering(app: App) -> None:
    """Calls `recover` at once and then every few seconds. Never returns."""
    while True:
        try:
            await app.recover()
        except errors.StoreError as error:
            log.debug("Unfinished commands could not be read from the store.", reason=error.message)
        await shared_ticks.sleep_to_tick(RECOVERY_SECONDS)
