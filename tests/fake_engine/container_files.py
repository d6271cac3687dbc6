"""The files in the containers of the engine in memory: one is copied, all are exported, an image is made of them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from core import errors
from core.model import inside_containers
from core.model.background_jobs import JobStarted
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.formats import tar_reader
from tests.fake_engine.images import Images

FILES = {
    "/etc/hosts": b"127.0.0.1 localhost\n",
    "/etc/nginx/nginx.conf": b"events {}\n",
    "/bin/true": b"\x7fELF\0",
}


class ContainerFiles(Images):
    """`files`: by path, the same in every container."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.files: dict[str, bytes] = dict(FILES)
        self.committed: list[inside_containers.CommitContainer] = []

    @does(inside_containers.CopyFile)
    async def copy_file(self, action: inside_containers.CopyFile, seconds: float) -> inside_containers.CopiedFile:
        await self._answer("copy", seconds)
        row = self._find(action.target)
        data = self.files.get(action.path)
        if data is None:
            raise errors.NotFound(f"{row.ref.name} has no file {action.path}.", hint="List its folder.")
        tar_reader.check_size(action.path, len(data), action.max_bytes)
        return inside_containers.CopiedFile(
            path=action.path,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            modified_at=0.0,
            text=None if b"\0" in data else data.decode(),
            content=io.BytesIO(data),
        )

    @does(inside_containers.ExportContainer)
    async def export(
        self, action: inside_containers.ExportContainer, seconds: float
    ) -> inside_containers.ExportedFiles:
        await self._answer("export", seconds)
        self._find(action.target)
        data = b"".join(self.files.values())
        return inside_containers.ExportedFiles(
            size=len(data), sha256=hashlib.sha256(data).hexdigest(), content=io.BytesIO(data)
        )

    @does(inside_containers.CommitContainer)
    async def commit(self, action: inside_containers.CommitContainer, seconds: float) -> JobStarted:
        await self._answer("change", seconds)
        row = self._find(action.target)
        self.committed.append(action)

        async def work(job: Job) -> Outcome:
            made = hashlib.sha256(f"{row.ref.id} {len(self.committed)}".encode()).hexdigest()
            self._details[f"sha256:{made}"] = {}
            if action.tag:
                self.tags[action.tag] = f"sha256:{made}"
            return Outcome(status=Status.DONE, detail=f"as {made[:12]}{f' ({action.tag})' if action.tag else ''}")

        return self.jobs.start(action.verb, work)
