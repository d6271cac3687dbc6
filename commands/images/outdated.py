"""`outdated`: shows which running containers use an old image: the registry has a newer one under their image's tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import OPTIONAL_TARGETS, SELECTION, Arg, ArgType, Command, Context, Result, query
from core.model.actions import Action
from core.model.refs import EngineRef
from core.model.registry_reads import BEHIND, CURRENT, UNKNOWN, FindOutdated, ImageAges
from core.model.replies import Block, Reply, Table, Text, Tone
from core.ports import Query

DIGITS = 12  # of a digest
WORDS = {BEHIND: "behind its tag", UNKNOWN: "not known", CURRENT: "up to date"}
COLUMNS = ("NAME", "IMAGE", "STATE", "HAS", "REGISTRY HAS")
PRIORITY = ("NAME", "STATE", "WHY", "IMAGE", "HOST", "ENGINE")


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = query(context)
    if not (wanted.names or wanted.labels):
        able = Query(host=wanted.host, engine=wanted.engine, verb=FindOutdated.verb)
        return [FindOutdated(engine=engine) for engine in context.find.engines(able)]
    chosen: dict[EngineRef, list[str]] = {}
    for ref in await context.find.find(wanted):
        chosen.setdefault(ref.engine, []).append(ref.id)
    return [FindOutdated(engine=engine, only=tuple(ids)) for engine, ids in chosen.items()]


def render(context: Context, results: Sequence[Result]) -> Reply:
    answered = [result for result in results if isinstance(result.value, ImageAges)]
    notes = formatting.engine_error_notes(results)
    if not answered:
        return Reply(blocks=notes or (Text(text="There are no engines."),), ending=formatting.failed_ending(results))
    rows = [row for result in answered for row in result.value.rows]
    counts = Counter(row.state for row in rows)
    shown = [row for row in rows if context.args["all"] or row.state != CURRENT]
    order = tuple(WORDS)
    shown.sort(key=lambda row: (order.index(row.state), row.ref.name, str(row.ref.engine)))
    blocks: list[Block] = [_summary(len(rows), counts)]
    if shown:
        where = formatting.engine_columns(formatting.asked(results), (row.ref.engine for row in shown))
        cells = [
            [
                row.ref.name,
                formatting.image(row.image),
                WORDS[row.state],
                _digits(row.local),
                _digits(row.remote) if row.state != CURRENT else "",
                *formatting.engine_cells(where, row.ref.engine),
                row.reason,
            ]
            for row in shown
        ]
        blocks.append(Table(columns=(*COLUMNS, *where, "WHY"), rows=cells, wrap=True, priority=PRIORITY))
    return Reply(blocks=(*blocks, *notes))


def _summary(number: int, counts: Counter[str]) -> Text:
    if not number:
        return Text(text="No container runs.")
    parts = [
        f"{counts[state]} {'is' if counts[state] == 1 else 'are'} {WORDS[state]}" for state in WORDS if counts[state]
    ]
    text = f"{formatting.count(number, 'running container')}: {', '.join(parts)}."
    text = text.replace("are behind its tag", "are behind their tags")
    return Text(text=text, tone=Tone.WARN if counts[BEHIND] else Tone.PLAIN)


def _digits(digest: str) -> str:
    return digest.rpartition(":")[2][:DIGITS]


command = Command(
    name="image outdated",
    summary="compare the images of running containers with their registries",
    examples=("outdated", "outdated 'shop-*' --all", "outdated --label app=shop --host 'prod-*'"),
    plan=plan,
    render=render,
    verbs=(FindOutdated.verb,),
    aliases=("outdated",),
    args=(
        OPTIONAL_TARGETS,
        *SELECTION,
        Arg(name="--all", short="a", type=ArgType.FLAG, help="also show containers that are up to date"),
    ),
)
