"""Parses the URL of an OCI engine, and finds the state directories that the URL names.

OCI runtimes have no daemon. Each container is a folder in a state directory; runc's caller chooses the directory with
`--root`. A URL names one state directory, `file:///run/runc`, or several. Several are separated by colons as in PATH,
and may contain `*`, `?` and `[…]` as in a shell: `file:///run/runc:/run/user/*/crun`. Docker and containerd use one
state directory per namespace, all in one known folder; for these, the URL names that folder.
`?program=/usr/local/sbin/runc` selects the program to call. Without it, the files of a container determine the program,
which is then searched on the PATH.
"""

from __future__ import annotations

import glob
import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from core import errors
from core.lazy_dataclass import dataclass

MAX_DIRS = 256  # of one engine
_WILDCARDS = "*?["
_NAMESPACE_FOLDERS = ("/containerd/runc", "/runtime-runc")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDirUrl:
    """Describes the parsed URL of an OCI engine. `patterns`: absolute paths of state directories, wildcards allowed.
    `program`: the program to call; empty to choose it for each container."""

    patterns: tuple[str, ...]
    program: str = ""

    def __str__(self) -> str:
        url = f"file://{':'.join(self.patterns)}"
        return f"{url}?program={self.program}" if self.program else url


def parse(url: str) -> StateDirUrl:
    """Parses the URL of an OCI engine. Raises BadUsage."""
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
            f"“{url}” is not a valid url of an OCI engine.",
            hint="Write file:///run/runc, with three slashes. Separate several directories with colons:"
            " file:///run/runc:/run/crun.",
        )
    options = urllib.parse.parse_qs(parts.query)
    program = options.pop("program", [""])[-1]
    if program and not program.startswith("/"):
        raise errors.BadUsage(
            f"“{url}” has a program without its whole path.", hint=f"Write the path: ?program=/PATH/OF/{program}"
        )
    if options:
        raise errors.BadUsage(
            f"“{url}” has the option {next(iter(options))}, which the url of an OCI engine cannot have.",
            hint="Remove this option. The only possible option is ?program=/PATH/OF/THE/RUNTIME.",
        )
    return StateDirUrl(patterns=tuple(dict.fromkeys(patterns)), program=program)


def expand(patterns: Sequence[str]) -> list[str]:
    """Returns the state directories that exist now, each once and by its real path. If a wildcard matches a symbolic
    link, it is left out, because an ordinary user may have created it."""
    found: dict[str, None] = {}
    for given in patterns:
        pattern = f"{given}/*" if given.endswith(_NAMESPACE_FOLDERS) else given
        has_wildcard = any(wildcard in pattern for wildcard in _WILDCARDS)
        for match in sorted(glob.glob(pattern)) if has_wildcard else [pattern]:  # noqa: PTH207 (an order, and strings)
            path = Path(match)
            try:
                if (has_wildcard and path.is_symlink()) or not path.is_dir():
                    continue
            except OSError:  # its parent cannot be read: the error is reported when the directory is read
                pass
            found[os.path.realpath(match)] = None
    return list(found)[:MAX_DIRS]
