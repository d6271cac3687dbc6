"""`audit`: shows who changed what and what was refused, the newest action last; with `--reads` also who read what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core.model.actions import Action
from core.model.bot_actions import AuditEntry, AuditPage, ReadAudit
from core.model.replies import Reply, Table, Text

DEFAULT_ROWS = 20
MAX_ROWS = 500


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    since = args["since"]
    return (
        ReadAudit(
            who=args["who"] or "",
            target=args["target"] or "",
            since_ns=int(since.before(context.now).timestamp()) * 1_000_000_000 if since else 0,
            refused=args["refused"],
            reads=args["reads"],
            limit=args["limit"],
        ),
    )


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    page = result.value
    entries = _without_finished_intents(page.entries)
    rows = [
        (
            _time(entry, context.now),
            entry.who,
            entry.line,
            _result(entry),
            _reason(entry),
        )
        for entry in entries
    ]
    columns = ("TIME", "WHO", "LINE", "RESULT", "REASON")
    table = Table(
        columns=columns, rows=rows, empty=_nothing(context, page), wrapped=("LINE", "REASON"), priority=columns
    )
    return Reply(blocks=(table, *(Text(text=note) for note in _notes(page, context.now))))


def _nothing(context: Context, page: AuditPage) -> str:
    """Says what was searched, because the audit may not reach back to what is looked for."""
    searched = []
    for begins, what in ((page.begins, "changes and refusals"), (page.reads_begin, "commands that only read")):
        if what.endswith("read") and not context.args["reads"]:
            searched.append("To search also commands that only read, add: --reads")
        elif begins:
            searched.append(f"The audit trail has {what} since {formatting.moment(begins)}.")
        else:
            searched.append(f"The audit trail has no {what} yet.")
    return f"No audit row matches. {' '.join(searched)}"


def _notes(page: AuditPage, now: datetime) -> list[str]:
    notes = []
    if page.reaches_back_to:
        oldest = formatting.moment(page.reaches_back_to)
        removed = formatting.count(page.removed, "older row")
        notes.append(f"The audit reaches back to {oldest}. Removed so far: {removed} (`audit` in quarterdeck.yaml).")
    if page.reads_reach_back_to:
        oldest = formatting.moment(page.reads_reach_back_to)
        notes.append(f"Commands that only read are stored back to {oldest} (`audit.keep_reads` in quarterdeck.yaml).")
    if not page.complete:
        notes.append("Not all rows were searched, because too many match. Name the person or the target more exactly.")
    return notes


def _without_finished_intents(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Leaves out each intent whose outcome is in a later row."""
    shown: list[AuditEntry] = []
    ended: dict[tuple[str, ...], int] = {}
    for entry in reversed(entries):
        key = (entry.who, entry.place, entry.line, entry.verb, entry.target)
        if entry.phase == "outcome":
            ended[key] = ended.get(key, 0) + 1
        elif entry.phase == "intent" and ended.get(key):
            ended[key] -= 1
            continue
        shown.append(entry)
    return shown[::-1]


def _time(entry: AuditEntry, now: datetime) -> str:
    try:
        return formatting.moment(datetime.fromisoformat(entry.at))
    except ValueError:
        return entry.at


def _result(entry: AuditEntry) -> str:
    if entry.phase in ("refused", "asked", "approved", "cancelled"):
        return entry.phase
    return entry.status or ("started, outcome unknown" if entry.phase == "intent" else entry.phase)


def _reason(entry: AuditEntry) -> str:
    reason = entry.detail or entry.reason or entry.rule
    return f"{reason} ({entry.count} times)" if entry.count > 1 else reason


command = Command(
    name="audit",
    summary="show who did what, and what was refused",
    examples=(
        "audit",
        "audit --who console:alice --since 1d",
        "audit --target web --limit 100",
        "audit --refused",
        "audit --reads --target web",
    ),
    plan=plan,
    render=render,
    verbs=(ReadAudit.verb,),
    args=(
        Arg(name="--who", help="only actions of this person: id or name, such as console:alice (globs allowed)"),
        Arg(name="--target", help="only actions on this resource, such as web (globs allowed)"),
        Arg(
            name="--since",
            short="S",
            type=ArgType.MOMENT,
            help="only actions since TIME: 90s, 10m, 2h or 1d ago, or 14:05 or 2026-11-29T14:05",
        ),
        Arg(name="--refused", type=ArgType.FLAG, help="only actions that were refused"),
        Arg(name="--reads", type=ArgType.FLAG, help="also show commands that only read, such as logs and ps"),
        Arg(
            name="--limit",
            short="n",
            type=ArgType.COUNT,
            default=DEFAULT_ROWS,
            maximum=MAX_ROWS,
            help="show the newest COUNT actions",
        ),
    ),
)
