"""Searches all stored audit rows for the rows that the command `audit` asks for.

A search for a person, a target or refusals uses an index, so that other rows are not read. A glob is compared with the
names in the index. Any other search reads the newest rows. The rows of commands that only read are in a separate audit,
which is searched only with `--reads`. The number of rows and names that one search may read is limited.

A row holds the id of a person. The store has the name under which each person last gave a command. A search for a name
searches all ids with that name.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from core.lazy_dataclass import dataclass
from core.model import bot_actions
from core.store import keys
from core.store.audit_trail import IndexRange
from core.store.client import Store
from core.store.records import AuditRow

ROWS_AT_ONCE = 500
MEMBERS_AT_ONCE = 5_000
CLOCK_TOLERANCE_MS = 60_000  # between the clocks of the store and of Quarterdeck
MAX_RANGES = 200  # of the index; if more people have the name, the whole index is searched
MAX_ROWS = 100_000  # of one audit that are read for one question
MAX_MEMBERS = 500_000  # of the index; more than the audit usually stores
KINDS = ("console", "slack", "job", "rule")  # of identities; `root` also means `console:root`
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSearch:
    """What is searched for. `ids`: the people whose stored name matches `action.who`."""

    action: bot_actions.ReadAudit
    ids: frozenset[str] = frozenset()


async def search_audit(store: Store, action: bot_actions.ReadAudit) -> bot_actions.AuditPage:
    """The newest matching rows, oldest first, at most `action.limit`. The page says if older rows were removed that
    could have matched, and if there are too many rows to search all of them."""
    since_ms = max(0, action.since_ns // 1_000_000 - CLOCK_TOLERANCE_MS)
    names = await store.people()
    search = AuditSearch(action=action, ids=_ids_of_name(action.who, names))
    found, complete = await _search(store, keys.AUDIT, search, since_ms)
    reads, reads_complete = await _search(store, keys.READS, search, since_ms) if action.reads else ([], True)
    newest = sorted([*reversed(found), *reversed(reads)], key=lambda entry: entry.at)[-action.limit :]
    usage = await store.usage()
    gone = usage.audit_trimmed and len(found) < action.limit and usage.audit_oldest_ms > since_ms
    reads_gone = usage.read_trimmed and len(reads) < action.limit and usage.read_oldest_ms > since_ms
    return bot_actions.AuditPage(
        entries=tuple(newest),
        reaches_back_to=usage.audit_oldest_ms / 1000 if gone else 0.0,
        removed=usage.audit_trimmed,
        reads_reach_back_to=usage.read_oldest_ms / 1000 if reads_gone and action.reads else 0.0,
        complete=complete and reads_complete,
        begins=usage.audit_oldest_ms / 1000,
        reads_begin=usage.read_oldest_ms / 1000,
    )


def _ids_of_name(pattern: str, names: Mapping[str, str]) -> frozenset[str]:
    if not pattern:
        return frozenset()
    wanted = pattern.removeprefix("@").casefold()
    return frozenset(who for who, name in names.items() if fnmatch.fnmatchcase(name.casefold(), wanted))


async def _search(
    store: Store, audit: keys.AuditKeys, search: AuditSearch, since_ms: int
) -> tuple[list[bot_actions.AuditEntry], bool]:
    """Returns the newest matching rows of one audit, newest first; and False if there are too many to search all."""
    ranges = _ranges(search)
    if not ranges:
        return await _read_newest(store, audit, search, since_ms)
    ids, complete = await _find_ids(store, audit, ranges, search, since_ms)
    found, read_all = await _read_matching(store, audit, ids, search)
    return found, complete and read_all


async def _read_newest(
    store: Store, audit: keys.AuditKeys, search: AuditSearch, since_ms: int
) -> tuple[list[bot_actions.AuditEntry], bool]:
    found: list[bot_actions.AuditEntry] = []
    before = None
    # A row is written after it happened, so what was written before the time asked for is too old.
    for _ in range(MAX_ROWS // ROWS_AT_ONCE):
        rows = await store.read_audit(count=ROWS_AT_ONCE, before=before, audit=audit)
        if not rows:
            return found, True
        before = rows[-1].id
        found += _matching(rows, search)
        if len(found) >= search.action.limit or _written_ms(before) < since_ms:
            return found[: search.action.limit], True
    return found, False


async def _find_ids(
    store: Store, audit: keys.AuditKeys, ranges: Sequence[IndexRange], search: AuditSearch, since_ms: int
) -> tuple[Sequence[str], bool]:
    """Returns the ids of the rows whose names match, newest first; and False if there are too many to compare."""
    ids: set[str] = set()
    compared = 0
    for wanted in ranges:
        before = None
        while True:
            members = await store.find_audit(wanted, count=MEMBERS_AT_ONCE, before=before, audit=audit)
            compared += len(members)
            ids.update(
                id_ for _, name, id_ in members if _written_ms(id_) >= since_ms and _name_matches(wanted, name, search)
            )
            if len(members) < MEMBERS_AT_ONCE or (wanted.whole and _written_ms(members[-1][2]) < since_ms):
                break
            if compared >= MAX_MEMBERS:
                return _newest_first(ids), False
            before = members[-1][0]
    return _newest_first(ids), True


async def _read_matching(
    store: Store, audit: keys.AuditKeys, ids: Sequence[str], search: AuditSearch
) -> tuple[list[bot_actions.AuditEntry], bool]:
    found: list[bot_actions.AuditEntry] = []
    for start in range(0, min(len(ids), MAX_ROWS), ROWS_AT_ONCE):
        found += _matching(await store.read_audit_rows(ids[start : start + ROWS_AT_ONCE], audit), search)
        if len(found) >= search.action.limit:
            return found[: search.action.limit], True
    return found, len(ids) <= MAX_ROWS


def _ranges(search: AuditSearch) -> Sequence[IndexRange]:
    """Returns the parts of the index in which the matching rows are; empty if only the time is asked for."""
    action = search.action
    if action.target:
        if prefix := _glob_prefix(action.target):
            return (IndexRange(kind="t", prefix=prefix[0]),)
        # `web`, `web@docker/h1` and `web@docker/h1#a1b2c3d4e5f6` all mean it.
        return (
            IndexRange(kind="t", prefix=action.target, whole=True),
            *(IndexRange(kind="t", prefix=f"{action.target}{sign}") for sign in "@#"),
        )
    if action.who:
        if len(search.ids) > MAX_RANGES:
            return (IndexRange(kind="w", prefix=""),)
        named = [IndexRange(kind="w", prefix=who, whole=True) for who in sorted(search.ids)]
        if prefix := _glob_prefix(action.who):
            return (IndexRange(kind="w", prefix=prefix[0]), *named)
        names = (action.who, *(f"{kind}:{action.who}" for kind in KINDS))
        return (
            *(IndexRange(kind="w", prefix=name, whole=True) for name in names),
            IndexRange(kind="w", prefix=f"{action.who}:"),
            *named,
        )
    return (IndexRange(kind="p", prefix="refused", whole=True),) if action.refused else ()


def _glob_prefix(pattern: str) -> tuple[str] | None:
    """Returns the text before the first wildcard; None for a pattern without one."""
    found = _GLOB.search(pattern)
    return None if found is None else (pattern[: found.start()],)


def _name_matches(wanted: IndexRange, name: str, search: AuditSearch) -> bool:
    if wanted.kind == "t":
        return _target_matches(search.action.target, name)
    return wanted.kind != "w" or _who_matches(search, name)


def _matching(rows: Iterable[AuditRow], search: AuditSearch) -> list[bot_actions.AuditEntry]:
    action = search.action
    since = ""
    if action.since_ns:
        since = datetime.fromtimestamp(action.since_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    entries = (_entry(row) for row in rows)
    return [entry for entry in entries if entry.at >= since and _matches(search, entry)]


def _entry(row: AuditRow) -> bot_actions.AuditEntry:
    names = (name for name in bot_actions.AuditEntry.__struct_fields__ if name != "count")
    return bot_actions.AuditEntry(**{name: row.fields.get(name, "") for name in names}, count=row.count)


def _written_ms(row_id: str) -> int:
    """When the store wrote a row, by the server's clock: the ids of a stream start with the time in milliseconds."""
    return int(row_id.partition("-")[0])


def _newest_first(ids: Iterable[str]) -> Sequence[str]:
    def order(row_id: str) -> tuple[int, int]:
        at, _, number = row_id.partition("-")
        return int(at), int(number)

    return sorted(ids, key=order, reverse=True)


def _matches(search: AuditSearch, entry: bot_actions.AuditEntry) -> bool:
    action = search.action
    if action.who and not _who_matches(search, entry.who):
        return False
    if action.target and not any(_target_matches(action.target, ref) for ref in entry.target.split(", ")):
        return False
    if entry.phase == "read" and not search.action.reads:  # one that an older version wrote between all others
        return False
    return not action.refused or entry.phase == "refused"


def _who_matches(search: AuditSearch, who: str) -> bool:
    pattern = search.action.who
    return who in search.ids or fnmatch.fnmatchcase(who, pattern) or pattern in who.split(":", 1)


def _target_matches(pattern: str, ref: str) -> bool:
    # The name of an image may itself contain an @.
    words = {ref, ref.partition("@")[0], ref.rpartition("@")[0], ref.rpartition("#")[0]}
    return any(fnmatch.fnmatchcase(word, pattern) for word in words if word)
