"""Validates the arguments of an action that creates or updates a service, before any engine is called."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

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
            hint="Write at most 63 letters, digits, dashes, dots and underscores.",
        )
    _one_of("--mode", action.mode, MODES)
    if action.replicas is not None and not action.mode.startswith("replicated"):
        raise errors.BadUsage(
            f"A {action.mode} service has no number of replicas.", hint="Leave out --replicas, or --mode."
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
    if any("=" in name or not name for name, _ in settings.environment):
        raise errors.BadUsage("The name of a variable cannot be empty or contain “=”.", hint="Write NAME=VALUE.")
    if len(settings.ports) > MAX_PORTS:
        raise errors.BadUsage(
            f"{len(settings.ports)} ports were given, and one command can publish at most {MAX_PORTS}.",
            hint="Give fewer ports.",
        )
    for port in settings.ports:
        if not 0 < port.target <= MAX_PORT or not 0 <= port.published <= MAX_PORT or port.protocol not in PROTOCOLS:
            raise errors.BadUsage(
                f"“{port.published}:{port.target}/{port.protocol}” is not a port that can be published.",
                hint=f"Write 8080:80 or 8080:80/udp, with ports up to {MAX_PORT}.",
            )
    for mount in settings.mounts:
        source = mount.source
        if not mount.target.startswith("/") or (source and not source.startswith("/") and not _is_volume(source)):
            raise errors.BadUsage(
                f"The mount of “{command_line.abbreviate(source)}” at “{command_line.abbreviate(mount.target)}” is not"
                " valid.",
                hint="Write type=volume,source=NAME,target=/PATH.",
            )
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
                f"A service cannot set “{command_line.abbreviate(name)}”, because this kernel setting applies to the"
                " whole host.",
                hint="Write a setting of the container itself, such as net.core.somaxconn or kernel.shmmax.",
            )
    for text in settings.ulimits:
        if not _ULIMIT.fullmatch(text):
            raise errors.BadUsage(
                f"--ulimit cannot be “{command_line.abbreviate(text)}”.", hint="Write NAME=SOFT or NAME=SOFT:HARD."
            )
    for text in settings.preferences:
        if not _PREFERENCE.fullmatch(text):
            raise errors.BadUsage(
                f"--placement-pref cannot be “{command_line.abbreviate(text)}”.",
                hint="Write the label of the nodes, such as spread=node.labels.zone.",
            )
    if settings.log_driver.name and not _LOG_DRIVER.fullmatch(settings.log_driver.name):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(settings.log_driver.name)}” cannot be a log driver.",
            hint="Write the name of one, such as json-file or local.",
        )


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise errors.BadUsage(
            f"The name server “{command_line.abbreviate(text)}” is not an IP address.",
            hint="Write one such as 10.0.0.53.",
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


def _is_volume(source: str) -> bool:
    return _VOLUME_NAME.fullmatch(source) is not None
