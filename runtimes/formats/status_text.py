"""The status of a container in words, as `docker ps` says it, made from its times at any moment.

Engines word it when asked, so what was heard once goes stale by the second; the mirror words it anew, and the watcher
compares the engine's wording with ours to see restarts that no event told. Pure functions.
"""

from __future__ import annotations

import msgspec

from core.model.containers import LIVE_STATES, Container


def aged(row: Container, now: float) -> Container:
    """`row` as the engine would list it at `now`, seconds since the epoch; the same object where nothing changes."""
    told = text(row, now)
    return row if told == row.status else msgspec.structs.replace(row, status=told)


def text(container: Container, now: float) -> str:
    """The sentence `docker ps` says: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`."""
    state = container.state
    if state in LIVE_STATES and container.started_at is not None:
        up = f"Up {duration(now - container.started_at)}"
        if state == "paused":
            return f"{up} (Paused)"
        if container.health:
            return f"{up} (health: starting)" if container.health == "starting" else f"{up} ({container.health})"
        return up
    if state in ("exited", "restarting") and container.finished_at is not None:
        word = "Exited" if state == "exited" else "Restarting"
        code = "" if container.exit_code is None else f" ({container.exit_code})"
        return f"{word}{code} {duration(now - container.finished_at)} ago"
    return {"created": "Created", "dead": "Dead", "removing": "Removal In Progress"}.get(state, container.status)


def duration(seconds: float) -> str:
    """A duration as Docker words it: minutes are cut, hours rounded; units change at 48 hours, 2 weeks, 2 months."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"
