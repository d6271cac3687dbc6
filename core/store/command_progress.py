"""Records in the store how far each command has come: registered, its leases and intent, each outcome, its end.

Each step is one Lua script: one round trip, which takes effect completely or not at all. The record of one command is
called an invocation. If a process dies, the phases of its invocations (records.Phase) show another process what to
report. A record expires after a day; it is then not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import redis.exceptions

from core import errors
from core.store import keys
from core.store.audit_trail import AuditTrail, flat
from core.store.connection import milliseconds, text, version_number
from core.store.records import (
    Entered,
    FreezeConflict,
    Lease,
    LeaseConflict,
    LeaseRequest,
    OutcomeRow,
    Phase,
    RateLimitRule,
    Unfinished,
)

ONCE_TTL = 3600.0
RECORD_TTL = 24 * 3600.0
MAX_UNFINISHED = 1000  # unfinished invocations read in one call
MAX_PEOPLE, MAX_NAME = 10_000, 80  # whose names are stored; characters of a name
PHASES = frozenset(Phase)
OUTCOME_FIELD = re.compile(r"outcome:(\d+)")


class CommandProgressStore(AuditTrail):
    """Stores the records of invocations. A change on one target makes four calls: `enter`, `begin_change`,
    `end_change`, `forget`. On N targets, `record_outcomes` adds one call for each outcome but the last."""

    async def enter(
        self,
        *,
        id: str,  # noqa: A002
        who: str,
        risk: str,
        rate: RateLimitRule,
        record: bytes,
        replica: str,
        name: str = "",
    ) -> Entered:
        """Registers one invocation, if its id was not seen before and its rate limit allows it. Call `heartbeat` for
        `replica` first. `name`: what `who` is called, if the id does not say that; see `people`.

        A duplicate does not count against the rate limit. An admitted invocation counts, whatever the policy decides
        later. A refused one does not make the wait longer: a person who retries all the time is admitted as early as
        one who waits.
        """
        interval = rate.period / rate.count * 1_000_000
        first, wait, version, frozen = await self._run(
            "enter",
            names=(
                keys.seen_invocation(id),
                keys.rate(risk, who),
                keys.POLICY_VERSION,
                keys.invocation(id),
                keys.UNFINISHED,
                keys.PEOPLE,
                keys.FREEZE,
            ),
            args=(
                id,
                milliseconds(ONCE_TTL),
                interval,
                rate.burst or rate.count,
                record,
                replica,
                milliseconds(RECORD_TTL),
                who,
                name[:MAX_NAME],
                MAX_PEOPLE,
            ),
        )
        return Entered(
            first=bool(first),
            retry_after=wait / 1_000_000,
            policy_version=version_number(version),
            frozen=frozen,
        )

    async def begin_change(
        self,
        id: str,  # noqa: A002
        *,
        leases: Iterable[LeaseRequest],
        intents: Sequence[Mapping[str, str]],
        detail: bytes,
        question: str = "",
        free: Iterable[str] = (),
        freezable: bool = True,
    ) -> Sequence[Lease] | LeaseConflict | FreezeConflict:
        """Takes all the leases, writes the intent rows to the audit, removes the answered `question` and sets the phase
        INTENT; or does nothing of this. Raises Expired if the question was answered before or has expired.

        `free`: keys of leases that nobody may hold now, and that are not taken. `freezable`: a freeze refuses it.

        Leases are taken in the order of their keys, so a conflict names the first that is taken. Raises LeaseLost if
        the record was deleted: another process found this one dead and has reported that nothing was done. After
        StoreDown, call `cancel_change`: the change may be recorded although its answer was lost.
        """
        wanted = sorted(leases, key=lambda lease: lease.key)
        held = [lease.key for lease in wanted]
        held += sorted(set(free) - set(held))
        holders: list[str | bytes | int] = []
        for lease in wanted:
            holders += (lease.record, milliseconds(lease.ttl))
        state, *values = await self._run_audited(
            "begin",
            names=(
                *(keys.invocation(id), keys.FENCE, keys.question(question), keys.FREEZE),
                *map(keys.lease, held),
            ),
            args=(id, detail, question, len(wanted), int(freezable), *holders, *map(flat, intents)),
        )
        if state == b"gone":
            raise errors.LeaseLost(
                "Another Quarterdeck process handles this command, so this process did nothing.",
                hint="If no other reply appears, give the command again.",
            )
        if state == b"answered":
            raise errors.Expired(
                f"The question {question} has expired or was already answered.",
                hint="If the change is still wanted, give the command again.",
            )
        if state == b"frozen":
            return FreezeConflict(record=values[0])
        if state == b"busy":
            index, record, remaining = values
            return LeaseConflict(key=held[index - 1], record=record, remaining=max(0, remaining) / 1000)
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
        """Releases the leases, writes the outcomes that are not in the audit yet and sets the phase ENDED.

        `detail`: what to report to the requester if this process dies before the reply; None leaves the phase as it is.
        May be repeated after StoreDown: an outcome is written once, and the lease of another process is never released.

        A server whose memory is full accepts this too: the script's first write needs no memory. If the server denies
        it for another reason, the leases alone are released.
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
        """Undoes a `begin_change` whose answer was lost: releases its leases, writes `outcomes` to the audit and sets
        the phase BEGUN again. Returns False, and writes nothing, if `begin_change` had not taken effect."""
        names = (keys.invocation(id), *(keys.lease(key) for key in leases))
        return bool(await self._run_audited("cancel", names=names, args=(id, *map(flat, outcomes))))

    async def release(self, leases: Sequence[Lease]) -> int:
        """Releases these leases and returns how many. Does not release an expired lease that somebody else holds."""
        if not leases:
            return 0
        return int(
            await self._run(
                "release", names=[keys.lease(lease.key) for lease in leases], args=[lease.fence for lease in leases]
            )
        )

    async def renew_leases(self, leases: Sequence[Lease], ttl: float) -> int:
        """Lets these leases last another `ttl` seconds and returns how many. Does not renew an expired lease that
        somebody else holds."""
        return int(
            await self._run(
                "renew",
                names=[keys.lease(lease.key) for lease in leases],
                args=[milliseconds(ttl), *(lease.fence for lease in leases)],
            )
        )

    async def forget(self, id: str) -> None:  # noqa: A002
        """Removes an invocation that was answered. Works when the server's memory is full."""
        await self._run("forget", names=(keys.invocation(id), keys.UNFINISHED), args=(id,))

    async def set_posted(self, id: str, where: bytes) -> bool:  # noqa: A002
        """Records where the chat message about this invocation is, so that the process that ends it can edit it.
        Returns False if the invocation has ended."""
        return bool(await self._run("note", names=(keys.invocation(id),), args=("posted", where)))

    async def unfinished(self, replica: str | None = None) -> Sequence[Unfinished]:
        """Returns the invocations of replicas that are not alive any more, oldest first. With `replica`, returns those
        of that replica alone."""
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
        """Returns True to the one caller who must now answer the invocation. Writes the `audit` rows in the same step.

        Returns False if another caller took it, if its replica is alive, or if it has moved on since it was read.
        """
        names = (keys.invocation(lost.id), keys.UNFINISHED, keys.replica(lost.replica))
        args = (lost.id, lost.phase.value, len(lost.outcomes), *map(flat, audit))
        return bool(await self._run_audited("take", names=names, args=args))

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
        ended: list[str | bytes] = []
        for outcome in outcomes:
            ended += (str(outcome.index), outcome.status, flat(outcome.row))
        await self._run_audited(
            "outcome",
            names=(keys.invocation(id), *(keys.lease(lease.key) for lease in leases)),
            args=(phase, detail, *(lease.fence for lease in leases), *ended),
        )


def _recorded(row: Mapping[bytes, bytes]) -> Mapping[int, str]:
    found = ((OUTCOME_FIELD.fullmatch(text(name)), value) for name, value in row.items())
    return {int(match[1]): text(value) for match, value in found if match}
