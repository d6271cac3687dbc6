"""`builder prune`: removes the build cache of Docker daemons, as far as no running build uses it.

A running build keeps what it uses. What is used after the question stays, too.
"""

from __future__ import annotations

from commands._shared import prune
from commands.spec import Arg, ArgType
from core.model.prune import PruneBuildCache

command = prune.prune_command(
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
