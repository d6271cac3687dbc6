"""Lists, inspects, tags, removes and pulls images of containerd."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from core import errors
from core.model import images
from core.model.background_jobs import JobStarted
from core.model.containers import LIVE_STATES
from core.model.refs import Kind, Ref
from core.model.removal_blockers import FindUsers, ResourceUse, ResourceUsers
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.base.multi_request_change import MultiRequestChange, report_done
from runtimes.containerd import client, decode, image_names, inspect_summaries, pull
from runtimes.containerd.client import FAILED_PRECONDITION
from runtimes.containerd.connection import Connection
from runtimes.containerd.image_reader import ImageReader, StoredImage
from runtimes.formats import image_history


class ImageVerbs(Connection):
    """Serves the image verbs for containerd."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._images = ImageReader(self._client, self._ref)

    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        await self._identify(seconds)
        found = await self._client.namespaces(seconds)
        namespaces = [namespace.name for namespace in found if namespace.name not in self._excluded]
        rows = await map_concurrently(lambda namespace: self._images.rows(namespace, seconds), namespaces)
        return images.Images(rows=tuple(row for of_namespace in rows for row in of_namespace))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        await self._identify(seconds)
        data = await self._images.document(action.target, seconds)
        redact_json.mask_env_values(data)
        return Document(ref=action.target, data=data, summary=inspect_summaries.summarise_image(data))

    @does(images.ReadHistory)
    async def read_history(self, action: images.ReadHistory, seconds: float) -> images.ImageHistory:
        await self._identify(seconds)
        data = await self._images.document(action.target, seconds)
        return image_history.of_configuration(data["image"], [one["size"] for one in data["manifest"]["layers"]])

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        await self._identify(seconds)
        steps = MultiRequestChange(seconds)
        image = await steps.read(self._images.find(action.target, steps.seconds_left))
        name = image_names.expand_image_name(action.tag)
        if name in image.names:
            return steps.noop("already has that name")
        first = image.entries[0]
        tagged = client.Image(name=name, labels=first.labels, target=first.target)
        await steps.change(self._client.set_image_name(image.namespace, tagged, steps.seconds_left))
        return steps.done(name)

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        """Removes one name if the image has several tags and the requester wrote one of them; else all names."""
        await self._identify(seconds)
        steps, target = MultiRequestChange(seconds), action.target
        image = await steps.read(self._images.find(target, steps.seconds_left))
        removed = _removed_names(target, image)
        for use in await steps.read(self._users(target, image, removed, steps.seconds_left, force=action.force)):
            name = use.user.name
            cure = (
                f"stop and remove {name} first"
                if use.running
                else f"remove {name} first, or give: rmi -f {target.name}"
            )
            raise errors.Rejected(FAILED_PRECONDITION, f"{target.name} is used by {name}: {cure}.")
        for number, name in enumerate(removed):
            try:
                with report_done(f"{target.name} lost {', '.join(removed[:number])}", changed=steps.changed):
                    await steps.change(self._client.delete_image(image.namespace, name, steps.seconds_left))
            except errors.NotFound:
                if not steps.changed:
                    raise
                # Somebody else removed this name meanwhile.
        left = [name for name in image.names if name not in removed]
        return steps.done(f"still exists as {', '.join(left[:4])}" if left else "")

    @does(FindUsers)
    async def find_users(self, action: FindUsers, seconds: float) -> ResourceUsers:
        await self._identify(seconds)

        async def users(target: Ref) -> Sequence[ResourceUse]:
            image = await self._images.find(target, seconds)
            return await self._users(target, image, _removed_names(target, image), seconds, force=action.force)

        found = await map_concurrently(users, action.resources)
        return ResourceUsers(rows=tuple(use for of_target in found for use in of_target))

    async def _users(
        self, target: Ref, image: StoredImage, removed: Collection[str], seconds: float, *, force: bool
    ) -> Sequence[ResourceUse]:
        """Returns the containers that need one of the `removed` names. With force, only those that run count."""
        containers, tasks = await asyncio.gather(
            self._client.containers(image.namespace, seconds), self._client.tasks(image.namespace, seconds)
        )
        found = []
        for container in containers:
            task = tasks.get(container.id)
            up = task is not None and decode.STATES.get(task.status) in LIVE_STATES
            if container.image in removed and (up or not force):
                user = Ref(
                    engine=self._ref,
                    kind=Kind.CONTAINER,
                    id=f"{image.namespace}/{container.id}",
                    name=decode.name_of(container.id, container.labels),
                )
                found.append(ResourceUse(target=target, user=user, running=up, forcible=not up))
        return found

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        await self._identify(10.0)
        work = await pull.make_pull_job(self._client, self.logins, str(self._ref), action.image, 10.0)
        return self.jobs.start(action.verb, lambda job: work(job, float(action.timeout)))


def _removed_names(target: Ref, image: StoredImage) -> Sequence[str]:
    """Returns the names that a removal takes away: the target's if the image has several tags, else all."""
    tags, _ = image_names.tags_and_digests(image.names, image.digest)
    return [target.name] if target.name in image.names and len(tags) > 1 else image.names
