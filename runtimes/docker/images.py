"""Pulls, pushes and removes Docker's images. A pull or a push runs as a job and reports its progress."""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse
from collections.abc import Mapping

import msgspec

from core import errors
from core.model import images
from core.model.jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.docker.client import EngineClient
from runtimes.docker.pull_progress import PullProgress
from runtimes.docker_like import images as shared
from runtimes.docker_like.client import quoted_id
from runtimes.formats import image_reference, json_decoder

NO_LOGIN = "e30="
"""`X-Registry-Auth` without a login: {} in base64. Older daemons refuse a push without the header."""
LOGIN_HINT = (
    "The registry requires a login, and Quarterdeck has none. Pull the image by hand on its host, or make it public."
)
_LOGIN_ERRORS = ("no basic auth credentials", "unauthorized", "authentication required", "access denied")


class ImageVerbs(EngineClient, shared.ImageVerbs, abc.ABC):
    """Serves the verbs that pull, push and remove images for Docker."""

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        wanted = image_reference.parse_image_reference(action.image)
        # Without a tag, older daemons pull every tag of the repository.
        query = urllib.parse.urlencode({"fromImage": wanted.repository, "tag": wanted.tag_or_digest})
        path = f"/images/create?{query}"
        return self.jobs.start(action.verb, lambda job: self._transfer(path, str(wanted), action.timeout, job))

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> JobStarted:
        named = image_reference.parse_image_reference(action.target.name)
        await self._check_same_image(action.target, seconds)
        path = f"/images/{urllib.parse.quote(named.repository)}/push?tag={urllib.parse.quote(named.tag)}"
        headers = {"X-Registry-Auth": NO_LOGIN}
        return self.jobs.start(action.verb, lambda job: self._transfer(path, str(named), action.timeout, job, headers))

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        force = action.force
        if shared.is_id(target):
            name = quoted_id(target)
            # Docker requires force for an image with several names; it is added if no container uses the image.
            force = force or not await self._is_used(target, seconds)
        else:
            await self._check_same_image(target, seconds)
            name = shared.quoted_name(str(image_reference.parse_image_reference(target.name)))
        path = f"/images/{name}?force={int(force)}"
        response = await self._request("DELETE", path, seconds, name=target.name, kind="image")
        steps = json_decoder.decode_json(list[dict[str, str]], response.body)
        untagged = [step["Untagged"] for step in steps if "Untagged" in step]
        gone = any("Deleted" in step for step in steps)
        detail = "the image is gone" if gone else f"{', '.join(untagged)} is gone, the image has other names"
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _transfer(
        self, path: str, name: str, timeout: float, job: Job, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """Pulls or pushes; `path` says which."""
        began, progress = time.monotonic(), PullProgress()
        try:
            async with asyncio.timeout(timeout):
                await self._follow_transfer(path, timeout, job, progress, headers)
        except TimeoutError:
            raise shared.transfer_timed_out(name, timeout, _so_far(progress)) from None
        except asyncio.CancelledError:
            job.end(Outcome(status=Status.UNKNOWN, detail=f"was stopped{_so_far(progress)}"))
            raise
        if progress.error:
            raise _rejected(500, progress.error)
        detail = f"{name} is {progress.digest}" if progress.digest else name
        status = Status.NOOP if progress.up_to_date else Status.DONE
        return Outcome(
            status=status,
            detail=f"{detail}, as before" if progress.up_to_date else detail,
            took=time.monotonic() - began,
        )

    async def _follow_transfer(
        self, path: str, seconds: float, job: Job, progress: PullProgress, headers: Mapping[str, str] | None
    ) -> None:
        try:
            async with self._stream("POST", path, seconds, kind="image", headers=headers) as chunks:
                async for chunk in chunks:
                    progress.feed(chunk)
                    if text := progress.summary():
                        job.progress(text)
        except errors.NotFound as error:
            raise errors.NotFound(
                error.message, hint="Check the name. A registry reports a private image as missing, too."
            ) from error
        except errors.Rejected as error:
            raise _rejected(error.code, error.text) from error
        except errors.Unreachable as error:
            progress.finish()
            if not progress.error:
                message = f"{error.message.rstrip('.')}{_so_far(progress)}."
                raise errors.Unreachable(message, sent=error.sent, hint=error.hint) from error
        progress.finish()

    async def _is_used(self, target: Ref, seconds: float) -> bool:
        filters = urllib.parse.quote(msgspec.json.encode({"ancestor": [target.id]}).decode())
        response = await self._request("GET", f"/containers/json?all=1&filters={filters}", seconds)
        return bool(self._decoder.containers(response.body))


def _so_far(progress: PullProgress) -> str:
    return f"; finished by then: {text}" if (text := progress.summary()) else ""


def _rejected(code: int, text: str) -> errors.Rejected:
    error = errors.Rejected(code, text)
    if any(cause in text.lower() for cause in _LOGIN_ERRORS):
        error.hint = LOGIN_HINT
    return error
