"""`container prune`: removes all stopped containers of an engine, after it has shown them."""

from __future__ import annotations

from commands._shared import prune
from core.model.prune import PruneContainers
from core.model.refs import Kind

command = prune.make_prune_command(
    "container prune",
    PruneContainers,
    summary="remove all stopped containers",
    examples=("container prune --engine docker", "container prune --until 24h --host prod-1"),
    chosen=lambda context: ((Kind.CONTAINER,), ()),
)
