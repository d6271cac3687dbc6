"""Images of a CRI engine.

CRI knows them by id and removes them by id: on containerd whoever removes one tag removes them all, on CRI-O the tag
alone; either way the outcome says what went. An image in use is not removed here, though the engines would do it.
"""

from __future__ import annotations

import time

from core import errors
from core.model import images
from core.model.jobs import JobStarted
from core.model.refs import Ref
from core.model.results import Document, Outcome
from runtimes.base.adapter import does
from runtimes.base.jobs import Job
from runtimes.cri import decode
from runtimes.cri.client import done
from runtimes.cri.pods import PodVerbs
from runtimes.formats import image_reference
from runtimes.proto import cri_pb2 as cri


class ImageVerbs(PodVerbs):
    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        told = await self._ask("ListImages", cri.ListImagesRequest(), cri.ListImagesResponse, seconds)
        return images.Images(rows=tuple(decode.image(self.ref, one) for one in told.images))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        told = await self._image(action.target.id, seconds, verbose=True)
        if told is None:
            raise errors.NotFound(f"{action.target.name} is gone: {self.ref} has no such image.")
        return Document(ref=action.target, data=decode.document(told.image, told.info))

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        wanted = str(image_reference.parse(action.image))
        await self._identify(min(seconds, 10.0))
        return self.jobs.begin(action.verb, lambda job: self._pull(wanted, float(action.timeout), job))

    async def _pull(self, wanted: str, seconds: float, job: Job) -> Outcome:
        began = time.monotonic()
        before = await self._image(wanted, 10.0)
        job.progress(f"{self.engine_name} fetches {wanted} and does not tell how far it is")
        request = cri.PullImageRequest(image=cri.ImageSpec(image=wanted, user_specified_image=wanted))
        try:
            pulled = await self._ask("PullImage", request, cri.PullImageResponse, seconds)
        except errors.NotFound as error:
            raise errors.NotFound(
                f"{wanted} was not found: {error.message}", hint="Is it written right? A private one looks the same."
            ) from error
        except errors.TimedOut as error:
            raise errors.TimedOut(
                f"{wanted} was not all there after {seconds:.0f} s.",
                sent=error.sent,
                hint="Ask again: what is there already is not fetched twice.",
            ) from error
        after = await self._image(wanted, 10.0) or await self._image(pulled.image_ref, 10.0)
        digest = decode.digest_of(wanted, after.image) if after else ""
        digest = digest or pulled.image_ref
        if before is not None and after is not None and before.image == after.image:
            return done(began, time.monotonic(), f"{wanted} is {digest}, as before", noop=True)
        return done(began, time.monotonic(), f"{wanted} is {digest}")

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        found = await self._image(target.id, seconds)
        if found is None:
            raise errors.NotFound(f"{target.name} is gone: {self.ref} has no such image.")
        named = None if decode.called_by_id(target) else await self._image(target.name, seconds)
        if named is not None and named.image.id != found.image.id:
            raise errors.NotFound(f"{target.name} means another image by now.", hint="Look with images, and ask again.")
        await self._refuse_in_use(found.image, target, seconds, force=action.force)
        # By its id where it is called by that; else CRI-O takes away the one tag.
        word = target.name if target.name in found.image.repo_tags else target.id
        request = cri.RemoveImageRequest(image=cri.ImageSpec(image=word))
        left = seconds - (time.monotonic() - began)
        await self._ask("RemoveImage", request, cri.Nothing, left, about=target.name)
        rest = await self._image(target.id, max(0.5, seconds - (time.monotonic() - began)))
        return done(began, time.monotonic(), _what_went(target, found.image, rest.image if rest else None))

    async def _refuse_in_use(self, image: cri.Image, target: Ref, seconds: float, *, force: bool) -> None:
        view = await self._look(seconds)
        names = {image.id, *image.repo_tags, *image.repo_digests}
        users = [one for one in view.containers.values() if {one.image_id, one.image} & names]
        running = [one for one in users if not one.ended]
        if running or (users and not force):
            shown = ", ".join(sorted(view.names[one.id] for one in running or users)[:5])
            cure = "stop and remove these first" if running else "remove these first, or force its removal"
            raise errors.Rejected(9, f"{target.name} is used by {shown}: {cure}.")

    async def _image(self, word: str, seconds: float, *, verbose: bool = False) -> cri.ImageStatusResponse | None:
        """None where there is none of that name or id."""
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=word), verbose=verbose)
        try:
            told: cri.ImageStatusResponse = await self._ask("ImageStatus", request, cri.ImageStatusResponse, seconds)
        except errors.NotFound:
            return None
        return told if told.image.id else None


def _what_went(target: Ref, before: cri.Image, rest: cri.Image | None) -> str:
    left = set(rest.repo_tags) if rest is not None else set()
    others = [tag for tag in before.repo_tags if tag not in left and tag != target.name]
    if rest is not None:
        return f"is still there as {', '.join(sorted(left)) or target.id[:19]}"
    return f"and with it its other tags: {', '.join(others)}" if others else ""
