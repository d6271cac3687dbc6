"""`images`: lists images, one line for each tag. An image without a tag is listed as `<none>`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from commands._shared import formatting, lists
from commands.spec import Command
from core.model import image_names
from core.model.images import DANGLING, Image, ListImages
from core.model.refs import Kind
from core.name_matching import images


def line_per_tag(image: Image) -> Sequence[Image]:
    """Returns one table line for each tag of an image, or only one if a name selected the image by a tag."""
    refs = (image.ref,) if image.ref.name in image.tags else image.tag_refs
    return [msgspec.structs.replace(image, ref=ref, tags=(ref.name,) if image.tags else ()) for ref in refs]


def image_cells(row: Image, now: datetime) -> Sequence[str]:
    repository, tag = image_names.split_tag(row.tags[0]) if row.tags else (DANGLING, "")
    age = formatting.span(max(0.0, now.timestamp() - row.created_at)) if row.created_at else ""
    size = formatting.size(row.size) if row.size else ""
    return (repository, tag or DANGLING, row.ref.short_id, size, age)


command = Command(
    name="images",
    summary="list images",
    examples=("images", "images busybox", "images 'registry.example/*' --host 'prod-*'"),
    plan=lists.make_plan(Kind.IMAGE),
    render=lists.make_render(
        lists.ListCommand(
            kind=Kind.IMAGE,
            columns=("REPOSITORY", "TAG", "ID", "SIZE", "AGE"),
            cells=image_cells,
            none="There are no images.",
            rows=lambda value: [images.under_id(image) for image in value.rows],
            lines=line_per_tag,
            order=lambda row: (not row.tags, row.ref.name),
        )
    ),
    verbs=(ListImages.verb,),
    args=lists.arguments("repository, repository:tag, start of a name or id, digest, or a glob like 'nginx*'"),
)
