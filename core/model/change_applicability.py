"""Decides from a resource's state whether a change has anything to do, and formats the state as text.

The rows come from the lists of engines. If a state is unknown to this module, the change is still sent to the engine,
which then decides. Times are unix seconds.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any

from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.containers import Container
from core.model.images import Image
from core.model.networks_and_volumes import Network
from core.model.pods import Pod
from core.model.services import Service
from core.model.swarm import Node
from core.model.units import Unit

ENDED = frozenset({"created", "exited", "dead", "stopped", "configured", "initialized"})
"""States in which a container or pod has no processes, of all engines."""
RUNS_ONCE = {
    "cri": "If the pod's restart policy allows it, the kubelet creates a new container. See it with: ps",
    "oci": "Delete the container, and run its bundle again",
}
"""Kinds of engines that do not start a container again, with what helps."""
_NAMES = {"cri": "a CRI engine", "oci": "an OCI runtime"}
NEEDS_PROCESS = {"cri", "oci", "containerd"}
"""Kinds of engines that change the limits only of a container that runs."""
KEEPS_PAUSED = frozenset({"podman"})
"""Kinds of engines that do not stop a paused container. A paused pod they leave as it is, and report no error."""
PREDEFINED_NETWORKS = {"docker": frozenset({"bridge", "host", "none"}), "podman": frozenset({"podman"})}
NOT_REMOVABLE = frozenset({"running", "paused", "restarting"})
_COMPLETE = re.compile(r"(?:Exited|Restarting) \((-?\d+)\) (.+)")
_HEALTH = re.compile(r"(.+) \((?:health: )?(\w+)\)")


class ChangeFit(enum.Enum):
    """What a change can do with a resource in its present state.

    ACTS: the engine is asked. DONE: there is nothing to do. IDLE: the change would start what does not run, or would
    fail; whoever names a group does not mean it. REFUSED: the engine would refuse.
    """

    ACTS = "acts"
    DONE = "done"
    IDLE = "idle"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """`phrase`: continues a name, such as `is not running`. `hint`: what would help, with NAME for the name.
    `is_error`: with IDLE, the engine would refuse the change."""

    fit: ChangeFit
    phrase: str = ""
    hint: str = ""
    is_error: bool = False

    @property
    def fails(self) -> bool:
        """Whether the engine would refuse the change."""
        return self.fit is ChangeFit.REFUSED or self.is_error


ACTS = Finding(ChangeFit.ACTS)
_IDLE = Finding(ChangeFit.IDLE, "is not running")
_CANNOT_PAUSE = Finding(ChangeFit.IDLE, "is not running", "Only what runs can be paused", is_error=True)
_STOPPED = Finding(ChangeFit.DONE, "is not running")
_RUNNING = Finding(ChangeFit.DONE, "is running already")


def find(action: Action[Any], row: Any) -> Finding:
    """Returns what the action can do with its target, whose row of a list is `row`."""
    rule = _RULES.get(action.verb)
    return ACTS if rule is None or row is None else rule(action, row)


def _start(_: Any, row: Container | Pod) -> Finding:
    if row.state == "paused":
        return Finding(ChangeFit.REFUSED, "is paused", f"Resume it with: {_prefix(row)}unpause NAME")
    if isinstance(row, Container) and row.state == "exited" and row.ref.engine.kind in RUNS_ONCE:
        return Finding(
            ChangeFit.REFUSED,
            f"has ended, and {_NAMES[row.ref.engine.kind]} cannot start a container again",
            RUNS_ONCE[row.ref.engine.kind],
        )
    return _RUNNING if row.state == "running" else ACTS


def _kill(_: Any, row: Container) -> Finding:
    return _STOPPED if row.state in ENDED else ACTS


def _stop(_: Any, row: Container | Pod) -> Finding:
    return _STOPPED if row.state in ENDED else _unless_paused(row)


def _restart(_: Any, row: Container | Pod) -> Finding:
    return _IDLE if row.state in ENDED else _unless_paused(row)


def _unless_paused(row: Container | Pod) -> Finding:
    if row.state != "paused" or row.ref.engine.kind not in KEEPS_PAUSED:
        return ACTS
    return Finding(ChangeFit.REFUSED, "is paused", f"Resume it with: {_prefix(row)}unpause NAME")


def _pause(_: Any, row: Container | Pod) -> Finding:
    if row.state == "paused":
        return Finding(ChangeFit.DONE, "is paused already")
    return _CANNOT_PAUSE if row.state in ENDED else ACTS


def _unpause(_: Any, row: Container | Pod) -> Finding:
    return Finding(ChangeFit.DONE, "is not paused") if row.state == "running" or row.state in ENDED else ACTS


def _remove(action: Any, row: Container) -> Finding:
    if action.force or row.state not in NOT_REMOVABLE:
        return ACTS
    return Finding(ChangeFit.REFUSED, f"is {row.state}", "Stop it first, or kill and remove it with: rm -f NAME")


def _run_inside(_: Any, row: Container) -> Finding:
    if row.state == "paused":
        return Finding(ChangeFit.REFUSED, "is paused", "Resume it with: unpause NAME")
    return Finding(ChangeFit.REFUSED, "is not running", "Start it with: start NAME") if row.state in ENDED else ACTS


def _update(_: Any, row: Container) -> Finding:
    fails = row.state == "exited" and row.ref.engine.kind in NEEDS_PROCESS
    return Finding(ChangeFit.REFUSED, "is not running", "Start it first") if fails else ACTS


def _remove_network(_: Any, row: Network) -> Finding:
    own = row.ref.name in PREDEFINED_NETWORKS.get(row.ref.engine.kind, ())
    return Finding(ChangeFit.REFUSED, "is built in and cannot be removed") if own else ACTS


def _remove_pod(action: Any, row: Pod) -> Finding:
    if action.force:
        return ACTS
    if row.state == "paused" and row.ref.engine.kind in KEEPS_PAUSED:
        return Finding(ChangeFit.REFUSED, "is paused", "Resume and stop it first, or remove it with: pod rm -f NAME")
    if not row.running:
        return ACTS
    number = f"{row.running} running containers" if row.running > 1 else "a running container"
    return Finding(ChangeFit.REFUSED, f"has {number}", "Stop the pod first, or remove it with: pod rm -f NAME")


def _start_unit(_: Any, row: Unit) -> Finding:
    return _RUNNING if (row.active, row.sub) == ("active", "running") else ACTS


def _stop_unit(_: Any, row: Unit) -> Finding:
    return _STOPPED if row.active == "inactive" else ACTS


def _restart_unit(_: Any, row: Unit) -> Finding:
    return _IDLE if row.active in ("inactive", "failed") else ACTS


def _enable_unit(action: Any, row: Unit) -> Finding:
    done = row.enabled == "enabled" and (not action.now or row.active == "active")
    return Finding(ChangeFit.DONE, "is enabled already") if done else ACTS


def _disable_unit(action: Any, row: Unit) -> Finding:
    done = row.enabled == "disabled" and (not action.now or row.active == "inactive")
    return Finding(ChangeFit.DONE, "is disabled already") if done else ACTS


def _drain(_: Any, row: Node) -> Finding:
    # Its last tasks may still move.
    return Finding(ChangeFit.DONE, "is drained already") if row.availability == "drain" and row.tasks == 0 else ACTS


def _activate(_: Any, row: Node) -> Finding:
    return Finding(ChangeFit.DONE, "is active already") if row.availability == "active" else ACTS


def _scale(action: Any, row: Service) -> Finding:
    if action.replicas != row.running or row.desired not in (None, row.running):
        return ACTS
    number = "1 replica" if row.running == 1 else f"{row.running} replicas"
    # A worker knows only its own tasks, and containers that do not run may be left of a Compose service.
    known = row.mode == "replicated" or (row.mode == "compose" and len(row.members) == row.running)
    return Finding(ChangeFit.DONE, f"has {number} already") if known else ACTS


def _remove_image(action: Any, row: Image) -> Finding:
    # With another tag left, only the tag is removed, which containers do not need.
    if action.force or not row.containers or len(row.tags) > 1:
        return ACTS
    users = "a container" if row.containers == 1 else f"{row.containers} containers"
    return Finding(ChangeFit.REFUSED, f"is used by {users}", "Remove what uses it first. See it with: ps -a")


_RULES: Mapping[str, Callable[[Any, Any], Finding]] = {
    "container.start": _start,
    "container.stop": _stop,
    "container.kill": _kill,
    "container.restart": _restart,
    "container.pause": _pause,
    "container.unpause": _unpause,
    "container.remove": _remove,
    "container.exec": _run_inside,
    "container.healthcheck": _run_inside,
    "container.update": _update,
    "network.remove": _remove_network,
    "pod.start": _start,
    "pod.stop": _stop,
    "pod.restart": _restart,
    "pod.pause": _pause,
    "pod.unpause": _unpause,
    "pod.remove": _remove_pod,
    "unit.start": _start_unit,
    "unit.stop": _stop_unit,
    "unit.restart": _restart_unit,
    "unit.enable": _enable_unit,
    "unit.disable": _disable_unit,
    "node.drain": _drain,
    "node.activate": _activate,
    "service.scale": _scale,
    "image.remove": _remove_image,
}


def _prefix(row: Any) -> str:
    return "pod " if isinstance(row, Pod) else ""


def state_word(row: Any) -> str:
    """Returns the state in one or two words, by which resources are counted: `running`, `not running`; empty if the
    kind has none."""
    match row:
        case Container() | Pod():
            return "not running" if row.state in ENDED else row.state
        case Unit():
            return row.active
        case Node():
            return row.availability if row.state == "ready" else row.state
        case Service():
            return "running" if row.running else "not running"
    return ""


def describe(row: Any, now: float) -> str:
    """Returns the state in words, with its age where it is known: `exited 2 hours ago, exit code 137`; empty if nothing
    is known."""
    match row:
        case Container():
            return _describe_container(row, now)
        case Pod():
            return f"{row.state}, {row.running} of {_count(len(row.members), 'container')} running"
        case Service():
            of = "" if row.desired is None else f" of {row.desired}"
            return f"{row.running}{of} {'replica' if row.desired == 1 else 'replicas'} running"
        case Unit():
            return f"{row.active}, {row.enabled}" if row.enabled else row.active
        case Node():
            tasks = "" if row.tasks is None else f", {_count(row.tasks, 'task')} running"
            return f"{row.state}, {row.availability}{tasks}"
        case Image():
            return "" if row.containers is None else f"used by {_count(row.containers, 'container')}"
    return ""


def _describe_container(row: Container, now: float) -> str:
    if row.state == "created":
        return "never started"
    if found := _COMPLETE.fullmatch(row.status):
        code = f", exit code {found[1]}" if found[1] != "0" else ""
        return f"{row.state} {found[2].lower()}{code}"
    if row.state in ENDED and row.finished_at:
        return f"{row.state} {_age(now - row.finished_at)} ago"
    if found := _HEALTH.fullmatch(row.status):
        return f"{found[1]}, {found[2]}".lower()
    return row.status.lower() or row.state


def _age(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return _count(int(seconds // size), unit)
    return _count(max(0, int(seconds)), "second")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
