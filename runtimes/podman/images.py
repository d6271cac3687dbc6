"""Pulls, pushes and removes Podman's images. A pull or a push runs as a job and reports its progress.

Quarterdeck sends the login that it finds on its own host. Without one, Podman uses what the engine's own user stored
with `podman login`. The addresses of registries are in the engine's registries.conf.
Until version 5, a failure is reported in the body of a response with status 200. From version 6 on, a failed pull is
refused with the registry's status, such as 404.
"""

from __future__ import annotations

import abc
import asyncio
import re
import time
import urllib.parse

import msgspec

from core import errors
from core.model import containers, image_names, images
from core.model.background_jobs import JobStarted
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.base.registry_auth import Login
from runtimes.docker_like import images as shared
from runtimes.formats import image_reference, json_decoder, pull_push_errors, skipped_data
from runtimes.podman import client, decode
from runtimes.transport.line_splitter import LineReader

LOOK_SECONDS = OPEN_SECONDS = 10.0
MAX_PROGRESS = 200  # characters
_LAYER = re.compile(r"Copying blob sha256:([0-9a-f]{64})")


class _Progress(msgspec.Struct):
    """One line of a transfer."""

    stream: str = ""
    error: str = ""
    id: str = ""
    digest: str = msgspec.field(name="manifestdigest", default="")


class _User(msgspec.Struct):
    """A container and the image that it was created from."""

    image: str = msgspec.field(name="ImageID", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    state: str = msgspec.field(name="State", default="")


class ImageVerbs(client.EngineClient, shared.ImageVerbs, abc.ABC):
    """Serves the verbs that pull, push and remove images for Podman."""

    def _auth_header(self, login: Login) -> str:
        return login.podman_header()

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        return self.jobs.start(action.verb, lambda job: self._pull(action.image, action.timeout, job))

    async def _pull(self, image: str, timeout: float, job: Job) -> Outcome:
        began, wanted = time.monotonic(), str(image_reference.parse_image_reference(image))
        before = await self._find_image(wanted, LOOK_SECONDS)
        path = f"/images/pull?{urllib.parse.urlencode({'reference': wanted})}"
        result = await self._transfer(path, wanted, timeout, job)
        found = await self._get_image(result.id or wanted, LOOK_SECONDS)
        digest = wanted.partition("@")[2] or found.digest or found.id
        took = time.monotonic() - began
        if before.id and before.id == found.id:
            return Outcome(status=Status.NOOP, detail=pull_push_errors.unchanged_detail(digest), took=took)
        detail = pull_push_errors.done_detail(image, wanted, digest)
        return Outcome(status=Status.DONE, detail=detail, took=took)

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> JobStarted:
        named = image_reference.parse_image_reference(action.target.name)
        await self._check_same_image(action.target, seconds)
        query = urllib.parse.urlencode({"destination": str(named), "quiet": "false"})

        async def work(job: Job) -> Outcome:
            began = time.monotonic()
            path = f"/images/{shared.quoted_name(str(named))}/push?{query}"
            result = await self._transfer(path, str(named), action.timeout, job)
            digest = result.digest
            if not digest:
                found = await self._get_image(str(named), LOOK_SECONDS)
                digest = _digest_in(found.digests, named.repository)
            detail = pull_push_errors.done_detail(action.target.name, str(named), digest)
            return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

        return self.jobs.start(action.verb, work)

    async def _transfer(self, path: str, name: str, timeout: float, job: Job) -> _Progress:
        """Pulls or pushes; `path` says which. Returns the last line with an id or a digest. Raises EngineError."""
        result, layers, hint = _Progress(), set[str](), ""

        def receive(lines: bytes) -> None:
            nonlocal result
            for progress in json_decoder.decode_lines(_Progress, lines, self.skipped, skipped_data.LINE):
                if progress.error:
                    raise pull_push_errors.pull_push_error(name, progress.error, login=hint)
                layers.update(_LAYER.findall(progress.stream))
                if text := progress.stream.strip():
                    job.progress(_summary(text, len(layers)))
                result = progress if progress.id or progress.digest else result

        try:
            async with asyncio.timeout(timeout):
                found = await self.logins.find(name)
                hint = found.hint
                headers = {} if found.login is None else {"X-Registry-Auth": found.login.podman_header()}
                async with self._stream("POST", path, OPEN_SECONDS, kind="image", headers=headers) as chunks:
                    reader = LineReader(chunks.__anext__)
                    async for lines in reader:
                        receive(lines)
                    receive(reader.rest)
        except TimeoutError as error:
            raise shared.transfer_timed_out(name, timeout) from error
        except errors.NotFound as error:
            raise pull_push_errors.pull_push_error(name, error.message, login=hint, code=404) from error
        except errors.Rejected as error:
            raise pull_push_errors.pull_push_error(name, error.text, login=hint) from error
        return result

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        ends = began + seconds
        by_id = shared.is_id(target)
        if not by_id:
            await self._check_same_image(target, seconds)
        found = await self._get_image(target.id, seconds)
        tags = found.tags or []
        removes_image = by_id or len(tags) < 2
        if removes_image:
            await self._check_unused(found.id, target.name, seconds, forced=action.force)
        if by_id:
            # Without force, Podman does not remove an image with several tags by its id.
            for tag in tags[1:]:
                await self._change_tag(target, "untag", *image_names.split_tag(tag), ends - time.monotonic())
        name = target.id if by_id else str(image_reference.parse_image_reference(target.name))
        # Removing one tag of several does not need force.
        path = f"/images/{shared.quoted_name(name)}?force={str(action.force and removes_image).lower()}"
        response = await self._request("DELETE", path, ends - time.monotonic(), name=target.name, kind="image")
        self._check_change(response.body)
        detail = "the image is gone" if removes_image else f"{target.name} is gone, the image has other names"
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    async def _check_unused(self, image_id: str, name: str, seconds: float, *, forced: bool) -> None:
        """Raises Rejected if a container uses the image; with `forced`, only if that container is running.

        Podman's own force would stop and remove running containers, too. And without force, Podman would remove the
        tags of an image that it then keeps.
        """
        response = await self._request("GET", "/containers/json?all=true", seconds)
        for row in await json_decoder.decode_all_rows(_User, response.body, self.skipped):
            state = decode.STATES.get(row.state.lower(), "dead")
            if row.image == image_id and (not forced or state in containers.LIVE_STATES):
                user = (row.names or ["a container"])[0]
                raise errors.Rejected(409, f"{name} is used by {user}, which is {state}: remove that container first.")


def _summary(text: str, layers: int) -> str:
    """Podman reports which layer it begins with, but not how much of it is transferred."""
    return f"{layers} layer{'s' if layers != 1 else ''} begun" if "Copying blob" in text else text[:MAX_PROGRESS]


def _digest_in(digests: list[str] | None, repository: str) -> str:
    """The image's digest in this repository."""
    return next((one.partition("@")[2] for one in digests or () if one.partition("@")[0] == repository), "")
