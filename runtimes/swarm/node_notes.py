"""Describes the nodes of a Swarm in sentences: their number, which are not ready, and whether managers are missing."""

from __future__ import annotations

from collections.abc import Sequence

from runtimes.swarm import json_models


def describe_nodes(nodes: Sequence[json_models.Node]) -> list[str]:
    """Returns the sentences, the most important last."""
    managers = [node for node in nodes if node.manager is not None]
    found = [f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}, {len(managers)} of them managers."]
    away = [f"{node.name} is {node.status.state}" for node in nodes if node.status.state != "ready"]
    away += [f"{node.name} is set to {node.spec.availability}" for node in nodes if node.spec.availability != "active"]
    if away:
        found.append(f"{', '.join(away[:8])}{f' and {len(away) - 8} more' if len(away) > 8 else ''}.")
    gone = [node.name for node in managers if node.manager is not None and node.manager.reachability == "unreachable"]
    if gone and len(managers) - len(gone) <= len(managers) // 2 + 1:
        found.append(
            f"The manager{'s' if len(gone) > 1 else ''} {', '.join(gone)} cannot be reached: one more, and the"
            " Swarm has no leader."
        )
    return found
