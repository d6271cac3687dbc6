"""Converts the typed arguments of `service create` and `service update` into settings of a service.

The options are defined in service_options. Secrets and configs are looked up, so that a person can use only those that
they may list.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from commands._shared import service_values, targets
from commands.spec import Context
from core import errors
from core.model.refs import EngineRef, Kind
from core.model.service_settings import (
    Amount,
    HealthCheck,
    LogDriver,
    MountedValue,
    NameServers,
    PublishedPort,
    Removals,
    Rollout,
    ServiceSettings,
    TaskRestarts,
)
from core.ports import Query
from core.text import command_line

_VALUE_KEYS = {"src": "source", **{key: key for key in ("source", "target", "uid", "gid", "mode")}}


async def parse_service_settings(
    context: Context, engine: EngineRef, *, image: str, command: tuple[str, ...]
) -> ServiceSettings:
    """Returns the settings that were typed. Raises BadUsage, and the errors of the names that are looked up."""
    args = context.args
    health = HealthCheck(
        command=args["health_cmd"] or "",
        interval=_seconds(args, "health-interval"),
        timeout=_seconds(args, "health-timeout"),
        retries=_whole(args, "health-retries"),
        start_period=_seconds(args, "health-start-period"),
        disabled=args["no_healthcheck"],
    )
    if health.disabled and health != HealthCheck(disabled=True):
        raise errors.BadUsage(
            "--no-healthcheck and the other --health options cannot be combined.",
            hint="Leave out --no-healthcheck, or the other --health options.",
        )
    return ServiceSettings(
        image=image,
        command=command,
        entrypoint=words("--entrypoint", args["entrypoint"]),
        environment=tuple(service_values.parse_pair("--env", text) for text in _added(args, "env")),
        labels=tuple(service_values.label("--label", text) for text in _added(args, "label")),
        container_labels=tuple(
            service_values.label("--container-label", text) for text in _added(args, "container_label")
        ),
        ports=_ports(_added(args, "publish")),
        networks=tuple(map(_network, _added(args, "network"))),
        mounts=tuple(service_values.mount("--mount", text) for text in _added(args, "mount")),
        secrets=tuple([await _value(context, engine, Kind.SECRET, text) for text in _added(args, "secret")]),
        configs=tuple([await _value(context, engine, Kind.CONFIG, text) for text in _added(args, "config")]),
        constraints=_added(args, "constraint"),
        preferences=_added(args, "placement_pref"),
        max_per_node=_whole(args, "replicas-max-per-node"),
        limits=_amount(args, "limit"),
        reservations=_amount(args, "reserve"),
        user=args["user"] or "",
        workdir=args["workdir"] or "",
        hostname=args["hostname"] or "",
        stop_signal=args["stop_signal"] or "",
        stop_grace=_seconds(args, "stop-grace-period"),
        read_only=args["read_only"],
        init=args["init"],
        capabilities=args["cap_add"],
        dropped_capabilities=args["cap_drop"],
        restarts=TaskRestarts(
            condition=args["restart_condition"] or "",
            delay=_seconds(args, "restart-delay"),
            max_attempts=_whole(args, "restart-max-attempts"),
            window=_seconds(args, "restart-window"),
        ),
        update=_rollout_settings(args, "update"),
        rollback=_rollout_settings(args, "rollback"),
        health=health,
        endpoint_mode=args["endpoint_mode"] or "",
        name_servers=NameServers(
            addresses=_added(args, "dns"), searches=_added(args, "dns_search"), options=_added(args, "dns_option")
        ),
        sysctls=tuple(service_values.parse_pair("--sysctl", text) for text in _added(args, "sysctl")),
        ulimits=_added(args, "ulimit"),
        groups=_added(args, "group"),
        log_driver=_log_driver(args),
    )


def removals(context: Context) -> Removals:
    """Returns what the options `--…-rm` take away."""
    args = context.args
    return Removals(
        environment=args["env_rm"],
        labels=args["label_rm"],
        container_labels=args["container_label_rm"],
        ports=args["publish_rm"],
        networks=args["network_rm"],
        mounts=args["mount_rm"],
        secrets=args["secret_rm"],
        configs=args["config_rm"],
        constraints=args["constraint_rm"],
        preferences=args["placement_pref_rm"],
        name_servers=NameServers(
            addresses=args["dns_rm"], searches=args["dns_search_rm"], options=args["dns_option_rm"]
        ),
        sysctls=args["sysctl_rm"],
        ulimits=args["ulimit_rm"],
        groups=args["group_rm"],
    )


def words(option: str, text: str | None) -> tuple[str, ...]:
    """Splits a command line as a shell does. Raises BadUsage."""
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise errors.BadUsage(
            f"{option} “{command_line.abbreviate(text or '')}” cannot be split into words:"
            f" {'a quote is not closed' if 'quot' in str(error) else 'nothing follows the last backslash'}.",
            hint="Close the quote." if "quot" in str(error) else "Remove the backslash, or write two of them.",
        ) from error


def _added(args: Any, key: str) -> tuple[str, ...]:
    found: tuple[str, ...] = args.get(key) or args.get(f"{key}_add") or ()
    return found


def _ports(texts: Sequence[str]) -> tuple[PublishedPort, ...]:
    return tuple(port for text in texts for port in service_values.ports("--publish", text))


def _network(text: str) -> str:
    name = text.removeprefix("name=")
    if "=" in name or "," in name or ":" in name:
        raise errors.BadUsage(
            f"--network cannot be “{command_line.abbreviate(text)}”.",
            hint="Write only the name of a network, without options.",
        )
    return name


async def _value(context: Context, engine: EngineRef, kind: Kind, text: str) -> MountedValue:
    """`NAME`, or `source=NAME,target=PATH,uid=0,gid=0,mode=0400`."""
    option = f"--{kind}"
    given = service_values.fields(option, text, _VALUE_KEYS) if "=" in text else {"source": text}
    name = given.get("source", "")
    if not name:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(text)}” names no {kind}.", hint="Write NAME, or source=NAME,target=PATH."
        )
    found = await context.find.find(Query(names=(name,), engine=str(engine), kind=kind))
    if len(found) != 1:
        raise errors.Ambiguous(name, targets.display_names(found))
    return MountedValue(
        target=found[0],
        path=given.get("target", ""),
        uid=given.get("uid", ""),
        gid=given.get("gid", ""),
        mode=service_values.mode(kind, given.get("mode")),
    )


def _amount(args: Any, kind: str) -> Amount:
    return Amount(
        cpus=service_values.number(f"--{kind}-cpu", args[f"{kind}_cpu"]),
        memory=service_values.size(f"--{kind}-memory", args[f"{kind}_memory"]),
        pids=_whole(args, "limit-pids") if kind == "limit" else None,
    )


def _log_driver(args: Any) -> LogDriver:
    name, options = args["log_driver"] or "", args["log_opt"]
    if options and not name:
        raise errors.BadUsage("--log-opt needs --log-driver.", hint="Add the driver: --log-driver NAME")
    return LogDriver(name=name, options=tuple(service_values.parse_pair("--log-opt", text) for text in options))


def _rollout_settings(args: Any, kind: str) -> Rollout:
    return Rollout(
        parallelism=_whole(args, f"{kind}-parallelism"),
        delay=_seconds(args, f"{kind}-delay"),
        failure_action=args[f"{kind}_failure_action"] or "",
        monitor=_seconds(args, f"{kind}-monitor"),
        max_failure_ratio=service_values.number(
            f"--{kind}-max-failure-ratio", args[f"{kind}_max_failure_ratio"], "a number from 0 to 1, such as 0.25"
        ),
        order=args[f"{kind}_order"] or "",
    )


def _seconds(args: Any, name: str) -> float | None:
    return service_values.seconds(f"--{name}", args[name.replace("-", "_")])


def _whole(args: Any, name: str) -> int | None:
    return service_values.whole(f"--{name}", args[name.replace("-", "_")])
