"""Inspects containers and changes their state, with the requests that Docker and Podman have in common."""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse
from collections.abc import Sequence

import msgspec

from core import errors
from core.model import actions
from core.model.containers import LIVE_STATES, Container
from core.model.refs import Ref
from core.model.rename_and_update import RenameContainer
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base import stop_grace
from runtimes.base.base_adapter import does
from runtimes.docker_like import inspect_summaries, inspected_host_access, json_models
from runtimes.docker_like.client import MIN_SECONDS, HttpEngineClient, quoted_id
from runtimes.formats import json_decoder, skipped_data, timestamps

MAX_CONCURRENT = 8  # inspections
INSPECT_SECONDS = 10.0  # of one inspection before or after a stop
POLL_SECONDS = 0.05  # between two inspections of a container that was killed


class ContainerVerbs(HttpEngineClient, abc.ABC):
    """Serves the verbs that inspect and change containers."""

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        target = action.target
        response = await self._request("GET", f"/containers/{quoted_id(target)}/json", seconds, name=target.name)
        data = redact_json.mask_env_values(json_decoder.decode_json_object(response.body))
        return Document(
            ref=target,
            data=data,
            summary=inspect_summaries.summarise_container(data),
            reaches=inspected_host_access.find_host_access_of_container(data),
        )

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Inspects each container, a few at a time; None for one that is gone. An inspection that cannot be decoded is
        left out. `deadline`: seconds for all of them."""
        slots = asyncio.Semaphore(MAX_CONCURRENT)

        found: dict[str, Container | None] = {}

        async def one(container_id: str) -> None:
            async with slots:
                target = f"/containers/{urllib.parse.quote(container_id, safe='')}/json"
                try:
                    response = await self._request("GET", target, deadline)
                    found[container_id] = self._decode_container(response.body)
                except errors.NotFound:
                    found[container_id] = None
                except errors.InvalidResponse as error:
                    self.skipped.add(skipped_data.ROW, error.message)

        async with asyncio.timeout(deadline):
            await asyncio.gather(*(one(container_id) for container_id in ids))
        return found

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await self._change_container(action.target, "start", seconds, already="was already running")

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        return await self._stop(action.target, "stop", action.timeout, seconds, already="was not running")

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        return await self._stop(action.target, "restart", action.timeout, seconds)

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        """Sends a signal. After KILL, waits for the end of the container: not every engine does, and a container that
        still runs cannot be removed."""
        ends = time.monotonic() + seconds
        path = f"kill?signal={urllib.parse.quote(action.signal)}"
        outcome = await self._change_container(action.target, path, seconds)
        if action.signal != stop_grace.KILL or await self._has_ended(action.target, ends):
            return outcome
        return msgspec.structs.replace(outcome, detail=stop_grace.still_runs())

    async def _has_ended(self, target: Ref, ends: float) -> bool:
        """Waits until a container that received KILL does not run any more. Returns False if that takes too long."""
        ends = min(ends, time.monotonic() + stop_grace.KILL_SECONDS)
        while True:
            try:
                state = (await self._inspection(target, INSPECT_SECONDS)).state
            except (errors.NotFound, errors.EngineError):
                return True  # it is gone, or nothing more is known than that the signal was sent
            if state.status not in LIVE_STATES or time.monotonic() >= ends:
                return state.status not in LIVE_STATES
            await asyncio.sleep(POLL_SECONDS)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await self._change_container(action.target, "pause", seconds, already="was already paused")

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await self._change_container(action.target, "unpause", seconds, already="was not paused")

    @does(RenameContainer)
    async def rename(self, action: RenameContainer, seconds: float) -> Outcome:
        outcome = await self._change_container(action.target, f"rename?name={urllib.parse.quote(action.name)}", seconds)
        return msgspec.structs.replace(outcome, detail=f"to {action.name}")

    async def _stop(self, target: Ref, verb: str, given: int | None, seconds: float, *, already: str = "") -> Outcome:
        """Stops or restarts a container. Waits as long as the container's grace allows, and reports a kill."""
        ends = time.monotonic() + seconds
        own = (await self._inspection(target, min(seconds, INSPECT_SECONDS))).config.stop_timeout
        grace = stop_grace.grace_seconds(given, own)
        path = verb + self._stop_query(verb, given, grace)
        allowed = stop_grace.patience(grace, max(MIN_SECONDS, ends - time.monotonic()))
        stop_grace.report(grace)
        outcome = await self._change_container(target, path, allowed, already=already)
        if outcome.status != Status.DONE or outcome.took < grace or not await self._was_killed(target, outcome, grace):
            return outcome
        return msgspec.structs.replace(outcome, detail=stop_grace.was_killed(grace), killed=(target.name,))

    def _stop_query(self, verb: str, given: int | None, grace: float) -> str:
        """Returns the query of the request that stops or restarts a container. Without one, the engine uses the
        container's own setting."""
        return "" if given is None else f"?t={given}"

    async def _was_killed(self, target: Ref, outcome: Outcome, grace: float) -> bool:
        """Returns whether a container that took at least its grace was killed. Its exit code shows that. After a
        restart, which took `outcome.took` seconds, only the time between its end and its start shows it."""
        try:
            state = (await self._inspection(target, INSPECT_SECONDS)).state
            if state.status not in LIVE_STATES:
                return state.exit_code == stop_grace.SIGKILL_CODE
            started, finished = timestamps.parse_seconds(state.started), timestamps.parse_seconds(state.finished)
        except errors.NotFound:
            return True  # it removes itself when it has ended
        except errors.EngineError:
            return False
        return started is not None and finished is not None and outcome.took - (started - finished) >= grace

    async def _inspection(self, target: Ref, seconds: float) -> json_models.Inspection:
        response = await self._request("GET", f"/containers/{quoted_id(target)}/json", seconds, name=target.name)
        return json_decoder.decode_json(json_models.Inspection, response.body)

    async def _change_container(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        began = time.monotonic()
        try:
            return await self._change(target, f"/containers/{quoted_id(target)}/{path}", seconds, already=already)
        except errors.Rejected as error:
            # Some refusals only report that there was nothing to do: "… is already paused", "… is not paused, can't …".
            if already and already.removeprefix("was ") in error.text:
                return Outcome(status=Status.NOOP, detail=already, took=time.monotonic() - began)
            raise
