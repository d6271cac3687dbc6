"""Stores the audit: rows in the order of their writing, with an index by person, target and phase. Limits their number
and size.

Commands that only read have an audit of their own, with the same form and smaller limits, so that they cannot push
changes out. Only the newest rows are kept. Their number, their total size and their age are limited, approximately.
Equal refusals become one row with a count, and so do equal reads. If one person, or all people together, cause too many
refusals in one time window, the further ones are only counted. So refusals fill neither the store nor the audit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from core import errors
from core.lazy_dataclass import dataclass
from core.store import keys
from core.store.connection import StoreConnection, milliseconds, text
from core.store.records import AuditRow, StoreUsage

MAX_REFUSAL_ROWS_PER_PERSON = 20  # in one window
MAX_REFUSAL_ROWS = 200  # of everybody, in one window
MORE_LINES = "(further refused commands of this person)"
MORE_PEOPLE = "(further refused commands of several people)"
RESERVED_SHARE = 0.2  # of the server's memory


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRange:
    """A range of the index: rows of one `kind` (`w` who, `t` target, `p` phase) whose name begins with `prefix`.
    `whole`: the prefix is the whole name, so the rows come newest first."""

    kind: str
    prefix: str
    whole: bool = False

    @property
    def start(self) -> bytes:
        return f"{self.kind}\0{self.prefix}".encode() + (b"\0" if self.whole else b"")


class AuditTrail(StoreConnection):
    """Stores the rows of the audit, and reports how full the store is."""

    async def append_audit(self, rows: Sequence[Mapping[str, str]]) -> Sequence[str]:
        """Appends all of these rows, in order, or none of them. Returns their ids. Raises StoreFull if the rest of the
        memory is reserved for changes."""
        if not rows:
            return ()
        self.check_reserve()
        return [text(id_) for id_ in await self._run_audited("append", args=[flat(row) for row in rows])]

    async def fold_refusal(self, fields: Mapping[str, str], *, key: str, window: float, times: int = 1) -> int:
        """Records that a refusal of this `key` happened so many times. Returns how often the refusals of its row
        happened in the window. The window of `window` seconds begins with the row and does not move. Raises
        StoreFull."""
        self.check_reserve()
        who = fields.get("who", "")
        of_person = {**fields, "line": MORE_LINES, "target": "", "verb": "", "reason": ""}
        of_all = {**of_person, "line": MORE_PEOPLE, "who": "", "place": "", "invocation": "", "rule": ""}
        names = (
            keys.audit_fold(_digest(key)),
            keys.audit_fold(_digest(f"who\0{who}")),
            keys.audit_refusals(_digest(who)),
            keys.audit_fold("all"),
            keys.audit_refusals("all"),
        )
        limits = (milliseconds(window), times, MAX_REFUSAL_ROWS_PER_PERSON, MAX_REFUSAL_ROWS)
        rows = map(flat, (fields, of_person, of_all))
        return int(await self._run_audited("fold", names=names, args=[*limits, *rows]))

    async def fold_read(self, fields: Mapping[str, str], *, key: str, window: float) -> int:
        """Records a command that only read. Returns how often one with this `key` was given in the window of `window`
        seconds, which begins with the first of them. Raises StoreFull."""
        self.check_reserve()
        names, args = (keys.read_fold(_digest(key)),), (milliseconds(window), flat(fields))
        return int(await self._run_audited("fold_read", names=names, args=args, audit=keys.READS))

    async def move_reads(self, rows: Sequence[AuditRow]) -> int:
        """Moves rows from the audit to that of the reads. Returns how many. If it fails halfway, they are in both."""
        if not rows:
            return 0
        self.check_reserve()
        await self._run_audited("append", args=[flat(row.fields) for row in rows], audit=keys.READS)
        return int(await self._run_audited("drop_rows", args=[row.id for row in rows]))

    async def claim_reads_moved(self, at: str) -> bool:
        """Returns True once: for the process that moves the rows of reads which an older version wrote."""
        async with self._call():
            return bool(await self._client.set(self._key(keys.READS_MOVED), at, nx=True))

    async def read_audit(
        self, *, count: int, before: str | None = None, audit: keys.AuditKeys = keys.AUDIT
    ) -> Sequence[AuditRow]:
        """Returns at most `count` rows, newest first, all older than the row `before`."""
        async with self._call():
            start = f"({before}" if before else "+"
            rows = await self._client.xrevrange(self._key(audit.rows), start, "-", count=count)
            return await self._with_repeats(rows, audit)

    async def read_audit_rows(self, ids: Sequence[str], audit: keys.AuditKeys = keys.AUDIT) -> Sequence[AuditRow]:
        """Returns these rows, in this order. Rows that were removed meanwhile are left out."""
        if not ids:
            return ()
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            for id_ in ids:
                pipe.xrange(self._key(audit.rows), id_, id_)
            found = await pipe.execute()
            return await self._with_repeats([row for rows in found for row in rows], audit)

    async def find_audit(
        self, wanted: IndexRange, *, count: int, before: bytes | None = None, audit: keys.AuditKeys = keys.AUDIT
    ) -> Sequence[tuple[bytes, str, str]]:
        """Returns at most `count` members of the index, from the end of the range to its start: the member itself, to
        continue `before` it; the name; and the row's id."""
        high = b"(" + before if before else b"(" + wanted.start + b"\xff"
        async with self._call():
            members = await self._client.zrange(
                self._key(audit.names), high, b"[" + wanted.start, desc=True, bylex=True, offset=0, num=count
            )
        return [(member, *_decoded(member)) for member in members]

    async def usage(self) -> StoreUsage:
        """Returns how full the server and the audit are."""
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            pipe.info("memory")
            for audit in (keys.AUDIT, keys.READS):
                stream = self._key(audit.rows)
                pipe.xlen(stream).hgetall(self._key(audit.state)).xrange(stream, count=1)
            pipe.hlen(self._key(keys.EVENTS)).hget(self._key(keys.EVENT_STATE), "bytes")
            memory, rows, state, oldest, reads, read_state, oldest_read, events, event_bytes = await pipe.execute()
        usage = StoreUsage(
            memory=int(memory.get("used_memory", 0)),
            max_memory=int(memory.get("maxmemory", 0)),
            audit_rows=rows,
            audit_bytes=int(state.get(b"bytes", 0)),
            audit_trimmed=int(state.get(b"trimmed", 0)),
            audit_oldest_ms=_written_ms(oldest),
            audit_limits=self._audit_limits,
            read_rows=reads,
            read_trimmed=int(read_state.get(b"trimmed", 0)),
            read_oldest_ms=_written_ms(oldest_read),
            event_rows=events,
            event_bytes=int(event_bytes or 0),
        )
        self._usage = usage
        return usage

    def check_reserve(self) -> None:
        """Raises StoreFull if so little memory is left that it is reserved for changes and grants."""
        usage = self._usage
        if usage.max_memory and usage.memory > usage.max_memory * (1 - RESERVED_SHARE):
            raise errors.StoreFull(
                f"The command was refused, because the store is almost full: it uses {usage.memory >> 20} of"
                f" {usage.max_memory >> 20} MiB, and the rest is reserved for changes and grants.",
                hint="Raise `store.max_megabytes`, or the `maxmemory` of your own Redis or Valkey.",
            )

    async def _run_audited(
        self,
        script: str,
        *,
        names: Iterable[str] = (),
        args: Iterable[str | bytes | int | float] = (),
        audit: keys.AuditKeys = keys.AUDIT,
    ) -> Any:
        """Runs a script that writes audit rows: their keys and limits come first."""
        limits = self._audit_limits if audit is keys.AUDIT else self._audit_limits.of_reads
        return await self._run(
            script,
            names=(*audit, *names),
            args=(limits.to_json(), *args),
        )

    async def _with_repeats(
        self, rows: Sequence[tuple[bytes, Mapping[bytes, bytes]]], audit: keys.AuditKeys
    ) -> Sequence[AuditRow]:
        ids = [row for row, _ in rows]
        repeats = await self._client.hmget(self._key(audit.repeats), ids) if rows else []
        return [
            AuditRow(
                id=text(row),
                fields={text(name): text(value) for name, value in fields.items()},
                count=1 + int(more or 0),
            )
            for (row, fields), more in zip(rows, repeats, strict=True)
        ]


def flat(row: Mapping[str, str]) -> bytes:
    """An audit row as the scripts take it: a JSON list of names and values."""
    return msgspec.json.encode([part for pair in row.items() for part in pair])


def _decoded(member: bytes) -> tuple[str, str]:
    _, name, padded = member.decode("utf-8", "replace").split("\0")
    at, _, number = padded.partition("-")
    return name, f"{int(at)}-{int(number)}"


def _written_ms(rows: Sequence[tuple[bytes, Any]]) -> int:
    """When the first of these rows was written, in milliseconds; 0 without any."""
    return int(text(rows[0][0]).partition("-")[0]) if rows else 0


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:32]
