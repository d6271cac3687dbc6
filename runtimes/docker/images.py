"""Pulls, pushes and removes Docker's images. A pull or a push runs as a job and reports its progress."""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse

import msgspec

from core import errors
from core.model import image_names, images
from core.model.background_jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.base.registry_auth import Login, Lookup
from runtimes.docker.client import EngineClient
from runtimes.docker.pull_progress import PullProgress
from runtimes.docker_like import images as shared
from runtimes.docker_like.client import quoted_id
from runtimes.docker_like.decode import NO_NAME
from runtimes.formats import image_reference, json_decoder, pull_push_errors, skipped_data

NO_LOGIN = "e30="
"""`X-Registry-Auth` without a login: {} in base64. Older daemons refuse a push without the header."""


class _User(msgspec.Struct):
    """A container of an image."""

    id: str = msgspec.field(name="Id")


class ImageVerbs(EngineClient, shared.ImageVerbs, abc.ABC):
    """Serves the verbs that pull, push and remove images for Docker."""

    def _auth_header(self, login: Login) -> str:
        return login.docker_header()

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        return self.jobs.start(action.verb, lambda job: self._pull(action.image, action.timeout, job))

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> JobStarted:
        named = image_reference.parse_image_reference(action.target.name)
        await self._check_same_image(action.target, seconds)
        path = f"/images/{urllib.parse.quote(named.repository)}/push?tag={urllib.parse.quote(named.tag)}"
        asked, name = action.target.name, str(named)
        return self.jobs.start(
            action.verb, lambda job: self._transfer(path, action.timeout, job, asked=asked, name=name)
        )

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        force = action.force
        if shared.is_referenced_by_id(target):
            name = quoted_id(target)
            # Docker requires force for an image with several names. With force, it removes an image that stopped
            # containers use, so force is added only then, and if no container uses the image.
            if not force and has_several_names(await self._get_image(target.id, seconds)):
                force = not await self._may_be_used(target, seconds)
        else:
            await self._check_same_image(target, seconds)
            name = shared.quoted_name(str(image_reference.parse_image_reference(target.name)))
        path = f"/images/{name}?force={int(force)}"
        response = await self._request("DELETE", path, seconds, name=target.name, kind="image")
        steps = json_decoder.decode_rows(dict[str, str], response.body, self.skipped)
        untagged = [step["Untagged"] for step in steps if "Untagged" in step]
        gone = any("Deleted" in step for step in steps)
        stays = "the image itself stays, because it has other names or containers use it"
        detail = "the image is gone" if gone else f"{', '.join(untagged)} is gone, {stays}"
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _pull(self, image: str, timeout: float, job: Job) -> Outcome:
        wanted = image_reference.parse_image_reference(image)
        # Without a tag, older daemons pull every tag of the repository.
        query = urllib.parse.urlencode({"fromImage": wanted.repository, "tag": wanted.tag_or_digest})
        return await self._transfer(f"/images/create?{query}", timeout, job, asked=image, name=str(wanted))

    async def _transfer(self, path: str, timeout: float, job: Job, *, asked: str, name: str) -> Outcome:
        """Pulls or pushes; `path` says which. `asked`: the image's name as it was written; `name`: its full name."""
        began, progress = time.monotonic(), PullProgress(self.skipped)
        try:
            async with asyncio.timeout(timeout):
                found = await self.logins.find(name)
                await self._follow_transfer(path, timeout, job, progress, found, name=name)
        except TimeoutError:
            raise shared.transfer_timed_out(name, timeout, _so_far(progress)) from None
        except asyncio.CancelledError:
            job.end(Outcome(status=Status.UNKNOWN, detail=f"was stopped{_so_far(progress)}"))
            raise
        if progress.error:
            raise pull_push_errors.make_pull_push_error(name, progress.error, login=found.hint)
        took = time.monotonic() - began
        if progress.up_to_date:
            return Outcome(status=Status.NOOP, detail=pull_push_errors.unchanged_detail(progress.digest), took=took)
        detail = pull_push_errors.done_detail(asked, name, progress.digest)
        return Outcome(status=Status.DONE, detail=detail, took=took)

    async def _follow_transfer(
        self,
        path: str,
        seconds: float,
        job: Job,
        progress: PullProgress,
        found: Lookup,
        *,
        name: str,
    ) -> None:
        headers = {"X-Registry-Auth": found.login.docker_header() if found.login is not None else NO_LOGIN}
        try:
            async with self._stream("POST", path, seconds, kind="image", headers=headers) as chunks:
                async for chunk in chunks:
                    progress.feed(chunk)
                    if text := progress.summary():
                        job.progress(text)
        except errors.NotFound as error:
            raise pull_push_errors.make_pull_push_error(name, error.message, login=found.hint, code=404) from error
        except errors.Rejected as error:
            raise pull_push_errors.make_pull_push_error(name, error.text, login=found.hint) from error
        except errors.Unreachable as error:
            progress.finish()
            if not progress.error:
                message = f"{error.message.rstrip('.')}{_so_far(progress)}."
                raise errors.Unreachable(message, sent=error.sent, hint=error.hint) from error
        progress.finish()

    async def _may_be_used(self, target: Ref, seconds: float) -> bool:
        filters = urllib.parse.quote(msgspec.json.encode({"ancestor": [target.id]}).decode())
        response = await self._request("GET", f"/containers/json?all=1&filters={filters}", seconds)
        left_out = skipped_data.Tally(self.skipped)
        return bool(await json_decoder.decode_all_rows(_User, response.body, left_out) or left_out.own)


def has_several_names(image: shared.ImageIdentity) -> bool:
    """Whether Docker requires force to remove an image by its id. A tag and a digest of one repository are one name."""
    tags = [one for one in image.tags or () if one not in NO_NAME]
    names = (*tags, *(one for one in image.digests or () if one not in NO_NAME))
    return len(tags) > 1 or len({image_names.split_tag(name)[0] for name in names}) > 1


def _so_far(progress: PullProgress) -> str:
    return f"; finished by then: {text}" if (text := progress.summary()) else ""
