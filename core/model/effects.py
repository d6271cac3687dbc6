"""Lists, for each verb, its side effects on other resources. For example, `scale` removes containers.

`unit stop` stops the containers of the unit; `stop` removes a container that was created with --rm. These effects are
found from the lists of the engines. They are stored in the action, so the policy, the confirmation, the audit and the
run all use the same ones. If a list does not show what an action would do, the effect is not `certain`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model import (
    actions,
    create_container,
    image_names,
    inside_containers,
    project_actions,
    prune,
    service_actions,
    units,
)
from core.model.actions import Action, Effect, Risk
from core.model.containers import LIVE_STATES
from core.model.effect_factory import DESTROYING, REMOVE, REMOVE_VOLUME, STOP, TAG, auto_removal, make_effect, removal
from core.model.refs import Kind, Ref
from core.model.target_facts import TargetFacts, groups, members
from core.model.verbs_without_side_effects import WITHOUT_EFFECTS

ENDING_SIGNALS = ("KILL", "TERM", "INT", "QUIT", "ABRT")
ENDED_TASK_STATES = ("complete", "shutdown", "failed", "rejected", "orphaned", "remove")

Rule = Callable[[Any, TargetFacts], Iterable[Effect]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbSideEffects:
    """Describes one verb. `ends`: it can end or freeze running processes of its target. `also`: yields its effects,
    which have the verbs `does`. `needs`: the kinds of resources that must be listed for that, besides the target's kind
    and containers; CONTAINER: the target must be inspected, or all containers of a target that is an engine listed."""

    ends: bool = False
    also: Rule | None = None
    does: tuple[str, ...] = ()
    needs: tuple[Kind, ...] = ()


def with_effects(action: Action[Any], known: TargetFacts) -> Action[Any]:
    """Returns the action with its effects, with the containers that belong to its target, and with the groups that its
    target belongs to."""
    also = TABLE[action.verb].also
    found = tuple(dict.fromkeys(also(action, known))) if also is not None else ()
    more: Mapping[str, Any] = service_actions.reaches_in(action, known.row)
    return dataclasses.replace(action, effects=found, members=members(known), groups=groups(known.row), **more)


def new_removals(before: Action[Any], now: Action[Any]) -> Sequence[Ref]:
    """Returns what the action would destroy now and would not have destroyed before."""
    known = {effect.ref for effect in before.effects or () if effect.risk is Risk.DESTROY}
    return [
        effect.ref
        for effect in now.effects or ()
        if effect.risk is Risk.DESTROY and effect.ref.kind is not Kind.TASK and effect.ref not in known
    ]


def _stopped(action: Any, known: TargetFacts) -> Iterator[Effect]:
    yield from auto_removal(known.row, action.target)


def _signalled(action: actions.Kill, known: TargetFacts) -> Iterator[Effect]:
    yield from auto_removal(known.row, action.target, ends=action.signal in ENDING_SIGNALS)


def _executed(action: Any, known: TargetFacts) -> Iterator[Effect]:
    yield from auto_removal(known.row, action.target, ends=False)


def _restarted(action: actions.Restart, known: TargetFacts) -> Iterator[Effect]:
    """Docker keeps a container with --rm that it restarts. Podman 4.3 removes it and cannot start it again."""
    if action.engine.kind != "docker":
        yield from auto_removal(known.row, action.target)


def _removed_container(action: actions.Remove, known: TargetFacts) -> Iterator[Effect]:
    if action.volumes:
        yield make_effect(REMOVE_VOLUME, action.target)


def _each_member(verb: str, *, ends: bool = False) -> Rule:
    """The verb is done to each container that belongs to the target. `ends`: those created with --rm are removed."""

    def rule(action: Any, known: TargetFacts) -> Iterator[Effect]:
        if known.row is None:
            yield make_effect(verb, action.target, certain=False)
        rows = {row.ref: row for row in known.containers}
        for ref in members(known):
            yield make_effect(verb, ref)
            if ends:
                yield from auto_removal(rows.get(ref), ref)

    return rule


def _removed_pod(action: Any, known: TargetFacts) -> Iterator[Effect]:
    """Podman also removes the anonymous volumes of its containers."""
    for ref in members(known) if known.row is not None else (action.target,):
        yield from removal(ref, certain=known.row is not None, volumes=action.engine.kind == "podman")


def _enabled(action: units.EnableUnit, known: TargetFacts) -> Iterable[Effect]:
    return _unit("container.start")(action, known) if action.now else ()


def _disabled(action: units.DisableUnit, known: TargetFacts) -> Iterable[Effect]:
    return _unit(STOP)(action, known) if action.now else ()


def _ended_with_login(action: units.DisableLinger, known: TargetFacts) -> Iterator[Effect]:
    """systemd ends everything of a user who neither lingers nor is logged in."""
    for row in known.containers:
        if row.ref.engine == action.engine and row.state in LIVE_STATES:
            yield make_effect(STOP, row.ref, certain=False)
            yield from auto_removal(row, row.ref, ends=False)


def _unit(verb: str) -> Rule:
    """systemd removes the container of a generated unit (Quadlet) when it stops, and podman one that has --rm."""

    def rule(action: Any, known: TargetFacts) -> Iterator[Effect]:
        generated = known.row is None or known.row.enabled == "generated"
        rows = {row.ref: row for row in known.containers}
        if known.row is None or (known.row.active == "active" and not members(known)):
            # It may run containers that do not name their unit, such as those of a Kubernetes file.
            yield from (make_effect(each, action.target, certain=False) for each in (verb, REMOVE))
        for ref in members(known):
            yield make_effect(verb, ref)
            if generated:
                yield from removal(ref, volumes=True)
            else:
                yield from auto_removal(rows.get(ref), ref)

    return rule


def _scaled(action: actions.Scale, known: TargetFacts) -> Iterator[Effect]:
    row = known.row
    if row is None:
        yield _destroyed_service(action, certain=False)
    elif row.mode == "compose":
        ordered = members(known)
        # The highest numbers are removed, and removed first.
        for ref in reversed(ordered[action.replicas :]):
            yield from removal(ref)
        rows = {one.ref: one for one in known.containers}
        for ref in ordered[: action.replicas]:
            if ref in rows and rows[ref].state not in (*LIVE_STATES, "restarting"):
                yield make_effect("container.start", ref)
    else:
        yield from _scaled_in_swarm(action, known)


def _scaled_in_swarm(action: Any, known: TargetFacts) -> Iterator[Effect]:
    """The Swarm chooses which tasks end. Those of other nodes are known by their service only."""
    desired = known.row.desired if known.row is not None else None
    if desired is None or action.replicas < desired:
        yield _destroyed_service(action, certain=desired is not None)
        for ref in members(known):
            yield from removal(ref, certain=action.replicas == 0, volumes=True)


def _updated_service(action: service_actions.UpdateService, known: TargetFacts) -> Iterator[Effect]:
    """The Swarm replaces the tasks, or ends some of them; or neither, if only the service itself changes."""
    if action.changes_tasks:
        yield from _replaced_service(action, known)
    elif action.replicas is not None:
        yield from _scaled_in_swarm(action, known)


def _restarted_project(action: project_actions.RestartProject, _: TargetFacts) -> Iterator[Effect]:
    for ref in action.containers:
        yield make_effect("container.restart", ref)


def _replaced_service(action: Any, known: TargetFacts) -> Iterator[Effect]:
    """The Swarm replaces, or removes, every task of the service, with its anonymous volumes."""
    yield _destroyed_service(action, certain=True)
    for ref in members(known):
        yield from removal(ref, volumes=True)


def _destroyed_service(action: Any, *, certain: bool) -> Effect:
    return Effect(verb=action.verb, risk=Risk.DESTROY, ref=action.target, ends=True, certain=certain)


def _drained(action: Any, known: TargetFacts) -> Iterator[Effect]:
    if known.row is None:
        yield make_effect(REMOVE, action.target, certain=False)
    for ref in members(known):
        yield from removal(ref, volumes=True)
    for task in known.tasks:
        if task.node == action.target.name and task.state not in ENDED_TASK_STATES:
            yield from removal(task.ref, volumes=True)


def _installed(action: Any, _: TargetFacts) -> Iterator[Effect]:
    """The container is created again by its unit."""
    yield from removal(action.target)


def _created(action: create_container.CreateContainer, known: TargetFacts) -> Iterator[Effect]:
    """The image is pulled, and then an image that has its name now loses it."""
    if action.pull == "never":
        return
    name = image_names.with_default_tag(action.image)
    yield make_effect("image.pull", Ref(engine=action.engine, kind=Kind.IMAGE, id=name, name=name), certain=False)
    if action.pull == "always":
        yield from _moved_tag(action, known)


def _committed(action: inside_containers.CommitContainer, known: TargetFacts) -> Iterator[Effect]:
    if action.pauses:
        yield make_effect("container.pause", action.target)
    if action.tag:
        yield from _moved_tag(action, known)


def _pruned(action: prune.Prune, _: TargetFacts) -> Iterator[Effect]:
    for one in action.pinned:
        # An image goes with all its names, so a guard on any of them applies.
        names = one.names if one.ref.kind is Kind.IMAGE else ()
        for ref in [msgspec.structs.replace(one.ref, name=name) for name in names] or [one.ref]:
            yield make_effect(prune.REMOVALS[one.ref.kind], ref)


def _moved_tag(action: Any, known: TargetFacts) -> Iterator[Effect]:
    """An image that has this tag now loses it."""
    name = image_names.with_default_tag(action.tag if hasattr(action, "tag") else action.image)
    if "@" in name:
        return
    if known.images is None:
        yield make_effect(TAG, Ref(engine=action.engine, kind=Kind.IMAGE, id=f"{name} now", name=name), certain=False)
    for image in known.images or ():
        for ref in image.tag_refs:
            if image_names.normalise_image_name(
                image_names.with_default_tag(ref.name)
            ) == image_names.normalise_image_name(name):
                yield make_effect(TAG, ref, certain=False)


_REMOVAL = (REMOVE, REMOVE_VOLUME)
_NOTHING = VerbSideEffects()
TABLE: Mapping[str, VerbSideEffects] = {
    **dict.fromkeys(WITHOUT_EFFECTS, _NOTHING),
    "container.create": VerbSideEffects(also=_created, does=("image.pull", TAG), needs=(Kind.IMAGE,)),
    "container.stop": VerbSideEffects(ends=True, also=_stopped, does=_REMOVAL, needs=(Kind.CONTAINER,)),
    "container.kill": VerbSideEffects(ends=True, also=_signalled, does=_REMOVAL, needs=(Kind.CONTAINER,)),
    "container.restart": VerbSideEffects(ends=True, also=_restarted, does=_REMOVAL),
    "container.pause": VerbSideEffects(ends=True),
    # With less memory than it uses, a container is OOM-killed.
    "container.update": VerbSideEffects(ends=True, also=_executed, does=_REMOVAL),
    "container.remove": VerbSideEffects(ends=True, also=_removed_container, does=(REMOVE_VOLUME,)),
    # A program in a container can end it, and so can a failed health check of Podman (--health-on-failure).
    "container.exec": VerbSideEffects(ends=True, also=_executed, does=_REMOVAL),
    "container.healthcheck": VerbSideEffects(ends=True, also=_executed, does=_REMOVAL),
    "container.commit": VerbSideEffects(also=_committed, does=("container.pause", TAG), needs=(Kind.IMAGE,)),
    # Scaling up ends nothing; its effects say what scaling down ends.
    "service.scale": VerbSideEffects(also=_scaled, does=("service.scale", *_REMOVAL, "container.start")),
    "service.update": VerbSideEffects(ends=True, also=_updated_service, does=("service.update", *_REMOVAL)),
    "service.rollback": VerbSideEffects(ends=True, also=_replaced_service, does=("service.rollback", *_REMOVAL)),
    "service.remove": VerbSideEffects(ends=True, also=_replaced_service, does=("service.remove", *_REMOVAL)),
    "project.restart": VerbSideEffects(ends=True, also=_restarted_project, does=("container.restart",)),
    "pod.start": VerbSideEffects(also=_each_member("container.start"), does=("container.start",)),
    "pod.stop": VerbSideEffects(ends=True, also=_each_member(STOP, ends=True), does=(STOP, *_REMOVAL)),
    "pod.restart": VerbSideEffects(
        ends=True, also=_each_member("container.restart", ends=True), does=("container.restart", *_REMOVAL)
    ),
    "pod.pause": VerbSideEffects(ends=True, also=_each_member("container.pause"), does=("container.pause",)),
    "pod.unpause": VerbSideEffects(also=_each_member("container.unpause"), does=("container.unpause",)),
    "pod.remove": VerbSideEffects(ends=True, also=_removed_pod, does=_REMOVAL),
    "node.drain": VerbSideEffects(ends=True, also=_drained, does=_REMOVAL, needs=(Kind.TASK,)),
    "unit.enable": VerbSideEffects(also=_enabled, does=("container.start", *_REMOVAL)),
    "unit.disable": VerbSideEffects(also=_disabled, does=(STOP, *_REMOVAL)),
    "unit.disable-linger": VerbSideEffects(
        ends=True, also=_ended_with_login, does=(STOP, *_REMOVAL), needs=(Kind.CONTAINER,)
    ),
    # A container that is left from an earlier run is replaced when its unit starts.
    "unit.start": VerbSideEffects(also=_unit("container.start"), does=("container.start", *_REMOVAL)),
    "unit.stop": VerbSideEffects(ends=True, also=_unit(STOP), does=(STOP, *_REMOVAL)),
    "unit.restart": VerbSideEffects(ends=True, also=_unit("container.restart"), does=("container.restart", *_REMOVAL)),
    "unit.install": VerbSideEffects(ends=True, also=_installed, does=(REMOVE,)),
    **{
        kind.verb: VerbSideEffects(also=_pruned, does=tuple(prune.REMOVALS[each] for each in kind.kinds))
        for kind in prune.PRUNES
    },
    "image.pull": VerbSideEffects(also=_moved_tag, does=(TAG,), needs=(Kind.IMAGE,)),
    "image.tag": VerbSideEffects(also=_moved_tag, does=(TAG,), needs=(Kind.IMAGE,)),
}


def aspects(verb: str, risk: Risk) -> Iterator[tuple[str, Risk, bool]]:
    """Yields everything that guards may see an action with this verb as: a verb, its risk, and whether something
    ends."""
    each = TABLE.get(verb, _NOTHING)
    yield verb, risk, each.ends
    if not DESTROYING.isdisjoint(each.does):
        yield verb, Risk.DESTROY, True
    for other in each.does:
        if other != verb:
            yield other, Risk.DESTROY if other in DESTROYING else Risk.CHANGE, TABLE[other].ends


# What a guard on `ends` covers, besides actions with an effect that ends something.
ENDS = frozenset(verb for verb, each in TABLE.items() if each.ends)
