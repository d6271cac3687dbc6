"""Compares two versions of a specification of a Swarm, to find whether two people changed the same settings.

A setting is named by its path, such as `TaskTemplate.ContainerSpec.Image`. A list is one setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core import errors


def find_changed_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Returns the paths of the settings that differ. An empty setting equals one that is not there."""
    return frozenset(_differences(before, after, ""))


def conflict(what: str, look: str) -> errors.EngineError:
    """Returns the error for a change that was not made, because somebody else changed `what` at the same time. `look`:
    the command line that shows it."""
    return errors.EngineError(
        f"Somebody else changed {what} at the same time, so this change was not made.",
        hint=f"See the other change with `{look}`, then give the command again.",
    )


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new or (not old and not new):
            continue
        if isinstance(old, Mapping | None) and isinstance(new, Mapping | None):
            yield from _differences(old or {}, new or {}, f"{path}{key}.")
        else:
            yield f"{path}{key}"
