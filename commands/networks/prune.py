"""`network prune`: removes the networks that no container uses, not even a stopped one."""

from __future__ import annotations

from commands._shared import prune
from core.model.prune import PruneNetworks
from core.model.refs import Kind

command = prune.make_prune_command(
    "network prune",
    PruneNetworks,
    summary="remove unused networks",
    examples=("network prune --engine docker", "network prune --until 7d --host prod-1"),
    chosen=lambda context: ((Kind.NETWORK,), ()),
)
