"""The Docker engine behind the port: its API in, our values out; this file and its tables are where its dialect ends.

Everything travels through our own HTTP client. The API version is negotiated at first contact (`/info` without a
version is served by every daemon and its `Api-Version` header names the newest it speaks), again after a connection was
lost. Environment values are hidden before an inspection leaves here. Events come as the daemon sends them; nothing
reconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from core import errors
from core.model import actions
from core.model.containers import Container, Containers
from core.model.events import Event
from core.model.refs import EngineRef, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.docker import decode, services
from runtimes.docker.client import path_of
from runtimes.docker.exec import ExecVerbs
from runtimes.docker.images import ImageVerbs
from runtimes.docker.info import Info, InfoVerbs
from runtimes.docker.logs import LogVerbs
from runtimes.docker.resources import ResourceVerbs
from runtimes.docker.stats import StatsVerbs
from runtimes.formats import decoding, timestamps
from runtimes.transport import dialer, http_client
from runtimes.transport import endpoint as transport_endpoint

NEWEST_API, OLDEST_API = (1, 47), (1, 24)
DESCRIBE_AT_ONCE = 8
OWN_SCOPE = urllib.parse.quote('{"scope":["local"]}')
"""What happens to a Swarm as a whole its own engine tells, once for all its managers."""


class _Message(msgspec.Struct):
    message: str = ""


class Docker(InfoVerbs, LogVerbs, ExecVerbs, ImageVerbs, ResourceVerbs, StatsVerbs, services.ServiceVerbs):
    """One daemon. `engine_id` is the daemon's own id, the key under which its cursor is kept."""

    kind = "docker"
    alternatives: ClassVar[Mapping[str, str]] = {
        "container.healthcheck": "Docker runs health checks by itself; inspect shows their last results.",
        "pod.list": "Docker has no pods; services shows which containers belong together.",
        "namespace.list": "Docker has no namespaces of its own.",
        "node.list": "Where it manages a Swarm, that Swarm is an engine of its own and has nodes; see engines.",
        "task.list": "Where it manages a Swarm, that Swarm is an engine of its own and has tasks; see engines.",
        "unit.list": "Units run Podman's containers; Docker starts its own again by their restart policy.",
    }

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        endpoint = transport_endpoint.Endpoint.parse(url)
        super().__init__(url, options, host=endpoint.host)
        self.api = ""
        self._http = http_client.Client(endpoint, dialer=dialer.dialer_for(endpoint, options.tls, options.ssh))
        self._dialect = decode.Decoder(self._ref)

    async def aclose(self) -> None:
        await super().aclose()
        await self._http.aclose()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        answer = await self._ask("GET", "/containers/json?all=1", seconds)
        return Containers(rows=self._dialect.listed(answer.body))

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        answer = await self._ask("GET", f"/containers/{path_of(action.target)}/json", seconds, about=action.target.name)
        data: dict[str, Any] = decoding.document(answer.body)
        redact_json.mask_env_values(data)
        return Document(ref=action.target, data=data)

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Inspects each id, a few at once; None where it is gone. `deadline`: seconds for all of them."""
        gate = asyncio.Semaphore(DESCRIBE_AT_ONCE)

        async def one(container: str) -> tuple[str, Container | None]:
            async with gate:
                try:
                    answer = await self._ask("GET", f"/containers/{urllib.parse.quote(container)}/json", deadline)
                except errors.NotFound:
                    return container, None
                return container, self._dialect.inspected(answer.body)

        async with asyncio.timeout(deadline):
            return dict(await asyncio.gather(*(one(container) for container in ids)))

    @does(actions.ListEvents)
    async def list_events(self, action: actions.ListEvents, seconds: float) -> tuple[Event, ...]:
        # `until` in the past makes the daemon answer from its ring of 256 events and end.
        until = timestamps.since(time.time_ns())
        target = f"/events?since={timestamps.since(action.since_ns)}&until={until}&filters={OWN_SCOPE}"
        answer = await self._ask("GET", target, seconds)
        found = self._dialect.events(answer.body, replay_before=time.time_ns())
        return tuple(found[-action.limit :])

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._identify(10.0, again=True)
        since = f"&since={timestamps.since(since_ns)}" if since_ns else ""
        target = f"/events?filters={OWN_SCOPE}{since}"
        async with self._stream("GET", target, 10.0, about="events", pause=False) as stream:
            opened = time.time_ns()
            yield ()
            async for lines in stream.lines():
                if batch := self._dialect.events(lines, replay_before=opened):
                    yield batch
            if stream.overflowed:
                raise errors.InvalidResponse(
                    f"The events of {self.ref} came faster than they could be read; some were lost."
                )

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await self._change(action.target, "start", seconds, already="was already running")

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        return await self._change(action.target, f"stop?t={action.timeout}", seconds, already="was not running")

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        return await self._change(action.target, f"restart?t={action.timeout}", seconds)

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        return await self._change(action.target, f"kill?signal={urllib.parse.quote(action.signal)}", seconds)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await self._change(action.target, "pause", seconds, already="was already paused")

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await self._change(action.target, "unpause", seconds, already="was not paused")

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        began = time.monotonic()
        target = f"/containers/{path_of(action.target)}?force={int(action.force)}&v={int(action.volumes)}"
        await self._ask("DELETE", target, seconds, about=action.target.name)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    async def _change(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        began = time.monotonic()
        try:
            answer = await self._ask("POST", f"/containers/{path_of(target)}/{path}", seconds, about=target.name)
        except errors.Rejected as error:
            # Some refusals only say that there was nothing to do: "Container … is already paused", "… is not paused".
            if already and already.removeprefix("was ") in error.text:
                return Outcome(status=Status.NOOP, detail=already, took=time.monotonic() - began)
            raise
        status = Status.NOOP if answer.status == 304 else Status.DONE
        return Outcome(status=status, detail=already if status is Status.NOOP else "", took=time.monotonic() - began)

    # ── the one way to ask ───────────────────────────────────────────────────────────────────────────────────────

    def _words(self) -> decode.Decoder:
        return self._dialect

    def _endpoint(self) -> transport_endpoint.Endpoint:
        return self._http.endpoint

    @property
    def address(self) -> str:
        return str(self._http.endpoint)

    async def stream(self, target: str, seconds: float) -> http_client.Stream:
        """For its Swarm: the answer to a GET as it comes, whatever its status."""
        await self._identify(seconds)
        return await self._http.stream("GET", f"/v{self.api}{target}", deadline=seconds, pause=True)

    async def _ask(
        self, method: str, target: str, seconds: float, *, about: str = "", what: str = "container", body: Any = None
    ) -> http_client.Response:
        ends = time.monotonic() + seconds
        await self._identify(seconds)
        answer = await self._http.request(
            method,
            f"/v{self.api}{target}",
            deadline=max(0.05, ends - time.monotonic()),
            body=_payload(method, body),
        )
        if answer.status >= 400:
            self._refuse(answer.status, answer.body, about, what)
        return answer

    @contextlib.asynccontextmanager
    async def _stream(
        self,
        method: str,
        target: str,
        seconds: float,
        *,
        about: str = "",
        what: str = "container",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        pause: bool = True,
    ) -> AsyncIterator[http_client.Stream]:
        ends = time.monotonic() + seconds
        await self._identify(seconds)
        stream = await self._http.stream(
            method,
            f"/v{self.api}{target}",
            deadline=max(0.05, ends - time.monotonic()),
            body=_payload(method, body),
            headers=headers,
            pause=pause,
        )
        try:
            if stream.status != 200:
                self._refuse(stream.status, await stream.read_all(65_536), about, what)
            yield stream
        finally:
            await stream.aclose()

    async def _ask_identity(self, seconds: float) -> None:
        """Learns who the daemon is and which API to speak."""
        answer = await self._http.request("GET", "/info", deadline=seconds)
        if answer.status == 400 and b"HTTPS server" in answer.body:
            raise errors.Unreachable(
                f"{self._http.endpoint} speaks TLS.",
                hint="Give `tls: {ca: …, cert: …, key: …}` beside its url, or set DOCKER_TLS_VERIFY=1 and"
                " DOCKER_CERT_PATH.",
            )
        if answer.status >= 400:
            self._refuse(answer.status, answer.body, "", "")
        info = decoding.decode(Info, answer.body)
        spoken = decode.api_version(answer.headers.get("api-version", "1.41"))
        if spoken < OLDEST_API:
            version = f"{spoken[0]}.{spoken[1]}"
            raise errors.InvalidResponse(
                f"{self.url} speaks Docker API {version}, older than the {OLDEST_API[0]}.{OLDEST_API[1]} we know.",
                hint="Upgrade the engine.",
            )
        speak = min(spoken, NEWEST_API)
        ref = EngineRef(host=info.name or self._ref.host, kind="docker", name=self._ref.name)
        self._register(str(self._http.endpoint), info.identity(), ref)
        self.api, self.version = f"{speak[0]}.{speak[1]}", info.version
        self.memory_of_machine = info.memory
        if ref != self._ref:
            self._ref = ref
            self._dialect = decode.Decoder(ref)
        self._heard_of_itself(info.swarm)

    def _refuse(self, status: int, body: bytes, about: str, what: str) -> None:
        try:
            text = msgspec.json.decode(body, type=_Message).message
        except msgspec.DecodeError:
            text = body[:256].decode("utf-8", "replace")
        if status == 404:
            said = f"{about} is gone: {self.ref} has no such {what}." if about else text.strip()
            raise errors.NotFound(said or f"{self.ref} has no such thing.")
        raise errors.Rejected(status, text.strip())


def _payload(method: str, body: Any) -> bytes | None:
    if body is not None:
        return msgspec.json.encode(body)
    return b"" if method == "POST" else None
