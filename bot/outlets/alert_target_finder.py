"""Finds the container or the Swarm service that the labels of a Prometheus alert name.

It uses the labels of three sources. Quarterdeck's own metrics have `host`, `engine` and `name`, or `service` of a
Swarm. cAdvisor and similar exporters have `name`, `container_label_…`, and `id` with the path of a cgroup. Kubernetes
has `namespace`, `pod` and `container`. If the labels fit several containers, there is no target, because a button of
the incident must not act on the wrong one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field

from core import metrics
from core.lazy_dataclass import dataclass
from core.model.containers import COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL, Container
from core.model.owners import (
    POD_CONTAINER_LABEL,
    POD_NAME_LABEL,
    POD_NAMESPACE_LABEL,
    SWARM_SERVICE_NAME_LABEL,
    owner_of_container,
)
from core.model.refs import Kind, Ref
from runtimes.inventory.mirror import Mirror

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SHORT_ID = re.compile(r"[0-9a-f]{12,64}")
_SHORT = 12  # digits of a short id
_ID_LABELS = ("id", "container_id", "containerID")
_NAME_LABELS = ("name", "container_name", "container")
_COPIED = "container_label_"  # cAdvisor's prefix of a container's own labels, in which every odd character is _
_GROUPS = ((COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL), (SWARM_SERVICE_NAME_LABEL,))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTarget:
    """What an alert is about. `labels`: of the container."""

    ref: Ref
    owner: str
    labels: Mapping[str, str] = field(default_factory=dict)


class AlertTargetFinder:
    """Finds the targets of the alerts of one request. It reads the mirrors once."""

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        self._mirrors = mirrors
        self._hosts = {mirror.ref.host for mirror in mirrors}
        self._by_short_id: defaultdict[str, list[Container]] = defaultdict(list)
        self._by_own_labels: defaultdict[tuple[str, ...], list[Container]] = defaultdict(list)
        self._by_pod: defaultdict[tuple[str, str], list[Container]] = defaultdict(list)
        self._by_group: defaultdict[tuple[str, ...], list[Container]] = defaultdict(list)
        self._by_name: defaultdict[str, list[Container]] = defaultdict(list)
        for row in (row for mirror in mirrors for row in mirror.containers.values()):
            self._by_short_id[row.ref.bare_id[:_SHORT]].append(row)
            self._by_own_labels[*metrics.engine_labels(row.ref.engine), metrics.visible(row.ref.name)].append(row)
            self._by_name[row.ref.name].append(row)
            if pod := row.labels.get(POD_NAME_LABEL):
                self._by_pod[pod, row.labels.get(POD_CONTAINER_LABEL, "")].append(row)
            for group in _GROUPS:
                if all(name in row.labels for name in group):
                    self._by_group[tuple(row.labels[name] for name in group)].append(row)

    def find(self, labels: Mapping[str, str]) -> AlertTarget | None:
        """Returns what the labels name; None if they name nothing that Quarterdeck watches, or several things."""
        ways = (self._with_id, self._with_own_labels, self._with_pod, self._with_copied_labels, self._with_name)
        matching = next((found for way in ways if (found := way(labels))), ())
        if not matching:
            return self._service(labels)
        if len(matching) > 1:
            return None
        row = matching[0]
        return AlertTarget(ref=row.ref, owner=owner_of_container(row), labels=row.labels)

    def _with_id(self, labels: Mapping[str, str]) -> Sequence[Container]:
        """An id of 64 digits anywhere in the label, such as in `/docker/ID` and `cri-containerd-ID.scope`; or a short
        one."""
        for value in (labels[name] for name in _ID_LABELS if labels.get(name)):
            full = _ID.findall(value)
            wanted = full[-1] if full else value if _SHORT_ID.fullmatch(value) else ""
            found = [row for row in self._by_short_id.get(wanted[:_SHORT], ()) if row.ref.bare_id.startswith(wanted)]
            if wanted and found:
                return found
        return ()

    def _with_own_labels(self, labels: Mapping[str, str]) -> Sequence[Container]:
        return self._by_own_labels.get((labels.get("host", ""), labels.get("engine", ""), labels.get("name", "")), ())

    def _with_pod(self, labels: Mapping[str, str]) -> Sequence[Container]:
        """A restarted container of a pod is a new one, and the ended one is there for a while: the newest counts."""
        pod, container = (
            labels.get("pod") or labels.get("pod_name"),
            labels.get("container") or labels.get("container_name"),
        )
        found = self._by_pod.get((pod or "", container or ""), ()) if pod and container else ()
        if namespace := labels.get("namespace"):
            found = [row for row in found if row.labels.get(POD_NAMESPACE_LABEL) == namespace]
        if len({(row.ref.engine, row.labels.get(POD_NAMESPACE_LABEL)) for row in found}) > 1:
            return found
        return sorted(found, key=lambda row: row.started_at or 0.0)[-1:]

    def _with_copied_labels(self, labels: Mapping[str, str]) -> Sequence[Container]:
        """A Compose service with one replica, or a Swarm service with one task here."""
        for group in _GROUPS if not labels.get("name") else ():
            copied = tuple(labels.get(_COPIED + re.sub(r"[^a-zA-Z0-9_]", "_", name), "") for name in group)
            if all(copied):
                return self._by_group.get(copied, ())
        return ()

    def _with_name(self, labels: Mapping[str, str]) -> Sequence[Container]:
        """A name, on the host that `host`, `node` or `nodename` names, or `instance`. An instance that is no host of an
        engine, such as an IP address, counts only if all engines are on one host."""
        name = next((labels[each] for each in _NAME_LABELS if labels.get(each)), "").removeprefix("/")
        found = self._by_name.get(name, ()) if name else ()
        hosts = {labels.get("host", ""), labels.get("node", ""), labels.get("nodename", "")} - {""}
        instance = labels.get("instance", "").rpartition(":")[0] or labels.get("instance", "")
        there = [row for row in found if row.ref.engine.host in (hosts or {instance})]
        if there or hosts or (instance and len(self._hosts) > 1):
            return there
        return found

    def _service(self, labels: Mapping[str, str]) -> AlertTarget | None:
        """A service of a Swarm, by the labels of our own metrics or by its name in cAdvisor's."""
        name = labels.get("service") or labels.get(_COPIED + "com_docker_swarm_service_name", "")
        found: dict[str, AlertTarget] = {}
        for mirror in self._mirrors if name else ():
            state = mirror.swarm_state
            host, engine = metrics.engine_labels(mirror.ref)
            here = labels.get("host") in (None, host) and labels.get("engine") in (None, engine)
            for service in state.services if state is not None and here else ():
                if service.name == name:
                    ref = Ref(engine=mirror.ref, kind=Kind.SERVICE, id=service.id, name=service.name)
                    found[service.id] = AlertTarget(ref=ref, owner=service.name)
        return next(iter(found.values())) if len(found) == 1 else None
