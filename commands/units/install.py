"""`unit install`: runs containers as systemd units from now on."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, ArgType, Command
from commands.units.units import STYLE
from core.model.actions import Risk
from core.model.units import InstallUnit

command = Command(
    name="unit install",
    summary="write a systemd unit for each container, and let systemd run the container",
    examples=("unit install pod-front", "unit install pod-front --style generate --no-start"),
    plan=changes.make_plan(
        "unit install",
        lambda context, ref: InstallUnit(
            engine=ref.engine, target=ref, style=context.args["style"], now=not context.args["no_start"]
        ),
    ),
    render=changes.make_render(changes.Wording(done="installed")),
    risk=Risk.CHANGE,
    doing="installing",
    verbs=(InstallUnit.verb,),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            placeholder="CONTAINER",
            help="name of a container that Podman runs",
        ),
        STYLE,
        Arg(name="--no-start", type=ArgType.FLAG, help="start the unit at the next boot, not now"),
        HOST,
        ENGINE,
    ),
)
