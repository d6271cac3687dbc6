"""Names of images: `[registry/]repository[:tag][@digest]`, taken apart and checked before any engine sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core import errors

LONGEST = 255
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAME = re.compile(
    r"(?:(?P<registry>(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+(?=:))(?::[0-9]{1,5})?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,128}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """`repository` begins with its registry, where one was named. Without a digest `tag` is `latest` where none was."""

    repository: str
    registry: str = ""
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def version(self) -> str:
        """The digest where there is one, as it says more than the tag beside it."""
        return self.digest or self.tag


def parse(text: str) -> Reference:
    """Raises BadUsage for what is no name of an image."""
    found = _NAME.fullmatch(text) if len(text) <= LONGEST + 200 else None
    if found is None or len(found["path"]) > LONGEST:
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        raise errors.BadUsage(
            f"“{shown}” is not the name of an image.",
            hint="Write REPOSITORY[:TAG], such as nginx:1.27 or registry.example:5000/team/app; the repository in small"
            " letters.",
        )
    registry = found["registry"] or ""
    digest = found["digest"] or ""
    tag = found["tag"] or ("" if digest else "latest")
    return Reference(
        repository=f"{registry}/{found['path']}" if registry else found["path"],
        registry=registry,
        tag=tag,
        digest=digest,
    )
