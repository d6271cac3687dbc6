"""Plans and renders the prune commands: finds the unused resources of engines, shows them, and removes exactly those.

The plan holds each resource by its id, so a resource that becomes unused after the question is not removed. The
question lists the resources, with their size if the engine measured it in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import CHOSEN_ENGINE, HOST, Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.prune import MAX_PINNED, Prune, UnusedResource, choose
from core.model.refs import EngineRef, Kind
from core.model.replies import Block, Ending, Reply, Status, Table, Text, Tone
from core.ports import Query, UnusedFound

MAX_ROWS = 30  # of the table in a question
UNTIL = "only resources older than DURATION, such as 24h or 7d"

_TONES = {Status.DONE: Tone.GOOD, Status.NOOP: Tone.WARN, Status.UNKNOWN: Tone.WARN}
_ENDINGS = {Status.FAILED: Ending.FAILED, Status.UNKNOWN: Ending.UNKNOWN}

ChooseKinds = Callable[[Context], tuple[Collection[Kind], Collection[Kind]]]
"""Returns the kinds that go, and those of them of which also named ones go."""


def make_prune_command(
    name: str,
    action: type[Prune],
    *,
    summary: str,
    examples: Sequence[str],
    chosen: ChooseKinds,
    args: Sequence[Arg] = (),
    until: str = UNTIL,
    aliases: Sequence[str] = (),
) -> Command:
    """Returns the prune command of one or several kinds. If `action` also removes the build cache, the option --all
    takes the whole of it. `until`: the help of the option --until."""

    async def plan(context: Context) -> Sequence[Action[Any]]:
        return await _plan(context, name, action, *chosen(context))

    return Command(
        name=name,
        summary=summary,
        examples=examples,
        plan=plan,
        render=render,
        preview=preview,
        risk=Risk.DESTROY,
        verbs=(action.verb,),
        aliases=aliases,
        doing="pruning",
        args=(*args, Arg(name="--until", type=ArgType.DURATION, help=until), HOST, CHOSEN_ENGINE),
    )


async def _plan(
    context: Context, name: str, action: type[Prune], kinds: Collection[Kind], everything: Collection[Kind]
) -> Sequence[Action[Any]]:
    planned: list[Prune] = []
    notes: list[str] = []
    engines = _engines(context, name, action.verb)
    for engine in engines:
        found = await context.find.unused(action(engine=engine))
        going = choose(_old_enough(context, found.rows), kinds, everything=everything)
        before, size = _cache(context, found) if action.prunes_cache else (0.0, 0)
        note = _note(found, len(going), cache=action.prunes_cache)
        if going or size:
            planned.append(
                action(
                    engine=engine,
                    pinned=going[:MAX_PINNED],
                    note=note,
                    cache_size=size,
                    cache_used_before=before if size else 0.0,
                    whole_cache=bool(size and context.args["all"]),
                )
            )
        elif note:
            notes.append(note)
    if not planned:
        until = context.args["until"]
        older = f" that is older than {formatting.exact_span(until)}" if until else ""
        raise errors.NotFound(
            f"`{name}` found nothing to remove{older} on {_listed(engines)}.", hint=" ".join(dict.fromkeys(notes))
        )
    return planned


def _engines(context: Context, name: str, verb: str) -> Sequence[EngineRef]:
    """Returns the engines that the options choose. Raises SeveralEngines if none was chosen."""
    args = context.args
    wanted = Query(engine=args["engine"] or "", host=args["host"] or "", verb=verb)
    found = context.find.engines(wanted)
    if len(found) > 1 and not (wanted.engine or wanted.host):
        raise errors.SeveralEngines(f"run {name}", [str(engine) for engine in found], everywhere=True)
    return found


def _listed(engines: Sequence[EngineRef]) -> str:
    return ", ".join(map(str, engines[:8])) + (f" and {len(engines) - 8} more" if len(engines) > 8 else "")


def _old_enough(context: Context, rows: Sequence[UnusedResource]) -> Sequence[UnusedResource]:
    until: timedelta | None = context.args["until"]
    if until is None:
        return rows
    newest = (context.now - until).timestamp()
    return [row for row in rows if 0 < row.created_at <= newest]


def _cache(context: Context, found: UnusedFound) -> tuple[float, int]:
    """Returns the time before which the build cache that goes was used last, and its size."""
    until: timedelta | None = context.args["until"]
    before = (context.now - (until or timedelta())).timestamp()
    return before, sum(record.size for record in found.cache if record.used_at <= before)


def _note(found: UnusedFound, going: int, *, cache: bool) -> str:
    sentences = [
        f"{number}{' more' if going else ''} {'is' if number == 1 else 'are'} left out: {reason}."
        for reason, number in found.kept.items()
    ]
    if going > MAX_PINNED:
        sentences.append(
            f"These are {MAX_PINNED} of {going:,}: repeat the command for the rest, or choose with --until."
        )
    if not found.measured and (going or cache):
        kept = " Its build cache stays." if cache else ""
        sentences.append(f"The engine did not measure the sizes in time.{kept}")
    return " ".join(sentences)


def preview(context: Context, plan: Sequence[Action[Any]]) -> Sequence[Block]:
    """Returns what would go: a sentence for each engine, and a table with the largest first."""
    actions = [action for action in plan if isinstance(action, Prune)]
    blocks: list[Block] = [Text(text=_sentence(action), tone=Tone.WARN) for action in actions]
    rows = [(one, action.engine) for action in actions for one in action.pinned]
    rows.sort(key=lambda row: (-(row[0].size or 0), row[0].ref.name))
    where = formatting.engine_columns((), (engine for _, engine in rows))
    cells = [
        (
            str(one.ref.kind),
            one.ref.name,
            "" if one.size is None else formatting.size(one.size),
            formatting.age(one.created_at, context.now),
            one.detail,
            *formatting.engine_cells(where, engine),
        )
        for one, engine in rows[:MAX_ROWS]
    ]
    more = f"The {MAX_ROWS} largest of {len(rows):,}:" if len(rows) > MAX_ROWS else ""
    if not rows:
        return blocks
    return [
        *blocks,
        Table(
            title=more,
            columns=("KIND", "NAME", "SIZE", "AGE", "STATE", *where),
            rows=cells,
            priority=("NAME", "KIND", "SIZE", *where),
        ),
    ]


def _sentence(action: Prune) -> str:
    kinds = Counter(one.ref.kind for one in action.pinned)
    counted = " and ".join(formatting.count(number, str(kind)) for kind, number in kinds.items())
    size = sum(one.size or 0 for one in action.pinned)
    shown = f", {formatting.size(size)}" if size else ""
    parts = [f"{counted}{shown}"] if counted else []
    # Without --all, the engine itself decides which of its records are left over.
    parts += [f"up to {formatting.size(action.cache_size)} of build cache"] if action.cache_size else []
    return f"On {action.engine} this removes {', and '.join(parts) or 'nothing'}. {action.note}".strip()


def render(context: Context, results: Sequence[Result]) -> Reply:
    """Renders one sentence for each engine."""
    blocks: list[Block] = []
    endings = [Ending.OK]
    for result in results:
        if result.error is not None:
            blocks.append(Text(text=f"{result.action.engine}: {result.error.full_message()}", tone=Tone.BAD))
            endings.append(formatting.reply_ending_for(result.error))
            continue
        status = Status(result.value.status)
        took = f" It took {result.value.took:.1f} s." if result.value.took else ""
        text = f"{result.action.engine}: {result.value.detail.rstrip('.')}.{took}"
        if status is Status.UNKNOWN:
            text += " It is not repeated: give the command again to see what is left."
        blocks.append(Text(text=text, tone=_TONES.get(status, Tone.BAD)))
        endings.append(_ENDINGS.get(status, Ending.OK))
    worst = max(
        endings, key=(Ending.OK, Ending.NOTHING, Ending.USAGE, Ending.REFUSED, Ending.FAILED, Ending.UNKNOWN).index
    )
    return Reply(blocks=blocks, ending=worst, everyone=True)
