"""How a Podman service is spoken to: who it is, one exchange, a stream, and what its refusals mean.

libpod's own API is used, in the oldest version every Podman from 4 on speaks. One service is one user's: root's, or an
ordinary user's own. Who answers is learnt at first contact and again for each event stream; the service may have been
replaced since. A response may begin only with the first it has to say (an event, a line of a log), so streams are read
without waiting for it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from core import errors
from core.model.refs import EngineRef, Ref
from runtimes.base.engine import DEFAULTS, EngineAdapter
from runtimes.base.options import EngineOptions
from runtimes.podman import decode, models
from runtimes.transport import connect, dialer, http_client
from runtimes.transport import endpoint as transport_endpoint

API = "4.0.0"
OLDEST = 4
TELLS_HEALTH = 5  # the version from which on health events carry the status after the check
# Names many machines have: two of these need not be one.
NAMELESS = ("", "localhost", "localhost.localdomain")
_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
LONGEST_REFUSAL = 65_536
PAUSELESS = "Rootless on cgroup v1 nothing can be paused: stop it, or boot the machine with cgroup v2."


class EngineClient(EngineAdapter):
    """One service. `engine_id` is made of its machine's name and its store, since it has no id of its own."""

    kind = "podman"

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        endpoint = transport_endpoint.Endpoint.parse(url)
        super().__init__(url, options, host=endpoint.host)
        self._info = models.Info()
        self._http = http_client.Client(endpoint, dialer=dialer.dialer_for(endpoint, options.tls, options.ssh))
        self._dialect = decode.Decoder(self._ref)

    @property
    def local(self) -> bool:
        return self._http.endpoint.scheme == "unix"

    async def aclose(self) -> None:
        await super().aclose()
        await self._http.aclose()

    async def _ask(
        self,
        method: str,
        target: str,
        seconds: float,
        *,
        about: str = "",
        kind: str = "container",
        body: Any = None,
    ) -> http_client.Response:
        """One exchange. `about`: what it is done to, for the sentence that says it is gone; `kind`: what that is."""
        ends = time.monotonic() + seconds
        await self._identify(seconds)
        answer = await self._http.request(
            method,
            _path(target),
            deadline=max(0.05, ends - time.monotonic()),
            body=_body(method, body),
            headers={"Content-Type": "application/json"} if body is not None else None,
        )
        if answer.status >= 400:
            self._refuse(answer.status, answer.body, about, kind)
        return answer

    @contextlib.asynccontextmanager
    async def _stream(
        self,
        method: str,
        target: str,
        seconds: float,
        *,
        about: str = "",
        kind: str = "container",
        body: Any = None,
        pause: bool = True,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks of a response as they come, without a deadline once the request has left. `pause`: what is not
        read in time waits, instead of being lost."""
        await self._identify(seconds)
        stream = await self._http.stream(
            method,
            _path(target),
            deadline=seconds,
            body=_body(method, body),
            headers={"Content-Type": "application/json"} if body is not None else None,
            pause=pause,
            head=False,
        )
        try:
            yield self._chunks(stream, about, kind)
        finally:
            await stream.aclose()

    async def _chunks(self, stream: http_client.Stream, about: str, kind: str) -> AsyncIterator[bytes]:
        async for chunk in stream:
            if stream.status >= 400:
                self._refuse(stream.status, chunk + await stream.read_all(LONGEST_REFUSAL), about, kind)
            yield chunk
        if stream.status >= 400:
            self._refuse(stream.status, b"", about, kind)
        if stream.overflowed:
            raise errors.InvalidResponse(f"{self.ref} sent more than could be read in time; some of it was lost.")
        if stream.cut:
            raise errors.Unreachable(f"{self.ref} broke off its answer.", sent=True, hint="Does its service still run?")

    async def _ask_identity(self, seconds: float) -> None:
        answer = await self._http.request("GET", _path("/info"), deadline=seconds)
        spoken = answer.headers.get("libpod-api-version", "")
        if not spoken:
            raise errors.InvalidResponse(
                f"What answers at {self._http.endpoint} is not Podman.", hint="Give its true `kind` beside its url."
            )
        if not spoken.partition(".")[0].isdigit() or int(spoken.partition(".")[0]) < OLDEST:
            raise errors.InvalidResponse(
                f"{self._http.endpoint} is Podman {spoken[:20]}, older than the {OLDEST}.0 we know.",
                hint="Upgrade it.",
            )
        if answer.status >= 400:
            self._refuse(answer.status, answer.body, "", "info")
        self._know(decode.decode(models.Info, answer.body))

    async def _meet(self, seconds: float, *, again: bool = False) -> models.Info:
        """What the service reported about itself. `again`: it is asked anew."""
        await self._identify(seconds, again=again)
        return self._info

    def _know(self, info: models.Info) -> None:
        self._refuse_pretender(info)
        ref = EngineRef(host=info.host.hostname or self._ref.host, kind="podman", name=self._ref.name)
        machine = info.host.hostname
        if machine in NAMELESS:
            machine = f"{machine}/{self._http.endpoint.host}"
        identity = f"podman:{machine}:{info.store.root}"
        self._register(str(self._http.endpoint), identity, ref)
        major = info.version.number.partition(".")[0]
        if ref != self._ref or info.version.number != self.version:
            self._ref = ref
            tells = major.isdigit() and int(major) >= TELLS_HEALTH
            self._dialect = decode.Decoder(ref, tells_health=tells)
        self._info, self.version = info, info.version.number

    def _refuse_pretender(self, info: models.Info) -> None:
        """Whoever listens at a socket of this machine says whose engine it is, and an ordinary user may say what they
        like: what the kernel knows of them must agree. Root and our own user are believed: they may forward another
        machine's."""
        endpoint = self._http.endpoint
        owner = connect.peer_credentials(endpoint.path)[1] if endpoint.scheme == "unix" else None
        claimed = info.uid if info.rootless else 0
        if owner not in (None, 0, os.geteuid(), claimed):
            raise errors.InvalidResponse(
                f"{endpoint} is served by the user {owner}, and says it is the engine of user {claimed}: it is not"
                " believed.",
                hint="Ask that user what listens there.",
            )

    def user(self) -> str:
        """Whose engine it is where it is rootless, as `alice (1001)`."""
        uid = self._info.uid
        if uid is None:
            return ""
        with contextlib.suppress(KeyError):
            if self.local:
                return f"{pwd.getpwuid(uid).pw_name} ({uid})"
        return str(uid)

    async def _refuse_pause(self, verb: str, seconds: float) -> None:
        if not (await self._meet(seconds)).limits:
            raise errors.Unsupported(verb, str(self.ref), PAUSELESS)

    def _refuse(self, status: int, body: bytes, about: str, kind: str) -> None:
        try:
            told = msgspec.json.decode(body, type=models.Complaint)
            # Of a pod that was changed in part each container's reason is told, and no message.
            text = told.message or told.cause or "; ".join(models.complaints(msgspec.json.decode(body)))
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            text = ""
        text = text or body[:256].decode("utf-8", "replace")
        if status == 404:
            said = f"{about} is gone: {self.ref} has no such {kind}." if about else text.strip()
            raise errors.NotFound(said or f"{self.ref} has no such thing.")
        raise errors.Rejected(status, _readable(text))


def quoted(ref: Ref) -> str:
    """Its id as a part of a path."""
    return urllib.parse.quote(ref.id, safe="")


def _readable(text: str) -> str:
    """On one line, and with ids as short as people know them."""
    return " ".join(_ID.sub(r"\1", text).split())


def _path(target: str) -> str:
    return f"/v{API}/libpod{target}"


def _body(method: str, body: Any) -> bytes | None:
    if body is not None:
        return msgspec.json.encode(body)
    return b"" if method == "POST" else None
