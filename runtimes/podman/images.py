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
from collections.abc import Sequence

import msgspec

from core import errors
from core.model import containers, images
from core.model.background_jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.base.multi_request_change import NO_ANSWER, MultiRequestChange
from runtimes.base.registry_auth import Login
from runtimes.docker_like import images as shared
from runtimes.formats import image_reference, json_decoder, pull_push_errors, skipped_data
from runtimes.podman import client, decode
from runtimes.transport.line_splitter import LineReader

LOOK_SECONDS = OPEN_SECONDS = 10.0
MAX_PROGRESS = 200  # characters
MAX_LOST = 10  # names in a message
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


class _Named(msgspec.Struct):
    """An image and all its names."""

    id: str = msgspec.field(name="Id", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)


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
        try:
            found = await self._get_image(result.id or wanted, LOOK_SECONDS)
        except NO_ANSWER as error:
            raise error.with_sent(True) from error
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
                    raise pull_push_errors.make_pull_push_error(name, progress.error, login=hint)
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
            raise pull_push_errors.make_pull_push_error(name, error.message, login=hint, code=404) from error
        except errors.Rejected as error:
            raise pull_push_errors.make_pull_push_error(name, error.text, login=hint) from error
        return result

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        change, target = MultiRequestChange(seconds), action.target
        by_id = shared.is_referenced_by_id(target)
        if not by_id:
            await change.read(self._check_same_image(target, change.seconds_left))
        found = await change.read(self._get_image(target.id, change.seconds_left))
        names = await change.read(self._names(found, change.seconds_left))
        removes_image = by_id or len(names) < 2
        if removes_image:
            await change.read(self._check_unused(found.id, target.name, change.seconds_left, forced=action.force))
        name = target.id if by_id else str(image_reference.parse_image_reference(target.name))
        # Removing one name of several does not need force.
        force = action.force and removes_image
        lost: list[str] = []
        try:
            # Without force, Podman does not remove an image with several names by its id.
            for one in names[1:] if by_id and not force else ():
                await self._untag(target, one, change)
                lost.append(one)
            path = f"/images/{shared.quoted_name(name)}?force={str(force).lower()}"
            response = await change.change(
                self._request("DELETE", path, change.seconds_left, name=target.name, kind="image")
            )
            self._check_change(response.body)
        except errors.NotFound:
            if not lost:
                raise  # somebody else removed it before this began
        except errors.EngineError as error:
            if lost:
                raise self._lost_names(target, lost, error) from error
            raise
        detail = "the image is gone" if removes_image else f"{target.name} is gone, the image has other names"
        return change.done(detail)

    async def _names(self, found: shared.ImageIdentity, seconds: float) -> Sequence[str]:
        """Returns all names of an image, its tags first. Only the list of images has the digests among them."""
        filters = urllib.parse.quote(msgspec.json.encode({"id": [found.id]}).decode())
        response = await self._request("GET", f"/images/json?filters={filters}", seconds)
        rows = await json_decoder.decode_all_rows(_Named, response.body, self.skipped)
        listed = next((row.names or () for row in rows if row.id == found.id), ())
        return tuple(dict.fromkeys([*(found.tags or ()), *listed]))

    async def _untag(self, target: Ref, name: str, change: MultiRequestChange) -> None:
        """Takes one name away from an image. Raises NotFound if the image is gone. A name that somebody else has taken
        away meanwhile is no error."""
        repository, _, tag = name.rpartition(":")  # Podman joins them again, also for a digest
        try:
            await change.change(self._change_tag(target, "untag", repository, tag, change.seconds_left))
        except (errors.NotFound, errors.Rejected):
            found = await change.read(self._get_image(target.id, change.seconds_left))
            if name in await change.read(self._names(found, change.seconds_left)):
                raise

    def _lost_names(self, target: Ref, lost: Sequence[str], error: errors.EngineError) -> errors.EngineError:
        shown = ", ".join(lost[:MAX_LOST]) + (f" and {len(lost) - MAX_LOST} more" if len(lost) > MAX_LOST else "")
        return errors.EngineError(
            f"The image {target.name} lost its other names ({shown}), and then its removal failed: {error.message}",
            sent=True,
            hint=f"To give the image a name again: tag {target.name} NAME. {error.hint}".strip(),
        )

    async def _check_unused(self, image_id: str, name: str, seconds: float, *, forced: bool) -> None:
        """Raises Rejected if a container uses the image; with `forced`, only if that container is running. Containers
        of other programs in the same storage count, such as Buildah's.

        Podman's own force would stop and remove running containers, too. And without force, Podman would remove the
        tags of an image that it then keeps.
        """
        response = await self._request("GET", "/containers/json?all=true&external=true", seconds)
        left_out = skipped_data.Tally(self.skipped)
        rows = await json_decoder.decode_all_rows(_User, response.body, left_out)
        if left_out.own:
            raise errors.InvalidResponse(
                f"{name} was not removed: {self.ref} sent a list of containers that could not"
                " be decoded completely, so one of them may use the image.",
                sent=False,
                hint="Remove the image on the engine's host, with podman. Quarterdeck's log names what could not be"
                " decoded.",
            )
        for row in rows:
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
