"""Validates the arguments of an action that creates or updates a service, before any engine is called."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from core import errors
from core.model.service_actions import CreateService, UpdateService
from core.model.service_settings import (
    ENDPOINT_MODES,
    MODES,
    ORDERS,
    RESTART_CONDITIONS,
    ROLLBACK_FAILURE_ACTIONS,
    UPDATE_FAILURE_ACTIONS,
    ServiceSettings,
)
from core.text import command_line
from runtimes.formats import image_reference

MAX_PORT, MAX_PORTS = 65_535, 100
PROTOCOLS = ("tcp", "udp", "sctp")
# The name of a service is also a host name.
_SERVICE_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?")
# What the kernel has for each container by itself, as Docker's own documentation lists it.
_SYSCTL = re.compile(
    r"net\.[a-z0-9_.-]{1,100}|fs\.mqueue\.[a-z_]{1,40}"
    r"|kernel\.(?:msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)",
    re.IGNORECASE,
)
_ULIMIT = re.compile(r"[a-z]{2,20}=-?[0-9]{1,18}(?::-?[0-9]{1,18})?")
_PREFERENCE = re.compile(r"spread=(?:node|engine)\.labels\.[\w.-]{1,100}", re.ASCII)
_LOG_DRIVER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_./:-]{0,127}")
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")


def check_create(action: CreateService) -> None:
    """Raises BadUsage for the first invalid argument."""
    image_reference.parse_image_reference(action.image)
    if action.name and not _SERVICE_NAME.fullmatch(action.name):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(action.name)}” cannot be the name of a service.",
            hint="Write at most 63 letters, digits, dashes, dots and underscores. The first and the last must be a"
            " letter or a digit.",
        )
    _one_of("--mode", action.mode, MODES)
    if action.replicas is not None and not action.mode.startswith("replicated"):
        raise errors.BadUsage(
            f"A {action.mode} service has no number of replicas.",
            hint=f"Leave out --replicas, or write --mode {action.mode.replace('global', 'replicated')}.",
        )
    _check(action.settings)


def check_update(action: UpdateService) -> None:
    """Raises BadUsage for the first invalid argument."""
    if action.settings.image:
        image_reference.parse_image_reference(action.settings.image)
    _check(action.settings)


def _check(settings: ServiceSettings) -> None:
    if any("\0" in text for text in _texts(settings)):
        raise errors.BadUsage("An argument of a service cannot contain a null byte.", hint="Remove this character.")
    check_variable_names(settings.environment)
    if len(settings.ports) > MAX_PORTS:
        raise errors.BadUsage(
            f"{len(settings.ports)} ports were given, and one command can publish at most {MAX_PORTS}.",
            hint="Give fewer ports. Publish the others with: service update NAME --publish-add PORT",
        )
    for port in settings.ports:
        if not 0 < port.target <= MAX_PORT or not 0 <= port.published <= MAX_PORT or port.protocol not in PROTOCOLS:
            raise errors.BadUsage(
                f"“{port.published}:{port.target}/{port.protocol}” is not a port that can be published.",
                hint="Write [HOST_PORT:]PORT[/PROTOCOL], such as 8080:80/udp. A port is at most"
                f" {MAX_PORT}; the protocol is {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}.",
            )
    for mount in settings.mounts:
        check_mount(mount.source, mount.target)
    _check_tasks(settings)
    _one_of("--endpoint-mode", settings.endpoint_mode, ENDPOINT_MODES)
    _one_of("--restart-condition", settings.restarts.condition, RESTART_CONDITIONS)
    _one_of("--update-failure-action", settings.update.failure_action, UPDATE_FAILURE_ACTIONS)
    _one_of("--rollback-failure-action", settings.rollback.failure_action, ROLLBACK_FAILURE_ACTIONS)
    for kind, rollout in (("update", settings.update), ("rollback", settings.rollback)):
        _one_of(f"--{kind}-order", rollout.order, ORDERS)
        ratio = rollout.max_failure_ratio
        if ratio is not None and not 0 <= ratio <= 1:
            raise errors.BadUsage(
                f"--{kind}-max-failure-ratio cannot be {ratio:g}.", hint="Write a number from 0 to 1."
            )


def _check_tasks(settings: ServiceSettings) -> None:
    for address in settings.name_servers.addresses:
        _check_address(address)
    for name, _ in settings.sysctls:
        if not _SYSCTL.fullmatch(name):
            raise errors.BadUsage(
                f"A service cannot set the kernel setting “{command_line.abbreviate(name)}”: each container has its"
                " own value only of some settings.",
                hint="Write a setting that begins with net. or fs.mqueue., or one of kernel.msgmax, kernel.msgmnb,"
                " kernel.msgmni, kernel.sem, kernel.shmall, kernel.shmmax, kernel.shmmni, kernel.shm_rmid_forced.",
            )
    for text in settings.ulimits:
        if not _ULIMIT.fullmatch(text):
            raise errors.BadUsage(
                f"--ulimit cannot be “{command_line.abbreviate(text)}”.",
                hint="Write NAME=SOFT or NAME=SOFT:HARD with two numbers, such as nofile=1024:2048.",
            )
    for text in settings.preferences:
        if not _PREFERENCE.fullmatch(text):
            raise errors.BadUsage(
                f"--placement-pref cannot be “{command_line.abbreviate(text)}”.",
                hint="Write spread=node.labels.LABEL or spread=engine.labels.LABEL, such as spread=node.labels.zone.",
            )
    if settings.log_driver.name and not _LOG_DRIVER.fullmatch(settings.log_driver.name):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(settings.log_driver.name)}” cannot be a log driver.",
            hint="Write the name of a log driver that the nodes have, such as json-file or local.",
        )


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise errors.BadUsage(
            f"The name server “{command_line.abbreviate(text)}” is not an IP address.",
            hint="Write an address of IPv4 or IPv6, such as --dns 10.0.0.53.",
        ) from error


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value and value not in allowed:
        raise errors.BadUsage(
            f"{option} cannot be “{command_line.abbreviate(value)}”.", hint=f"Write one of these: {', '.join(allowed)}."
        )


def _texts(settings: ServiceSettings) -> Iterator[str]:
    pairs = (*settings.environment, *settings.labels, *settings.container_labels, *settings.sysctls)
    pairs = (*pairs, *settings.log_driver.options)
    yield from (text for pair in pairs for text in pair)
    yield from (*settings.command, *settings.entrypoint, *settings.networks, *settings.constraints)
    yield from (text for mount in settings.mounts for text in (mount.source, mount.target))
    yield from (each.path for each in (*settings.secrets, *settings.configs))
    yield from (settings.user, settings.workdir, settings.hostname, settings.stop_signal, settings.health.command)
    yield from (*settings.capabilities, *settings.dropped_capabilities, *settings.groups)
    yield from (*settings.name_servers.searches, *settings.name_servers.options)


def check_variable_names(environment: Iterable[tuple[str, str]]) -> None:
    """Raises BadUsage for a variable whose name is empty or contains “=”. Its value is not shown: it may be secret."""
    for name, _ in environment:
        if not name:
            raise errors.BadUsage("An environment variable has no name.", hint="Write it as NAME=VALUE.")
        if "=" in name:
            raise errors.BadUsage(
                f"“{command_line.abbreviate(name)}” cannot be the name of a variable.",
                hint="Write it as NAME=VALUE, without “=” in the name.",
            )


def check_mount(source: str, target: str) -> None:
    """Raises BadUsage for a mount whose source is neither a volume nor a path, or whose target is not a path."""
    source, target, whole = command_line.abbreviate(source), command_line.abbreviate(target), source
    if not target.startswith("/"):
        raise errors.BadUsage(
            f"The mount of “{source}” at “{target}” is not valid: in the container, it needs an absolute path.",
            hint=f"Write a path in the container that begins with /, such as /{target.lstrip('/') or 'data'}.",
        )
    if whole and not whole.startswith("/") and not _VOLUME_NAME.fullmatch(whole):
        raise errors.BadUsage(
            f"The mount of “{source}” at “{target}” is not valid: “{source}” is neither a volume's name nor an absolute"
            " path.",
            hint="Write the name of a volume (letters, digits, dots, dashes and underscores), or a path of the host"
            " that begins with /.",
        )
