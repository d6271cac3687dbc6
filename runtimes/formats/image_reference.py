"""Parses and validates the names of images: `[registry/]repository[:tag][@digest]`."""

from __future__ import annotations

import re

from core import errors
from core.lazy_dataclass import dataclass

MAX_PATH = 255  # characters of the repository without its registry
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAME = re.compile(
    r"(?:(?P<registry>(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+(?=:))(?::[0-9]{1,5})?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,128}))?"
)


def parse_image_reference(text: str) -> ImageReference:
    """Parses the name of an image. Raises BadUsage for any other text."""
    found = _NAME.fullmatch(text) if len(text) <= MAX_PATH + 200 else None
    if found is None or len(found["path"]) > MAX_PATH:
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        raise errors.BadUsage(
            f"“{shown}” is not the name of an image.",
            hint="Write REPOSITORY[:TAG] with the repository in lower case, such as nginx:1.27 or"
            " registry.example:5000/team/app.",
        )
    registry = found["registry"] or ""
    digest = found["digest"] or ""
    tag = found["tag"] or ("" if digest else "latest")
    return ImageReference(
        repository=f"{registry}/{found['path']}" if registry else found["path"],
        registry=registry,
        tag=tag,
        digest=digest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """Holds the parts of an image's name. `repository` includes the registry, if one was given. `tag` is `latest` if
    neither tag nor digest was given."""

    repository: str
    registry: str = ""
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def tag_or_digest(self) -> str:
        """Returns the digest if there is one, because it is more exact than a tag; else the tag."""
        return self.digest or self.tag
