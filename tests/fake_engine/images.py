"""The images of the engine in memory: tags that name contents; what is pulled comes in three layers, in no time."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from core import errors
from core.model import containers, image_names, images
from core.model.background_jobs import JobStarted
from core.model.events import Event, EventKind, Origin
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from tests.fake_engine.core import FakeEngine, contents

LAYERS = 3


class Images(FakeEngine):
    """`remote` is what a registry holds under a name: other contents than it had before, or None for nothing at all."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.remote: dict[str, str | None] = {}
        self._details: dict[str, dict[str, Any]] = {}

    def add_image(self, *tags: str, labels: dict[str, str] | None = None, size: int = 4_200_000) -> Ref:
        """Without a tag it is what is left where another image took its last one."""
        self._made += 1
        thing = contents(tags[0]) if tags else "sha256:" + hashlib.sha256(f"left {self._made}".encode()).hexdigest()
        self._details[thing] = {"labels": labels or {}, "size": size, "created_at": self._now()}
        self.tags |= dict.fromkeys(tags, thing)
        return self._image(thing).ref

    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        await self._answer("images", seconds)
        return images.Images(rows=tuple(map(self._image, self._image_ids())))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = self._image(self._known(action.target))
        data = {"Id": row.ref.id, "RepoTags": list(row.tags), "Size": row.size, "Config": {"Labels": dict(row.labels)}}
        return Document(ref=row.ref, data=data)

    @does(images.ReadHistory)
    async def read_history(self, action: images.ReadHistory, seconds: float) -> images.ImageHistory:
        await self._answer("history", seconds)
        row = self._image(self._known(action.target))
        step = images.HistoryStep(created_at=row.created_at, command="/bin/sh -c true", size=row.size)
        return images.ImageHistory(rows=(step,))

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        await self._answer("change", seconds)
        name = image_names.with_default_tag(action.image)

        async def work(job: Job) -> Outcome:
            thing = self.remote.get(name, contents(name))
            if thing is None:
                raise errors.Rejected(404, f"manifest for {name} not found: manifest unknown")
            digest = "sha256:" + hashlib.sha256(thing.encode()).hexdigest()
            if self.tags.get(name) == thing:
                return Outcome(status=Status.NOOP, detail=f"is up to date: {digest}")
            for layer in range(1, LAYERS + 1):
                job.progress(f"{layer} of {LAYERS} layers")
                await asyncio.sleep(0)
            self._details.setdefault(thing, {"created_at": self._now()})
            self.tags[name] = thing
            self._tell_of(EventKind.PULLED, Ref(engine=self.ref, kind=Kind.IMAGE, id=thing, name=name), "pull")
            return Outcome(status=Status.DONE, detail=digest)

        return self.jobs.start(action.verb, work)

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> JobStarted:
        await self._answer("change", seconds)
        thing = self._known(action.target)

        async def work(job: Job) -> Outcome:
            job.progress("pushing")
            self.remote[action.target.name] = thing
            return Outcome(status=Status.DONE, detail=thing)

        return self.jobs.start(action.verb, work)

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        thing, name = self._known(action.target), image_names.with_default_tag(action.tag)
        if self.tags.get(name) == thing:
            return Outcome(status=Status.NOOP, detail=f"was called {name} already")
        self.tags[name] = thing
        return Outcome(status=Status.DONE)

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        thing = self._known(action.target)
        tags = [tag for tag, named in self.tags.items() if named == thing]
        taken = [action.target.name] if action.target.name in tags else tags
        users = [row for row in self.containers.values() if row.image_id == thing]
        busy = [row for row in users if not action.force or row.state in containers.LIVE_STATES]
        if busy and len(taken) == len(tags):
            raise errors.Rejected(409, f"image is being used by container {busy[0].ref.name}")
        for tag in taken:
            del self.tags[tag]
        if thing not in self.tags.values():
            self._details.pop(thing, None)
            self._tell_of(EventKind.OTHER, action.target, "delete")
        return Outcome(status=Status.DONE)

    def _image_ids(self) -> list[str]:
        return list(dict.fromkeys((*self.tags.values(), *self._details)))

    def _known(self, target: Ref) -> str:
        if target.id not in self._image_ids():
            raise errors.NotFound(
                f"{self.ref} has no image {target.name}.",
                hint="List all images with: images",
            )
        return target.id

    def _image(self, thing: str) -> images.Image:
        tags = tuple(sorted(tag for tag, named in self.tags.items() if named == thing))
        digest = "sha256:" + hashlib.sha256(thing.encode()).hexdigest()
        name = tags[0] if tags else thing.removeprefix("sha256:")[:12]
        details: dict[str, Any] = {"size": 4_200_000, "labels": {}, "created_at": 0.0} | self._details.get(thing, {})
        return images.Image(
            ref=Ref(engine=self.ref, kind=Kind.IMAGE, id=thing, name=name),
            tags=tags,
            digests=tuple(dict.fromkeys(f"{image_names.split_tag(tag)[0]}@{digest}" for tag in tags)),
            containers=sum(row.image_id == thing for row in self.containers.values()),
            **details,
        )

    def _tell_of(self, kind: EventKind, subject: Ref, action: str) -> None:
        self.tell(
            Event(
                at_ns=self._tick(),
                kind=kind,
                subject=subject,
                origin=Origin.LIVE,
                type="image",
                action=action,
                attrs={},
            )
        )
