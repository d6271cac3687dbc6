"""Sends incidents to outlets. An outlet is an external system: a webhook (one incident per request) or an Alertmanager
(many per request).

The store has one queue per outlet, so no incident is lost while an outlet cannot be reached or when this process ends.
Only one process sends; it holds a lease. If its lease ends during a request, another process may send the same state
again. After a failure, the queue of that outlet pauses, longer each time. Other queues continue.

An incident is dropped if the outlet rejects it permanently, or after one day. If one incident fails several times, the
next ones are tried, because perhaps only this one is rejected. A silenced incident is sent to a webhook when the
silence ends; later incidents do not wait for it. It is sent to an Alertmanager at once, because an Alertmanager has its
own silences.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.notify.incident_writer import decode_incident, each_incident
from bot.outlets.alertmanager_sender import REPEAT_SECONDS, RESOLVED_NS, AlertmanagerSender
from bot.outlets.http_sender import SendOutcome, Sent
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
HELD_SECONDS = 15.0  # until a silenced incident is looked at again; longer if thousands are
FAILURES = 3  # in a row, or of one incident, after which other incidents are tried too
MAX_PROBES = 3  # incidents that are tried at once while all fail
MAX_COUNTED = 1_000  # incidents whose failures are counted

FindSilenced = Callable[[Sequence[Incident]], Awaitable[frozenset[str]]]
"""Returns the keys of those incidents that a silence holds back."""


class OutletRunner:
    """Serves one outlet while `run` runs. `leads`: whether this process delivers. `held`: see FindSilenced."""

    def __init__(
        self,
        outlet: Webhook | AlertmanagerSender,
        store: Store,
        counts: metrics.Metrics,
        *,
        leads: Callable[[], bool],
        held: FindSilenced,
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
        self._failed: dict[QueuedChange, int] = {}  # how often each entry failed
        self._left_out: set[QueuedChange] = set()  # those that failed while the receiver took others
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
                        log.warning(
                            "The delivery of incidents was paused, because the store did not answer.",
                            to=self._name,
                            reason=error.message,
                            times=times,
                        )
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
            await self._deliver_pages(self._outlet, queue)
        else:
            await self._deliver_all(self._outlet, queue)

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _deliver_pages(self, webhook: Webhook, queue: OutletQueue) -> None:
        """Delivers a batch of the queue, however many entries before it are held back."""
        now, batch = self._now(), 0
        self._held_until = {key: until for key, until in self._held_until.items() if until > now}
        while True:
            entries = [entry for entry in queue.entries if entry.key not in self._held_until]
            batch += len(entries)
            goes_on = await self._deliver_each(webhook, entries)
            if not goes_on or len(queue.entries) < BATCH or batch >= BATCH:
                return
            queue = await self._store.outlet_queue(self._key, BATCH, queue.entries[-1].at_us)

    async def _deliver_each(self, webhook: Webhook, entries: Sequence[QueuedChange]) -> bool:
        """Returns whether the receiver may be asked again now."""
        until = self._now() + HELD_SECONDS * (1 + len(self._held_until) // MAX_COUNTED)
        failing: list[QueuedChange] = []
        incidents = await self._read(entries)
        held = await self._held(list(incidents.values())) if incidents else frozenset()
        for entry in self._in_order(entries):
            if not self._leads():
                return False
            incident = incidents.get(entry.key)
            if incident is None or not webhook.wants(incident):
                await self._store.outlet_delivered(self._key, entry)
            elif entry.key in held:
                self._held_until[entry.key] = until
            else:
                sent = await webhook.send(incident)
                self._count(sent, pauses=entry not in self._left_out)
                if sent.outcome is SendOutcome.FAILED and not self._is_too_old(entry):
                    if entry in self._left_out:
                        self._leave_out(entry)
                        continue
                    failing.append(entry)
                    others = self._count_failure(entry) >= FAILURES or self._failures >= FAILURES
                    if sent.retry_after or not others or len(failing) >= MAX_PROBES:
                        return False
                    continue
                self._failed.pop(entry, None)
                self._left_out.discard(entry)
                if (
                    sent.outcome is not SendOutcome.FAILED
                ):  # the receiver answers, so it has trouble with the others only
                    self._wait_until = 0.0
                    for each in failing:
                        self._leave_out(each)
                    failing.clear()
                await self._done(entry, sent)
        return not failing

    def _leave_out(self, entry: QueuedChange) -> None:
        """Leaves out an entry for a while, longer each time."""
        self._left_out.add(entry)
        self._held_until[entry.key] = self._now() + self._pause(self._count_failure(entry))

    def _in_order(self, entries: Sequence[QueuedChange]) -> Sequence[QueuedChange]:
        """The oldest first. While nothing is delivered, those come next that have failed least."""
        if self._failures < FAILURES:
            return entries
        return [*entries[:1], *sorted(entries[1:], key=lambda entry: self._failed.get(entry, 0))]

    def _count_failure(self, entry: QueuedChange) -> int:
        """Returns how often this entry has failed."""
        if len(self._failed) >= MAX_COUNTED:
            self._failed.clear()
            self._left_out.clear()
        self._failed[entry] = self._failed.get(entry, 0) + 1
        return self._failed[entry]

    async def _read(self, entries: Sequence[QueuedChange]) -> dict[str, Incident]:
        stored = await self._store.incidents_of([entry.key for entry in entries])
        decoded = {key: decode_incident(raw) for key, raw in stored.items()}
        return {key: incident for key, incident in decoded.items() if incident is not None}

    # ── Alertmanagers ────────────────────────────────────────────────────────────────────────────────────────────

    async def _deliver_all(self, server: AlertmanagerSender, queue: OutletQueue) -> None:
        now, now_ns = self._now(), int(self._now() * 1e9)
        refreshes = now >= self._refresh_at
        if refreshes:
            sent = await self._send_current(server, now_ns)
        elif queue.entries:
            sent = await self._send(server, list((await self._read(queue.entries)).values()), now_ns)
        else:
            return
        if sent.outcome is not SendOutcome.FAILED:
            if refreshes:
                self._refresh_at = now + REPEAT_SECONDS
            for entry in queue.entries:
                await self._done(entry, sent)
        else:
            for entry in filter(self._is_too_old, queue.entries):
                await self._done(entry, sent)

    async def _send_current(self, server: AlertmanagerSender, now_ns: int) -> Sent:
        """Sends all incidents that are open, or were until a moment ago, a part of them at a time. Returns the first
        failure, or else the last refusal."""
        result, part = Sent(outcome=SendOutcome.DELIVERED), []
        async for incident in each_incident(self._store):
            if _is_current(incident, now_ns):
                part.append(incident)
            if len(part) == BATCH:
                sent, part = await self._send(server, part, now_ns), []
                if sent.outcome is SendOutcome.FAILED:
                    return sent
                result = sent if sent.outcome is SendOutcome.REFUSED else result
        sent = await self._send(server, part, now_ns)
        return result if sent.outcome is SendOutcome.DELIVERED else sent

    async def _send(self, server: AlertmanagerSender, incidents: Sequence[Incident], now_ns: int) -> Sent:
        sent = await server.send(incidents, now_ns)
        if incidents:
            self._count(sent)
        return sent

    # ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _name(self) -> str:
        return f"{self._outlet.kind} {self._outlet.name}"

    @property
    def _key(self) -> str:
        return f"{self._outlet.kind}:{self._outlet.name}"

    async def _done(self, entry: QueuedChange, sent: Sent) -> None:
        if sent.outcome is SendOutcome.FAILED:
            self._counts.outlet_lost_total.labels(self._outlet.kind).inc()
            log.error(
                "An incident was dropped, because it could not be delivered within a day.",
                to=self._name,
                incident=entry.key[:6],  # the beginning of its id
                reason=sent.reason,
            )
        await self._store.outlet_delivered(self._key, entry)

    def _count(self, sent: Sent, *, pauses: bool = True) -> None:
        """Counts a request. `pauses`: a failure lets the receiver rest."""
        self._counts.outlet_requests_total.labels(self._outlet.kind, str(sent.outcome)).inc()
        if sent.outcome is SendOutcome.FAILED and pauses:
            self._failures += 1
            self._wait_until = self._now() + max(self._pause(self._failures), sent.retry_after)
        elif sent.outcome is not SendOutcome.FAILED:
            self._failures = 0
        if sent.outcome is SendOutcome.DELIVERED:
            if self._failing.ended():
                log.info("A receiver accepted an incident again.", to=self._name)
        elif times := self._failing.due(sent.reason):
            log.warning("A receiver did not accept an incident.", to=self._name, reason=sent.reason, times=times)

    def _pause(self, failures: int) -> float:
        return supervise.backoff_seconds(failures, MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS, self._rng)

    def _is_too_old(self, entry: QueuedChange) -> bool:
        return self._now() * 1e6 - entry.at_us > GIVE_UP_US

    def _measure(self, queue: OutletQueue) -> None:
        oldest = self._now() - queue.oldest_us / 1e6 if queue.oldest_us else 0.0
        self._counts.outlet_waiting.labels(self._outlet.kind, self._outlet.name).set(queue.size)
        self._counts.outlet_oldest_seconds.labels(self._outlet.kind, self._outlet.name).set(max(0.0, oldest))


def _is_current(incident: Incident, now_ns: int) -> bool:
    return incident.state is not IncidentState.RESOLVED or now_ns - incident.changed_ns < RESOLVED_NS
