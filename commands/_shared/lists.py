"""What lists of things look like, whatever the things: words and labels choose among the rows of every engine, one
engine that does not answer hides only its own, and a word that means nothing is said with what was close."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from commands._shared import show
from commands.spec import SELECTION, Arg, Context, Plan, Render, Result, Take, query
from core import errors
from core.model import listings
from core.model.actions import Action
from core.model.refs import Kind
from core.model.replies import Block, Ending, Lines, Reply, Table, Text, Tone
from core.name_matching import selection

Cell = str | int | float
QUIET = Arg(name="--quiet", short="q", take=Take.FLAG, help="only the ids")
LABEL = Arg(name="--label", short="l", many=True, help="only those with this label: key or key=value (globs allowed)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`command` is the word people say; `rows` makes of a value what the list holds; `cells` are one row's, as many as
    `columns`; a column of `optional` is left out where it has nothing in any row; `none` is said where there is nothing
    at all. `lines`: what is shown of one selected row, one line for each."""

    kind: Kind
    command: str
    columns: Sequence[str]
    cells: Callable[[Any, datetime], Sequence[Cell]]
    none: str
    optional: Sequence[str] = ()
    rows: Callable[[Any], Sequence[Any]] = lambda value: value.rows
    order: Callable[[Any], Any] = lambda row: row.ref.name
    lines: Callable[[Any], Sequence[Any]] = lambda row: (row,)


def planning(kind: Kind) -> Plan:
    async def plan(context: Context) -> Sequence[Action[Any]]:
        return [listings.list_action(kind, engine) for engine in context.find.engines(query(context))]

    return plan


def rendering(listing: Listing) -> Render:
    def render(context: Context, results: Sequence[Result]) -> Reply:
        return _render(listing, context, results)

    return render


def select(
    kind: Kind, names: Sequence[str], rows: Sequence[Any]
) -> tuple[Sequence[Any], Sequence[errors.QuarterdeckError]]:
    """The rows that any of the names selects, or all without names; and an error for each name that selects nothing.

    A name selects what it would select for a change; where it is ambiguous, it selects every candidate.
    """
    if not names:
        return rows, ()
    matches = [selection.match(kind, name, rows) for name in names]
    selected = {row.ref: row for found in matches for row in found.rows}
    return list(selected.values()), [found.error for found in matches if not found and found.error is not None]


def arguments(what: str) -> Sequence[Arg]:
    """A list's own: which things, labels, hosts and engines, and `--quiet`."""
    which = Arg(name="target", take=Take.TARGET, many=True, help=what)
    return (which, QUIET, LABEL, *(arg for arg in SELECTION if arg.name != "--label"))


def _render(listing: Listing, context: Context, results: Sequence[Result]) -> Reply:
    args = context.args
    told = [result for result in results if result.error is None and result.value is not None]
    known = listings.deduplicate(listing.kind, [row for result in told for row in listing.rows(result.value)])
    labelled = [row for row in known if _labelled(args["label"], getattr(row, "labels", {}))]
    selected, unmatched = select(listing.kind, args["target"], labelled)
    lines = {line.ref: line for row in selected for line in listing.lines(row)}
    rows = sorted(lines.values(), key=lambda row: (listing.order(row), str(row.ref.engine)))
    blocks: list[Block] = []
    if rows and args["quiet"]:
        blocks.append(Lines(lines=list(dict.fromkeys(show.short_id(row.ref) for row in rows))))
    elif rows:
        blocks.append(_table(listing, rows, results, context.now))
    elif told and not unmatched:
        chosen = args["target"] or args["label"]
        blocks.append(Text(text=f"No {listing.kind} matches that." if chosen and known else listing.none))
    blocks += [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched if told]
    return Reply(blocks=(*blocks, *_notes(results)), ending=_ending(results, rows, told, unmatched))


def _labelled(labels: Sequence[str], having: Mapping[str, str] | Sequence[Mapping[str, str]]) -> bool:
    """Of what holds several things one set of theirs has to satisfy all."""
    sets = (having,) if isinstance(having, Mapping) else having or ({},)
    return any(show.labelled(labels, one) for one in sets)


def _labels(row: Any) -> Sequence[Mapping[str, str]]:
    """Its labels; several sets of them where its parts carry their own, and one has to hold all that are asked for."""
    told = getattr(row, "labels", {})
    return (told,) if isinstance(told, Mapping) else told or ({},)


def _table(listing: Listing, rows: Sequence[Any], results: Sequence[Result], now: datetime) -> Table:
    where = show.engine_columns(result.action.engine for result in results)
    cells = [[*listing.cells(row, now), *show.engine_cells(where, row.ref.engine)] for row in rows]
    columns = [*listing.columns, *where]
    shown = [at for at, name in enumerate(columns) if name not in listing.optional or any(row[at] for row in cells)]
    return Table(columns=[columns[at] for at in shown], rows=[[row[at] for at in shown] for row in cells])


def _notes(results: Sequence[Result]) -> list[Text]:
    missing = [
        Text(text=f"{result.action.engine}: {result.value.missing}", tone=Tone.WARN)
        for result in results
        if getattr(result.value, "missing", "")
    ]
    return [*show.unanswered(results), *missing]


def _ending(results: Sequence[Result], rows: Sequence[Any], told: Sequence[Result], unmatched: Sequence[Any]) -> Ending:
    if rows:
        return Ending.OK
    if not told:
        return show.failed_ending(results)
    return Ending.NOTHING if unmatched else Ending.OK
