"""`restart`: stops containers and starts them again. For a project or a pattern, restarts only the containers that run,
unless `--all` is given."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Restart, Risk

WORDING = changes.Wording(done="restarted", unchanged="was left as it is")

command = Command(
    name="restart",
    summary="restart containers",
    examples=(
        "restart web",
        "restart web api --timeout 30",
        "restart --label app=shop --host 'prod-*'",
        "restart shop --all",
    ),
    plan=changes.make_plan(
        "restart", lambda context, ref: Restart(engine=ref.engine, target=ref, timeout=context.args["timeout"])
    ),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="restarting",
    starts=True,
    verbs=(Restart.verb,),
    args=(
        *changes.TARGET_ARGS,
        changes.TIMEOUT,
        changes.not_running_too("containers", "a project, a service, a glob or an option such as --label"),
    ),
)
