"""Sends requests to an engine with a Docker-like HTTP API, and raises an error for each failed request.

The first request finds out which engine answers and which version its API has (`_ask_identity`). A request and its
response have one deadline. A stream has no deadline after its response has begun. The chunks of a stream arrive in
order. A stream that was cut or that lost bytes ends with an error.
"""

from __future__ import annotations

import abc
import contextlib
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import msgspec

from core import errors
from core.model.containers import Container
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from core.name_matching import selection
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS, IdentifyingAdapter
from runtimes.transport import connect, dialer, http_client
from runtimes.transport.endpoint import CHECK_CHANGE, LOST_HINT, Endpoint

MAX_REFUSAL = 65_536  # bytes of an error's body
MAX_DOCUMENT = 8 << 20  # bytes of an answer about one resource, or of past events
LISTS = frozenset({"/containers/json", "/containers/stats", "/images/json", "/pods/json", "/system/df"})
MIN_SECONDS = 0.05
PROXY_STATUSES = frozenset({502, 503, 504})  # what a proxy answers that does not reach the engine


class HttpEngineClient(IdentifyingAdapter, abc.ABC):
    """Sends requests to one engine and decodes its errors."""

    sends_headers_early: ClassVar[bool]
    """Whether a stream's response begins before there is any data. Where it does not, a refusal is the first chunk."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        endpoint = Endpoint.parse(url)
        super().__init__(url, options, host=endpoint.host)
        self._dialer = dialer.make_dialer(endpoint, options.tls, options.ssh)
        self._http = http_client.HttpClient(endpoint, dialer=self._dialer)

    @property
    def address(self) -> str:
        return str(self._http.endpoint)

    async def aclose(self) -> None:
        await super().aclose()
        await self._http.aclose()

    async def _request(
        self,
        method: str,
        target: str,
        seconds: float,
        *,
        name: str = "",
        kind: str = "container",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> http_client.Response:
        """One exchange. `target` is the path below the API's version; `name` and `kind` are those of the resource, for
        the message of NotFound. Raises NotFound, Rejected and the other EngineErrors."""
        ends = time.monotonic() + seconds
        await self._identify(seconds)
        response = await self._http.request(
            method,
            self._path(target),
            deadline=max(MIN_SECONDS, ends - time.monotonic()),
            body=_encode(method, body),
            headers=headers,
            max_body=http_client.MAX_BODY if _is_list(target) else MAX_DOCUMENT,
        )
        if response.status >= 400:
            raise self._refusal(response.status, response.body, name, kind)
        return response

    @contextlib.asynccontextmanager
    async def _stream(
        self,
        method: str,
        target: str,
        seconds: float,
        *,
        name: str = "",
        kind: str = "container",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        pause: bool = True,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks of a response. `seconds` limits the time until it begins. Bytes that are not read in time wait in
        the engine (`pause`) or are lost. Raises as `_request`, on entry or from the chunks."""
        ends = time.monotonic() + seconds
        await self._identify(seconds)
        stream = await self._http.stream(
            method,
            self._path(target),
            deadline=max(MIN_SECONDS, ends - time.monotonic()),
            body=_encode(method, body),
            headers=headers,
            pause=pause,
            head=self.sends_headers_early,
        )
        try:
            if self.sends_headers_early and stream.status >= 400:
                raise self._refusal(stream.status, await stream.read_all(MAX_REFUSAL), name, kind)
            yield self._chunks(stream, name, kind)
        finally:
            await stream.aclose()

    async def _chunks(self, stream: http_client.Stream, name: str, kind: str) -> AsyncIterator[bytes]:
        async for chunk in stream:
            if stream.status >= 400:
                raise self._refusal(stream.status, chunk + await stream.read_all(MAX_REFUSAL), name, kind)
            yield chunk
        if stream.status >= 400:
            raise self._refusal(stream.status, b"", name, kind)
        if stream.overflowed:
            raise errors.InvalidResponse(
                f"{self.ref} sent events faster than Quarterdeck could read them. Some of the events were lost.",
                hint="Quarterdeck opens the event stream again. If this repeats, give Quarterdeck more CPU.",
            )
        if stream.cut:
            raise errors.Unreachable(
                f"{self.ref} closed the connection in the middle of its answer.",
                sent=True,
                hint=LOST_HINT,
            )

    async def _change(
        self,
        target: Ref,
        path: str,
        seconds: float,
        *,
        method: str = "POST",
        kind: str = "container",
        already: str = "",
    ) -> Outcome:
        """One exchange that changes a resource. `already` is the detail of the outcome if there was nothing to do."""
        began = time.monotonic()
        response = await self._request(method, path, seconds, name=target.name, kind=kind)
        self._check_change(response.body)
        noop = response.status == 304
        return Outcome(
            status=Status.NOOP if noop else Status.DONE,
            detail=already if noop else "",
            took=time.monotonic() - began,
        )

    def _check_change(self, body: bytes) -> None:
        """Raises Rejected if a successful response contains an error."""

    def _refusal(self, status: int, body: bytes, name: str, kind: str) -> errors.QuarterdeckError:
        text = self._error_text(body)
        if status in PROXY_STATUSES and not body.lstrip().startswith(b"{"):
            return self._proxy_failure(status)
        if status != 404:
            return errors.Rejected(status, text)
        if name:
            return errors.NotFound(f"{self.ref} has no {kind} {name}.", hint=selection.list_hint(kind))
        return errors.NotFound(
            text or f"{self.ref} has no such {kind}.", hint="" if text else selection.list_hint(kind)
        )

    def _proxy_failure(self, status: int) -> errors.Unreachable:
        """The error for a status that a proxy sent because it does not reach the engine: an engine's own error is
        JSON."""
        lost = errors.Unreachable(
            f"A proxy in front of {self.address} answered with status {status}, because the proxy does not reach the"
            " engine.",
            sent=status != 503,
            hint=f"Check that the engine runs. {CHECK_CHANGE}",
        )
        return connect.lost_by_relay(self._http.endpoint, lost)

    @abc.abstractmethod
    def _path(self, target: str) -> str:
        """`target` below the version of the API that this engine speaks."""

    @abc.abstractmethod
    def _decode_container(self, body: bytes) -> Container:
        """Decodes one container's inspection. Raises InvalidResponse."""

    @abc.abstractmethod
    def _error_text(self, body: bytes) -> str:
        """The engine's own message in the body of an error."""


def seconds_left(ends: float) -> float:
    """Returns the time until `ends` on the monotonic clock, for one request; never too little to fail by itself."""
    return max(MIN_SECONDS, ends - time.monotonic())


def quoted_id(ref: Ref) -> str:
    """A resource's id as one part of a path."""
    return urllib.parse.quote(ref.id, safe="")


def _is_list(target: str) -> bool:
    path = target.partition("?")[0]
    return path in LISTS or path.startswith(("/networks", "/volumes"))


def _encode(method: str, body: Any) -> bytes | None:
    if body is not None:
        return msgspec.json.encode(body)
    return b"" if method == "POST" else None
