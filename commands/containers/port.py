"""`port`: shows where the ports of containers are published on their hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, list_commands
from commands.spec import CONTAINER_NAMES, SELECTION, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model.actions import Action, ListContainers
from core.model.containers import Container, Containers, Port
from core.model.refs import Kind
from core.model.replies import Block, Ending, Reply, Table, Text, Tone
from core.text import command_line

_PORT = re.compile(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?")


async def plan(context: Context) -> Sequence[Action[Any]]:
    _wanted(context.args["port"])
    return [ListContainers(engine=engine) for engine in context.find.engines(query(context))]


def render(context: Context, results: Sequence[Result]) -> Reply:
    answered = [result for result in results if isinstance(result.value, Containers)]
    known = [
        row
        for result in answered
        for row in result.value.rows
        if formatting.has_labels(context.args["label"], row.labels)
    ]
    rows, unmatched = list_commands.select(Kind.CONTAINER, (context.args["target"],), known)
    number, protocol = _wanted(context.args["port"])
    where = formatting.engine_columns(formatting.asked(results), (row.ref.engine for row in rows))
    table = [
        (row.ref.name, f"{port.private}/{port.proto}", _host(port), *formatting.engine_cells(where, row.ref.engine))
        for row in rows
        for port in _shown(row)
        if number in (0, port.private) and protocol in ("", port.proto)
    ]
    notes = [*formatting.engine_error_notes(results)]
    if table:
        return Reply(
            blocks=(
                Table(columns=("NAME", "PORT", "ON THE HOST", *where), rows=table, priority=("NAME", *where)),
                *notes,
            )
        )
    blocks: list[Block] = [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched if answered]
    if rows:
        what, verb = (f"port {context.args['port']}", "is") if number else ("ports", "are")
        blocks.append(Text(text=f"{', '.join(row.ref.name for row in rows)}: no {what} {verb} published or exposed."))
    ending = Ending.NOTHING if answered else formatting.failed_ending(results)
    if rows and not number:
        ending = Ending.OK
    return Reply(blocks=(*blocks, *notes), ending=ending)


def _wanted(text: str | None) -> tuple[int, str]:
    """Returns the number and the protocol of a port such as `80/tcp`; 0 and nothing for every port."""
    if not text:
        return 0, ""
    found = _PORT.fullmatch(text.lower())
    if found is None or not 0 < int(found[1]) < 65_536:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(text)}” is not a port.",
            hint="Write a port inside the container, such as 80 or 53/udp.",
        )
    return int(found[1]), found[2] or ""


def _shown(row: Container) -> Sequence[Port]:
    return sorted(set(row.ports), key=lambda port: (port.private, port.proto, port.public or 0, port.ip))


def _host(port: Port) -> str:
    if port.public is None:
        return "not published"
    return f"[{port.ip}]:{port.public}" if ":" in port.ip else f"{port.ip}:{port.public}"


command = Command(
    name="port",
    summary="show the published ports of containers",
    examples=("port web", "port 'shop-*' --host prod-1"),
    plan=plan,
    render=render,
    verbs=(ListContainers.verb,),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            required=True,
            help=CONTAINER_NAMES,
        ),
        Arg(name="port", help="only this port inside the containers, such as 80 or 53/udp"),
        *SELECTION,
    ),
)
