"""`system prune`: removes stopped containers, then the networks and the untagged images that no remaining container
uses, and on Docker the build cache.
"""

from __future__ import annotations

from collections.abc import Collection

from commands._shared import prune
from commands.spec import Arg, ArgType, Context
from core.model.prune import PruneSystem
from core.model.refs import Kind


def _chosen(context: Context) -> tuple[Collection[Kind], Collection[Kind]]:
    volumes = (Kind.VOLUME,) if context.args["volumes"] else ()
    return (Kind.CONTAINER, Kind.NETWORK, *volumes, Kind.IMAGE), ((Kind.IMAGE,) if context.args["all"] else ())


command = prune.make_prune_command(
    "system prune",
    PruneSystem,
    summary="remove stopped containers, unused networks, unused images without a tag, and build cache",
    examples=("system prune --engine docker", "system prune -a --volumes --host prod-1"),
    chosen=_chosen,
    args=(
        Arg(
            name="--all",
            short="a",
            type=ArgType.FLAG,
            help="also remove unused images with a tag, the builder's internal cache and the cache that images share",
        ),
        Arg(name="--volumes", type=ArgType.FLAG, help="also remove unused anonymous volumes and their data"),
    ),
    until="only resources older than DURATION and build cache that was not used for DURATION, such as 24h or 7d",
    aliases=("prune",),
)
