"""Podman's images: listed, inspected, pulled, pushed, tagged, removed.

Who may use a registry is the affair of the engine's user (`podman login`); how it is reached, of its registries.conf.
What a pull or push tells on the way is shown as its progress, the error inside of an answer with status 200 ends it.
"""

from __future__ import annotations

import abc
import asyncio
import re
import time
import urllib.parse

import msgspec

from core import errors
from core.model import containers as model_containers
from core.model import image_names, images
from core.model.jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.jobs import Job
from runtimes.formats import image_reference
from runtimes.podman import client, decode, resources
from runtimes.transport.lines import LineReader

SHORT = 12
_LAYER = re.compile(r"Copying blob sha256:([0-9a-f]{64})")
REGISTRY_CURE = "Log in as the user of that engine (podman login), and see its registries.conf."


class _Image(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)
    size: int = msgspec.field(name="Size", default=0)
    created: float = msgspec.field(name="Created", default=0)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)
    containers: int | None = msgspec.field(name="Containers", default=None)


class _Progress(msgspec.Struct):
    stream: str = ""
    error: str = ""
    id: str = ""
    digest: str = msgspec.field(name="manifestdigest", default="")


class _Inspected(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    digest: str = msgspec.field(name="Digest", default="")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)


class _User(msgspec.Struct):
    image: str = msgspec.field(name="ImageID", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    state: str = msgspec.field(name="State", default="")


class ImageVerbs(client.EngineClient, abc.ABC):
    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        answer = await self._ask("GET", "/images/json", seconds)
        return images.Images(rows=tuple(map(self._image, decode.decode(list[_Image], answer.body))))

    def _image(self, row: _Image) -> images.Image:
        tags = tuple(row.tags or ())
        return images.Image(
            ref=self._dialect.ref("image", row.id, tags[0] if tags else row.id[:SHORT]),
            tags=tags,
            digests=tuple(row.digests or ()),
            size=row.size,
            created_at=row.created,
            labels=row.labels or {},
            containers=row.containers,
        )

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        target = action.target
        answer = await self._ask("GET", f"/images/{_quote(target.id)}/json", seconds, about=target.name, kind="image")
        data = decode.document(answer.body)
        redact_json.mask_env_values(data)
        return Document(ref=target, data=data)

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        named = str(image_reference.parse(action.image))

        async def work(job: Job) -> Outcome:
            began = time.monotonic()
            before = await self._look(named, 10.0, must=False)
            last = await self._carry(f"/images/pull?reference={_quote(named)}", named, action.timeout, job)
            found = await self._look(last.id or named, 10.0)
            detail = f"{named} is {_pinned(named) or found.digest or found.id}"
            if before.id and before.id == found.id:
                return Outcome(status=Status.NOOP, detail=f"{detail}, as before", took=time.monotonic() - began)
            return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

        return self.jobs.begin(action.verb, work)

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> JobStarted:
        named = image_reference.parse(action.target.name)
        await self._same(action.target, seconds)
        ask = urllib.parse.urlencode({"destination": str(named), "quiet": "false"})

        async def work(job: Job) -> Outcome:
            began = time.monotonic()
            path = f"/images/{_quote(str(named))}/push?{ask}"
            last = await self._carry(path, str(named), action.timeout, job)
            digest = last.digest or _digest_of((await self._look(str(named), 10.0)).digests, named.repository)
            detail = f"{named} is {digest}" if digest else str(named)
            return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

        return self.jobs.begin(action.verb, work)

    async def _carry(self, path: str, name: str, timeout: float, job: Job) -> _Progress:
        """A pull or a push to its end, told to the job; the last that was said. Raises EngineError."""
        said, layers = _Progress(), set[str]()
        try:
            async with asyncio.timeout(timeout), self._stream("POST", path, 10.0, about=name, kind="image") as chunks:
                async for lines in LineReader(chunks.__anext__, str(self.ref)):
                    for line in filter(None, map(bytes.strip, lines.split(b"\n"))):
                        one = decode.decode(_Progress, line)
                        if one.error:
                            raise errors.EngineError(one.error[:400], hint=REGISTRY_CURE)
                        layers.update(_LAYER.findall(one.stream))
                        if one.stream.strip():
                            job.progress(_progress(one.stream.strip(), len(layers)))
                        said = one if one.id or one.digest else said
        except TimeoutError as error:
            raise errors.TimedOut(
                f"{name} was not all there after {timeout:.0f} s.",
                sent=True,
                hint="Ask again: what is there already is not fetched twice.",
            ) from error
        return said

    async def _look(self, name: str, seconds: float, *, must: bool = True) -> _Inspected:
        """Raises NotFound, or without `must` is empty where there is none."""
        try:
            answer = await self._ask("GET", f"/images/{_quote(name)}/json", seconds, about=name, kind="image")
        except errors.NotFound:
            if must:
                raise
            return _Inspected()
        return decode.decode(_Inspected, answer.body)

    async def _same(self, target: Ref, seconds: float) -> None:
        """Raises NotFound where its name means another image by now."""
        if (await self._look(str(image_reference.parse(target.name)), seconds)).id != target.id:
            raise errors.NotFound(f"{target.name} means another image by now.", hint="Look with images, and ask again.")

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        wanted = image_reference.parse(action.tag)
        if (await self._look(str(wanted), seconds, must=False)).id == target.id:
            return Outcome(status=Status.NOOP, detail=f"had the name {wanted} already")
        await self._name(target, "tag", str(wanted), seconds)
        return Outcome(status=Status.DONE, detail=str(wanted), took=time.monotonic() - began)

    async def _name(self, target: Ref, verb: str, name: str, seconds: float) -> None:
        """`tag` or `untag`."""
        repository, tag = image_names.split_tag(name)
        ask = urllib.parse.urlencode({"repo": repository, "tag": tag})
        path = f"/images/{_quote(target.id)}/{verb}?{ask}"
        await self._ask("POST", path, seconds, about=target.name, kind="image")

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        ends = began + seconds
        whole = _by_id(target)
        if not whole:
            await self._same(target, seconds)
        found = await self._look(target.id, seconds)
        tags = found.tags or []
        last = whole or len(tags) < 2
        if last:
            await self._refuse_used(found.id, target.name, seconds, forced=action.force)
        if whole:
            # By its id Podman removes no image with several tags, unless by force.
            for tag in tags[1:]:
                await self._name(target, "untag", tag, ends - time.monotonic())
        name = target.id if whole else str(image_reference.parse(target.name))
        # Force is for the image's own end: for one tag of several it is not needed.
        path = f"/images/{_quote(name)}?force={str(action.force and last).lower()}"
        answer = await self._ask("DELETE", path, ends - time.monotonic(), about=target.name, kind="image")
        resources.refuse_inner(answer.body)
        detail = "the image is gone" if last else f"{target.name} is gone, the image has other names"
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    async def _refuse_used(self, image: str, name: str, seconds: float, *, forced: bool) -> None:
        """Podman's force ends and removes whatever runs of it too; ours stops short of that. And without force nothing
        is untagged of an image that is going to stay."""
        answer = await self._ask("GET", "/containers/json?all=true", seconds)
        for row in decode.decode(list[_User], answer.body):
            state = decode.STATES.get(row.state.lower(), "dead")
            if row.image == image and (not forced or state in model_containers.LIVE_STATES):
                user = (row.names or ["a container"])[0]
                raise errors.Rejected(409, f"{name} is used by {user}, which is {state}")


def _by_id(target: Ref) -> bool:
    """Whether it is called by its id, having no name or being meant with all of them."""
    return not target.name or target.id.startswith(target.name.removeprefix("sha256:"))


def _progress(said: str, layers: int) -> str:
    """Podman tells which layer it begins, not how far it is."""
    return f"{layers} layer{'s' if layers != 1 else ''} begun" if "Copying blob" in said else said[:200]


def _pinned(name: str) -> str:
    return name.partition("@")[2]


def _digest_of(digests: list[str] | None, repository: str) -> str:
    """The digest it has in this repository."""
    return next((one.partition("@")[2] for one in digests or () if one.partition("@")[0] == repository), "")


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe=":@")
