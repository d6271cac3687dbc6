"""Lists, inspects, pulls and removes the images of a CRI engine.

CRI identifies and removes an image by its id. On containerd, a removal of one tag removes all tags. On CRI-O, it
removes only that tag. The outcome lists the removed tags. containerd itself would remove an image that is in use;
Quarterdeck refuses this. CRI-O refuses it too, even if the container that uses the image has ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import errors
from core.model import images
from core.model.background_jobs import JobStarted
from core.model.refs import Ref
from core.model.removal_blockers import FindUsers, ResourceUse, ResourceUsers
from core.model.results import Document, Outcome
from runtimes.base import registry_auth
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.base.jobs import Job
from runtimes.base.multi_request_change import MultiRequestChange
from runtimes.base.registry_auth import Login
from runtimes.cri import client, decode, decode_info, inspect_summaries
from runtimes.cri.client import CriEngineClient
from runtimes.formats import image_history, image_reference, pull_push_errors
from runtimes.proto import cri_pb2 as cri

HUB_HOST = "registry-1.docker.io"  # where containerd asks for Docker Hub's images


class ImageVerbs(CriEngineClient):
    """Serves the image verbs for CRI engines."""

    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        found = await self._request("ListImages", cri.ListImagesRequest(), cri.ListImagesResponse, seconds)
        return images.Images(rows=tuple(decode.image_row(self.ref, image) for image in found.images))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        found = await self._image_status(action.target.id, seconds, verbose=True)
        if found is None:
            raise self._gone(action.target)
        data = decode_info.make_masked_document(found.image, found.info)
        return Document(ref=action.target, data=data, summary=inspect_summaries.summarise_image(data))

    @does(images.ReadHistory)
    async def read_history(self, action: images.ReadHistory, seconds: float) -> images.ImageHistory:
        found = await self._image_status(action.target.id, seconds, verbose=True)
        if found is None:
            raise self._gone(action.target)
        data = decode_info.make_masked_document(found.image, found.info)
        configuration = inspect_summaries.image_configuration(data)
        if configuration is None:
            raise errors.Unsupported(
                action.verb,
                str(self.ref),
                "CRI does not report build steps. To see the layers of the image: image inspect NAME.",
            )
        return image_history.of_configuration(configuration)

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        reference = str(image_reference.parse_image_reference(action.image))
        await self._identify(min(seconds, 10.0))
        return self.jobs.start(action.verb, lambda job: self._pull(action.image, reference, float(action.timeout), job))

    async def _pull(self, asked: str, reference: str, seconds: float, job: Job) -> Outcome:
        """`asked`: the image's name as it was written; `reference`: its full name."""
        steps = MultiRequestChange(seconds)
        before = await self._image_status(reference, 10.0)
        job.progress(f"{self.engine_name} is pulling {reference}; CRI reports no progress")
        found = await self.logins.find(asked)
        image = cri.ImageSpec(image=reference, user_specified_image=reference)
        request = cri.PullImageRequest(image=image, auth=_auth_config(found.login))
        try:
            pulled = await steps.change(self._request("PullImage", request, cri.PullImageResponse, seconds))
        except errors.NotFound as error:
            raise pull_push_errors.make_pull_push_error(reference, error.message, login=found.hint, code=404) from error
        except errors.Rejected as error:
            raise pull_push_errors.make_pull_push_error(reference, error.text, login=found.hint) from error
        except errors.TimedOut as error:
            raise errors.TimedOut(
                f"The pull of {reference} did not end within {seconds:.0f} s.",
                sent=error.sent,
                hint="Give the command again with a longer --timeout. The engine keeps the parts that it has pulled.",
            ) from error
        after = await steps.read(self._image_status(reference, 10.0))
        after = after or await steps.read(self._image_status(pulled.image_ref, 10.0))
        digest = decode.digest_of(reference, after.image) if after else ""
        digest = digest or pulled.image_ref
        if before is not None and after is not None and before.image == after.image:
            return steps.noop(pull_push_errors.unchanged_detail(digest))
        return steps.done(pull_push_errors.done_detail(asked, reference, digest))

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        steps, target = MultiRequestChange(seconds), action.target
        found = await steps.read(self._image_status(target.id, steps.seconds_left))
        if found is None:
            raise self._gone(target)
        by_name = None
        if not decode.is_named_by_id(target):
            by_name = await steps.read(self._image_status(target.name, steps.seconds_left))
        if by_name is not None and by_name.image.id != found.image.id:
            raise errors.NotFound(
                f"The image was not removed, because the name {target.name} belongs to another image now.",
                hint="List the images with `images`, and remove the image by its id.",
            )
        await steps.read(self._refuse_in_use(found.image, target, steps.seconds_left, force=action.force))
        # With the tag, CRI-O removes only that tag. An image without a tag needs its id.
        name = target.name if target.name in found.image.repo_tags else target.id
        request = cri.RemoveImageRequest(image=cri.ImageSpec(image=name))
        await steps.change(self._request("RemoveImage", request, cri.Nothing, steps.seconds_left, target=target))
        rest = await steps.read(self._image_status(target.id, max(0.5, steps.seconds_left)))
        return steps.done(_removed_tags(target, found.image, rest.image if rest else None))

    @does(FindUsers)
    async def find_users(self, action: FindUsers, seconds: float) -> ResourceUsers:
        async def users(target: Ref) -> Sequence[ResourceUse]:
            found = await self._image_status(target.id, seconds)
            return [] if found is None else await self._users(found.image, target, seconds, force=action.force)

        found = await map_concurrently(users, action.resources)
        return ResourceUsers(rows=tuple(use for of_target in found for use in of_target))

    async def _refuse_in_use(self, image: cri.Image, target: Ref, seconds: float, *, force: bool) -> None:
        users = await self._users(image, target, seconds, force=force)
        if users:
            shown = ", ".join(sorted(use.user.name for use in users)[:5])
            cure = "stop and remove these first" if users[0].running else "remove these first"
            cure += f", or give: rmi -f {target.name}" if users[0].forcible else ""
            raise errors.Rejected(9, f"{target.name} is used by {shown}: {cure}.")

    async def _users(self, image: cri.Image, target: Ref, seconds: float, *, force: bool) -> Sequence[ResourceUse]:
        """Returns the containers because of which the image is not removed: those that run, if there are any."""
        is_crio = self.engine_name == client.CRIO
        if is_crio and len(image.repo_tags) > 1 and not decode.is_named_by_id(target):
            return ()  # only this tag is removed
        snapshot = await self._snapshot(seconds)
        names = {image.id, *image.repo_tags, *image.repo_digests}
        users = [record for record in snapshot.containers.values() if {record.image_id, record.image} & names]
        running = [record for record in users if not record.ended]
        if not running and force and not is_crio:
            return ()
        forcible = not running and not is_crio
        return [
            ResourceUse(target=target, user=snapshot.ref(record), running=bool(running), forcible=forcible)
            for record in running or users
        ]

    async def _image_status(
        self, reference: str, seconds: float, *, verbose: bool = False
    ) -> cri.ImageStatusResponse | None:
        """Reads one image. `reference`: a name or an id. Returns None if there is no such image."""
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=reference), verbose=verbose)
        try:
            found: cri.ImageStatusResponse = await self._request(
                "ImageStatus", request, cri.ImageStatusResponse, seconds
            )
        except errors.NotFound:
            return None
        return found if found.image.id else None


def _auth_config(login: Login | None) -> cri.AuthConfig | None:
    if login is None:
        return None
    # containerd parses the address as a URL, and compares its host with the host that it asks.
    host = HUB_HOST if login.registry == registry_auth.HUB else login.registry
    return cri.AuthConfig(
        username=login.username,
        password=login.password,
        identity_token=login.identity_token,
        server_address=f"https://{host}",
    )


def _removed_tags(target: Ref, before: cri.Image, rest: cri.Image | None) -> str:
    """Returns a sentence for the outcome: which tags are left, or which other tags were removed too."""
    left = set(rest.repo_tags) if rest is not None else set()
    others = [tag for tag in before.repo_tags if tag not in left and tag != target.name]
    if rest is not None:
        return f"still exists as {', '.join(sorted(left)) or target.id[:19]}"
    return f"also removed its other tags: {', '.join(others)}" if others else ""
