"""Validates an action's arguments before any engine is called, so that all engines refuse the same mistakes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from core import errors
from core.model import actions, images, inside_containers, registry_reads
from core.model.create_container import PULL_POLICIES, RESTART_POLICIES, CreateContainer
from core.model.networks_and_volumes import CreateNetwork, CreateVolume
from core.model.pods import CreatePod
from core.model.rename_and_update import UNLIMITED, RenameContainer, UpdateContainer
from core.model.service_actions import CreateService, UpdateService
from core.text import command_line
from runtimes.base import service_validation
from runtimes.formats import image_reference, signals

NETWORK_DRIVERS = ("bridge", "overlay", "macvlan", "ipvlan")
MAX_PORT, MAX_PORTS = 65_535, 100
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}", re.ASCII)
_PLATFORM = re.compile(r"[a-z0-9]{1,20}/[a-z0-9_]{1,20}(?:/[a-z0-9.]{1,20})?", re.ASCII)
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_PORT = re.compile(
    r"(?:(?:(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-fA-F:]{2,45}\]):)?(?P<outside>[0-9]{1,5}(?:-[0-9]{1,5})?|):)?"
    r"(?P<inside>[0-9]{1,5}(?:-[0-9]{1,5})?)(?:/(?:tcp|udp|sctp))?"
)


def validate_arguments(action: actions.Action[Any]) -> None:
    """Checks the arguments of an action. Raises BadUsage for the first invalid one."""
    for field, meaning in _NOT_NEGATIVE.items():
        if (value := getattr(action, field, None)) is not None and value < 0:
            raise errors.BadUsage(f"{meaning} cannot be {value}.", hint="Write 0 or more.")
    if (validate := _CHECKS.get(type(action))) is not None:
        validate(action)


def _exec(action: inside_containers.Exec) -> None:
    if not action.command or not action.command[0]:
        raise errors.BadUsage(
            "The command names no program to run.",
            hint="Write the program after the container's name, such as: exec web ls",
        )
    texts = [*action.command, *(text for pair in action.environment for text in pair), action.workdir, action.user]
    if any("\0" in text for text in texts):
        raise errors.BadUsage("An argument of a program cannot contain a null byte.", hint="Remove this character.")
    if action.workdir and not action.workdir.startswith("/"):
        raise errors.BadUsage(
            f"The directory “{command_line.abbreviate(action.workdir)}” is not absolute.", hint="Write --workdir /PATH."
        )
    wrong = next((name for name, _ in action.environment if not name or "=" in name), None)
    if wrong is not None:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(wrong)}” cannot be the name of a variable.", hint="Write --env NAME=VALUE."
        )


def _kill(action: actions.Kill) -> None:
    signals.parse_signal_number(action.signal)


def _image(action: images.PullImage | CreateContainer) -> None:
    image_reference.parse_image_reference(action.image)


def _create(action: CreateContainer) -> None:
    _image(action)
    if action.name:
        _resource_name(action, "container")
    texts = [*action.command, *action.entrypoint, *(text for pair in action.environment for text in pair), action.user]
    texts += [*(text for pair in action.labels for text in pair), action.workdir, action.health, action.network]
    access = action.access
    texts += [text for mount in access.mounts for text in (mount.source, mount.target)]
    texts += [*access.devices, *access.capabilities, *access.security_options]
    if any("\0" in text for text in texts):
        raise errors.BadUsage("An argument contains a null byte.", hint="Remove this character.")
    if wrong := [name for name, _ in action.environment if "=" in name or not name]:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(wrong[0])}” cannot be the name of a variable.",
            hint="Write -e NAME=VALUE, without “=” in the name.",
        )
    for mount in access.mounts:
        if not mount.target.startswith("/") or (mount.source and not _is_mountable(mount.source)):
            raise errors.BadUsage(
                f"The mount of “{command_line.abbreviate(mount.source)}” at"
                f" “{command_line.abbreviate(mount.target)}” is not valid.",
                hint="Write the name of a volume or a path that begins with /, and a path in the"
                " container that begins with /.",
            )
    for port in action.ports:
        _port(port)
    _restart_policy(action.restart)
    if action.pull not in PULL_POLICIES:
        raise errors.BadUsage(
            f"--pull cannot be “{action.pull}”.", hint=f"Write one of these: {', '.join(PULL_POLICIES)}."
        )


def _update(action: UpdateContainer) -> None:
    _restart_policy(action.restart)
    limits = (action.memory, action.cpus, action.pids)
    negative = any(limit < 0 and limit != UNLIMITED for limit in limits)
    if negative or action.cpus >= 10_000 or action.memory >= 1 << 60:
        raise errors.BadUsage(f"The limit {action.description()} is too large.", hint="Write a smaller number.")


def _pod(action: CreatePod) -> None:
    _resource_name(action, "pod")
    if any("\0" in text for pair in action.labels for text in pair) or "\0" in action.network:
        raise errors.BadUsage("An argument of a pod cannot contain a null byte.", hint="Remove this character.")
    if action.network == "host" or ":" in action.network:
        raise errors.BadUsage(
            "A pod that shares the network of the host or of a container cannot be created from chat.",
            hint="Write the name of a network or none, or leave --network out.",
        )
    for port in action.ports:
        _port(port)
    if action.ports and not action.infra:
        raise errors.BadUsage(
            "A pod without an infra container publishes no ports.",
            hint="Leave out --infra false, or leave out --publish.",
        )


def _restart_policy(text: str) -> None:
    policy, colon, times = text.partition(":")
    valid = policy in RESTART_POLICIES and (policy == "on-failure" if colon else True)
    if text and not (valid and (not colon or (times.isdecimal() and len(times) < 6))):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(text)}” is not a restart policy.",
            hint="Write no, always, unless-stopped or on-failure:3.",
        )


def _network(action: CreateNetwork) -> None:
    _resource_name(action, "network")
    try:
        subnet = ipaddress.ip_network(action.subnet, strict=False) if action.subnet else None
        inside = [ipaddress.ip_network(text, strict=False) for text in (action.ip_range, action.gateway) if text]
    except ValueError as error:
        raise errors.BadUsage(
            f"The network's addresses are not valid: {error}.",
            hint="Write a subnet such as 10.9.0.0/16, and addresses inside it.",
        ) from error
    if inside and subnet is None:
        raise errors.BadUsage("--ip-range and --gateway need --subnet.", hint="Write the subnet too.")
    outside = next((each for each in inside if subnet and not _contains(subnet, each)), None)
    if outside is not None or (action.ip_range and inside[0].num_addresses < 4):
        raise errors.BadUsage(
            f"{outside or action.ip_range} is not a range of addresses in {action.subnet}.",
            hint="Write a range inside the subnet, such as 10.9.1.0/24 in 10.9.0.0/16.",
        )
    if action.driver not in NETWORK_DRIVERS:
        raise errors.BadUsage(
            f"A network cannot have the driver “{command_line.abbreviate(action.driver)}”.",
            hint=f"Use one of: {', '.join(NETWORK_DRIVERS)}",
        )
    if action.scope not in ("", "local", "global", "swarm"):
        raise errors.BadUsage(
            f"A network cannot have the scope “{command_line.abbreviate(action.scope)}”.",
            hint="Use one of: local, global, swarm",
        )


def _contains(subnet: Any, other: Any) -> bool:
    return bool(subnet.version == other.version and other.subnet_of(subnet))


def _resource_name(
    action: CreateNetwork | CreateVolume | CreateContainer | RenameContainer | CreatePod, kind: str
) -> None:
    if kind != "container" and action.name in ("host", "none"):
        raise errors.BadUsage(
            f"“{action.name}” is reserved and cannot be the name of a {kind}.", hint="Choose another name."
        )
    if not _CONTAINER_NAME.fullmatch(action.name):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(action.name)}” cannot be the name of a {kind}.",
            hint="Write letters, digits, dots, dashes and underscores.",
        )


def _is_mountable(source: str) -> bool:
    return source.startswith("/") or _CONTAINER_NAME.fullmatch(source) is not None


def _port(text: str) -> None:
    found = _PORT.fullmatch(text)
    if found is None or _too_many(found["inside"]) or _too_many(found["outside"] or ""):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(text)}” is not a port that can be published.",
            hint=f"Write 8080:80, 127.0.0.1:8080:80/udp or 80; a range has at most {MAX_PORTS} ports up to {MAX_PORT}.",
        )


def _too_many(ports: str) -> bool:
    """Whether `80` or `80-90` is no range of MAX_PORTS ports at most."""
    first, dash, last = ports.partition("-")
    numbers = [int(number) for number in (first, last) if number]
    if any(number > MAX_PORT for number in numbers):
        return True
    return bool(dash) and not 0 <= numbers[1] - numbers[0] < MAX_PORTS


def _push(action: images.PushImage) -> None:
    name, id_ = action.target.name.removeprefix("sha256:"), action.target.id.removeprefix("sha256:")
    if not name or id_.startswith(name):
        raise errors.BadUsage(
            "An image without a name cannot be pushed.", hint="Give the image a name with `tag`, and push that name."
        )
    if image_reference.parse_image_reference(action.target.name).digest:
        raise errors.BadUsage(
            f"{action.target.name} has no tag to push.", hint="Give the image a name with `tag`, and push that name."
        )


def _copy(action: inside_containers.CopyFile) -> None:
    path = action.path
    size = len(path.encode(errors="surrogateescape"))
    if not path.startswith("/") or "\0" in path or ".." in path.split("/") or size > inside_containers.MAX_PATH:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(path)}” must be an absolute path without “..”.",
            hint="Write NAME:/PATH/TO/FILE.",
        )


def _commit(action: inside_containers.CommitContainer) -> None:
    if any("\0" in text for text in (action.message, action.author, *action.changes)):
        raise errors.BadUsage(
            "The message, author and changes of an image cannot contain a null byte.", hint="Remove this character."
        )
    if action.tag:
        _tag(action)


def _tag(action: images.TagImage | inside_containers.CommitContainer) -> None:
    if image_reference.parse_image_reference(action.tag).digest:
        raise errors.BadUsage(
            "A new name of an image cannot contain a digest (@sha256:…).", hint="Write REPOSITORY[:TAG]."
        )


def _search(action: registry_reads.SearchImages) -> None:
    if not _TERM.fullmatch(action.term):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(action.term)}” cannot be searched for.",
            hint="Write a part of an image's name, such as nginx or registry.example:5000/web.",
        )


def _remote(action: registry_reads.InspectRemoteImage) -> None:
    image_reference.parse_image_reference(action.image)
    if action.platform and not _PLATFORM.fullmatch(action.platform):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(action.platform)}” is not a platform.",
            hint="Write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64 or linux/arm/v7.",
        )


_NOT_NEGATIVE = {
    "tail": "The number of lines",
    "timeout": "A timeout in seconds",
    "replicas": "The number of replicas",
}
_CHECKS: Mapping[type, Callable[[Any], None]] = {
    inside_containers.CommitContainer: _commit,
    inside_containers.CopyFile: _copy,
    inside_containers.Exec: _exec,
    actions.Kill: _kill,
    CreateContainer: _create,
    CreateNetwork: _network,
    CreatePod: _pod,
    RenameContainer: lambda action: _resource_name(action, "container"),
    UpdateContainer: _update,
    CreateVolume: lambda action: _resource_name(action, "volume"),
    images.PullImage: _image,
    images.PushImage: _push,
    images.TagImage: _tag,
    CreateService: service_validation.check_create,
    UpdateService: service_validation.check_update,
    registry_reads.SearchImages: _search,
    registry_reads.InspectRemoteImage: _remote,
}
