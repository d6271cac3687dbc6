"""The half of containerd that changes things: containers, programs in them, images."""

from __future__ import annotations

import abc
import time

from core import errors
from core.model import actions, images
from core.model.jobs import JobStarted
from core.model.refs import Ref
from core.model.results import Document, ExecResult, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.engine import EngineAdapter
from runtimes.containerd import client, decode, exec, lifecycle
from runtimes.containerd import images as containerd_images


class Doing(EngineAdapter, abc.ABC):
    _calls: client.Calls
    _dialect: decode.Decoder
    _images: containerd_images.Images
    _left_out: dict[str, str]
    """Namespaces nothing is told of, with the kind of engine whose they are."""

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).start()

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).stop(action.timeout)

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        # It has none of its own: the host's owner allows both steps, or it is not begun.
        for step in (actions.Stop, actions.Start):
            if not self._allows(step.verb):
                raise errors.Disallowed(step.verb, str(self.ref))
        return await (await self._change(action.target, seconds)).restart(action.timeout)

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).kill(action.signal)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).pause()

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).unpause()

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        done = await (await self._change(action.target, seconds)).remove(force=action.force)
        self._dialect.forget(action.target.id)
        return done

    @does(actions.Exec)
    async def execute(self, action: actions.Exec, seconds: float) -> ExecResult:
        await self._identify(seconds)
        return await exec.run(self._calls, action, seconds)

    async def _change(self, target: Ref, seconds: float) -> lifecycle.Change:
        ends = time.monotonic() + seconds
        await self._identify(seconds)
        return lifecycle.Change(self._calls, target, max(0.05, ends - time.monotonic()))

    # ── images ───────────────────────────────────────────────────────────────────────────────────────────────────

    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        await self._identify(seconds)
        spaces = [space.name for space in await self._calls.namespaces(seconds) if space.name not in self._left_out]
        found = await client.few_at_once(*(self._images.rows(space, seconds) for space in spaces))
        return images.Images(rows=tuple(row for rows in found for row in rows))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        await self._identify(seconds)
        data = await self._images.document(action.target, seconds)
        redact_json.mask_env_values(data)
        return Document(ref=action.target, data=data)

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        await self._identify(seconds)
        return await self._images.tag(action.target, action.tag, seconds)

    @does(images.RemoveImage)
    async def remove_image(self, action: images.RemoveImage, seconds: float) -> Outcome:
        await self._identify(seconds)
        return await self._images.remove(action.target, force=action.force, seconds=seconds)

    @does(images.PullImage)
    async def pull_image(self, action: images.PullImage, seconds: float) -> JobStarted:
        await self._identify(10.0)
        pull = await self._images.prepare_pull(action.image, 10.0)
        return self.jobs.begin(action.verb, lambda job: pull(job, float(action.timeout)))
