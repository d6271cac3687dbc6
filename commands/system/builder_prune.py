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
    summary="remove the build cache of Docker",
    examples=("builder prune --engine docker", "builder prune -a --until 7d --host prod-1"),
    chosen=lambda context: ((), ()),
    args=(
        Arg(
            name="--all",
            short="a",
            type=ArgType.FLAG,
            help="remove the whole build cache (default: only the parts that no build can use again)",
        ),
    ),
    aliases=("buildx prune",),
)
