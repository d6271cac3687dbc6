"""The part of Docker that knows images: listed, inspected, fetched and sent as jobs, named, removed.

A name is checked before the daemon sees it. A thing we point at is pinned by its id, while Docker removes and pushes by
name: it is looked whether the name still means the same image.
"""

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
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.jobs import Job
from runtimes.docker import decode_resources
from runtimes.docker.client import EngineClient, path_of
from runtimes.docker.pull_progress import Progress
from runtimes.formats import decoding, image_reference

NO_LOGIN = "e30="
"""`X-Registry-Auth` of somebody without one: {} in base64. Older daemons refuse a push without the header."""
LOGIN_HINT = "That registry wants a login, and Quarterdeck has none. Pull it by hand on its host, or let it be read."
_LOGIN_WORDS = ("no basic auth credentials", "unauthorized", "authentication required", "access denied")


class ImageVerbs(EngineClient, abc.ABC):
    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        answer = await self._ask("GET", "/images/json", seconds)
        return images.Images(rows=decode_resources.images(self.ref, answer.body))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        target = f"/images/{path_of(action.target)}/json"
        answer = await self._ask("GET", target, seconds, about=action.target.name, what="image")
        return Document(ref=action.target, data=redact_json.mask_env_values(decoding.document(answer.body)))

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        wanted = image_reference.parse(action.image)
        # Without a tag, older daemons fetch every tag there is.
        words = urllib.parse.urlencode({"fromImage": wanted.repository, "tag": wanted.tag_or_digest})
        return self.jobs.begin(
            action.verb, lambda job: self._transfer(f"/images/create?{words}", str(wanted), action.timeout, job)
        )

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> JobStarted:
        named = image_reference.parse(action.target.name)
        await self._same(action.target, seconds)
        target = f"/images/{urllib.parse.quote(named.repository)}/push?tag={urllib.parse.quote(named.tag)}"
        return self.jobs.begin(
            action.verb,
            lambda job: self._transfer(target, str(named), action.timeout, job, {"X-Registry-Auth": NO_LOGIN}),
        )

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        began = time.monotonic()
        wanted = image_reference.parse(action.tag)
        if await self._id_of(str(wanted), seconds) == action.target.id:
            return Outcome(status=Status.NOOP, detail=f"had the name {wanted} already")
        words = urllib.parse.urlencode({"repo": wanted.repository, "tag": wanted.tag})
        target = f"/images/{path_of(action.target)}/tag?{words}"
        await self._ask("POST", target, seconds, about=action.target.name, what="image")
        return Outcome(status=Status.DONE, detail=str(wanted), took=time.monotonic() - began)

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        force = action.force
        if _by_id(target):
            name = path_of(target)
            # Docker wants force for an image of several names; we take it only for one that nothing is made of.
            force = force or not await self._used(target, seconds)
        else:
            await self._same(target, seconds)
            name = urllib.parse.quote(str(image_reference.parse(target.name)), safe="/:@")
        path = f"/images/{name}?force={int(force)}"
        answer = await self._ask("DELETE", path, seconds, about=target.name, what="image")
        steps = decoding.decode(list[dict[str, str]], answer.body)
        untagged = [step["Untagged"] for step in steps if "Untagged" in step]
        gone = any("Deleted" in step for step in steps)
        detail = "the image is gone" if gone else f"{', '.join(untagged)} is gone, the image has other names"
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _transfer(
        self, target: str, name: str, timeout: float, job: Job, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        began, progress = time.monotonic(), Progress()
        try:
            async with asyncio.timeout(timeout):
                await self._follow_transfer(target, timeout, job, progress, headers)
        except TimeoutError:
            raise errors.TimedOut(
                f"{name} was not all there after {timeout:.0f} s{_by_then(progress)}.",
                sent=True,
                hint="Ask again: what is there already is not fetched twice.",
            ) from None
        except asyncio.CancelledError:
            job.end(Outcome(status=Status.UNKNOWN, detail=f"was stopped{_by_then(progress)}"))
            raise
        if progress.fault:
            raise _refused(500, progress.fault)
        detail = f"{name} is {progress.digest}" if progress.digest else name
        status = Status.NOOP if progress.current else Status.DONE
        return Outcome(
            status=status, detail=f"{detail}, as before" if progress.current else detail, took=time.monotonic() - began
        )

    async def _follow_transfer(
        self, target: str, seconds: float, job: Job, progress: Progress, headers: Mapping[str, str] | None
    ) -> None:
        try:
            async with self._stream("POST", target, seconds, what="image", headers=headers) as stream:
                async for chunk in stream.chunks():
                    progress.feed(chunk)
                    if said := progress.say():
                        job.progress(said)
        except errors.NotFound as error:
            raise errors.NotFound(error.message, hint="Is it written right? A private one looks the same.") from error
        except errors.Rejected as error:
            raise _refused(error.code, error.text) from error
        progress.finish()
        if stream.cut and not progress.fault:
            raise errors.Unreachable(f"{self.ref} broke off{_by_then(progress)}.", sent=True)

    async def _same(self, target: Ref, seconds: float) -> None:
        """Raises NotFound where its name means another image by now."""
        if await self._id_of(str(image_reference.parse(target.name)), seconds, about=target.name) != target.id:
            raise errors.NotFound(f"{target.name} means another image by now.", hint="Look with images, and ask again.")

    async def _id_of(self, name: str, seconds: float, *, about: str = "") -> str:
        """The id of what has this name; raises NotFound where it is `about` something, else it is empty for none."""
        path = f"/images/{urllib.parse.quote(name, safe='/:@')}/json"
        try:
            answer = await self._ask("GET", path, seconds, about=about, what="image")
        except errors.NotFound:
            if about:
                raise
            return ""
        return str(decoding.document(answer.body).get("Id", ""))

    async def _used(self, target: Ref, seconds: float) -> bool:
        filters = urllib.parse.quote(msgspec.json.encode({"ancestor": [target.id]}).decode())
        answer = await self._ask("GET", f"/containers/json?all=1&filters={filters}", seconds)
        return bool(self._words().listed(answer.body))


def _by_id(target: Ref) -> bool:
    """Whether it is called by its id, having no name or being meant with all of them."""
    return not target.name or target.id.rpartition(":")[2].startswith(target.name.removeprefix("sha256:"))


def _by_then(progress: Progress) -> str:
    return f"; by then {said}" if (said := progress.say()) else ""


def _refused(code: int, words: str) -> errors.Rejected:
    error = errors.Rejected(code, words)
    if any(word in words.lower() for word in _LOGIN_WORDS):
        error.hint = LOGIN_HINT
    return error
