"""Copies files out of containers, exports containers and commits them to images, with the Python packages `docker` and
`podman`.

Before a file is copied, a request without a body asks for its type and size. So a directory, a link, a device or a file
that is too large is refused before anything is read. The whole file system is written to a temporary file without a
name, so that nothing of it remains if the process is killed.
"""

from __future__ import annotations

import abc
import asyncio
import base64
import hashlib
import io
import posixpath
import re
import tempfile
import time
import urllib.parse
from typing import BinaryIO

import msgspec

from core import errors, temporary_files
from core.model import inside_containers
from core.model.background_jobs import JobStarted
from core.model.inside_containers import CommitContainer, CopiedFile, CopyFile, ExportContainer, ExportedFiles
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from core.text import command_line
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.docker_like.client import MIN_SECONDS, quoted_id
from runtimes.docker_like.package_client import PackageCalls, PackageClient
from runtimes.formats import image_reference, json_decoder, json_field_types, tar_reader

STAT_HEADER = "x-docker-container-path-stat"
# Bits of Go's os.FileMode, which both engines send.
_KINDS = {
    1 << 31: "a directory",
    1 << 27: "a link",
    1 << 26: "a device",
    1 << 25: "a named pipe",
    1 << 24: "a socket",
    1 << 19: "not an ordinary file",
}
_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class _Stat(msgspec.Struct):
    size: json_field_types.Int64 = msgspec.field(name="size", default=0)
    mode: json_field_types.Int64 = msgspec.field(name="mode", default=0)
    link: str = msgspec.field(name="linkTarget", default="")


class ContainerFileVerbs(PackageCalls, abc.ABC):
    """Serves the verbs `container.copy`, `container.export` and `container.commit`."""

    @does(CopyFile)
    async def copy_file(self, action: CopyFile, seconds: float) -> CopiedFile:
        ends, target, path, limit = time.monotonic() + seconds, action.target, action.path, action.max_bytes
        await self._check_file(target, path, limit, seconds)

        def use(client: PackageClient) -> CopiedFile:
            found = tar_reader.read_file(client.archive(target.id, path), path, limit)
            return CopiedFile(
                path=path,
                size=len(found.data),
                sha256=hashlib.sha256(found.data).hexdigest(),
                modified_at=found.modified_at,
                text=_text(found.data),
                content=io.BytesIO(found.data),
            )

        left = max(MIN_SECONDS, ends - time.monotonic())
        return await self._with_package(use, target, left, max_bytes=limit + tar_reader.OVERHEAD)

    @does(ExportContainer)
    async def export(self, action: ExportContainer, seconds: float) -> ExportedFiles:
        def use(client: PackageClient) -> ExportedFiles:
            content, digest, size = _temporary_file(), hashlib.sha256(), 0
            try:
                for chunk in client.export(action.target.id):
                    digest.update(chunk)
                    size += len(chunk)
                    _write(content, chunk)
                content.seek(0)
            except BaseException:
                content.close()
                raise
            return ExportedFiles(size=size, sha256=digest.hexdigest(), content=content)

        limit = inside_containers.MAX_EXPORT
        return await self._with_package(use, action.target, min(seconds, action.timeout), max_bytes=limit)

    @does(CommitContainer)
    async def commit(self, action: CommitContainer, seconds: float) -> JobStarted:
        if action.pauses:
            await self._check_can_pause(action.verb, seconds)
        return self.jobs.start(action.verb, lambda job: self._commit(action, job))

    async def _commit(self, action: CommitContainer, job: Job) -> Outcome:
        began, target = time.monotonic(), action.target
        named = image_reference.parse_image_reference(action.tag) if action.tag else None
        job.progress("the engine creates the image")

        def use(client: PackageClient) -> str:
            return client.commit(
                target.id,
                repository=named.repository if named else None,
                tag=named.tag if named else None,
                message=action.message or None,
                author=action.author or None,
                changes=action.changes,
                pause=action.pauses,
            )

        try:
            made = await self._with_package(use, target, action.timeout, change=True)
        except asyncio.CancelledError:
            job.end(Outcome(status=Status.UNKNOWN, detail="was stopped. The engine may still create the image"))
            raise
        if (found := _IMAGE_ID.fullmatch(made)) is None:
            raise errors.InvalidResponse(
                f"{self.ref} sent an invalid id of the new image: “{made[:80]}”.",
                hint="Look for the new image with: images",
            )
        took = time.monotonic() - began
        return Outcome(status=Status.DONE, detail=f"as {found[1][:12]}{f' ({named})' if named else ''}", took=took)

    async def _check_can_pause(self, verb: str, seconds: float) -> None:
        """Raises Unsupported if this engine cannot pause."""

    async def _check_file(self, target: Ref, path: str, limit: int, seconds: float) -> None:
        """Raises BadUsage unless the path is an ordinary file of at most `limit` bytes, and NotFound."""
        ends = time.monotonic() + seconds
        # An answer without a body does not say whether the container or the file is missing.
        await self._check_exists(target, seconds)
        where = f"/containers/{quoted_id(target)}/archive?path={urllib.parse.quote(path, safe='')}"
        try:
            answer = await self._request("HEAD", where, max(MIN_SECONDS, ends - time.monotonic()))
        except errors.NotFound as error:
            look = f"List its folder with: exec {target.name} ls {command_line.quote([posixpath.dirname(path)])}"
            raise errors.NotFound(f"{target.name} has no file {path}.", hint=look) from error
        except errors.Rejected as error:
            raise errors.Rejected(
                error.code,
                f"{self.ref} could not read {path} in {target.name}: {error.message}",
                hint=f"Look at the file with: exec {target.name} ls -l {command_line.quote([path])}",
            ) from error
        stat = json_decoder.decode_json(_Stat, _decoded(answer.headers.get(STAT_HEADER, "")))
        tar_reader.check_kind(path, next((kind for bit, kind in _KINDS.items() if stat.mode & bit), ""), stat.link)
        tar_reader.check_size(path, stat.size, limit)


def _decoded(header: str) -> bytes:
    try:
        return base64.b64decode(header, validate=True)
    except ValueError:
        return b""  # no JSON, which the decoder reports


def _text(data: bytes) -> str | None:
    """Returns the content of a file that is text and not too large to be shown."""
    if len(data) > inside_containers.MAX_SHOWN_FILE or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _temporary_file() -> BinaryIO:
    try:
        return tempfile.TemporaryFile()  # the receiver of the result closes it
    except OSError as error:
        raise _not_stored(error) from error


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _not_stored(error) from error


def _not_stored(error: OSError) -> errors.UserError:
    return errors.UserError(
        f"The archive of the container could not be written to {tempfile.gettempdir()} on Quarterdeck's host:"
        f" {error.strerror or error}.",
        hint=temporary_files.write_error_hint(error),
    )
