"""Plans and renders the list commands: asks all engines, selects rows by names and labels, and shows them as a table.

If an engine does not answer, only its own rows are missing. For a name that selects no row, the reply suggests similar
names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from commands._shared import formatting, list_format, next_steps
from commands.spec import ENGINE, HOST, LABEL, Arg, ArgType, Context, Plan, Render, Result, query
from core import errors
from core.lazy_dataclass import dataclass
from core.model import list_action_by_kind
from core.model.actions import Action
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Block, Ending, Lines, Reply, Table, Text, Tone
from core.name_matching import selection

Cell = str | int | float
QUIET = Arg(name="--quiet", short="q", type=ArgType.FLAG, help="print only the ids")
# For kinds without ids, such as volumes.
QUIET_NAMES = replace(QUIET, help="print only the names")
FORMAT = list_format.make_format_argument("Name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDefinition:
    """Describes one list command.

    `rows`: the rows of an engine's answer. `lines`: the table lines of one selected row. `cells`: the cells of a line,
    one for each of `columns`; a column of `optional` is left out where it is empty in every line. `filter`: whether a
    row is wanted, by the command's own options. `names`: the typed names of rows, by default those of
    TARGET. `none`: the sentence shown where nothing exists. `priority`: the columns that matter most, by default the
    first; HOST and ENGINE come after them. `tone`: how good the state of a row is, shown at the column `toned`.
    `fields`: the fields of `--format` as other programs call them, and the column that has each.
    """

    kind: Kind
    columns: Sequence[str]
    cells: Callable[[Any, datetime], Sequence[Cell]]
    none: str
    optional: Sequence[str] = ()
    rows: Callable[[Any], Sequence[Any]] = lambda value: value.rows
    order: Callable[[Any], Any] = lambda row: row.ref.name
    lines: Callable[[Any], Sequence[Any]] = lambda row: (row,)
    filter: Callable[[Mapping[str, Any], Any], bool] = lambda args, row: True
    names: Callable[[Mapping[str, Any]], Sequence[str]] = lambda args: args["target"]
    priority: Sequence[str] = ()
    tone: Callable[[Any], Tone] | None = None
    toned: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def format_fields(self) -> Mapping[str, str]:
        """The fields of `--format`, with the column of each: those of other programs, and one for each column."""
        columns = (*self.columns, "HOST", "ENGINE")
        own = {column if column == "ID" else column.title().replace(" ", ""): column for column in columns}
        return {"Name": self.columns[0], **self.fields, **own}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRow:
    """Holds a row of a list that has a name and no Ref of its own, such as a stack or a namespace."""

    ref: Ref
    row: Any

    @property
    def labels(self) -> Any:
        return self.row.labels


def make_plan(kind: Kind) -> Plan:
    async def plan(context: Context) -> Sequence[Action[Any]]:
        return [list_action_by_kind.make_list_action(kind, engine) for engine in context.find.engines(query(context))]

    return plan


def make_render(spec: ListDefinition) -> Render:
    def render(context: Context, results: Sequence[Result]) -> Reply:
        return _render(spec, context, results)

    return render


def select(
    kind: Kind, names: Sequence[str], rows: Sequence[Any]
) -> tuple[Sequence[Any], Sequence[errors.QuarterdeckError]]:
    """Selects the rows by names; without names, all rows. Also returns an error for each name that selects nothing.

    A name selects the same rows as for a change. A name that is ambiguous for a change selects every candidate.
    """
    if not names:
        return rows, ()
    matches = [selection.match(kind, name, rows) for name in names]
    selected = {row.ref: row for found in matches for row in found.rows}
    return list(selected.values()), [found.error for found in matches if not found and found.error is not None]


def arguments(target_help: str, *, quiet: Arg = QUIET, labelled: str = "", engine: Arg = ENGINE) -> Sequence[Arg]:
    """Returns the arguments of a list command. `target_help`: the help of its names. `labelled`: the part of a row that
    has the labels, such as a service; empty if the row itself has them."""
    which = Arg(name="target", type=ArgType.TARGET, many=True, help=f"{target_help}; without TARGET: all")
    of_part = f"only those of which {labelled} has this label, such as app=shop (globs allowed)"
    return (which, quiet, FORMAT, replace(LABEL, help=of_part) if labelled else LABEL, HOST, engine)


def _render(spec: ListDefinition, context: Context, results: Sequence[Result]) -> Reply:
    args = context.args
    answered = [result for result in results if result.error is None and result.value is not None]
    found = [_with_ref(row, result.action.engine) for result in answered for row in spec.rows(result.value)]
    known = list_action_by_kind.deduplicate(spec.kind, found)
    labelled = [
        row for row in known if spec.filter(args, row) and _has_labels(args["label"], getattr(row, "labels", {}))
    ]
    names = spec.names(args)
    selected, unmatched = select(spec.kind, names, labelled)
    lines = {line.ref: line for row in selected for line in spec.lines(row)}
    rows = sorted(lines.values(), key=lambda row: (spec.order(row), str(row.ref.engine)))
    blocks: list[Block] = []
    if rows and args["quiet"]:
        blocks.append(Lines(lines=list(dict.fromkeys(row.ref.short_id for row in rows))))
    elif args["format"]:
        try:
            blocks += _formatted(spec, args["format"], rows, context.now)
        except errors.BadUsage as error:
            return formatting.error_reply(error)
    elif rows:
        blocks.append(_table(spec, rows, results, context.now))
    elif answered and not unmatched:
        chosen = names or args["label"] or len(labelled) < len(known)
        blocks.append(Text(text=f"No {spec.kind} matches." if chosen and known else spec.none))
    blocks += [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched if answered]
    return Reply(
        blocks=(*blocks, *_notes(results)),
        buttons=() if args["format"] else next_steps.offer_next_steps(context, [row.ref for row in rows]),
        ending=_ending(results, rows, answered, unmatched),
        values=rows,
    )


def _with_ref(row: Any, engine: EngineRef) -> Any:
    return row if hasattr(row, "ref") else NamedRow(ref=list_action_by_kind.row_ref(row, engine), row=row)


def _has_labels(labels: Sequence[str], having: Mapping[str, str] | Sequence[Mapping[str, str]]) -> bool:
    """Returns whether a row has all labels that were asked for. A row of several parts, such as a pod, has several sets
    of labels: one set must contain all."""
    sets = (having,) if isinstance(having, Mapping) else having or ({},)
    return any(formatting.has_labels(labels, one) for one in sets)


def _table(spec: ListDefinition, rows: Sequence[Any], results: Sequence[Result], now: datetime) -> Table:
    where = formatting.engine_columns(formatting.asked(results), (row.ref.engine for row in rows))
    # An id comes last.
    at = len(spec.columns) - (spec.columns[-1] == "ID")
    cells = [_inserted(spec.cells(row, now), at, formatting.engine_cells(where, row.ref.engine)) for row in rows]
    columns = _inserted(spec.columns, at, where)
    shown = [at for at, name in enumerate(columns) if name not in spec.optional or any(row[at] for row in cells)]
    return Table(
        columns=[columns[at] for at in shown],
        rows=[[row[at] for at in shown] for row in cells],
        priority=(*(spec.priority or spec.columns[:1]), *where),
        tones=[spec.tone(row) for row in rows] if spec.tone else (),
        toned=spec.toned,
    )


def _inserted(texts: Sequence[Any], at: int, more: Sequence[Any]) -> list[Any]:
    return [*texts[:at], *more, *texts[at:]]


def _formatted(spec: ListDefinition, text: str, rows: Sequence[Any], now: datetime) -> Sequence[Block]:
    """The rows as `--format` asks. Raises BadUsage."""
    form = list_format.parse(text, spec.format_fields)
    where = ("HOST", "ENGINE")
    documents = []
    for row in rows:
        cells = (*spec.cells(row, now), *formatting.engine_cells(where, row.ref.engine))
        by_column = dict(zip((*spec.columns, *where), cells, strict=True))
        labels = getattr(row, "labels", {})
        fields = {name: by_column[column] for name, column in spec.format_fields.items()}
        documents.append({**fields, list_format.LABELS: labels if isinstance(labels, Mapping) else {}})
    return list_format.blocks(form, documents)


def _notes(results: Sequence[Result]) -> list[Text]:
    missing = [
        Text(text=f"{result.action.engine}: {result.value.missing}", tone=Tone.WARN)
        for result in results
        if getattr(result.value, "missing", "")
    ]
    return [*formatting.engine_error_notes(results), *missing]


def _ending(
    results: Sequence[Result], rows: Sequence[Any], answered: Sequence[Result], unmatched: Sequence[Any]
) -> Ending:
    if rows:
        return Ending.OK
    if not answered:
        return formatting.failed_ending(results)
    return Ending.NOTHING if unmatched else Ending.OK
