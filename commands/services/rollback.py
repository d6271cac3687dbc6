"""`service rollback NAME`: returns Swarm services to their version before the last update."""

from __future__ import annotations

from dataclasses import replace

from commands._shared import changes, service_options, swarms
from commands.spec import ENGINE, HOST, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.service_actions import UPDATE_SECONDS, RollBackService

WORDING = changes.Wording(done="rolled back", not_done="not rolled back")

command = Command(
    name="service rollback",
    summary="return Swarm services to their version before the last update",
    examples=("service rollback shop_front", "service rollback shop_front --timeout 600"),
    plan=swarms.make_plan(
        "service rollback",
        RollBackService.verb,
        lambda context, ref: RollBackService(
            engine=ref.engine, target=ref, wait=not context.args["detach"], timeout=context.args["timeout"]
        ),
    ),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="rolling back",
    verbs=(RollBackService.verb,),
    args=(
        replace(
            swarms.SERVICES,
            help=f"{swarms.SERVICES.help}; if the earlier version can access hosts and the present one cannot, this"
            " also needs the permission host.reach",
        ),
        Arg(name="--detach", short="d", type=ArgType.FLAG, help="do not wait until the tasks run"),
        service_options.make_timeout_option(UPDATE_SECONDS),
        HOST,
        ENGINE,
    ),
)
