"""Finds the images that a typed name means: by tag, repository, digest or id.

Every spelling of an image name is accepted, such as `busybox` and `docker.io/library/busybox`. If a tag matched, the
selected image has this tag as its name (`ref.name`), so that a removal removes this tag and not the whole image. If a
digest or an id matched, the name of the selected image is its short id.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

import msgspec

from core.model import image_names
from core.model.images import Image
from core.name_matching.match import ResourceMatch, TypedName, every, one, with_id_prefix


def find_images_by_name(typed: TypedName, rows: Sequence[Image]) -> ResourceMatch:
    """Returns the images that a typed name means."""
    name = typed.name
    if typed.is_glob:
        return every(_matching_glob(name, rows))
    return (
        _match_tag(typed, rows, lambda tag: _same(tag, name))
        or one(typed, [under_id(row) for row in rows if row.ref.id == name or _has_digest(row, name)])
        or _match_repository(typed, rows)
        or _match_tag(typed, rows, lambda tag: _ends_path(tag, name))
        or _match_tag(typed, rows, lambda tag: _begins(tag, name))
        or one(typed, [under_id(row) for row in with_id_prefix(typed, rows)])
    )


def tags(row: Image) -> Sequence[str]:
    """Returns the tags of an image, or its name if it has no tag."""
    return row.tags or (row.ref.name,)


def under_id(row: Image) -> Image:
    """Returns the image with its short id as its name. It stands for the whole image with all its tags."""
    return _under_name(row, row.ref.id.removeprefix("sha256:")[:12])


def _match_tag(typed: TypedName, rows: Sequence[Image], fits: Callable[[str], bool]) -> ResourceMatch:
    """Matches by tag. A list shows each image under every tag that fits; a change takes the first of them."""
    found = [[_under_name(row, tag) for tag in tags(row) if fits(tag)] for row in rows]
    meant = one(typed, [fitting[0] for fitting in found if fitting])
    return ResourceMatch(
        rows=[image for fitting in found for image in fitting], targets=meant.targets, error=meant.error
    )


def _match_repository(typed: TypedName, rows: Sequence[Image]) -> ResourceMatch:
    """Matches by repository. A list shows every tag of it; a change takes `latest` or the only image."""
    whole = _match_tag(typed, rows, lambda tag: _same(image_names.split_tag(tag)[0], typed.name))
    latest = _match_tag(typed, rows, lambda tag: _same(tag, f"{typed.name}:latest"))
    meant = latest or whole
    return ResourceMatch(rows=whole.rows, targets=meant.targets, error=meant.error)


def _matching_glob(pattern: str, rows: Sequence[Image]) -> Sequence[Image]:
    def fits(text: str) -> bool:
        return fnmatch.fnmatchcase(text, pattern)

    tagged = [_under_name(row, tag) for row in rows for tag in tags(row) if image_names.matches(tag, pattern)]
    return tagged or [row for row in rows if any(map(fits, row.digests))]


def _same(name: str, other: str) -> bool:
    return image_names.normalise_image_name(name) == image_names.normalise_image_name(other)


def _begins(tag: str, name: str) -> bool:
    return any(
        one.startswith(name) for one in (tag, image_names.short_name(tag), image_names.normalise_image_name(tag))
    )


def _ends_path(tag: str, name: str) -> bool:
    return f"/{tag}".endswith(f"/{name}") or f"/{image_names.split_tag(tag)[0]}".endswith(f"/{name}")


def _has_digest(row: Image, name: str) -> bool:
    """`repository@sha256:…` in any spelling, or `sha256:…` alone."""
    return any(_same(digest, name) or digest.partition("@")[2] == name for digest in row.digests)


def _under_name(row: Image, name: str) -> Image:
    return (
        row if row.ref.name == name else msgspec.structs.replace(row, ref=msgspec.structs.replace(row.ref, name=name))
    )
