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
            f"The command names no program to run in {action.target.name}.",
            hint=f"Write the program after the container's name, such as: exec {action.target.name} ls",
        )
    texts = [*action.command, *(text for pair in action.environment for text in pair), action.workdir, action.user]
    if any("\0" in text for text in texts):
        raise errors.BadUsage("An argument contains a null byte.", hint="Remove this character.")
    if action.workdir and not action.workdir.startswith("/"):
        raise errors.BadUsage(
            f"The directory “{command_line.abbreviate(action.workdir)}” is not absolute.",
            hint="Write a path that begins with /, such as --workdir /tmp.",
        )
    service_validation.check_variable_names(action.environment)


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
    service_validation.check_variable_names(action.environment)
    for mount in access.mounts:
        service_validation.check_mount(mount.source, mount.target)
    for port in action.ports:
        _port(port)
    _restart_policy(action.restart)
    if action.pull not in PULL_POLICIES:
        raise errors.BadUsage(
            f"--pull cannot be “{action.pull}”.", hint=f"Write one of these: {', '.join(PULL_POLICIES)}."
        )


def _update(action: UpdateContainer) -> None:
    _restart_policy(action.restart)
    for what, limit, most in (
        ("The limit of memory, in bytes,", action.memory, 1 << 60),
        ("The limit of processors", action.cpus, 10_000),
        ("The limit of processes", action.pids, 1 << 60),
    ):
        if limit != UNLIMITED and not 0 <= limit < most:
            raise errors.BadUsage(
                f"{what} cannot be {limit}.",
                hint=f"Write a number that is less than {most}, or unlimited.",
            )


def _pod(action: CreatePod) -> None:
    _resource_name(action, "pod")
    if any("\0" in text for pair in action.labels for text in pair) or "\0" in action.network:
        raise errors.BadUsage("An argument of a pod cannot contain a null byte.", hint="Remove this character.")
    if action.network == "host" or ":" in action.network:
        raise errors.BadUsage(
            f"A pod cannot have the network “{command_line.abbreviate(action.network)}”: from chat, no pod can be"
            " created that shares the network of the host or of a container.",
            hint="Write the name of a network or none after --network, or leave --network out.",
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
            hint="Write no, always, unless-stopped or on-failure. For at most 3 restarts, write on-failure:3.",
        )


def _network(action: CreateNetwork) -> None:
    _resource_name(action, "network")
    subnet = _addresses("--subnet", action.subnet, "10.9.0.0/16")
    for option, text, example, fewest in (
        ("--ip-range", action.ip_range, "10.9.1.0/24", 4),
        ("--gateway", action.gateway, "10.9.0.1", 1),
    ):
        inside = _addresses(option, text, example)
        if inside is None:
            continue
        if subnet is None:
            raise errors.BadUsage(f"{option} needs --subnet.", hint="Add the subnet, such as --subnet 10.9.0.0/16.")
        if inside.version != subnet.version or not inside.subnet_of(subnet):
            raise errors.BadUsage(
                f"{option} is {text}, which is not in the subnet {subnet}.",
                hint=f"Choose addresses of {subnet}, or change --subnet.",
            )
        if inside.num_addresses < fewest:
            raise errors.BadUsage(
                f"{option} {text} has fewer than {fewest} addresses.", hint=f"Choose a larger part of {subnet}."
            )
    if action.driver not in NETWORK_DRIVERS:
        raise errors.BadUsage(
            f"A network cannot have the driver “{command_line.abbreviate(action.driver)}”.",
            hint=f"Write one of these: {', '.join(NETWORK_DRIVERS)}.",
        )
    if action.scope not in ("", "local", "global", "swarm"):
        raise errors.BadUsage(
            f"A network cannot have the scope “{command_line.abbreviate(action.scope)}”.",
            hint="Write one of these: local, global, swarm.",
        )


def _addresses(option: str, text: str, example: str) -> Any:
    try:
        return ipaddress.ip_network(text, strict=False) if text else None
    except ValueError as error:
        raise errors.BadUsage(
            f"{option} cannot be “{command_line.abbreviate(text)}”.",
            hint=f"Write addresses such as {option} {example}.",
        ) from error


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
            hint="Begin with a letter or a digit. Then write letters, digits, dots, dashes and underscores, in all at"
            " most 128 characters.",
        )


def _port(text: str) -> None:
    found = _PORT.fullmatch(text)
    if found is None or _too_many(found["inside"]) or _too_many(found["outside"] or ""):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(text)}” is not a port that can be published.",
            hint="Write [ADDRESS:][HOST_PORT:]PORT[/PROTOCOL], such as 8080:80 or 127.0.0.1:8080:80/udp. A port is at"
            f" most {MAX_PORT}. A range of ports, such as 8000-8010:8000-8010, has at most {MAX_PORTS}.",
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
            f"The image {id_[:12]} has no name, so it cannot be pushed.",
            hint=f"Give it the name that it has in the registry: tag {id_[:12]} NAME. Then push that name.",
        )
    if image_reference.parse_image_reference(action.target.name).digest:
        raise errors.BadUsage(
            f"{action.target.name} has no tag to push.",
            hint=f"Give the image a tag: tag {action.target.name} REPOSITORY:TAG. Then push REPOSITORY:TAG.",
        )


def _copy(action: inside_containers.CopyFile) -> None:
    path = action.path
    size = len(path.encode(errors="surrogateescape"))
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(path)}” must be an absolute path without “..”.",
            hint=f"Write a path that begins with /, such as {action.target.name}:/etc/hosts.",
        )
    if size > (most := inside_containers.MAX_PATH):
        raise errors.BadUsage(
            f"The path “{command_line.abbreviate(path)}” has {size} bytes, and at most {most} are allowed.",
            hint="Copy the file to a shorter path in the container first.",
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
            f"The new name “{command_line.abbreviate(action.tag)}” cannot contain a digest (@sha256:…).",
            hint="Write REPOSITORY[:TAG].",
        )


def _search(action: registry_reads.SearchImages) -> None:
    if not _TERM.fullmatch(action.term):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(action.term)}” cannot be searched for.",
            hint="Write a part of an image's name, such as nginx or registry.example:5000/web: a letter or a digit"
            " first, and no spaces.",
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
