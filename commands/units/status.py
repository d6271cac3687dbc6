"""`unit status`: shows each systemd unit that runs a container: its state, since when, its file and its container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from commands._shared import formatting, list_commands
from commands.spec import ENGINE, HOST, Command, Context, Result
from commands.units import units
from core.model.refs import Kind
from core.model.replies import Block, Ending, Fields, Reply, Text, Tone
from core.model.units import Unit, Units


def render(context: Context, results: Sequence[Result]) -> Reply:
    listed = [row for result in results if isinstance(result.value, Units) for row in result.value.rows]
    rows, unmatched = list_commands.select(Kind.UNIT, context.args["target"], listed)
    blocks: list[Block] = [Fields(title=row.ref.name, fields=_fields(row, context.now)) for row in rows]
    answered = any(isinstance(result.value, Units) for result in results)
    if answered:
        blocks += [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched]
    blocks += formatting.engine_error_notes(results)
    if answered and not listed:
        blocks.insert(0, Text(text=units.LIST.none))
    if rows:
        return Reply(blocks=blocks)
    return Reply(blocks=blocks, ending=Ending.NOTHING if answered else formatting.failed_ending(results))


def _fields(row: Unit, now: datetime) -> dict[str, str]:
    state = row.active if row.sub in ("", row.active) else f"{row.active} ({row.sub})"
    since = f" since {formatting.moment(row.since)}" if row.since else ""
    fields = {
        "State": f"{state}{since}",
        "Why": row.why,
        "Enabled": row.enabled,
        "Container": row.container or f"{len(row.members)} containers" * bool(row.members),
        "Process": str(row.pid or ""),
        "File": row.file,
        "Description": row.description if row.description != row.ref.name else "",
        "Engine": str(row.ref.engine),
    }
    return {name: value for name, value in fields.items() if value}


command = Command(
    name="unit status",
    summary="show the state of systemd units of containers",
    examples=("unit status pod-cart.service", "unit status 'pod-*' --engine podman"),
    plan=list_commands.make_plan(Kind.UNIT),
    render=render,
    verbs=units.command.verbs[:1],
    args=(
        replace(units.TARGETS[0], required=False, help=units.TARGETS[0].help + "; without TARGET: all"),
        HOST,
        ENGINE,
    ),
)
