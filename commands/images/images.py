"""`images`: lists images, one line for each tag. An image without a tag is listed as `<none>`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from commands._shared import formatting, list_commands
from commands.spec import Arg, ArgType, Command, Context, query
from core.model import image_names
from core.model.actions import Action
from core.model.images import DANGLING, Image, ListImages
from core.model.refs import Kind
from core.name_matching import images


async def plan(context: Context) -> Sequence[Action[Any]]:
    everything = context.args["all"]
    return [ListImages(engine=engine, intermediate=everything) for engine in context.find.engines(query(context))]


def line_per_tag(image: Image) -> Sequence[Image]:
    """Returns one table line for each tag of an image, or only one if a name selected the image by a tag."""
    refs = (image.ref,) if image.ref.name in image.tags else image.tag_refs
    return [msgspec.structs.replace(image, ref=ref, tags=(ref.name,) if image.tags else ()) for ref in refs]


def image_cells(row: Image, now: datetime) -> Sequence[str]:
    repository, tag = image_names.split_tag(row.tags[0]) if row.tags else (DANGLING, "")
    age = formatting.age(row.created_at, now)
    size = formatting.size(row.size) if row.size else ""
    return (repository, tag or DANGLING, size, age, row.ref.short_id)


command = Command(
    name="images",
    summary="list images",
    examples=(
        "images",
        "images -a",
        "images --dangling",
        "images busybox",
        "images 'registry.example/*' --host 'prod-*'",
    ),
    plan=plan,
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.IMAGE,
            columns=("REPOSITORY", "TAG", "SIZE", "AGE", "ID"),
            priority=("REPOSITORY", "TAG"),
            fields={"CreatedSince": "AGE"},
            cells=image_cells,
            none="There are no images.",
            rows=lambda value: [images.under_id(image) for image in value.rows],
            filter=lambda args, row: not (args["dangling"] and row.tags),
            lines=line_per_tag,
            order=lambda row: (not row.tags, row.ref.name),
        )
    ),
    verbs=(ListImages.verb,),
    aliases=("image ls",),
    args=(
        *list_commands.arguments("repository, repository:tag, start of a name or id, digest, or a glob like 'nginx*'"),
        Arg(name="--all", short="a", type=ArgType.FLAG, help="also show images that are only layers of other images"),
        Arg(name="--dangling", type=ArgType.FLAG, help="only images without a tag"),
    ),
)
