"""Sends requests to a Podman service, through libpod's own API in version 4.0.0, which Podman 4 and later support.

A service belongs to one user: root or an ordinary user. The first request finds out which service answers. Each event
stream finds this out again, because the service may have been replaced. Podman may send the headers of a response only
with its first data, such as an event or a log line. So opening a stream does not wait for the headers.
"""

from __future__ import annotations

import abc
import contextlib
import os
import pwd
import re
import time

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker_like.client import PROXY_STATUSES, HttpEngineClient
from runtimes.formats import json_decoder
from runtimes.podman import decode, json_models
from runtimes.transport import connect

API = "4.0.0"
OLDEST_MAJOR = 4
HEALTH_IN_EVENTS = 5  # since this major version, a health event has the status after the check
# Host names that many machines have: two engines with one of these may run on different machines.
COMMON_HOST_NAMES = ("", "localhost", "localhost.localdomain")
# What the database of Podman 5 says of a name that another container, pod or volume has. Seen on 5.4.
_NAME_TAKEN = re.compile(r"UNIQUE constraint failed: (Container|Pod|Volume)Config\.Name")
# The causes that Podman 4.3 reports with status 500 when the target of a request is removed during the request, and the
# kind of that target. A removal before the request has status 404.
_REMOVED_CAUSES = {
    "no such container": "container",
    "container has already been removed": "container",
    "no such pod": "pod",
    "pod has already been removed": "pod",
    "no such volume": "volume",
    "volume has already been removed": "volume",
    "network not found": "network",
    "image not known": "image",
    "no such secret": "secret",
}
_LONG_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
MAX_ERROR = 256  # bytes of an error that is not JSON
NO_PAUSE = "A rootless Podman on cgroup v1 cannot pause: stop the container, or boot the machine with cgroup v2."


class EngineClient(HttpEngineClient, abc.ABC):
    """Sends requests to one service. A service has no id: `engine_id` is the machine's name and the store's path."""

    kind = "podman"
    sends_headers_early = False

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._info = json_models.Info()
        self._decoder = decode.Decoder(self._ref, self.skipped)

    @property
    def local(self) -> bool:
        return self._http.endpoint.scheme == "unix"

    async def _engine_info(self, seconds: float, *, again: bool = False) -> json_models.Info:
        """What the service reported about itself when it was identified. `again`: ask it now."""
        await self._identify(seconds, again=again)
        return self._info

    async def _ask_identity(self, seconds: float) -> None:
        response = await self._http.request("GET", self._path("/info"), deadline=seconds)
        api = response.headers.get("libpod-api-version", "")
        if not api and response.status in PROXY_STATUSES:
            raise self._refusal(response.status, response.body, "", "info")
        if not api:
            raise errors.InvalidResponse(
                f"The engine at {self.address} is not Podman.",
                hint="Correct its `kind` or its `url` in quarterdeck.yaml. For Docker, write kind: docker.",
            )
        major = api.partition(".")[0]
        if not _is_number(major) or int(major) < OLDEST_MAJOR:
            raise errors.InvalidResponse(
                f"{self.address} is Podman {api[:20]}; the oldest supported version is {OLDEST_MAJOR}.0.",
                hint=f"Upgrade Podman on that machine to {OLDEST_MAJOR}.0 or later.",
            )
        if response.status >= 400:
            raise self._refusal(response.status, response.body, "", "info")
        self._accept(json_decoder.decode_json(json_models.Info, response.body, self.skipped))

    def _accept(self, info: json_models.Info) -> None:
        """Registers the engine that sent `info`."""
        self._check_owner(info)
        ref = EngineRef(host=info.host.hostname or self._ref.host, kind=self.kind, name=self._ref.name)
        machine = info.host.hostname
        if machine in COMMON_HOST_NAMES:
            machine = f"{machine}/{self._http.endpoint.host}"
        self._register(self.address, f"podman:{machine}:{info.store.root}", ref)
        major = info.version.number.partition(".")[0]
        if ref != self._ref or info.version.number != self.version:
            self._ref = ref
            has_health = _is_number(major) and int(major) >= HEALTH_IN_EVENTS
            self._decoder = decode.Decoder(ref, self.skipped, has_health=has_health)
        self._info, self.version = info, info.version.number

    def _check_owner(self, info: json_models.Info) -> None:
        """Raises InvalidResponse if a local socket is served by an ordinary user who claims another user's engine.

        The kernel reports who serves the socket. Root and Quarterdeck's own user are trusted: they may forward the
        socket of another machine.
        """
        endpoint = self._http.endpoint
        owner = connect.peer_credentials(endpoint.path)[1] if endpoint.scheme == "unix" else None
        claimed = info.uid if info.rootless else 0
        if owner not in (None, 0, os.geteuid(), claimed):
            raise errors.InvalidResponse(
                f"{endpoint} is served by the user {owner}, but claims to be the engine of user {claimed}: it is not"
                " trusted.",
                hint=f"Ask the user {owner} which program listens there. If it forwards an engine that you trust, let"
                " root or Quarterdeck's user start that program.",
            )

    async def _containers(self, seconds: float) -> tuple[Container, ...]:
        response = await self._request("GET", "/containers/json?all=true", seconds)
        return await self._decoder.all_containers(response.body, time.time())

    def _refusal(self, status: int, body: bytes, name: str, kind: str) -> errors.QuarterdeckError:
        if found := _NAME_TAKEN.search(self._error_text(body)):
            text = f"This name is already in use by another {found[1].lower()}."
            return errors.Rejected(status, text, hint="Choose another name, and give the command again.")
        if status == 500 and _REMOVED_CAUSES.get(_cause(body)) == kind:
            status = 404
        return super()._refusal(status, body, name, kind)

    def user(self) -> str:
        """The user of a rootless engine, as `alice (1001)`; empty for root's engine."""
        uid = self._info.uid
        if uid is None:
            return ""
        with contextlib.suppress(KeyError):
            if self.local:
                return f"{pwd.getpwuid(uid).pw_name} ({uid})"
        return str(uid)

    async def _check_pause(self, verb: str, seconds: float, alternative: str = NO_PAUSE) -> None:
        """Raises Unsupported if this engine cannot pause."""
        if not (await self._engine_info(seconds)).has_cgroups:
            raise errors.Unsupported(verb, str(self.ref), alternative)

    def _path(self, target: str) -> str:
        return f"/v{API}/libpod{target}"

    def _check_change(self, body: bytes) -> None:
        """A response that is successful by its status may report errors: `Err`, `Errs`, `Errors`."""
        if not body.strip():
            return
        try:
            document = json_decoder.decode_json(object, body)
        except errors.InvalidResponse:
            return
        for one in document if isinstance(document, list) else [document]:
            if isinstance(one, dict) and (found := json_models.inner_errors(one)):
                raise errors.Rejected(500, "; ".join(found))

    def _decode_container(self, body: bytes) -> Container:
        return self._decoder.container(body)

    def _error_text(self, body: bytes) -> str:
        """On one line, with ids shortened as in lists."""
        try:
            error = json_decoder.decode_json(json_models.Error, body)
            # For a pod that was changed in part, there is no message, but each container's reason.
            inner = json_models.inner_errors(json_decoder.decode_json_object(body))
            text = error.message or error.cause or "; ".join(inner)
        except errors.InvalidResponse:
            text = ""
        text = text or body[:MAX_ERROR].decode("utf-8", "replace")
        return " ".join(_LONG_ID.sub(r"\1", text).split())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 5


def _cause(body: bytes) -> str:
    """Returns the innermost error of an answer, without the names in it; empty if the answer does not contain one."""
    try:
        return json_decoder.decode_json(json_models.Error, body).cause
    except errors.InvalidResponse:
        return ""
