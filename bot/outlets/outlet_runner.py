"""Sends incidents to other systems: to webhooks, one incident in each request, and to Alertmanagers, many at once.

The store has a queue for each of them, so nothing is lost while one cannot be reached or when this process ends. Only
one process sends; it holds a lease. If its lease ends during a request, another process may send the same state again.
A failure stops only the queue of that receiver for a while, longer each time. An incident that a receiver refuses for
ever is left out, and so is one that could not be delivered for a day. A webhook gets an incident that is silenced when
the silence is over. An Alertmanager gets it at once, because it has silences of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.notify.incident_writer import decode_incident, stored_incidents
from bot.outlets.alertmanager_sender import REPEAT_SECONDS, RESOLVED_NS, AlertmanagerSender
from bot.outlets.http_sender import Outcome, Sent
from bot.outlets.webhook import Webhook
from core import errors, metrics, supervise
from core.model.incidents import Incident, IncidentState
from core.repeated_log import RepeatedLog
from core.store.client import Store
from core.store.outlets import OutletQueue, QueuedChange

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0
BATCH = 200  # entries of a queue that are read at once
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 300.0
GIVE_UP_US = 86_400 * 1_000_000
HELD_SECONDS = 15.0  # until a silenced incident is looked at again

Held = Callable[[Sequence[Incident]], Awaitable[frozenset[str]]]
"""Returns the keys of those incidents that a silence holds back."""


class OutletRunner:
    """Serves one outlet while `run` runs. `leads`: whether this process delivers. `held`: see Held."""

    def __init__(
        self,
        outlet: Webhook | AlertmanagerSender,
        store: Store,
        counts: metrics.Metrics,
        *,
        leads: Callable[[], bool],
        held: Held,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._outlet = outlet
        self._store = store
        self._counts = counts
        self._leads = leads
        self._held = held
        self._now = now
        self._rng = rng or random.Random()  # noqa: S311 (jitter, not a secret)
        self._failures = 0
        self._wait_until = 0.0
        self._refresh_at = 0.0
        self._held_until: dict[str, float] = {}
        self._failing = RepeatedLog()
        self._store_down = RepeatedLog()
        self.changed = asyncio.Event()
        """Set it when an incident has changed."""

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        while True:
            self.changed.clear()
            if self._leads():
                try:
                    await self.deliver()
                    self._store_down.ended()
                except errors.StoreError as error:
                    if times := self._store_down.due(error.message):
                        log.warning("A receiver of incidents waits for the store.", to=self._name, times=times)
            else:
                self._measure(OutletQueue())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self.changed.wait()

    async def deliver(self) -> None:
        """Delivers what waits, unless the receiver has a pause. Raises StoreError."""
        queue = await self._store.outlet_queue(self._key, BATCH)
        self._measure(queue)
        if self._now() < self._wait_until:
            return
        if isinstance(self._outlet, Webhook):
            await self._deliver_each(self._outlet, queue)
        else:
            await self._deliver_all(self._outlet, queue)

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _deliver_each(self, webhook: Webhook, queue: OutletQueue) -> None:
        now = self._now()
        self._held_until = {key: until for key, until in self._held_until.items() if until > now}
        entries = [entry for entry in queue.entries if entry.key not in self._held_until]
        incidents = await self._read(entries)
        held = await self._held(list(incidents.values())) if incidents else frozenset()
        for entry in entries:
            incident = incidents.get(entry.key)
            if incident is None or not webhook.wants(incident):
                await self._store.outlet_delivered(self._key, entry)
            elif entry.key in held:
                self._held_until[entry.key] = now + HELD_SECONDS
            else:
                sent = await webhook.send(incident)
                self._count(sent)
                if sent.outcome is Outcome.FAILED and not self._is_too_old(entry):
                    return
                await self._done(entry, sent)

    async def _read(self, entries: Sequence[QueuedChange]) -> dict[str, Incident]:
        stored = await self._store.incidents_of([entry.key for entry in entries])
        decoded = {key: decode_incident(raw) for key, raw in stored.items()}
        return {key: incident for key, incident in decoded.items() if incident is not None}

    # ── Alertmanagers ────────────────────────────────────────────────────────────────────────────────────────────

    async def _deliver_all(self, server: AlertmanagerSender, queue: OutletQueue) -> None:
        now, now_ns = self._now(), int(self._now() * 1e9)
        refreshes = now >= self._refresh_at
        if refreshes:
            incidents = [each for each in await stored_incidents(self._store) if _is_current(each, now_ns)]
        elif queue.entries:
            incidents = list((await self._read(queue.entries)).values())
        else:
            return
        sent = await server.send(incidents, now_ns)
        if incidents:
            self._count(sent)
        if sent.outcome is not Outcome.FAILED:
            if refreshes:
                self._refresh_at = now + REPEAT_SECONDS
            for entry in queue.entries:
                await self._done(entry, sent)
        else:
            for entry in filter(self._is_too_old, queue.entries):
                await self._done(entry, sent)

    # ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _name(self) -> str:
        return f"{self._outlet.kind} {self._outlet.name}"

    @property
    def _key(self) -> str:
        return f"{self._outlet.kind}:{self._outlet.name}"

    async def _done(self, entry: QueuedChange, sent: Sent) -> None:
        if sent.outcome is Outcome.FAILED:
            self._counts.outlet_lost_total.labels(self._outlet.kind).inc()
            log.error("An incident could not be delivered for a day.", to=self._name, reason=sent.reason)
        await self._store.outlet_delivered(self._key, entry)

    def _count(self, sent: Sent) -> None:
        self._counts.outlet_requests_total.labels(self._outlet.kind, str(sent.outcome)).inc()
        if sent.outcome is Outcome.FAILED:
            self._failures += 1
            pause = supervise.backoff_seconds(self._failures, MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS, self._rng)
            self._wait_until = self._now() + max(pause, sent.retry_after)
        else:
            self._failures = 0
        if sent.outcome is Outcome.DELIVERED:
            if self._failing.ended():
                log.info("A receiver of incidents answers again.", to=self._name)
        elif times := self._failing.due(sent.reason):
            log.warning("A receiver of incidents did not take one.", to=self._name, reason=sent.reason, times=times)

    def _is_too_old(self, entry: QueuedChange) -> bool:
        return self._now() * 1e6 - entry.at_us > GIVE_UP_US

    def _measure(self, queue: OutletQueue) -> None:
        oldest = self._now() - queue.entries[0].at_us / 1e6 if queue.entries else 0.0
        self._counts.outlet_waiting.labels(self._outlet.kind, self._outlet.name).set(queue.size)
        self._counts.outlet_oldest_seconds.labels(self._outlet.kind, self._outlet.name).set(max(0.0, oldest))


def _is_current(incident: Incident, now_ns: int) -> bool:
    return incident.state is not IncidentState.RESOLVED or now_ns - incident.changed_ns < RESOLVED_NS
