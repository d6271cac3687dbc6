"""Selects containers by `--filter KEY=VALUE`, with the keys of `docker ps --filter`.

If a filter key is given several times, a container must match one of the values; of labels, it must match all. A key
for which the list has no data is refused, and the error names the command that supports it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from commands._shared import container_status, formatting
from core import errors
from core.model.containers import HEALTH_STATES, STATES, Container
from core.text import command_line

Wanted = Callable[[Container], bool]
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")
# These name a container or a state, so that they also select containers that do not run.
ANY_STATE = frozenset({"status", "exited", "name", "id"})
_ELSEWHERE = {
    "network": "List the containers of a network with: network inspect NAME",
    "volume": "Show the volumes of a container with: inspect NAME",
    "pod": "List the pods with: pods, and the containers of a pod with: pod inspect NAME",
    "ctr-state": "Write --filter status=STATE",
    "command": "Show the command of a container with: inspect NAME",
    "is-task": "List the tasks of a service with: service ps NAME",
    "isolation": "Leave it out: only Windows has isolation levels.",
    "until": "Show the newest containers with: ps -n 10",
    "restart-policy": "Show the restart policy of a container with: inspect NAME",
}


def parse_filter_keys(filters: Sequence[str]) -> frozenset[str]:
    """Returns the keys of these filters. Raises BadUsage for a filter that is not `KEY=VALUE`."""
    return frozenset(_split(text)[0] for text in filters)


def parse(filters: Sequence[str], known: Sequence[Container] = ()) -> Wanted:
    """Returns whether a container is selected by all keys. `known`: the containers that `before` and `since` may name.
    Raises BadUsage."""
    by_key: defaultdict[str, list[Wanted]] = defaultdict(list)
    for text in filters:
        key, value = _split(text)
        by_key[key].append(_wanted(key, value, known))

    def wanted(row: Container) -> bool:
        return all(
            all(one(row) for one in each) if key == "label" else any(one(row) for one in each)
            for key, each in by_key.items()
        )

    return wanted


def _split(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (equals and key and value):
        raise errors.BadUsage(
            f"--filter “{command_line.abbreviate(text)}” is not KEY=VALUE.",
            hint="Write a key and a value, for example: --filter status=exited",
        )
    return key.lower(), value


def _wanted(key: str, value: str, known: Sequence[Container]) -> Wanted:
    match key:
        case "status":
            state = _choice(key, {"stopped": "exited"}.get(value, value), STATES)
            return lambda row: row.state == state
        case "health":
            health = _choice(key, value, (*HEALTH_STATES, "none"))
            return lambda row: (row.health or "none") == health
        case "name":
            return _name(value)
        case "id":
            return lambda row: row.ref.id.startswith(value.lower())
        case "label":
            return lambda row: formatting.has_labels([value], row.labels)
        case "exited":
            return _exited(value)
        case "ancestor":
            return lambda row: _is_image(row, value)
        case "publish" | "expose":
            return _port(key, value)
        case "before" | "since":
            return _created(key, value, known)
    raise errors.BadUsage(
        f"ps cannot filter by “{command_line.abbreviate(key)}”.",
        hint=_ELSEWHERE.get(
            key,
            "Use one of these keys: status, health, name, id, label, exited, ancestor, publish, expose, before, since.",
        ),
    )


def _choice(key: str, value: str, choices: Sequence[str]) -> str:
    if value.lower() not in choices:
        raise errors.BadUsage(
            f"--filter {key} cannot be “{command_line.abbreviate(value)}”.",
            hint=f"Write one of these: {', '.join(choices)}.",
        )
    return value.lower()


def _name(value: str) -> Wanted:
    """A part of a name; `^` and `$` stand for its ends, as in Docker."""
    start, end = value.startswith("^"), value.endswith("$")
    part = value.removeprefix("^").removesuffix("$").removeprefix("/")
    if start and end:
        return lambda row: row.ref.name == part
    if start:
        return lambda row: row.ref.name.startswith(part)
    return (lambda row: row.ref.name.endswith(part)) if end else (lambda row: part in row.ref.name)


def _exited(value: str) -> Wanted:
    if not re.fullmatch(r"-?[0-9]{1,10}", value):
        raise errors.BadUsage(
            f"--filter exited takes an exit code, not “{command_line.abbreviate(value)}”.",
            hint="Write a whole number, for example: --filter exited=137",
        )
    return lambda row: row.state == "exited" and container_status.exit_code(row) == int(value)


def _is_image(row: Container, value: str) -> bool:
    """Whether a container was made from this image: its name with or without tag, or the start of its id."""
    name, wanted = formatting.image(row.image), formatting.image(value)
    untagged = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    digits = value.removeprefix("sha256:").lower()
    return wanted in (name, untagged) or (len(digits) >= 4 and row.image_id.removeprefix("sha256:").startswith(digits))


def _port(key: str, value: str) -> Wanted:
    found = _PORTS.fullmatch(value)
    if found is None:
        raise errors.BadUsage(
            f"--filter {key} takes a port, not “{command_line.abbreviate(value)}”.",
            hint=f"Write a port or a range, for example: --filter {key}=8080 or --filter {key}=8000-8010/udp",
        )
    first, last, proto = int(found[1]), int(found[2] or found[1]), found[3] or "tcp"
    return lambda row: any(
        port.proto == proto and first <= ((port.public or 0) if key == "publish" else port.private) <= last
        for port in row.ports
    )


def _created(key: str, value: str, known: Sequence[Container]) -> Wanted:
    named = [row for row in known if row.ref.name == value or row.ref.id.startswith(value.lower())]
    if known and not named:
        raise errors.BadUsage(
            f"--filter {key} names “{command_line.abbreviate(value)}”, but no listed container has this name or id.",
            hint="Write the whole name, or the start of the id. List the containers with: ps -a",
        )
    at = named[0].created_at if named else 0.0
    return (lambda row: row.created_at < at) if key == "before" else (lambda row: row.created_at > at)
