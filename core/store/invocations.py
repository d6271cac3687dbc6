"""Records how far each command has come: entered once, its leases and intent, each outcome, its end.

Each step is one Lua script, so one round trip that happens as a whole or not at all. A process that dies leaves its
invocations in a phase from which another process can report the truth (see records.Phase). What expires unfinished
(after a day) is not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import redis.exceptions

from core import errors
from core.store import keys
from core.store.connection import StoreConnection, milliseconds, text
from core.store.records import Entered, Lease, LeaseConflict, LeaseRequest, OutcomeRow, Phase, RateLimit, Unfinished

ONCE_TTL = 3600.0
RECORD_TTL = 24 * 3600.0
MAX_UNFINISHED = 1000  # unfinished invocations read in one call
PHASES = frozenset(Phase)
OUTCOME_FIELD = re.compile(r"outcome:(\d+)")


class InvocationStore(StoreConnection):
    """The part of the store that one command's life needs. A change on one target makes four calls: `enter`,
    `begin_change`, `end_change`, `forget`; on N targets `record_outcomes` adds one for each outcome but the last."""

    async def enter(self, *, id: str, who: str, risk: str, rate: RateLimit, record: bytes, replica: str) -> Entered:  # noqa: A002
        """Admits one invocation: not seen before, and within its rate limit. `heartbeat` for `replica` comes before.

        A duplicate spends nothing. An admitted one has spent, whatever the policy decides later. A refused try does not
        move the end of the wait: who retries all the time is admitted as early as who waits.
        """
        interval = rate.period / rate.count * 1_000_000
        first, wait, version = await self._run(
            "enter",
            names=(
                keys.seen_invocation(id),
                keys.rate(risk, who),
                keys.POLICY_VERSION,
                keys.invocation(id),
                keys.UNFINISHED,
            ),
            args=(
                id,
                milliseconds(ONCE_TTL),
                interval,
                rate.burst or rate.count,
                record,
                replica,
                milliseconds(RECORD_TTL),
            ),
        )
        return Entered(first=bool(first), retry_after=wait / 1_000_000, policy_version=int(version))

    async def begin_change(
        self,
        id: str,  # noqa: A002
        *,
        leases: Iterable[LeaseRequest],
        intents: Sequence[Mapping[str, str]],
        detail: bytes,
    ) -> Sequence[Lease] | LeaseConflict:
        """Takes all the leases, writes the intent rows to the audit and enters the phase INTENT; or does nothing of it.

        Leases are taken in the order of their keys, so a conflict names the first that is taken. Raises LeaseLost when
        the record is gone: another process took this one for dead and has reported that nothing was done. After
        StoreDown call `cancel_change`: the change may be recorded although its answer was lost.
        """
        wanted = sorted(leases, key=lambda lease: lease.key)
        flat: list[str | bytes | int] = []
        for lease in wanted:
            flat += (lease.record, milliseconds(lease.ttl))
        state, *values = await self._run(
            "begin",
            names=(keys.invocation(id), keys.AUDIT, keys.FENCE, *(keys.lease(lease.key) for lease in wanted)),
            args=(id, detail, self._audit_rows, *flat, *map(_flat, intents)),
        )
        if state == b"gone":
            raise errors.LeaseLost(
                "Another Quarterdeck process has already answered this command; nothing was done a second time."
            )
        if state == b"busy":
            index, record, remaining = values
            return LeaseConflict(key=wanted[index - 1].key, record=record, remaining=max(0, remaining) / 1000)
        return [Lease(key=lease.key, fence=fence) for lease, fence in zip(wanted, values, strict=True)]

    async def record_outcomes(self, id: str, outcomes: Sequence[OutcomeRow]) -> None:  # noqa: A002
        """Writes the audit rows of actions that have ended while others of their plan still run."""
        await self._outcomes(id, outcomes, leases=(), phase="", detail=b"")

    async def end_change(
        self,
        id: str,  # noqa: A002
        *,
        outcomes: Sequence[OutcomeRow],
        leases: Sequence[Lease],
        detail: bytes | None,
    ) -> None:
        """Releases the leases, writes the outcomes that are not in the audit yet and enters the phase ENDED.

        `detail`: what to tell the requester if this process dies before the reply; None leaves the phase as it is. May
        be repeated after StoreDown: an outcome is written once, and another's lease is never released.

        A server whose memory is full takes this all the same: the script's first write needs no memory. One that denies
        it for another reason is asked to release the leases alone.
        """
        try:
            await self._outcomes(
                id, outcomes, leases=leases, phase="" if detail is None else Phase.ENDED.value, detail=detail or b""
            )
        except errors.StoreError as error:
            if isinstance(error.__cause__, redis.exceptions.ResponseError):
                await self.release(leases)
            raise

    async def cancel_change(self, id: str, *, leases: Iterable[str], outcomes: Sequence[Mapping[str, str]]) -> bool:  # noqa: A002
        """Undoes a `begin_change` whose answer was lost: releases what it took, writes `outcomes` to the audit and goes
        back to the phase BEGUN. False if it had not taken effect, and then nothing is written."""
        names = (keys.invocation(id), keys.AUDIT, *(keys.lease(key) for key in leases))
        args: list[str | bytes | int] = [id, self._audit_rows, *map(_flat, outcomes)]
        return bool(await self._run("cancel", names=names, args=args))

    async def release(self, leases: Sequence[Lease]) -> int:
        """How many of these leases were released; those that expired and belong to somebody else now are not."""
        if not leases:
            return 0
        return int(
            await self._run(
                "release", names=[keys.lease(lease.key) for lease in leases], args=[lease.fence for lease in leases]
            )
        )

    async def forget(self, id: str) -> None:  # noqa: A002
        """Removes an invocation that was answered. Works when the server's memory is full."""
        await self._run("forget", names=(keys.invocation(id), keys.UNFINISHED), args=(id,))

    async def set_posted(self, id: str, where: bytes) -> bool:  # noqa: A002
        """Records where the chat message about this invocation is, so that whoever ends it can edit it. False when the
        invocation has ended."""
        return bool(await self._run("note", names=(keys.invocation(id),), args=("posted", where)))

    async def unfinished(self, replica: str | None = None) -> Sequence[Unfinished]:
        """Invocations of replicas that are no longer alive, oldest first; with `replica` those of that one alone."""
        async with self._call():
            ids = [text(each) for each in await self._client.zrange(self._key(keys.UNFINISHED), 0, MAX_UNFINISHED - 1)]
            rows = await self._each("hgetall", [keys.invocation(each) for each in ids])
            # A record in a phase that only a newer version knows is left to that version.
            found = [
                (each, row, text(row[b"replica"]))
                for each, row in zip(ids, rows, strict=True)
                if row and text(row.get(b"phase", b"")) in PHASES
            ]
            # Read after the records: a replica sends its heartbeat before its invocations enter.
            names = sorted({name for _, _, name in found if replica in (None, name)})
            living = await self._each("exists", [keys.replica(name) for name in names])
        dead = {name for name, alive in zip(names, living, strict=True) if not alive}
        return [
            Unfinished(
                id=each,
                record=row[b"record"],
                phase=Phase(text(row[b"phase"])),
                detail=row[b"detail"],
                replica=name,
                posted=row.get(b"posted", b""),
                outcomes=_recorded(row),
            )
            for each, row, name in found
            if name in dead
        ]

    async def take_unfinished(self, lost: Unfinished, *, audit: Sequence[Mapping[str, str]] = ()) -> bool:
        """True for the one caller who now has to answer it; `audit` rows are written in the same step.

        False if another caller took it, if its replica is alive after all, or if it has moved on since it was read.
        """
        names = (keys.invocation(lost.id), keys.UNFINISHED, keys.replica(lost.replica), keys.AUDIT)
        args: list[str | bytes | int] = [
            lost.id,
            lost.phase.value,
            len(lost.outcomes),
            self._audit_rows,
            *map(_flat, audit),
        ]
        return bool(await self._run("take", names=names, args=args))

    async def heartbeat(self, replica: str, ttl: float) -> None:
        """Records that `replica` is alive for another `ttl` seconds. A replica's name belongs to one process start."""
        async with self._call():
            await self._client.set(self._key(keys.replica(replica)), b"1", px=milliseconds(ttl))

    async def remove_replica(self, replica: str) -> None:
        async with self._call():
            await self._client.delete(self._key(keys.replica(replica)))

    async def _outcomes(
        self,
        id: str,  # noqa: A002
        outcomes: Sequence[OutcomeRow],
        *,
        leases: Sequence[Lease],
        phase: str,
        detail: bytes,
    ) -> None:
        flat: list[str | bytes] = []
        for outcome in outcomes:
            flat += (str(outcome.index), outcome.status, _flat(outcome.row))
        await self._run(
            "outcome",
            names=(keys.invocation(id), keys.AUDIT, *(keys.lease(lease.key) for lease in leases)),
            args=(self._audit_rows, phase, detail, *(lease.fence for lease in leases), *flat),
        )


def _flat(row: Mapping[str, str]) -> bytes:
    """An audit row as the scripts take it: a JSON list of names and values."""
    return msgspec.json.encode([part for pair in row.items() for part in pair])


def _recorded(row: Mapping[bytes, bytes]) -> Mapping[int, str]:
    found = ((OUTCOME_FIELD.fullmatch(text(name)), value) for name, value in row.items())
    return {int(match[1]): text(value) for match, value in found if match}
