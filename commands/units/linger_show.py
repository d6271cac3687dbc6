"""`linger show`: shows whether the systemd units of rootless engines run without a login of their user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import formatting
from commands.spec import ENGINE, HOST, Arg, Command, Context, Result, query
from core.model.actions import Action
from core.model.replies import Ending, Reply, Table, Text, Tone
from core.model.units import Linger, ShowLinger


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = replace(query(context), verb=ShowLinger.verb)
    return [ShowLinger(engine=engine) for engine in context.find.engines(wanted)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    found = [(result.action.engine, result.value) for result in results if isinstance(result.value, Linger)]
    user, notes = context.args["user"], formatting.engine_error_notes(results)
    rows = [(str(engine), linger.user, _answer(linger)) for engine, linger in found if user in (None, linger.user)]
    if found and not rows:
        text = Text(text=f"No engine belongs to {user}.", tone=Tone.WARN)
        return Reply(blocks=(text, *notes), ending=Ending.NOTHING)
    if not rows:
        return Reply(blocks=notes, ending=formatting.failed_ending(results))
    return Reply(blocks=(Table(columns=("ENGINE", "USER", "LINGER"), rows=rows), *notes))


def _answer(linger: Linger) -> str:
    if linger.enabled is None:
        return "not needed: root's units need no lingering"
    return "yes" if linger.enabled else "no: its units end when the user logs out"


command = Command(
    name="linger show",
    summary="show whether units of rootless engines run while their user is not logged in",
    examples=("linger show", "linger show alice --engine podman"),
    plan=plan,
    render=render,
    verbs=(ShowLinger.verb,),
    aliases=("linger ls",),
    args=(
        Arg(name="user", help="user of the host, such as alice; without USER: the user of each selected engine"),
        HOST,
        ENGINE,
    ),
)
