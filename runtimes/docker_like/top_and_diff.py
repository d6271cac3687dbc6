"""Reads the processes and the changed files of a container, with the requests that Docker and Podman have in common."""

from __future__ import annotations

import abc

import msgspec

from core import errors
from core.model.container_reads import (
    MAX_CHANGES,
    MAX_PROCESSES,
    FileChange,
    FileChanges,
    Processes,
    ReadFileChanges,
    ReadProcesses,
)
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import json_decoder

KINDS = {0: "changed", 1: "added", 2: "deleted"}


class TopDiffVerbs(HttpEngineClient, abc.ABC):
    """Serves the verbs `container.top` and `container.diff`."""

    @does(ReadProcesses)
    async def read_processes(self, action: ReadProcesses, seconds: float) -> Processes:
        target = action.target
        # Podman repeats its answer every few seconds unless it is told not to.
        path = f"/containers/{quoted_id(target)}/top?stream=false"
        response = await self._request("GET", path, seconds, name=target.name)
        if not response.body.strip():  # Podman's answer about a container that does not run
            raise errors.UserError(
                f"{target.name} has no processes: it is not running.",
                hint=f"Start the container first: start {target.name}",
            )
        found = json_decoder.decode_json(_Processes, response.body, self.skipped)
        titles, rows = tuple(found.titles or ()), found.rows or []
        return Processes(
            titles=titles,
            rows=tuple(_row(row, len(titles)) for row in rows[:MAX_PROCESSES]),
            missing=max(0, len(rows) - MAX_PROCESSES),
        )

    @does(ReadFileChanges)
    async def read_file_changes(self, action: ReadFileChanges, seconds: float) -> FileChanges:
        target = action.target
        path = f"/containers/{quoted_id(target)}"
        try:
            response = await self._request("GET", f"{path}/changes", seconds, name=target.name)
        except errors.Rejected:
            # Podman says of a container that does not exist that its layer is not known.
            await self._request("GET", f"{path}/json", seconds, name=target.name)
            raise
        rows = await json_decoder.decode_all_rows(_Change, response.body, self.skipped)
        return FileChanges(
            changes=tuple(FileChange(KINDS.get(row.kind, "changed"), row.path) for row in rows[:MAX_CHANGES]),
            missing=max(0, len(rows) - MAX_CHANGES),
        )


def _row(cells: list[str], width: int) -> tuple[str, ...]:
    """A row with one cell for each title: the last takes what is left, as a command line may contain blanks."""
    if len(cells) > width > 0:
        return (*cells[: width - 1], " ".join(cells[width - 1 :]))
    return (*cells, *[""] * (width - len(cells)))


class _Processes(msgspec.Struct):
    titles: list[str] | None = msgspec.field(name="Titles", default=None)
    rows: list[list[str]] | None = msgspec.field(name="Processes", default=None)


class _Change(msgspec.Struct):
    path: str = msgspec.field(name="Path", default="")
    kind: int = msgspec.field(name="Kind", default=0)
