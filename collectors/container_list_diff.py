"""Computes the events that the stream missed: compares the containers as last known with a new list from the engine.

The last known containers come from the mirror, which caches what exists on one engine. The output is RESYNC events in
the order of their times. Each time is the engine's own (started, finished) if the engine reports it, otherwise the time
of the list. Changes between the two lists may be lost: a container that crashed twice shows one death.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from core.model.containers import LIVE_STATES, Container
from core.model.events import Event, EventKind, Origin

# The time of an event and the time in an inspection differ by at most this for the same change.
MAX_CLOCK_DIFFERENCE_SECONDS = 2.0
_ACTIONS = {
    EventKind.CREATED: "create",
    EventKind.STARTED: "start",
    EventKind.DIED: "die",
    EventKind.OOM: "oom",
    EventKind.HEALTH: "health_status",
    EventKind.PAUSED: "pause",
    EventKind.UNPAUSED: "unpause",
    EventKind.RENAMED: "rename",
    EventKind.REMOVED: "destroy",
}

_SHOW_STATE = frozenset({EventKind.STARTED, EventKind.DIED, EventKind.PAUSED, EventKind.UNPAUSED})


def compute_missed_events(
    before: Mapping[str, Container],
    after: Mapping[str, Container],
    *,
    since_ns: int,
    at_ns: int,
    skip: Collection[str] = (),
    partly_known: Mapping[str, Collection[EventKind]] | None = None,
    last_known: Callable[[str], Container | None] | None = None,
) -> list[Event]:
    """Computes the events that lead from `before` to `after`, a list made at `at_ns`, without the containers in `skip`.

    A container that is not in `before` has events only for changes after `since_ns`; the rest is the baseline. Those in
    `partly_known` are known from events alone, of these kinds: what came before these events is found as for a new
    container, and what came after them as for a known one. `last_known` returns a container as an inspection
    showed it last. It may be newer than the events in `before`, and is all that is known of a container that has gone.
    """
    found: list[Event] = []
    for container_id, known in before.items():
        if container_id not in after and container_id not in skip:
            found += _gone(known, (last_known and last_known(container_id)) or known, at_ns)
    for container_id, row in after.items():
        if container_id not in skip:
            old, reported = before.get(container_id), (partly_known or {}).get(container_id)
            if old is None:
                found += _new(row, since_ns, at_ns)
            elif reported is not None:
                found += _partly_new(old, row, since_ns, at_ns, reported)
            else:
                found += _changed(old, row, at_ns)
    found.sort(key=lambda event: event.at_ns)
    return found


def _gone(reported: Container, last: Container, at_ns: int) -> Iterator[Event]:
    if last is not reported:
        yield from _changed(reported, last, at_ns)
    if last.state in LIVE_STATES:
        yield _event(EventKind.DIED, last, at_ns)
    yield _event(EventKind.REMOVED, last, at_ns)


def _new(row: Container, since_ns: int, at_ns: int) -> Iterator[Event]:
    # Docker's list has the time of creation in whole seconds.
    if (row.created_at + 1) * 1e9 > since_ns:
        yield _event(EventKind.CREATED, row, _ns(row.created_at, at_ns))
    if row.started_at is not None and row.started_at * 1e9 > since_ns:
        yield _event(EventKind.STARTED, row, _ns(row.started_at, at_ns))
        if row.state == "paused":
            yield _event(EventKind.PAUSED, row, at_ns)
        if row.state in LIVE_STATES and row.health == "unhealthy":
            yield _event(EventKind.HEALTH, row, at_ns, health=row.health)
    if row.state not in LIVE_STATES and row.finished_at is not None and row.finished_at * 1e9 > since_ns:
        yield from _death(row, at_ns)


def _partly_new(
    old: Container, row: Container, since_ns: int, at_ns: int, reported: Collection[EventKind]
) -> list[Event]:
    earlier = [event for event in _new(row, since_ns, at_ns) if event.kind not in reported]
    later = list(_changed(old, row, at_ns))
    if _SHOW_STATE.isdisjoint(reported):  # the state of `old` is a guess
        later = [event for event in later if event.kind is EventKind.RENAMED]
    elif EventKind.OOM in reported:  # it was reported before the end that it caused
        later = [event for event in later if event.kind is not EventKind.OOM]
    known = {(event.kind, event.at_ns) for event in earlier}
    return earlier + [event for event in later if (event.kind, event.at_ns) not in known]


def _changed(old: Container, row: Container, at_ns: int) -> Iterator[Event]:
    if old.ref.name != row.ref.name:
        yield _event(EventKind.RENAMED, row, at_ns, old_name=old.ref.name)
    was, now = old.state in LIVE_STATES, row.state in LIVE_STATES
    restarted = was and now and _later(row.started_at, old.started_at)
    first_run = old.state == "created" and row.finished_at is not None
    ran = not was and not now and (first_run or _later(row.finished_at, old.finished_at))
    if restarted:
        # The exit code of the earlier run is lost.
        yield _event(EventKind.DIED, row, _ns(row.started_at, at_ns) - 1)
    if (now and not was) or restarted or (ran and row.started_at is not None):
        yield _event(EventKind.STARTED, row, _ns(row.started_at, at_ns))
    if (was and not now) or ran:
        yield from _death(row, at_ns)
    before = old.state if was and not restarted else "running"  # it runs when it has started
    if now and before != row.state:
        yield _event(EventKind.PAUSED if row.state == "paused" else EventKind.UNPAUSED, row, at_ns)
    if now and row.health not in ("", "starting", "" if restarted else old.health):
        yield _event(EventKind.HEALTH, row, at_ns, health=row.health)


def _death(row: Container, at_ns: int) -> Iterator[Event]:
    ended = _ns(row.finished_at, at_ns)
    if row.oom_killed:
        yield _event(EventKind.OOM, row, ended - 1)
    code = {} if row.exit_code is None else {"exit_code": str(row.exit_code)}
    yield _event(EventKind.DIED, row, ended, **code)


def _later(now: float | None, before: float | None) -> bool:
    return now is not None and before is not None and now - before > MAX_CLOCK_DIFFERENCE_SECONDS


def _ns(seconds: float | None, at_ns: int) -> int:
    return at_ns if seconds is None else min(int(seconds * 1e9), at_ns)


def _event(kind: EventKind, row: Container, at_ns: int, **attrs: str) -> Event:
    return Event(
        at_ns=at_ns,
        kind=kind,
        subject=row.ref,
        origin=Origin.RESYNC,
        type="container",
        action=_ACTIONS[kind],
        attrs={"image": row.image, **attrs},
    )
