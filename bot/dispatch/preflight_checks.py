"""Finds changes that an engine would refuse, or that would change nothing, before a question is asked about a plan.
Examples: the removal of a resource in use, a name that is taken, a container that is connected already.

The engines' lists of resources do not show this. So each engine gets one small request, with a timeout of LOOK_SECONDS.
If an engine does not answer in time, the question is asked without this information. Containers that use a resource,
and that the requester may not see, are only counted; their names are not shown.
"""

from __future__ import annotations

import asyncio
import copy
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

from bot.dispatch import change_targets
from bot.dispatch.visible_fleet import VisibleFleet
from core import errors
from core.model.actions import Action, InspectContainer, Remove, ShowInfo
from core.model.change_applicability import ACTS, ChangeFit, Finding
from core.model.containers import LIVE_STATES
from core.model.create_container import CreateContainer
from core.model.images import RemoveImage, TagImage
from core.model.networks_and_volumes import (
    ConnectNetwork,
    CreateNetwork,
    CreateVolume,
    DisconnectNetwork,
    RemoveNetwork,
    RemoveVolume,
)
from core.model.pods import CreatePod, RemovePod
from core.model.refs import EngineRef, Kind, Ref
from core.model.removal_blockers import FindUsers, ResourceUse
from core.model.rename_and_update import RenameContainer
from core.model.service_actions import CreateService, RollBackService
from core.model.swarm import InitSwarm, InspectService
from core.ports import Query
from runtimes.inventory.fleet import Fleet

LOOK_SECONDS = 2.0
MAX_LOOKED_AT = 20  # of one plan
Found = Mapping[change_targets.ActionKey, Finding]
REMOVALS = (RemoveNetwork, RemoveVolume, RemoveImage, Remove)
# Kinds of engines that do not remove a container on which another one depends.
KEEPS_DEPENDENCIES = frozenset({"podman"})


async def check_plan(plan: Sequence[Action[Any]], view: VisibleFleet, fleet: Fleet) -> Found:
    """Returns what is known about the changes of a plan. A change that is not in it was not looked at, or its engine
    did not answer. Raises nothing."""
    reader = _Reader(view, fleet)
    looked_at = [action for action in plan if _may_be_in_use(action) or type(action) in _LOOKS][:MAX_LOOKED_AT]
    removals: defaultdict[tuple[EngineRef, Kind, bool], list[Action[Any]]] = defaultdict(list)
    for action in looked_at:
        if isinstance(action, REMOVALS):
            removals[action.engine, action.target.kind, _force(action)].append(action)
    leaving = {(action.target.kind, action.target.id) for action in plan if isinstance(action, Remove)}
    looks = [(some[0], _removals(reader, some, leaving)) for some in removals.values()]
    looks += [
        (action, _alone(action, look(reader, action)))
        for action in looked_at
        if (look := _LOOKS.get(type(action))) is not None
    ]

    async def guarded(action: Action[Any], look: Coroutine[Any, Any, Found]) -> Found:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await look
        except (errors.QuarterdeckError, TimeoutError):
            return {}
        except Exception as error:
            fleet.bugs.report(error, "foresee", verb=action.verb)
            return {}

    found: dict[change_targets.ActionKey, Finding] = {}
    for some in await asyncio.gather(*(guarded(action, look) for action, look in looks)):
        found |= some
    return found


def _may_be_in_use(action: Action[Any]) -> bool:
    return isinstance(action, REMOVALS) and (not isinstance(action, Remove) or action.engine.kind in KEEPS_DEPENDENCIES)


class _Reader:
    """Reads for one plan; a list of one kind is read once for all."""

    def __init__(self, view: VisibleFleet, fleet: Fleet) -> None:
        self.view, self.fleet = view, fleet
        # What is looked up here is no target of the command.
        self._aside = copy.copy(view)
        self._aside.lookups = []

    async def run(self, action: Action[Any]) -> Any:
        """Runs a read. Raises TimedOut if its engine is known not to answer, and the errors of the engine."""
        if self.fleet.is_silent(action.engine):
            raise errors.TimedOut(f"{action.engine} does not answer.", sent=False, hint="See why with: engines")
        return await self.fleet.run(action, self.view.call)

    async def names(self, action: Action[Any], kind: Kind) -> Collection[str]:
        """Returns the names of all resources of a kind on the action's engine, whoever may see them."""
        listed = await self.fleet.list_rows(Query(kind=kind), self.view.call, only=action.engine)
        return {row.ref.name for row in listed.rows}

    async def visible(self, users: Collection[Ref]) -> Collection[Ref]:
        """Returns those of `users` that the requester may list."""
        seen: set[tuple[Kind, str]] = set()
        for kind, engine in {(user.kind, str(user.engine)) for user in users}:
            # The services of a Swarm belong to an engine of their own.
            query = Query(kind=kind, engine="" if kind is Kind.SERVICE else engine)
            try:
                seen |= {(ref.kind, ref.id) for ref in await self._aside.find(query)}
            except errors.QuarterdeckError:
                continue
        return [user for user in users if (user.kind, user.id) in seen]


Look = Callable[[_Reader, Any], Awaitable[Finding | None]]


async def _alone(action: Action[Any], look: Awaitable[Finding | None]) -> Found:
    finding = await look
    return {} if finding is None else {change_targets.action_key(action): finding}


async def _removals(reader: _Reader, actions: Sequence[Any], leaving: Collection[tuple[Kind, str]]) -> Found:
    """Looks at removals of one kind from one engine. `leaving`: the containers that the same plan removes. They keep no
    other container, because Podman's adapter waits until they are removed."""
    asked = FindUsers(
        engine=actions[0].engine, resources=tuple(action.target for action in actions), force=_force(actions[0])
    )
    users = await reader.run(asked)
    found = {}
    for action in actions:
        uses = [use for use in users.rows if use.target == action.target]
        if isinstance(action, Remove):
            uses = [use for use in uses if (use.user.kind, use.user.id) not in leaving]
        if uses:
            found[change_targets.action_key(action)] = await _removal(reader, action, uses)
        elif isinstance(action, RemoveImage):
            found[change_targets.action_key(action)] = ACTS  # whatever number of containers the list shows
    return found


async def _removal(reader: _Reader, action: Action[Any], uses: Sequence[ResourceUse]) -> Finding:
    users = list(dict.fromkeys(use.user for use in uses))
    names = await _named(reader, users)
    # `1 container` is one whose name the requester may not see.
    cure = _cure(action, uses, "them" if len(users) > 1 else re.sub("^1 ", "that ", names))
    return Finding(ChangeFit.REFUSED, f"is used by {names}", cure)


def _cure(action: Action[Any], uses: Sequence[ResourceUse], whom: str) -> str:
    if isinstance(action, RemoveNetwork) and all(use.user.kind is Kind.CONTAINER for use in uses):
        return f"Disconnect {whom} from the network, or remove {whom}"
    running = any(use.running and use.user.kind is Kind.CONTAINER for use in uses)
    force = ", or use: rmi -f NAME" if all(use.forcible for use in uses) else ""
    return f"{'Stop and remove' if running else 'Remove'} {whom} first{force}"


def _force(action: Any) -> bool:
    return isinstance(action, RemoveImage) and action.force


async def _pod_removal(reader: _Reader, action: RemovePod) -> Finding | None:
    row = reader.view.row(action.target)
    if action.force or row is None or not row.running:
        return None
    listed = await reader.fleet.list_rows(Query(), reader.view.call, only=action.engine)
    running = [one.ref for one in listed.rows if row.contains(one) and one.state in LIVE_STATES]
    if not running:
        return None
    noun = "container" if len(running) == 1 else "containers"
    text = f"has the running {noun} {await _named(reader, running)}"
    return Finding(ChangeFit.REFUSED, text, "Stop the pod first, or remove it with: pod rm -f NAME")


async def _new_name(reader: _Reader, action: Any) -> Finding | None:
    """The name of a new resource. A volume that exists is left as it is; anything else is refused."""
    if not action.name:
        return None
    for kind in _NAMED_LIKE[type(action)]:
        if action.name in await reader.names(action, kind):
            if isinstance(action, CreateVolume):
                return Finding(ChangeFit.DONE, "exists already")
            where = "" if kind is action.targets()[0].kind else f", as the name of a {kind}"
            return Finding(ChangeFit.REFUSED, f"is taken on {action.engine}{where}", "Choose another name")
    return ACTS


async def _rename(reader: _Reader, action: RenameContainer) -> Finding | None:
    for kind in (Kind.CONTAINER, Kind.POD):
        if action.name in await reader.names(action, kind):
            text = f"is not renamed: the name {action.name} is taken on {action.engine}"
            return Finding(ChangeFit.REFUSED, text, "Choose another name")
    return ACTS


async def _connect(reader: _Reader, action: ConnectNetwork | DisconnectNetwork) -> Finding | None:
    document = await reader.run(InspectContainer(engine=action.engine, target=action.target))
    networks = (document.data.get("NetworkSettings") or {}).get("Networks")
    if not isinstance(networks, dict):
        return None
    connected = action.network.name in networks
    if isinstance(action, ConnectNetwork):
        return Finding(ChangeFit.DONE, f"is connected to {action.network.name} already") if connected else ACTS
    return ACTS if connected else Finding(ChangeFit.DONE, f"is not connected to {action.network.name}")


async def _tag(reader: _Reader, action: TagImage) -> Finding | None:
    row = reader.view.row(action.target)
    if row is None:
        return None
    return Finding(ChangeFit.DONE, f"is called {action.tag} already") if action.tag in row.full_names else ACTS


async def _init_swarm(reader: _Reader, action: InitSwarm) -> Finding | None:
    document = await reader.run(ShowInfo(engine=action.engine))
    swarm = document.data.get("Swarm")
    state = swarm.get("LocalNodeState") if isinstance(swarm, dict) else None
    if state in ("active", "pending", "locked", "error"):
        return Finding(ChangeFit.DONE, "is in a Swarm already")
    return ACTS if state == "inactive" else None


async def _roll_back(reader: _Reader, action: RollBackService) -> Finding | None:
    document = await reader.run(InspectService(engine=action.engine, target=action.target))
    if "Spec" not in document.data or document.data.get("PreviousSpec"):
        return ACTS
    return Finding(
        ChangeFit.REFUSED,
        "was not updated since it was created, so it cannot be rolled back",
        "Update it instead: service update --image IMAGE NAME",
    )


async def _named(reader: _Reader, users: Sequence[Ref]) -> str:
    """Returns `db and web`, `web and 2 other containers` or `2 containers`: the names that the requester may see."""
    visible = await reader.visible(users)
    names = sorted(user.name for user in visible)
    hidden = Counter(user.kind for user in users if user not in visible)
    other = "other " if names else ""
    counted = [f"{number} {other}{kind}{'' if number == 1 else 's'}" for kind, number in hidden.items()]
    if len(names) > change_targets.MAX_NAMES:
        return change_targets.listed(names) + "".join(f", and {text}" for text in counted)
    return change_targets.listed([*names, *counted], change_targets.MAX_NAMES + len(counted))


_NAMED_LIKE: Mapping[type[Action[Any]], Sequence[Kind]] = {
    CreateContainer: (Kind.CONTAINER, Kind.POD),
    CreatePod: (Kind.POD, Kind.CONTAINER),
    CreateNetwork: (Kind.NETWORK,),
    CreateVolume: (Kind.VOLUME,),
    CreateService: (Kind.SERVICE,),
}
"""The kinds whose names must differ on one engine."""
_LOOKS: Mapping[type[Action[Any]], Look] = {
    RemovePod: _pod_removal,
    RenameContainer: _rename,
    ConnectNetwork: _connect,
    DisconnectNetwork: _connect,
    TagImage: _tag,
    InitSwarm: _init_swarm,
    RollBackService: _roll_back,
    **dict.fromkeys(_NAMED_LIKE, _new_name),
}
