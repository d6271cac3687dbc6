"""`service rm NAME`: removes Swarm services with all their tasks. It asks for confirmation."""

from __future__ import annotations

from commands._shared import changes, swarms
from commands.spec import ENGINE, HOST, Command
from core.model.actions import Risk
from core.model.service_actions import RemoveService

WORDING = changes.Wording(done="removed")

command = Command(
    name="service rm",
    summary="remove Swarm services",
    examples=("service rm shop_front", "service rm 'shop_*' --engine swarm"),
    plan=swarms.make_plan(
        "service rm", RemoveService.verb, lambda _, ref: RemoveService(engine=ref.engine, target=ref)
    ),
    render=changes.make_render(WORDING),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(RemoveService.verb,),
    args=(swarms.SERVICES, HOST, ENGINE),
)
