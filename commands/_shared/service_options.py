"""Defines the options of `service create` and `service update`. They have the names of `docker service`.

A list has one option in `create` (`--env`), and two in `update` (`--env-add`, `--env-rm`). service_arguments reads what
is typed for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commands.spec import Arg, ArgType, timeout_option
from core.model.service_settings import (
    ENDPOINT_MODES,
    ORDERS,
    RESTART_CONDITIONS,
    ROLLBACK_FAILURE_ACTIONS,
    UPDATE_FAILURE_ACTIONS,
)

MAX_TIMEOUT_SECONDS = 1_800
# Option, its letter in `create`, the value, what it adds, and what `-rm` takes.
_LISTS = (
    ("env", "e", "NAME=VALUE", "an environment variable", "NAME"),
    (
        "publish",
        "p",
        "[PORT:]PORT[/udp]",
        "a published port; can also be written as published=8080,target=80,mode=host",
        "PORT[/udp]",
    ),
    ("label", "l", "NAME=VALUE", "a label of the service", "NAME"),
    ("container-label", "", "NAME=VALUE", "a label of the service's containers", "NAME"),
    ("network", "", "NAME", "a network; host needs the permission host.reach", "NAME"),
    (
        "mount",
        "",
        "type=volume,source=NAME,target=/PATH",
        "a volume; type=bind needs the permission host.reach",
        "/PATH",
    ),
    ("secret", "", "NAME", "a secret, which the containers get as a file; needs the permission secret.use", "NAME"),
    ("config", "", "NAME", "a config, which the containers get as a file; needs the permission config.use", "NAME"),
    ("constraint", "", "EXPRESSION", "a constraint on the nodes of its tasks, such as node.role==worker", "EXPRESSION"),
    ("placement-pref", "", "spread=LABEL", "a node label; the tasks are spread evenly over its values", "spread=LABEL"),
    ("dns", "", "IP", "a name server", "IP"),
    ("dns-search", "", "DOMAIN", "a domain in which short names are looked up", "DOMAIN"),
    ("dns-option", "", "OPTION", "an option of the name lookup, such as ndots:2", "OPTION"),
    ("sysctl", "", "NAME=VALUE", "a kernel setting of the containers, such as net.core.somaxconn=1024", "NAME"),
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
    _option("stop-grace-period", "time between the stop signal and SIGKILL, such as 30s", "DURATION"),
    _option("read-only", "forbid writing outside of mounts", type=ArgType.FLAG),
    _option("init", "run a small init process in each container", type=ArgType.FLAG),
    _option("cap-add", "add a capability; needs the permission host.reach", "CAPABILITY", many=True),
    _option("cap-drop", "remove a capability", "CAPABILITY", many=True),
    _option(
        "log-driver",
        "log driver of the containers; json-file, local and none are permitted, others need the permission host.reach",
        "DRIVER",
    ),
    _option("log-opt", "set an option of the log driver", "NAME=VALUE", many=True),
    _option(
        "endpoint-mode",
        "vip: the service has one address for all tasks; dnsrr: its name resolves to the addresses of the tasks",
        "MODE",
        choices=ENDPOINT_MODES,
    ),
    _option(
        "restart-condition",
        "which ended tasks the Swarm replaces; none: no task; on-failure: each task that failed; any: every task",
        "CONDITION",
        choices=RESTART_CONDITIONS,
    ),
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


def make_timeout_option(default: int) -> Arg:
    """Makes the option `--timeout`. `default`: seconds."""
    return timeout_option(default, MAX_TIMEOUT_SECONDS, "time to wait until the tasks run")
