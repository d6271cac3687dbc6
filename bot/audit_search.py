"""Searches the audit in the store for the rows that the command `audit` asks for.

It reads the newest rows first. It stops at the limit, at the start of the time range, or after MAX_SCANNED_ROWS rows.
"""

from __future__ import annotations

import fnmatch
from datetime import UTC, datetime
from typing import Any

from core.model import builtin_actions
from core.store.client import Store

MAX_SCANNED_ROWS = 5_000


async def search_audit(store: Store, action: builtin_actions.ReadAudit) -> tuple[builtin_actions.AuditEntry, ...]:
    """The newest matching rows, oldest first, at most `action.limit`. Reads at most MAX_SCANNED_ROWS rows."""
    since = ""
    if action.since_ns:
        since = datetime.fromtimestamp(action.since_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    found: list[builtin_actions.AuditEntry] = []
    before, scanned = None, 0
    while len(found) < action.limit and scanned < MAX_SCANNED_ROWS:
        rows = await store.read_audit(count=500, before=before)
        if not rows:
            break
        before, scanned = rows[-1].id, scanned + len(rows)
        for row in rows:
            entry = _entry(row.fields, row.count)
            if entry.at < since:
                # A row that waited for the store was written later than it happened: newer rows may precede it.
                if _written_ns(row.id) < action.since_ns:
                    scanned = MAX_SCANNED_ROWS
                    break
            elif _matches(action, entry):
                found.append(entry)
    return tuple(reversed(found[: action.limit]))


def _entry(fields: dict[str, str] | Any, count: int) -> builtin_actions.AuditEntry:
    values = {name: fields.get(name, "") for name in builtin_actions.AuditEntry.__struct_fields__ if name != "count"}
    return builtin_actions.AuditEntry(**values, count=count)


def _written_ns(row_id: str) -> int:
    """When the store wrote a row, by the server's clock: the ids of a stream start with the time in milliseconds."""
    return int(row_id.partition("-")[0]) * 1_000_000


def _matches(action: builtin_actions.ReadAudit, entry: builtin_actions.AuditEntry) -> bool:
    if action.who and not fnmatch.fnmatchcase(entry.who, action.who) and action.who not in entry.who.split(":", 1):
        return False
    if action.target and not any(
        fnmatch.fnmatchcase(word, action.target)
        for ref in entry.target.split(", ")
        for word in (ref, ref.partition("@")[0])
    ):
        return False
    return not action.refused or entry.phase == "refused"
