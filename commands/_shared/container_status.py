"""Formats a container's status in a few words with its duration and its severity, and counts containers by problem.

The duration is the time since the container started or ended, or since it was created if it never ran.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from core.model.containers import NO_EXIT_CODE, Container
from core.model.replies import Tone
from core.text import durations

# The states that `docker ps` shows without -a.
UP = frozenset({"running", "paused", "restarting", "removing"})
ON_REQUEST = frozenset({130, 143})  # the exit codes of a process that SIGINT or SIGTERM has ended
_CODE = re.compile(r"\((-?[0-9]{1,10})\)")


class ContainerTrouble(enum.IntEnum):
    """What is wrong with a container, the worst first."""

    RESTARTING = 0
    UNHEALTHY = 1
    DEAD = 2
    FAILED = 3
    REMOVING = 4
    PAUSED = 5
    STARTING = 6
    NONE = 7
    NOT_RUNNING = 8


_TONES = {
    ContainerTrouble.RESTARTING: Tone.BAD,
    ContainerTrouble.UNHEALTHY: Tone.BAD,
    ContainerTrouble.DEAD: Tone.BAD,
    ContainerTrouble.FAILED: Tone.BAD,
    ContainerTrouble.NONE: Tone.GOOD,
    ContainerTrouble.NOT_RUNNING: Tone.PLAIN,
}
_STATES = {
    "restarting": ContainerTrouble.RESTARTING,
    "dead": ContainerTrouble.DEAD,
    "removing": ContainerTrouble.REMOVING,
    "paused": ContainerTrouble.PAUSED,
}
_HEALTH = {"unhealthy": ContainerTrouble.UNHEALTHY, "starting": ContainerTrouble.STARTING}


def trouble(row: Container) -> ContainerTrouble:
    """Returns what is wrong with a container."""
    if row.state == "running":
        return _HEALTH.get(row.health, ContainerTrouble.NONE)
    if row.state == "exited":
        failed = exit_code(row) not in (0, None) and exit_code(row) not in ON_REQUEST and not row.stopped_by_client
        return ContainerTrouble.FAILED if failed or row.oom_killed else ContainerTrouble.NOT_RUNNING
    return _STATES.get(row.state, ContainerTrouble.NOT_RUNNING)


def tone(row: Container) -> Tone:
    """Returns how good the state of a container is."""
    return _TONES.get(trouble(row), Tone.WARN)


def phrase(row: Container, now: datetime) -> str:
    """Returns a container's state and its age, such as `unhealthy · 2m` or `exited (137) · 3w`."""
    state = row.state
    if state == "running":
        state = row.health or "up"
    elif state in ("exited", "restarting"):
        code = exit_code(row)
        why = ", ".join(filter(None, ("" if code is None else str(code), "out of memory" if row.oom_killed else "")))
        state = f"{state} ({why})" if why else state
    age = durations.shorten(row.status)
    if not age and row.state == "created" and row.created_at:
        age = durations.in_short(now.timestamp() - row.created_at)
    return f"{state} · {age}" if age else state


def exit_code(row: Container) -> int | None:
    """Returns the code of the container's last end; None if the engine does not say it."""
    if row.exit_code is not None or row.state not in ("exited", "restarting"):
        return row.exit_code
    found = _CODE.search(row.status)
    return int(found[1]) if found else None


def no_exit_code(row: Container) -> str:
    """Returns why the code of the last end of a container is not known; empty if it is known, or was never expected."""
    if row.state != "exited" or exit_code(row) is not None:
        return ""
    return NO_EXIT_CODE.get(row.ref.engine.kind, "")


def summary(shown: Sequence[Container], hidden: Sequence[Container] = ()) -> str:
    """Returns how many of these containers are up, and what is wrong with how many: `9 up: 1 restarting, 1 unhealthy; 3
    not running (1 failed)`. `hidden`: those that the list leaves out because they do not run."""
    up = [row for row in shown if row.state in UP]
    down = [row for row in (*shown, *hidden) if row.state not in UP]
    parts = [_counted(f"{len(up):,} up", up, ": {}")] if up or not down else []
    if down:
        see = ", see ps -a" if hidden else ""
        parts.append(_counted(f"{len(down):,} not running", down, " ({})") + see)
    return "; ".join(parts)


def _counted(text: str, rows: Sequence[Container], frame: str) -> str:
    found = Counter(map(trouble, rows))
    named = [
        f"{found[each]:,} {each.name.lower()}"
        for each in ContainerTrouble
        if each in found and each < ContainerTrouble.NONE
    ]
    return text + frame.format(", ".join(named)) if named else text
