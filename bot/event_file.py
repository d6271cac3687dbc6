"""Reads a file with recorded events of an engine, one JSON object a line. `docker events --format '{{json .}}'` and
`podman events --format json` print such lines.

The file belongs to the person at the console. It is read with the rights of this process, which are that person's own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from core import errors, untrusted_files
from core.model.events import Event
from core.model.refs import EngineRef
from runtimes.docker.decode import Decoder as DockerDecoder
from runtimes.podman.decode import Decoder as PodmanDecoder

MAX_BYTES = 32 << 20
MAX_LINE = 1 << 20
PODMAN_SIGNS = (b'"containerExitCode"', b'"podId"', b'"Status"')
HINT = (
    "Write the events to a file of your own of at most 32 MiB:"
    " docker events --since 24h --until 0s --format '{{json .}}' > FILE"
)


def read_events(path: str) -> Sequence[Event]:
    """Returns the events of the file, the oldest first. Blocks. Raises UserError."""
    name = str(Path(path).expanduser().absolute())
    try:
        data = untrusted_files.read_file(name, {os.getuid(), 0}, max_bytes=MAX_BYTES)
    except OSError as error:
        raise errors.UserError(f"The file {path} cannot be read: {error.strerror}.", hint=HINT) from None
    lines = [line for line in data.splitlines() if line.strip()]
    if any(len(line) > MAX_LINE for line in lines):
        raise errors.UserError(f"The file {path} has a line of more than 1 MiB, which cannot be an event.", hint=HINT)
    podman = any(sign in line for line in lines[:1000] for sign in PODMAN_SIGNS)
    engine = EngineRef(host="file", kind="podman" if podman else "docker")
    body = b"".join(line + b"\n" for line in lines)
    found: Sequence[Event]
    if not podman:
        found = DockerDecoder(engine).events(body, replay_before=0)
    elif b'"Actor"' in body:
        found = PodmanDecoder(engine).events(body, replay_before=0)
    else:
        found = PodmanDecoder(engine).file_events(body, replay_before=0)
    if not found:
        raise errors.UserError(f"The file {path} has {len(lines)} lines, but no events.", hint=HINT)
    return sorted(found, key=lambda event: event.at_ns)
