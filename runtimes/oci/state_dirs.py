"""Where OCI runtimes keep their containers: addresses in, state directories out. Only the file system is asked.

A runtime such as runc has no daemon; every container is a folder in a state directory, and whoever calls runc says
which one. An engine of ours is one of these, `file:///run/runc`, or several, joined as in PATH and with stars for what
is not known yet: `file:///run/runc:/run/user/*/crun`. The directories of docker's and containerd's runc have one of
these for each namespace, and are told by their names. With `?program=/usr/local/sbin/runc` that program is called
instead of the one on the PATH that a container's files ask for.
"""

from __future__ import annotations

import glob
import os
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core import errors

MOST = 256  # state directories of one engine
_STARS = "*?["
_OF_NAMESPACES = ("/containerd/runc", "/runtime-runc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """`patterns`: absolute paths, stars allowed; `program`: the one to call, empty for whichever a container needs."""

    patterns: tuple[str, ...]
    program: str = ""

    def __str__(self) -> str:
        told = f"file://{':'.join(self.patterns)}"
        return f"{told}?program={self.program}" if self.program else told


def parse(url: str) -> Places:
    """Raises BadUsage for what names no state directory."""
    parts = urllib.parse.urlsplit(url)
    patterns = tuple(urllib.parse.unquote(path).rstrip("/") or "/" for path in parts.path.split(":") if path)
    if (
        parts.scheme != "file"
        or parts.netloc
        or not patterns
        or not url.isprintable()
        or not all(path.startswith("/") and ".." not in path.split("/") for path in patterns)
    ):
        raise errors.BadUsage(
            f"“{url}” names no state directory of an OCI runtime.",
            hint="Write file:///run/runc, with three slashes; several are joined by colons: file:///run/runc:/run/crun.",
        )
    asked = urllib.parse.parse_qs(parts.query)
    program = asked.pop("program", [""])[-1]
    if asked or (program and not program.startswith("/")):
        raise errors.BadUsage(
            f"“{url}” asks for something an OCI runtime has not.",
            hint="All that may follow is ?program=/PATH/OF/THE/RUNTIME.",
        )
    return Places(patterns=tuple(dict.fromkeys(patterns)), program=program)


def expand(patterns: Sequence[str]) -> list[str]:
    """The state directories there are now, each once and by its true path. One that a star found may not be a link:
    it may lie where an ordinary user writes."""
    found: dict[str, None] = {}
    for given in patterns:
        pattern = f"{given}/*" if given.endswith(_OF_NAMESPACES) else given
        starred = any(star in pattern for star in _STARS)
        for path in sorted(glob.glob(pattern)) if starred else [pattern]:  # noqa: PTH207 (an order, and strings)
            place = Path(path)
            try:
                if (starred and place.is_symlink()) or not place.is_dir():
                    continue
            except OSError:  # its folder may not be looked into: it is told of when it is read
                pass
            found[os.path.realpath(path)] = None
    return list(found)[:MOST]
