"""Tracks which containers have labels with the same names as attributes of events.

Docker copies a container's labels into the attributes of its events, over the daemon's own attributes: the label
`exitCode=0` hides the real exit code. The labels of a container are read from a list, or from its `create` event. The
daemon itself adds no `exitCode` there, so an `exitCode` in it is a label. If a container has a label with the name of
an attribute, this attribute is ignored in all of its events, and the container is inspected instead.
"""

from __future__ import annotations

from collections.abc import Collection

from core.oldest_entries import limit_entries
from runtimes.docker.json_models import Attributes

EXIT_CODE, SIGNAL, OLD_NAME = "exitCode", "signal", "oldName"
_NAMES = frozenset({EXIT_CODE, SIGNAL, OLD_NAME})
# The actions whose events have the attribute from the daemon. With any other action, it comes from a label.
_OWN_ACTIONS = {EXIT_CODE: frozenset({"die", "exec_die"}), SIGNAL: frozenset({"kill"}), OLD_NAME: frozenset({"rename"})}
MAX_CONTAINERS = 20_000


class LabelCollisions:
    """Stores, for each container with such labels, their names. `is_label` says whether an attribute is a label."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {}

    def learn(self, container_id: str, labels: Collection[str]) -> None:
        """`labels`: the names of all labels of a container."""
        if not _NAMES.isdisjoint(labels):
            self._add(container_id, _NAMES.intersection(labels))

    def learn_from_event(self, container_id: str, action: str, given: Attributes) -> None:
        """Learns from an attribute that the daemon does not set for this action."""
        if given.exit_code and action not in _OWN_ACTIONS[EXIT_CODE]:
            self._add(container_id, (EXIT_CODE,))
        if given.signal and action not in _OWN_ACTIONS[SIGNAL]:
            self._add(container_id, (SIGNAL,))
        if given.old_name and action not in _OWN_ACTIONS[OLD_NAME]:
            self._add(container_id, (OLD_NAME,))

    def is_label(self, container_id: str, name: str) -> bool:
        return name in self._found.get(container_id, ())

    def _add(self, container_id: str, names: Collection[str]) -> None:
        self._found.setdefault(container_id, set()).update(names)
        limit_entries(self._found, MAX_CONTAINERS)
