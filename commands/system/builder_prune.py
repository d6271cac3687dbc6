"""`builder prune`: removes the build cache of Docker daemons. Cache that a running build uses, or that was used after
the question was shown, is not removed.
"""

from __future__ import annotations

from commands._shared import prune
from commands.spec import Arg, ArgType
from core.model.prune import PruneBuildCache

command = prune.make_prune_command(
    "builder prune",
    PruneBuildCache,
    summary="remove Docker's build cache, except what running builds use",
    examples=("builder prune --engine docker", "builder prune -a --until 7d --host prod-1"),
    chosen=lambda context: ((), ()),
    args=(
        Arg(
            name="--all",
            short="a",
            type=ArgType.FLAG,
            help="also remove the builder's internal cache and the cache that images share",
        ),
    ),
    until="only build cache that was not used for DURATION, such as 24h or 7d",
    aliases=("buildx prune",),
)
