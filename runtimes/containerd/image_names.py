"""Expands short image names (`nginx`) to full names (`docker.io/library/nginx:latest`), as nerdctl and Docker do.

This module also separates the names of an image with a tag from its names with a digest.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import errors
from core.model import image_names
from runtimes.formats import image_reference


def expand_image_name(name: str) -> str:
    """Expands a short name: `nginx` becomes `docker.io/library/nginx:latest`. Raises BadUsage."""
    image_reference.parse_image_reference(name)
    return str(image_reference.parse_image_reference(image_names.full_name(name)))


def tags_and_digests(names: Sequence[str], digest: str) -> tuple[list[str], list[str]]:
    """Returns an image's tags, and its names by digest. The CRI plugin also names an image by the digest of its
    configuration alone. Such names are left out."""
    tags = sorted(name for name in names if "@" not in name and not name.startswith("sha256:"))
    pinned = {f"{image_reference.parse_image_reference(tag).repository}@{digest}" for tag in tags if _is_valid(tag)}
    return tags, sorted({name for name in names if "@" in name} | pinned)


def is_loopback_registry(name: str) -> bool:
    """Returns True if the registry runs on this machine."""
    host = image_names.normalise_image_name(name).partition("/")[0]
    host = host if host.endswith("]") else host.rpartition(":")[0] or host
    return host in ("localhost", "[::1]") or host.startswith("127.")


def _is_valid(name: str) -> bool:
    try:
        image_reference.parse_image_reference(name)
    except errors.BadUsage:
        return False
    return True
