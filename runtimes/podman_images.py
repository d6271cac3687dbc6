"""Podman's images: listed, inspected, pulled, pushed, tagged, removed.

Who may use a registry is the affair of the engine's user (`podman login`); how it is reached, of its registries.conf.
What a pull or push tells on the way is shown as its progress, the error inside of an answer with status 200 ends it.
"""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse

import msgspec

from core import errors, redact
from core.model import images
from core.model.jobs import Started
from core.model.refs import Ref
from core.model.replies import Status
from core.model.things import Document, Outcome
from runtimes import podman_asking, podman_dialect, podman_parts, transitions
from runtimes.adapter import does
from runtimes.jobs import Job

SHORT = 12
LONGEST_LINE = 1 << 20
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


class _User(msgspec.Struct):
    image: str = msgspec.field(name="ImageID", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    state: str = msgspec.field(name="State", default="")


class Imaging(podman_asking.Asking, abc.ABC):
    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        answer = await self._ask("GET", "/images/json", seconds)
        return images.Images(rows=tuple(map(self._image, podman_dialect.decode(list[_Image], answer.body))))

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
        answer = await self._ask("GET", f"/images/{_called(target)}/json", seconds, about=target.name, kind="image")
        data = podman_dialect.document(answer.body)
        redact.hide_environment(data)
        return Document(ref=target, data=data)

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> Started:
        reference = action.image if _has_tag(action.image) else f"{action.image}:latest"

        async def work(job: Job) -> Outcome:
            last = await self._carry(f"/images/pull?reference={_quote(reference)}", reference, action.timeout, job)
            found = await self._look(last.id or reference, 10.0)
            return Outcome(status=Status.DONE, detail=f"{reference} is {found.digest or found.id}")

        return self.jobs.begin(action.verb, work)

    @does(images.PushImage)
    async def push_image(self, action: images.PushImage, seconds: float) -> Started:
        target = action.target

        async def work(job: Job) -> Outcome:
            ask = {"destination": target.name, "quiet": "false"}
            path = f"/images/{_called(target)}/push?{urllib.parse.urlencode(ask)}"
            last = await self._carry(path, target.name, action.timeout, job)
            found = last.digest or (await self._look(target.name, 10.0)).digest
            return Outcome(status=Status.DONE, detail=f"{target.name} is {found}" if found else "")

        return self.jobs.begin(action.verb, work)

    async def _carry(self, path: str, name: str, timeout: float, job: Job) -> _Progress:
        """A pull or a push to its end, told to the job; the last that was said. Raises EngineError."""
        said = _Progress()
        try:
            async with asyncio.timeout(timeout), self._stream("POST", path, 10.0, about=name, kind="image") as chunks:
                rest = b""
                async for chunk in chunks:
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > LONGEST_LINE:
                        raise errors.Garbled(f"{self.ref} said a line without an end.")
                    for line in filter(None, map(bytes.strip, lines)):
                        one = podman_dialect.decode(_Progress, line)
                        if one.error:
                            raise errors.EngineError(one.error[:400], hint=REGISTRY_CURE)
                        if one.stream.strip():
                            job.progress(one.stream.strip()[:200])
                        said = one if one.id or one.digest else said
        except TimeoutError as error:
            raise errors.TimedOut(f"{name} was not carried over within {timeout:.0f} s.", sent=True) from error
        return said

    async def _look(self, name: str, seconds: float) -> _Inspected:
        answer = await self._ask("GET", f"/images/{_quote(name)}/json", seconds, about=name, kind="image")
        return podman_dialect.decode(_Inspected, answer.body)

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        repository, tag = _split(action.tag)
        ask = urllib.parse.urlencode({"repo": repository, "tag": tag})
        await self._ask("POST", f"/images/{quoted_id(target)}/tag?{ask}", seconds, about=target.name, kind="image")
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        ends = began + seconds
        found = await self._look(target.id, seconds)
        tags = found.tags or []
        named = target.name in tags
        if action.force and (not named or len(tags) == 1):
            # Podman's force ends and removes whatever runs of it too; ours stops short of that.
            await self._refuse_running(found.id, target.name, seconds)
        if not named:
            # By its id Podman removes no image with several tags, unless by force.
            for tag in tags[1:]:
                repository, name = _split(tag)
                ask = urllib.parse.urlencode({"repo": repository, "tag": name})
                await self._ask("POST", f"/images/{quoted_id(target)}/untag?{ask}", ends - time.monotonic())
        # The last tag taken away by force must not take a running container with it: without, Podman refuses.
        force = str(action.force and (not named or len(tags) == 1)).lower()
        path = f"/images/{_quote(target.name) if named else quoted_id(target)}?force={force}"
        answer = await self._ask("DELETE", path, ends - time.monotonic(), about=target.name, kind="image")
        podman_parts.refuse_inner(answer.body)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    async def _refuse_running(self, image: str, name: str, seconds: float) -> None:
        answer = await self._ask("GET", "/containers/json?all=true", seconds)
        for row in podman_dialect.decode(list[_User], answer.body):
            state = podman_dialect.STATES.get(row.state.lower(), "")
            if row.image == image and state in transitions.UP:
                raise errors.Rejected(409, f"{name} is used by {(row.names or ['a container'])[0]}, which is {state}")


def quoted_id(target: Ref) -> str:
    return _quote(target.id)


def _called(target: Ref) -> str:
    """By its name where it has one, since an id says nothing about which of its tags is meant."""
    return _quote(target.name if "/" in target.name or ":" in target.name else target.id)


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe=":@")


def _has_tag(name: str) -> bool:
    return "@" in name or ":" in name.rpartition("/")[2]


def _split(name: str) -> tuple[str, str]:
    """Repository and tag; no tag means `latest`."""
    if not _has_tag(name):
        return name, "latest"
    repository, _, tag = name.rpartition(":")
    return repository, tag
