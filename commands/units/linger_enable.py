"""`linger enable`: lets the systemd units of a rootless engine run without a login of its user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, Command, Context, query
from core.model.actions import Action, Risk
from core.model.units import EnableLinger


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = replace(query(context), verb=EnableLinger.verb)
    user = context.args["user"] or ""
    return [EnableLinger(engine=engine, user=user) for engine in context.find.engines(wanted)]


command = Command(
    name="linger enable",
    summary="let units of rootless engines run while their user is not logged in",
    examples=("linger enable --engine podman", "linger enable --host prod-1"),
    plan=plan,
    render=changes.make_render(changes.Wording(done="changed")),
    risk=Risk.CHANGE,
    doing="changing",
    verbs=(EnableLinger.verb,),
    args=(
        Arg(name="user", help="user of the host, such as alice; without USER: the user of each selected engine"),
        HOST,
        ENGINE,
    ),
)
