"""`linger disable`: lets the systemd units of a rootless engine run only while its user is logged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, Command, Context, query
from core.model.actions import Action, Risk
from core.model.units import DisableLinger


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = replace(query(context), verb=DisableLinger.verb)
    user = context.args["user"] or ""
    return [DisableLinger(engine=engine, user=user) for engine in context.find.engines(wanted)]


command = Command(
    name="linger disable",
    summary="let units of rootless engines run only while their user is logged in",
    examples=("linger disable --engine podman", "linger disable alice --host prod-1"),
    plan=plan,
    render=changes.make_render(changes.Wording(done="changed")),
    risk=Risk.CHANGE,
    doing="changing",
    verbs=(DisableLinger.verb,),
    args=(
        Arg(name="user", help="user of the host, such as alice; without USER: the user of each selected engine"),
        HOST,
        ENGINE,
    ),
)
