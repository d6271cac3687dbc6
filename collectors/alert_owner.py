"""Finds the owner of an event: the service, project or container name that an alert is about. Computes the fingerprint
of an alert from its rule and owner, so that one problem is one alert.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from collectors.recent_events_by_owner import OwnerKey
from collectors.rule import Rule
from core.model.containers import LIVE_STATES, Container
from core.model.events import Event, EventKind
from core.model.owners import find_owner, owner_of_container
from core.model.refs import Kind


def alert_fingerprint(rule: Rule, key: OwnerKey) -> str:
    """Returns 12 hexadecimal digits that are the same for the same rule, engine and owner."""
    engine, kind, owner = key
    text = "\0".join((rule.name, str(engine), str(kind), owner))
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def owner_of_event(event: Event, labels: Mapping[str, str]) -> str:
    """Returns the owner, in words. `labels`: of the event's container."""
    if event.kind is EventKind.TASK_FAILED:
        return event.attrs.get("service", "") or event.subject.name
    if event.subject.kind is Kind.CONTAINER:
        return find_owner(event.subject, labels)
    return event.subject.name or event.subject.short_id


def running_by_owner(
    containers: Mapping[str, Container], renamed: Callable[[str], str] = lambda container_id: ""
) -> Mapping[str, bool]:
    """Returns, for each owner, whether one of its containers runs. `renamed`: the owner of a renamed container by its
    id; empty for any other one."""
    runs: dict[str, bool] = {}
    for row in containers.values():
        owner = renamed(row.ref.id) or owner_of_container(row)
        runs[owner] = runs.get(owner, False) or row.state in LIVE_STATES
    return runs
