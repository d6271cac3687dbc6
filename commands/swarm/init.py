"""`swarm init`: makes an engine the first manager of a new Swarm. It asks for confirmation, since it opens a port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, new_resources
from commands.spec import ONE_ENGINE, ONE_HOST, Arg, Command, Context
from core.model.actions import Action, Risk
from core.model.swarm import InitSwarm

WORDING = changes.Wording(
    done="made a manager of a new Swarm",
    advice=(("could not choose an ip address", "Write it with --advertise-addr IP."),),
)


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    engine = new_resources.choose_engine(context, InitSwarm.verb, "start a Swarm")
    return [InitSwarm(engine=engine, address=args["advertise_addr"] or "", listen=args["listen_addr"] or "")]


command = Command(
    name="swarm init",
    summary="create a Swarm with an engine as its first manager",
    examples=("swarm init --engine docker/prod-1", "swarm init --advertise-addr 10.0.0.1 --engine docker/prod-1"),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="starting a Swarm on",
    verbs=(InitSwarm.verb,),
    args=(
        Arg(
            name="--advertise-addr",
            placeholder="IP|INTERFACE[:PORT]",
            help="address by which other nodes reach this one, such as 10.0.0.1 (default: the engine chooses it)",
        ),
        Arg(
            name="--listen-addr",
            placeholder="IP[:PORT]",
            help="address on which the manager listens (default 0.0.0.0:2377)",
        ),
        ONE_HOST,
        ONE_ENGINE,
    ),
)
