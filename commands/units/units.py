"""`units`: lists the systemd units that run containers; with `--draft`, shows the unit files for a container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from commands._shared import formatting, list_commands, targets
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model.actions import Action
from core.model.refs import Kind
from core.model.replies import Block, Ending, Lines, Reply, Text, Tone
from core.model.units import DraftUnit, ListUnits, Unit, UnitFiles
from core.ports import Query
from core.text import command_line

STYLES = ("quadlet", "generate")
STYLE = Arg(
    name="--style",
    choices=STYLES,
    default=STYLES[0],
    help="quadlet: a Quadlet file; generate: a unit file as `podman generate systemd` writes it",
)
MAX_DRAFTS = 8
DRAFTED = f"container, start of its name or id, or a glob like 'web-*', at most {MAX_DRAFTS} containers"
TARGETS = (
    Arg(
        name="target",
        type=ArgType.TARGET,
        many=True,
        required=True,
        help="unit (web.service, web) or a glob like 'shop-*'",
    ),
    HOST,
    ENGINE,
)


def _cells(row: Unit, now: datetime) -> Sequence[str]:
    state = row.active if row.sub in ("", row.active) else f"{row.active} ({row.sub})"
    changed = formatting.ago(row.since or 0.0, now)
    return (row.ref.name, row.container, state, row.enabled, changed, row.why, row.file)


_TONES = {"active": Tone.GOOD, "failed": Tone.BAD, "inactive": Tone.PLAIN}


def _tone(row: Unit) -> Tone:
    return _TONES.get(row.active, Tone.WARN)


LIST = list_commands.ListDefinition(
    kind=Kind.UNIT,
    columns=("UNIT", "CONTAINER", "STATE", "ENABLED", "CHANGED", "WHY", "FILE"),
    optional=("CONTAINER", "CHANGED", "WHY"),
    priority=("UNIT", "STATE", "WHY"),
    tone=_tone,
    toned="STATE",
    cells=_cells,
    none="There are no units that run containers.",
)
_render_list, _plan_list = list_commands.make_render(LIST), list_commands.make_plan(Kind.UNIT)


async def plan(context: Context) -> Sequence[Action[Any]]:
    name = context.args["draft"]
    if not name:
        return await _plan_list(context)
    if context.args["target"]:
        raise errors.BadUsage(
            f"--draft takes one container, and no units: {command_line.abbreviate(' '.join(context.args['target']))}",
            hint=f"Leave the units out: units --draft {command_line.quote([name])}",
        )
    wanted = query(context)
    refs = await context.find.find(Query(names=(name,), host=wanted.host, engine=wanted.engine))
    if len(refs) > MAX_DRAFTS:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(name)}” selects {len(refs)} containers; --draft takes at most {MAX_DRAFTS}.",
            hint="Write the name of one container.",
        )
    return [DraftUnit(engine=ref.engine, target=ref, style=context.args["style"]) for ref in refs]


def render(context: Context, results: Sequence[Result]) -> Reply:
    return render_files(results) if context.args["draft"] else _render_list(context, results)


def render_files(results: Sequence[Result], *notes: Text) -> Reply:
    """Renders the files that would run containers under systemd."""
    blocks: list[Block] = []
    for result in results:
        if isinstance(result.value, UnitFiles):
            blocks += [Lines(title=file.path, lines=file.text.splitlines()) for file in result.value.files]
            blocks += [Text(text=note, tone=Tone.WARN) for note in result.value.notes]
        elif result.error is not None:
            blocks.append(
                Text(text=f"{targets.target_of_result(result).name}: {result.error.full_message()}", tone=Tone.WARN)
            )
    drafted = any(isinstance(result.value, UnitFiles) for result in results)
    return Reply(
        blocks=(*blocks, *notes) if drafted else blocks,
        ending=Ending.OK if drafted else formatting.failed_ending(results),
    )


command = Command(
    name="units",
    summary="list systemd units of containers, or draft a new one",
    examples=(
        "units",
        "units 'pod-*' --engine podman",
        "units --draft pod-front",
        "units --draft pod-front --style generate",
    ),
    plan=plan,
    render=render,
    verbs=(ListUnits.verb, DraftUnit.verb),
    verb_conditions=(("with --draft", DraftUnit.verb),),
    args=(
        *list_commands.arguments(
            "unit (web.service, web), start of its name, or a glob like 'shop-*'",
            quiet=list_commands.QUIET_NAMES,
            labelled="a container",
        ),
        Arg(
            name="--draft",
            type=ArgType.TARGET,
            placeholder="CONTAINER",
            help="instead of a list, show the files that `unit install` would write for this container",
        ),
        replace(STYLE, help=f"with --draft: {STYLE.help}"),
    ),
)
