"""Creates and starts containers, with the steps that Docker and Podman have in common. Each creation is one job.

The steps are: check the names in the request, pull the image if requested, create the container, start it. If the pull
fails, no container is created. A container that cannot be started is removed again. If the engine's answer to the
creation is lost, the container is searched by its label `quarterdeck.request`. If it is not found, the outcome is
UNKNOWN and names the label.
"""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec

from core import errors
from core.model import containers, host_access
from core.model.actions import Start
from core.model.background_jobs import JobStarted
from core.model.create_container import REQUEST_LABEL, CreateContainer
from core.model.images import PullImage
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base import base_adapter
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.base.multi_request_change import NO_ANSWER
from runtimes.docker_like.images import ImageVerbs
from runtimes.formats import image_reference, json_decoder, skipped_data

REQUEST_SECONDS = 15.0  # of one request
CREATE_SECONDS = 60.0  # an engine copies the image's files into new volumes
FIND_SECONDS = 5.0
PREDEFINED_NETWORKS = ("", "default", "bridge", "none", "host", "nat", "private")
# Labels of containers whose volumes hold secrets of Quarterdeck.
OWN_LABEL, OWN_TITLE = "org.opencontainers.image.title", "quarterdeck"


class _Made(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    warnings: list[str] | None = msgspec.field(name="Warnings", default=None)


class _Listed(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Network(msgspec.Struct):
    driver: str = msgspec.field(name="Driver", default="")


class _Volume(msgspec.Struct):
    options: dict[str, str] | None = msgspec.field(name="Options", default=None)


class CreateVerbs(ImageVerbs, abc.ABC):
    """Serves the verb that creates containers."""

    @does(CreateContainer)
    async def create_container(self, action: CreateContainer, seconds: float) -> JobStarted:
        for verb, wanted in ((PullImage.verb, action.pull != "never"), (Start.verb, action.start)):
            if wanted and not self._allows(verb):
                raise errors.Disallowed(verb, str(self.ref), action.verb)
        await self._identify(seconds)
        call = base_adapter.current_call()
        label = call.id if call is not None else ""
        # The docker package is loaded, and the request is built, beside the event loop.
        body = await asyncio.to_thread(self._create_body, action, {REQUEST_LABEL: label})
        return self.jobs.start(action.verb, lambda job: self._create_and_start(action, body, label, job))

    async def _create_and_start(
        self, action: CreateContainer, body: Mapping[str, Any], label: str, job: Job
    ) -> Outcome:
        began = time.monotonic()
        await self._check_network(action.network)
        for mount in action.access.mounts:
            if mount.source and not mount.is_host_path:
                await self._check_volume(mount.source, reaches=bool(host_access.reaches_of(action.access)))
        await self._provide_image(action, job)
        job.progress("creating the container")
        try:
            container, warnings = await self._create(action, body, label)
            if action.start:
                job.progress("starting the container")
                await self._start_new(container, action.name, label)
        except asyncio.CancelledError:
            job.end(Outcome(status=Status.UNKNOWN, detail=f"was stopped. {_look_for(label)}"))
            raise
        detail = "; ".join([container[:12], *warnings])
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _check_network(self, name: str) -> None:
        """Raises BadUsage for the host's network under another name, such as its id."""
        if name in PREDEFINED_NETWORKS:
            return
        path = self._network_path(name)
        try:
            response = await self._request("GET", path, REQUEST_SECONDS, name=name, kind="network")
        except NO_ANSWER as error:
            raise error.with_sent(False) from error
        if json_decoder.decode_json(_Network, response.body).driver == "host":
            raise errors.BadUsage(
                f"The network “{name}” is the host's network under another name, which is not accepted.",
                hint="Write: --network host",
            )

    async def _check_volume(self, name: str, *, reaches: bool) -> None:
        """Raises NotPermitted for a volume that holds data of Quarterdeck, and for one that is a directory or device of
        the host, unless the request `reaches` the host anyway."""
        try:
            users = await self._request("GET", f"/containers/json?all=true&filters={_filter('volume', name)}", 15.0)
            left_out = skipped_data.Tally(self.skipped)
            rows = await json_decoder.decode_all_rows(_Listed, users.body, left_out)
            if left_out.own:
                raise unknown_users(name)
            if (own := next((row for row in rows if _is_own(row.labels or {})), None)) is not None:
                what = "is protected" if containers.protected(own.labels or {}) else "is a part of Quarterdeck"
                raise errors.NotPermitted(
                    f"You may not mount the volume {name}: a container that uses it {what}.",
                    rule="self-protection",
                    hint="Use another volume.",
                )
            response = await self._request("GET", self._volume_path(name), REQUEST_SECONDS, name=name, kind="volume")
        except errors.NotFound:
            return  # the engine makes a new one
        except NO_ANSWER as error:
            raise error.with_sent(False) from error
        source = host_access.host_path_of_volume(json_decoder.decode_json(_Volume, response.body).options or {})
        if source and not reaches:
            raise errors.NotPermitted(
                f"You may not mount the volume {name}: it is the path {source} of the host.",
                rule=host_access.VERB,
                hint=f"With the permission {host_access.VERB}, mount the path itself: -v {source}:/PATH",
            )

    async def _provide_image(self, action: CreateContainer, job: Job) -> None:
        """Pulls the image if it is missing, or always. Raises the error of the pull."""
        wanted = str(image_reference.parse_image_reference(action.image))
        try:
            there = bool((await self._find_image(wanted, REQUEST_SECONDS)).id)
        except NO_ANSWER as error:
            raise error.with_sent(False) from error
        if action.pull == "never" and not there:
            raise errors.NotFound(
                f"{self.ref} has no image {action.image}, so no container was created.",
                hint=f"Leave out --pull never, or pull the image first: pull {action.image}",
            )
        if action.pull == "always" or not there:
            try:
                outcome = await self._pull(action.image, action.timeout, job)
            except errors.EngineError as error:
                # Only an image may be there now, and no container.
                raise error.with_sent(False) from error
            if outcome.status not in (Status.DONE, Status.NOOP):
                raise errors.EngineError(
                    f"{action.image} was not pulled, so no container was created: {outcome.detail}",
                    hint=f"Find the cause with: pull {action.image}",
                )

    async def _create(self, action: CreateContainer, body: Mapping[str, Any], label: str) -> tuple[str, list[str]]:
        query = f"?{urllib.parse.urlencode({'name': action.name})}" if action.name else ""
        try:
            response = await self._request(
                "POST", f"/containers/create{query}", CREATE_SECONDS, body=body, kind="image"
            )
            made = json_decoder.decode_json(_Made, response.body)
        except NO_ANSWER as error:
            if not error.sent:
                raise
            if (found := await self._find_created(label)) is None:
                raise _unknown(error, label) from error
            return found, ["the engine's answer was lost, and the container was found by its label"]
        if not made.id:
            raise _unknown(errors.InvalidResponse(f"{self.ref} did not return the id of the new container."), label)
        return made.id, [warning.strip()[:200] for warning in (made.warnings or ())[:3]]

    async def _find_created(self, label: str) -> str | None:
        """Returns the id of the container with this request's label; None if there is none, or it is not known."""
        path = f"/containers/json?all=true&filters={_filter('label', f'{REQUEST_LABEL}={label}')}"
        try:
            response = await self._request("GET", path, FIND_SECONDS)
            rows = await json_decoder.decode_all_rows(_Listed, response.body, self.skipped)
        except errors.QuarterdeckError:
            return None
        # Not every engine applies a filter that it does not know.
        return next((row.id for row in rows if (row.labels or {}).get(REQUEST_LABEL) == label), None)

    async def _start_new(self, container: str, name: str, label: str) -> None:
        called = name or container[:12]
        try:
            await self._request("POST", f"/containers/{urllib.parse.quote(container)}/start", CREATE_SECONDS)
        except NO_ANSWER as error:
            text = f"{error.message} The container {called} was created. It is not known whether it was started."
            raise errors.EngineError(text, sent=True, hint=_look_for(label)) from error
        except errors.QuarterdeckError as error:
            path = f"/containers/{urllib.parse.quote(container)}?force=true&v=true"
            try:
                await self._request("DELETE", path, REQUEST_SECONDS)
            except errors.QuarterdeckError:
                rest = f"The container {called} was created, and could not be removed again."
                hint = f"Remove the container: rm {called}. {error.hint}".strip()
            else:
                rest, hint = f"The container {called} was removed again.", error.hint
            raise errors.EngineError(f"{error.message.rstrip('.')}. {rest}", hint=hint) from error

    # ── what differs ─────────────────────────────────────────────────────────────────────────────────────────────

    @abc.abstractmethod
    def _create_body(self, action: CreateContainer, labels: Mapping[str, str]) -> Mapping[str, Any]:
        """Builds the body of the request. `labels`: those to add. Raises BadUsage."""

    @abc.abstractmethod
    async def _pull(self, image: str, timeout: float, job: Job) -> Outcome:
        """Pulls an image and reports the progress to the job. Raises EngineError and NotFound."""

    @abc.abstractmethod
    def _network_path(self, name: str) -> str:
        """Returns the path of the inspection of a network."""

    @abc.abstractmethod
    def _volume_path(self, name: str) -> str:
        """Returns the path of the inspection of a volume."""


def _filter(key: str, value: str) -> str:
    return urllib.parse.quote(msgspec.json.encode({key: [value]}).decode())


def unknown_users(volume: str) -> errors.NotPermitted:
    """Returns the error for a volume if one of the containers that use it cannot be decoded."""
    return errors.NotPermitted(
        f"The volume {volume} was not mounted. The engine's data about a container that uses it could not be decoded,"
        " so Quarterdeck cannot check whether that container is protected.",
        rule="self-protection",
        hint="Use another volume. Quarterdeck's log names what could not be decoded.",
    )


def _is_own(labels: Mapping[str, str]) -> bool:
    return containers.protected(labels) or labels.get(OWN_LABEL) == OWN_TITLE


def _unknown(error: errors.EngineError, label: str) -> errors.EngineError:
    return errors.EngineError(error.message, sent=True, hint=_look_for(label))


def _look_for(label: str) -> str:
    return f"Look for it with: ps -a --label {REQUEST_LABEL}={label}"
