"""`inspect`: shows what engines report about containers: a summary, fields by `--format`, or JSON with `--raw`. A name
that no container has is looked for among the other kinds of resources, as `docker inspect` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from commands._shared import inspection
from commands.spec import CONTAINER_NAMES, SELECTION, TARGETS, Arg, Command, Context
from core import errors
from core.model.actions import Action, InspectContainer, TargetAction
from core.model.images import InspectImage
from core.model.networks_and_volumes import InspectNetwork, InspectVolume
from core.model.pods import InspectPod
from core.model.refs import Kind, Ref
from core.model.results import Document
from core.model.swarm import InspectNode, InspectService

# In the order in which a name is looked for.
ACTIONS: Mapping[Kind, type[TargetAction[Document]]] = {
    Kind.CONTAINER: InspectContainer,
    Kind.IMAGE: InspectImage,
    Kind.NETWORK: InspectNetwork,
    Kind.VOLUME: InspectVolume,
    Kind.POD: InspectPod,
    Kind.SERVICE: InspectService,
    Kind.NODE: InspectNode,
}


async def plan(context: Context) -> Sequence[Action[Any]]:
    inspection.check_format(context)
    kind = context.args["type"]
    refs = await _find(context, [Kind(kind)] if kind else list(ACTIONS))
    return [ACTIONS[ref.kind](engine=ref.engine, target=ref) for ref in refs]


async def _find(context: Context, kinds: Sequence[Kind]) -> Sequence[Ref]:
    """Finds the resources of the first kind that has all the names. Raises the error of the first kind."""
    missing: errors.NotFound | None = None
    typed = context.args["target"]
    for kind in kinds:
        try:
            return await inspection.find(context, "inspect", kind)
        except errors.NotFound as error:
            missing = missing or error
            if not typed:
                break
    assert missing is not None
    if len(kinds) == 1 or not typed:
        raise missing
    others = "No image, network, volume, pod, service or node has this name either."
    if len(typed) > 1:
        others = "No other kind of resource has all these names: inspect resources of different kinds one by one."
    raise errors.NotFound(f"{missing.message} {others}", hint=missing.hint) from missing


command = Command(
    name="inspect",
    summary="show containers and other resources in detail",
    examples=(
        "inspect web",
        "inspect web --format '{{.State.Status}} since {{.State.StartedAt}}'",
        "inspect web -f '{{json .Mounts}}'",
        "inspect web -f '{{index .Config.Labels \"com.docker.compose.project\"}}'",
        "inspect web --raw",
        "inspect busybox --type image",
    ),
    plan=plan,
    render=inspection.render,
    verbs=tuple(action.verb for action in ACTIONS.values()),
    verb_conditions=tuple(
        (f"for {'an' if kind == Kind.IMAGE else 'a'} {kind}", action.verb) for kind, action in ACTIONS.items()
    ),
    args=(
        dataclasses.replace(
            TARGETS,
            help=f"{CONTAINER_NAMES}; or name of an image, network, volume, pod, service or node; can be left out with"
            " --label, --host or --engine",
        ),
        inspection.format_argument(inspection.CONTAINER_FIELDS),
        inspection.RAW,
        Arg(
            name="--type",
            choices=tuple(map(str, ACTIONS)),
            help="kind of the resource (default: the first kind that has a resource of this name)",
        ),
        *SELECTION,
    ),
)
