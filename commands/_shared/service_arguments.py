"""Defines the options of `service create` and `service update`, and turns their words into settings of a service.

The options have the names of `docker service`. A list has one option in `create` (`--env`), and two in `update`
(`--env-add`, `--env-rm`). Secrets and configs are looked up, so that only those can be given that the requester may
list.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from commands._shared import service_values
from commands.spec import Arg, ArgType, Context
from core import errors
from core.model.refs import EngineRef, Kind
from core.model.service_settings import (
    ENDPOINT_MODES,
    ORDERS,
    RESTART_CONDITIONS,
    ROLLBACK_FAILURE_ACTIONS,
    UPDATE_FAILURE_ACTIONS,
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

MAX_TIMEOUT_SECONDS = 1_800
_VALUE_KEYS = {"src": "source", **{key: key for key in ("source", "target", "uid", "gid", "mode")}}
# Option, its letter in `create`, the value, what it adds, and what `-rm` takes.
_LISTS = (
    ("env", "e", "NAME=VALUE", "an environment variable", "NAME"),
    ("publish", "p", "[PORT:]PORT[/udp]", "a published port; also published=8080,target=80,mode=host", "PORT[/udp]"),
    ("label", "l", "NAME=VALUE", "a label of the service", "NAME"),
    ("container-label", "", "NAME=VALUE", "a label of the service's containers", "NAME"),
    ("network", "", "NAME", "a network; host needs host.reach", "NAME"),
    ("mount", "", "type=volume,source=NAME,target=/PATH", "a volume; type=bind needs host.reach", "/PATH"),
    ("secret", "", "NAME", "a secret, which the containers get as a file; needs secret.use", "NAME"),
    ("config", "", "NAME", "a config, which the containers get as a file; needs config.use", "NAME"),
    ("constraint", "", "EXPRESSION", "a constraint for its nodes, such as node.role==worker", "EXPRESSION"),
    ("placement-pref", "", "spread=LABEL", "a label of the nodes to spread its tasks over", "spread=LABEL"),
    ("dns", "", "IP", "a name server", "IP"),
    ("dns-search", "", "DOMAIN", "a domain in which short names are looked up", "DOMAIN"),
    ("dns-option", "", "OPTION", "an option of the name lookup, such as ndots:2", "OPTION"),
    ("sysctl", "", "NAME=VALUE", "a kernel setting of the containers' own network or memory", "NAME"),
    ("ulimit", "", "NAME=SOFT[:HARD]", "a limit of each process, such as nofile=4096", "NAME"),
    ("group", "", "GROUP", "a further group of the user", "GROUP"),
)


def _option(name: str, help_text: str, placeholder: str = "", **more: Any) -> Arg:
    return Arg(name=f"--{name}", help=help_text, placeholder=placeholder, **more)


def _rollout(kind: str, actions: Sequence[str]) -> Sequence[Arg]:
    what = "an update" if kind == "update" else "a rollback"
    return (
        _option(f"{kind}-parallelism", f"number of tasks that {what} replaces at once; 0: all", "COUNT"),
        _option(f"{kind}-delay", f"time between two steps of {what}, such as 10s", "DURATION"),
        _option(f"{kind}-failure-action", f"what to do when a task of {what} fails", "ACTION", choices=actions),
        _option(
            f"{kind}-order",
            "start-first: the new task starts before the old one stops; stop-first: the old one stops first",
            "ORDER",
            choices=ORDERS,
        ),
        _option(f"{kind}-monitor", "how long each new task is watched for a failure, such as 30s", "DURATION"),
        _option(
            f"{kind}-max-failure-ratio",
            f"share of the tasks that may fail in {what}, from 0 to 1, such as 0.25",
            "NUMBER",
        ),
    )


CREATE_LISTS = tuple(
    _option(name, f"add {what}", value, many=True, short=letter) for name, letter, value, what, _ in _LISTS
)
UPDATE_LISTS = tuple(
    arg
    for name, _, value, what, removed in _LISTS
    for arg in (
        _option(f"{name}-add", f"add {what}", value, many=True),
        _option(f"{name}-rm", f"remove {re.split('[,;]', what)[0]}", removed, many=True),
    )
)
COMMON = (
    _option("limit-cpu", "CPU limit of a task, such as 1.5; 0: no limit", "NUMBER"),
    _option("limit-memory", "memory limit of a task, such as 512m; 0: no limit", "SIZE"),
    _option("limit-pids", "largest number of processes of a task; 0: no limit", "COUNT"),
    _option("replicas-max-per-node", "largest number of tasks on one node; 0: no limit", "COUNT"),
    _option("reserve-cpu", "number of processors that a node must have free for a task, such as 0.5", "NUMBER"),
    _option("reserve-memory", "memory that a node must have free for a task, such as 256m", "SIZE"),
    _option("user", "run as this user of the container", "USER[:GROUP]", short="u"),
    _option("workdir", "directory that the program starts in", "PATH", short="w"),
    _option("hostname", "host name of the containers", "HOSTNAME"),
    _option("entrypoint", "program to run instead of the image's entrypoint", "PROGRAM"),
    _option("stop-signal", "signal that ends a container, such as TERM", "SIGNAL"),
    _option("stop-grace-period", "time between the stop signal and the kill, such as 30s", "DURATION"),
    _option("read-only", "forbid writing outside of mounts", type=ArgType.FLAG),
    _option("init", "run a small init process in each container", type=ArgType.FLAG),
    _option("cap-add", "add a capability; needs host.reach", "CAPABILITY", many=True),
    _option("cap-drop", "take a capability away", "CAPABILITY", many=True),
    _option(
        "log-driver", "log driver of the containers; each but json-file, local and none needs host.reach", "DRIVER"
    ),
    _option("log-opt", "set an option of the log driver", "NAME=VALUE", many=True),
    _option(
        "endpoint-mode",
        "vip: one address for all tasks; dnsrr: the addresses of the tasks",
        "MODE",
        choices=ENDPOINT_MODES,
    ),
    _option("restart-condition", "after which ends the Swarm replaces a task", "CONDITION", choices=RESTART_CONDITIONS),
    _option("restart-delay", "time before a task is replaced, such as 5s", "DURATION"),
    _option("restart-max-attempts", "largest number of times that a task is replaced; 0: no limit", "COUNT"),
    _option("restart-window", "time after which the replacements are counted from 0 again, such as 1h", "DURATION"),
    *_rollout("update", UPDATE_FAILURE_ACTIONS),
    *_rollout("rollback", ROLLBACK_FAILURE_ACTIONS),
    _option("health-cmd", "command line of the health check, such as 'curl -f http://localhost'", "CHECK"),
    _option("health-interval", "time between two health checks, such as 30s", "DURATION"),
    _option("health-timeout", "longest time of one health check, such as 5s", "DURATION"),
    _option("health-retries", "number of failed checks that make a container unhealthy", "COUNT"),
    _option("health-start-period", "time after the start in which failed checks do not count, such as 1m", "DURATION"),
    _option("no-healthcheck", "run no health check, even if the image has one", type=ArgType.FLAG),
    _option(
        "with-registry-auth",
        "send the login of the image's registry (always done, so this option changes nothing)",
        type=ArgType.FLAG,
    ),
    _option("detach", "do not wait until the tasks run", type=ArgType.FLAG, short="d"),
)


async def service_settings(
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
            "--no-healthcheck and the other --health options cannot be combined.", hint="Leave one of them out."
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


def timeout(default: int) -> Arg:
    return Arg(
        name="--timeout",
        type=ArgType.SECONDS,
        default=default,
        maximum=MAX_TIMEOUT_SECONDS,
        help="time to wait until the tasks run",
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
            f"{option} “{command_line.abbreviate(text or '')}” cannot be split into words: {error}.",
            hint="Close its quotes.",
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
    found = await context.find.find(Query(names=(name,), engine=str(engine), kind=kind))
    if len(found) != 1:
        raise errors.Ambiguous(name, [ref.name for ref in found])
    return MountedValue(
        target=found[0],
        path=given.get("target", ""),
        uid=given.get("uid", ""),
        gid=given.get("gid", ""),
        mode=service_values.mode(given.get("mode")),
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
        raise errors.BadUsage("--log-opt has no log driver.", hint="Write --log-driver NAME too.")
    return LogDriver(name=name, options=tuple(service_values.parse_pair("--log-opt", text) for text in options))


def _rollout_settings(args: Any, kind: str) -> Rollout:
    return Rollout(
        parallelism=_whole(args, f"{kind}-parallelism"),
        delay=_seconds(args, f"{kind}-delay"),
        failure_action=args[f"{kind}_failure_action"] or "",
        monitor=_seconds(args, f"{kind}-monitor"),
        max_failure_ratio=service_values.number(f"--{kind}-max-failure-ratio", args[f"{kind}_max_failure_ratio"]),
        order=args[f"{kind}_order"] or "",
    )


def _seconds(args: Any, name: str) -> float | None:
    return service_values.seconds(f"--{name}", args[name.replace("-", "_")])


def _whole(args: Any, name: str) -> int | None:
    return service_values.whole(f"--{name}", args[name.replace("-", "_")])
