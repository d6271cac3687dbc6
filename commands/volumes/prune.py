"""`volume prune`: removes the anonymous volumes that no container uses, not even a stopped one; with --all also those
with names."""

from __future__ import annotations

from commands._shared import prune
from commands.spec import Arg, ArgType
from core.model.prune import PruneVolumes
from core.model.refs import Kind

command = prune.make_prune_command(
    "volume prune",
    PruneVolumes,
    summary="remove unused anonymous volumes and their data",
    examples=("volume prune --engine docker", "volume prune -a --until 30d --host prod-1"),
    chosen=lambda context: ((Kind.VOLUME,), (Kind.VOLUME,) if context.args["all"] else ()),
    args=(Arg(name="--all", short="a", type=ArgType.FLAG, help="also remove unused volumes with a name"),),
)
