"""`services`: lists compose and Swarm services. A Swarm service that several nodes report is shown only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commands._shared import formatting, list_commands, list_format, next_steps
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result, query
from core.model import services
from core.model.actions import Action, ListServices
from core.model.refs import Kind
from core.model.replies import Block, Ending, Reply, Table, Text, Tone

FIELDS = {
    name: name.upper()
    for name in ("Name", "ID", "Mode", "Replicas", "Image", "Ports", "Health", "Update", "Host", "Engine")
}


async def plan(context: Context) -> Sequence[Action[Any]]:
    if context.args["format"]:
        list_format.parse(context.args["format"], FIELDS)
    return [ListServices(engine=engine) for engine in context.find.engines(query(context))]


def render(context: Context, results: Sequence[Result]) -> Reply:
    wanted = context.args["service"]
    answered = [result for result in results if isinstance(result.value, services.Services)]
    known = services.deduplicate(row for result in answered for row in result.value.rows)
    selected, unmatched = list_commands.select(Kind.SERVICE, wanted, known)
    rows = sorted(selected, key=lambda row: (row.project or "", row.ref.name, str(row.ref.engine)))
    notes = formatting.engine_error_notes(results)
    notes += [
        Text(text=f"{result.action.engine}: {result.value.missing}", tone=Tone.WARN)
        for result in answered
        if result.value.missing
    ]
    blocks: list[Block] = []
    if context.args["format"]:
        form = list_format.parse(context.args["format"], FIELDS)
        blocks += list_format.blocks(form, [_document(row) for row in rows])
    elif rows:
        where = formatting.engine_columns((row.ref.engine for row in known), (row.ref.engine for row in rows))
        update = ["UPDATE"] if any(row.update for row in rows) else []
        table = [
            [
                *(row.ref.name, row.mode, _running(row), _images(row.image), row.health, formatting.ports(row.ports)),
                *([row.update] if update else []),
                *formatting.engine_cells(where, row.ref.engine),
            ]
            for row in rows
        ]
        columns = ("SERVICE", "MODE", "RUNNING", "IMAGE", "HEALTH", "PORTS", *update, *where)
        blocks.append(
            Table(
                columns=columns,
                rows=table,
                priority=("SERVICE", "RUNNING", "HEALTH", *update, *where, "IMAGE"),
                tones=[_tone(row) for row in rows],
                toned="RUNNING",
            )
        )
    elif not wanted and answered:
        blocks.append(Text(text="There are no compose or Swarm services."))
    blocks += [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched]
    ending = Ending.OK
    if not rows:
        ending = formatting.failed_ending(results) if not answered else Ending.NOTHING if unmatched else Ending.OK
    return Reply(
        blocks=(*blocks, *notes), buttons=next_steps.offer_next_steps(context, [row.ref for row in rows]), ending=ending
    )


def _document(row: services.Service) -> Mapping[str, Any]:
    """The fields of `--format` for one service."""
    return {
        "Name": row.ref.name,
        "ID": row.ref.short_id,
        "Mode": row.mode,
        "Replicas": _running(row),
        "Image": row.image,
        "Ports": formatting.every_port(row.ports),
        "Health": row.health,
        "Update": row.update,
        "Host": row.ref.engine.host,
        "Engine": str(row.ref.engine),
        list_format.LABELS: row.labels,
    }


def _tone(row: services.Service) -> Tone:
    """How good the state of a service is, as far as this engine sees all of it."""
    if row.desired is None:
        return Tone.WARN if "unhealthy" in row.health else Tone.PLAIN
    if row.running < row.desired or "unhealthy" in row.health:
        return Tone.BAD
    return Tone.GOOD if row.desired else Tone.PLAIN


def _running(row: services.Service) -> str:
    return f"{row.running}/{row.desired}" if row.desired is not None else f"{row.running} here"


def _images(names: str) -> str:
    """Formats the images of a service's containers, which may differ."""
    return ", ".join(map(formatting.image, names.split(", ")))


command = Command(
    name="services",
    summary="list Compose and Swarm services",
    examples=("services", "services shop", "services 'shop/*' --host 'prod-*'"),
    plan=plan,
    render=render,
    verbs=(ListServices.verb,),
    aliases=("service ls",),
    args=(
        Arg(
            name="service",
            type=ArgType.TARGET,
            many=True,
            help="service (shop/web, web), project, start of a name, or a glob like 'shop/*'; without SERVICE: all",
        ),
        list_format.make_format_argument("Name"),
        HOST,
        ENGINE,
    ),
)
