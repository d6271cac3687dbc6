"""Builds the specification of a Swarm service with the Python package `docker`: a new one, or an existing one with
changes.

Only the settings that the action names are changed; everything else is sent back to the Swarm unchanged. Lists get new
entries; an entry with the same name, path or published port replaces the old one. The package knows the format. If it
refuses a value, BadUsage is raised with its message. The package is loaded at the first use, so call
`load_docker_package` in a thread before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core import errors
from core.model import host_access
from core.model.service_actions import CreateService, UpdateService
from core.model.service_settings import (
    NO_AMOUNT,
    NO_DRIVER,
    NO_RESTARTS,
    NO_ROLLOUT,
    NOTHING_REMOVED,
    Amount,
    PublishedPort,
    Removals,
    Rollout,
    ServiceSettings,
    TaskRestarts,
)
from runtimes.swarm import container_specs
from runtimes.swarm.container_specs import NANOSECONDS, nanoseconds
from runtimes.swarm.service_updates import PinnedImage

# What the Swarm does without a setting, as `docker service create --help` says.
DEFAULT_RESTARTS = {"Condition": "any", "Delay": 5 * NANOSECONDS, "MaxAttempts": 0, "Window": 0}
DEFAULT_ROLLOUT = {"Parallelism": 1, "FailureAction": "pause"}
Names = Mapping[str, str]


def load_docker_package() -> Any:
    """Returns the `docker` package. The first call takes 100 ms and 10 MB."""
    import docker  # noqa: PLC0415 (see above)

    return docker


def new_spec(action: CreateService, image: PinnedImage, labels: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body of `POST /services/create`. `labels`: those to add to the action's own. Raises BadUsage."""
    with _Refusals("help service create") as docker:
        replicas = action.replicas
        if replicas is None and action.mode.startswith("replicated"):
            replicas = 1
        mode = docker.types.ServiceMode(action.mode, replicas)
        base = {
            "Name": action.name,
            "Labels": dict(labels),
            "TaskTemplate": {},
            # The package writes `replicated`, and the Swarm `Replicated`.
            "Mode": {key[:1].upper() + key[1:]: value for key, value in mode.items()},
        }
        if not action.name:
            del base["Name"]
        spec = _changed(docker, base, action.settings, NOTHING_REMOVED, image=image, networks={})
        if host_access.HOST in action.settings.networks and not action.settings.ports:
            spec.setdefault("EndpointSpec", {}).setdefault("Mode", "dnsrr")  # the network `host` has no virtual IP
        return spec


def changed_spec(
    action: UpdateService, spec: Mapping[str, Any], image: PinnedImage | None, networks: Names
) -> dict[str, Any]:
    """Returns a specification with the changes of the action. `image`: the new one; None: unchanged. `networks`: the
    names of the networks of the specification, by id. Raises BadUsage and UserError."""
    with _Refusals("help service update") as docker:
        changed = _changed(docker, spec, action.settings, action.removals, image=image, networks=networks)
        if action.force:
            template = changed["TaskTemplate"]
            changed["TaskTemplate"] = {**template, "ForceUpdate": int(template.get("ForceUpdate") or 0) + 1}
        if action.replicas is not None:
            changed["Mode"] = {"Replicated": {"Replicas": action.replicas}}
        return changed


class _Refusals:
    """Turns the errors of the package into BadUsage. `where`: the help that shows how to write it."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> Any:
        self._docker = load_docker_package()
        return self._docker

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, self._docker.errors.DockerException | TypeError | ValueError):
            raise errors.BadUsage(f"{str(error).rstrip('.')}.", hint=f"See the examples in: {self._where}") from error


def _changed(
    docker: Any,
    spec: Mapping[str, Any],
    settings: ServiceSettings,
    removals: Removals,
    *,
    image: PinnedImage | None,
    networks: Names,
) -> dict[str, Any]:
    types, template = docker.types, dict(spec.get("TaskTemplate") or {})
    container = template.get("ContainerSpec") or {}
    if image is not None and image.name != container.get("Image"):
        place = {key: value for key, value in (template.get("Placement") or {}).items() if key != "Platforms"}
        template["Placement"] = {**place, **types.Placement(platforms=list(image.platforms))}
    name = image.name if image is not None else ""
    template["ContainerSpec"] = container_specs.change_container_spec(docker, container, settings, removals, name)
    if (settings.limits, settings.reservations) != (NO_AMOUNT, NO_AMOUNT):
        old = template.get("Resources") or {}
        template["Resources"] = {
            **old,
            "Limits": {**(old.get("Limits") or {}), **_amount(docker, settings.limits)},
            "Reservations": {**(old.get("Reservations") or {}), **_amount(docker, settings.reservations)},
        }
    if settings.restarts != NO_RESTARTS:
        template["RestartPolicy"] = _restarts(types, template.get("RestartPolicy") or {}, settings.restarts)
    if settings.constraints or removals.constraints:
        place = template.get("Placement") or {}
        kept = [one for one in place.get("Constraints") or () if one not in removals.constraints]
        wanted = list(dict.fromkeys([*kept, *settings.constraints]))
        template["Placement"] = {**place, **types.Placement(constraints=wanted)}
    if settings.preferences or removals.preferences or settings.max_per_node is not None:
        template["Placement"] = _placement(template.get("Placement") or {}, settings, removals)
    if settings.log_driver != NO_DRIVER:
        driver = settings.log_driver
        template["LogDriver"] = dict(types.DriverConfig(driver.name, options=dict(driver.options) or None))
    if settings.networks or removals.networks:
        kept = [one for one in _networks(spec) if _name(one, networks) not in removals.networks]
        there = [_name(one, networks) for one in kept]
        added = [dict(types.NetworkAttachmentConfig(name)) for name in settings.networks if name not in there]
        template["Networks"] = [*kept, *added]
    changed = {**spec, "TaskTemplate": template}
    changed["Labels"] = container_specs.merged_names(spec.get("Labels") or {}, settings.labels, removals.labels)
    if settings.networks or removals.networks:
        changed.pop("Networks", None)  # where old clients have put them
    if settings.update != NO_ROLLOUT:
        changed["UpdateConfig"] = _rollout(types.UpdateConfig, spec.get("UpdateConfig") or {}, settings.update)
    if settings.rollback != NO_ROLLOUT:
        changed["RollbackConfig"] = _rollout(types.RollbackConfig, spec.get("RollbackConfig") or {}, settings.rollback)
    if settings.ports or removals.ports or settings.endpoint_mode:
        end = spec.get("EndpointSpec") or {}
        ports = _ports(end.get("Ports") or (), settings.ports, removals.ports)
        mode = settings.endpoint_mode or end.get("Mode")
        changed["EndpointSpec"] = {**end, **types.EndpointSpec(mode=mode, ports=ports), "Ports": ports}
    return changed


def _amount(docker: Any, amount: Amount) -> dict[str, Any]:
    made = docker.types.Resources(
        cpu_limit=None if amount.cpus is None else round(amount.cpus * NANOSECONDS),
        mem_limit=docker.utils.parse_bytes(amount.memory) if amount.memory else None,
    )
    pids = {} if amount.pids is None else {"Pids": amount.pids}
    return {**(made.get("Limits") or {}), **pids}


def _placement(old: Mapping[str, Any], settings: ServiceSettings, removals: Removals) -> dict[str, Any]:
    changed = dict(old)
    if settings.preferences or removals.preferences:
        labels = [(one.get("Spread") or {}).get("SpreadDescriptor") for one in old.get("Preferences") or ()]
        wanted = [f"spread={label}" for label in labels if label] + list(settings.preferences)
        changed["Preferences"] = [
            {"Spread": {"SpreadDescriptor": text.removeprefix("spread=")}}
            for text in dict.fromkeys(wanted)
            if text not in removals.preferences
        ]
    if settings.max_per_node is not None:
        changed["MaxReplicas"] = settings.max_per_node
    return changed


def _restarts(types: Any, old: Mapping[str, Any], restarts: TaskRestarts) -> dict[str, Any]:
    merged = {**DEFAULT_RESTARTS, **old}
    return dict(
        types.RestartPolicy(
            condition=restarts.condition or merged["Condition"],
            delay=merged["Delay"] if restarts.delay is None else nanoseconds(restarts.delay),
            max_attempts=merged["MaxAttempts"] if restarts.max_attempts is None else restarts.max_attempts,
            window=merged["Window"] if restarts.window is None else nanoseconds(restarts.window),
        )
    )


def _rollout(make: Any, old: Mapping[str, Any], rollout: Rollout) -> dict[str, Any]:
    merged = {**DEFAULT_ROLLOUT, **old}
    given = {
        "Parallelism": rollout.parallelism,
        "Delay": nanoseconds(rollout.delay),
        "FailureAction": rollout.failure_action or None,
        "Monitor": nanoseconds(rollout.monitor),
        "MaxFailureRatio": rollout.max_failure_ratio,
        "Order": rollout.order or None,
    }
    merged |= {key: value for key, value in given.items() if value is not None}
    made = make(
        parallelism=merged["Parallelism"],
        delay=merged.get("Delay"),
        failure_action=merged["FailureAction"],
        monitor=merged.get("Monitor"),
        max_failure_ratio=merged.get("MaxFailureRatio"),
        order=merged.get("Order"),
    )
    return dict(made)


def _ports(
    old: Iterable[Mapping[str, Any]], given: Sequence[PublishedPort], removed: Sequence[str]
) -> list[dict[str, Any]]:
    gone = {text if "/" in text else f"{text}/tcp" for text in removed}
    outside = {(port.published, port.protocol) for port in given if port.published}
    added = [_port(port) for port in given]
    kept = [
        dict(one)
        for one in old
        if one in added
        or (
            f"{one.get('TargetPort')}/{one.get('Protocol') or 'tcp'}" not in gone
            and (one.get("PublishedPort"), one.get("Protocol") or "tcp") not in outside
        )
    ]
    return [*kept, *(one for one in added if one not in kept)]


def _port(port: PublishedPort) -> dict[str, Any]:
    published = {"PublishedPort": port.published} if port.published else {}
    mode = "host" if port.on_host else "ingress"
    return {"Protocol": port.protocol, "TargetPort": port.target, "PublishMode": mode, **published}


def _networks(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    template = spec.get("TaskTemplate") or {}
    return [dict(one) for one in (template.get("Networks") or spec.get("Networks") or ())]


def _name(network: Mapping[str, Any], names: Names) -> str:
    target = str(network.get("Target") or "")
    return names.get(target, target)
