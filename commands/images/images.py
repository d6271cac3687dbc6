"""`images`: which images the engines hold. A line for each tag, as one types it; an image without one has `<none>`."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import datetime

import msgspec

from commands._shared import lists, show
from commands.spec import Command
from core.model import image_names
from core.model.images import DANGLING, Image, Images, ListImages
from core.model.refs import Kind


def rows(value: Images) -> Sequence[Image]:
    """Each image once for each of its tags."""
    return [
        msgspec.structs.replace(image, ref=ref, tags=(ref.name,) if image.tags else ())
        for image in value.rows
        for ref in image.tag_refs
    ]


def means(word: str, row: Image) -> bool:
    """Its repository, the beginning of its name, a glob, a digest or the beginning of its id; in any spelling."""
    whole = image_names.short_name(word)
    if any(whole in (image_names.short_name(digest), digest.partition("@")[2]) for digest in row.digests):
        return True
    name = show.narrowed(word, row.ref)
    if not name:
        return name is not None
    tags = [text for tag in row.tags for text in image_names.equivalent_names(tag)]
    return (
        any(fnmatch.fnmatchcase(text, name) or image_names.split_tag(text)[0] == name for text in tags)
        or any(tag.startswith(name) or image_names.short_name(tag).startswith(name) for tag in row.tags)
        or any(f"/{image_names.split_tag(tag)[0]}".endswith(f"/{name}") for tag in row.tags)
        or show.begins_id(row.ref, name)
    )


def cells(row: Image, now: datetime) -> Sequence[str]:
    repository, tag = image_names.split_tag(row.tags[0]) if row.tags else (DANGLING, "")
    age = show.span(max(0.0, now.timestamp() - row.created_at)) if row.created_at else ""
    size = show.size(row.size) if row.size else ""
    return (repository, tag or DANGLING, show.short_id(row.ref), size, age)


command = Command(
    name="images",
    summary="list images",
    examples=("images", "images busybox", "images 'registry.example/*' --host 'prod-*'"),
    plan=lists.planning(Kind.IMAGE),
    render=lists.rendering(
        lists.Listing(
            kind=Kind.IMAGE,
            command="images",
            columns=("REPOSITORY", "TAG", "ID", "SIZE", "AGE"),
            cells=cells,
            none="There are no images.",
            rows=rows,
            order=lambda row: (not row.tags, row.ref.name),
            means=means,
        )
    ),
    verbs=(ListImages.verb,),
    args=lists.arguments("repository, repository:tag, the beginning of one or of an id, a digest, or a glob"),
)
