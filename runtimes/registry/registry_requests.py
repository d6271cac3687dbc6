"""Sends requests to one registry over HTTP, and returns responses of limited size.

Redirects are followed up to MAX_REDIRECTS times, never with a login or a token to another host, and never to an address
of a private network. The size of a response and the time of a request are limited. Every failure is an EngineError
whose message contains no header and no query of a URL, because these may hold a secret. This module is imported on
first use, because the import of aiohttp takes long.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from aiohttp import abc

from core import errors
from core.lazy_dataclass import dataclass
from core.version import read_quarterdeck_version
from runtimes.registry import registry_address
from runtimes.registry.registry_address import RemoteName

MAX_REDIRECTS = 4
REQUEST_SECONDS = 15.0
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryResponse:
    """Holds one answer. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RegistryRequests:
    """Sends the requests of one operation. Use it with `async with`."""

    def __init__(self, name: RemoteName) -> None:
        self._name = name
        self._plain = False
        self._sessions: list[aiohttp.ClientSession] = []
        self._own: aiohttp.ClientSession | None = None
        self._foreign: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> RegistryRequests:
        self._own = self._session(None)
        # Where a redirect leads: only public addresses.
        self._foreign = self._session(_PublicResolver())
        return self

    async def __aexit__(self, *error: object) -> None:
        for session in self._sessions:
            await session.close()

    def _session(self, resolver: abc.AbstractResolver | None) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=4, resolver=resolver)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"quarterdeck/{read_quarterdeck_version()}", "Accept-Encoding": "identity"},
            auto_decompress=False,  # a small answer could become a very large one
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
        )
        self._sessions.append(session)
        return session

    async def send(self, method: str, path: str, headers: Mapping[str, str], *, max_bytes: int) -> RegistryResponse:
        """Sends a request to the registry itself, and follows redirects. Raises EngineError."""
        url = f"{self._scheme}://{self._name.host}{path}"
        try:
            return await self._follow(method, url, headers, max_bytes)
        except _NoTls:
            if not self._name.may_be_plain or self._plain:
                raise errors.Unreachable(
                    f"{self._name.registry} does not use TLS.",
                    hint=f"If this is intended, write {registry_address.PLAIN}{self._name.registry} under"
                    " `registries` in quarterdeck.yaml.",
                ) from None
            self._plain = True
            return await self._follow(method, f"http://{self._name.host}{path}", headers, max_bytes)

    @property
    def _scheme(self) -> str:
        return "http" if self._plain else "https"

    @property
    def may_send_login(self) -> bool:
        """Whether a login may be sent to the registry itself: over TLS, or within this machine."""
        return not self._plain or registry_address.is_loopback(self._name.hostname)

    async def ask_token(
        self, method: str, url: str, headers: Mapping[str, str], *, form: Mapping[str, str] | None, max_bytes: int
    ) -> RegistryResponse:
        """Sends one request to a server of tokens, whose address the caller has checked. Follows no redirect."""
        assert self._own is not None
        return await self._exchange(self._own, method, url, headers, max_bytes, form=form)

    async def _follow(self, method: str, url: str, headers: Mapping[str, str], max_bytes: int) -> RegistryResponse:
        assert self._own is not None and self._foreign is not None
        session, sent = self._own, dict(headers)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._exchange(session, method, url, sent, max_bytes)
            if answer.status not in REDIRECTS:
                return answer
            url = urllib.parse.urljoin(url, answer.headers.get("location", ""))
            registry_address.check_redirect(self._name, url)
            if urllib.parse.urlsplit(url).netloc != self._name.host:
                session = self._foreign
                sent.pop("Authorization", None)
        raise errors.EngineError(
            f"{self._name.registry} redirected one request more than {MAX_REDIRECTS} times.",
            hint="Check on the registry's server where it redirects its clients to.",
        )

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        max_bytes: int,
        *,
        form: Mapping[str, str] | None = None,
    ) -> RegistryResponse:
        async with (
            self._translated(url),
            session.request(method, url, headers=headers, data=form, allow_redirects=False) as response,
        ):
            body = b"" if method == "HEAD" else await self._read(response, max_bytes)
            found = {name.lower(): value for name, value in response.headers.items()}
            return RegistryResponse(status=response.status, headers=found, body=body)

    async def _read(self, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_chunked(65_536):
            size += len(part)
            if size > max_bytes:
                raise errors.InvalidResponse(
                    f"{self._name.registry} sent an answer of more than {max_bytes >> 10:,} KiB.",
                    sent=False,
                    hint="Check that this address belongs to a registry.",
                )
            parts.append(part)
        return b"".join(parts)

    @contextlib.asynccontextmanager
    async def _translated(self, url: str) -> AsyncIterator[None]:
        """Raises the errors of aiohttp as an EngineError."""
        host = urllib.parse.urlsplit(url).hostname or "?"
        try:
            yield
        except aiohttp.ClientConnectorCertificateError as error:
            raise errors.Unreachable(
                f"The certificate of {host} was rejected: {_reason(error.certificate_error)}.",
                hint="If the certificate is good, add its CA to the trusted CAs of Quarterdeck's host. If not, give the"
                " registry a new certificate.",
            ) from error
        except aiohttp.ClientConnectorSSLError as error:
            raise _NoTls(
                f"The TLS connection to {host} failed: {_reason(error)}.", hint="Check whether this server uses TLS."
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise errors.Unreachable(
                f"{host} cannot be reached: {_reason(error.os_error)}.",
                hint="Check the name of the registry, and that Quarterdeck's host can reach this registry.",
            ) from error
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise errors.TimedOut(
                f"{host} did not answer within {REQUEST_SECONDS:.0f} s.",
                sent=False,
                hint="Check that Quarterdeck's host reaches the registry.",
            ) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise errors.InvalidResponse(
                f"{host} sent an invalid answer ({type(error).__name__}).",
                sent=False,
                hint="Check that this address belongs to a registry.",
            ) from error


class _NoTls(errors.Unreachable):
    """The server does not use TLS."""


class _PublicResolver(abc.AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if registry_address.is_public(one["host"])]
        if not public:
            raise OSError(None, f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._resolver.close()


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None)
    if not text and isinstance(error, ssl.SSLError):
        text = error.reason
    return str(text or error)[:200].rstrip(".")
