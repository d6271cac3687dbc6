"""`image prune`: removes the images that no container uses and that have no tag; with --all also those with tags."""

from __future__ import annotations

from commands._shared import prune
from commands.spec import Arg, ArgType
from core.model.prune import PruneImages
from core.model.refs import Kind

command = prune.make_prune_command(
    "image prune",
    PruneImages,
    summary="remove unused images without a tag",
    examples=("image prune --engine docker", "image prune -a --until 30d --host prod-1"),
    chosen=lambda context: ((Kind.IMAGE,), (Kind.IMAGE,) if context.args["all"] else ()),
    args=(Arg(name="--all", short="a", type=ArgType.FLAG, help="also remove unused images with a tag"),),
)
