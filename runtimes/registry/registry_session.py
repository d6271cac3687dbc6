"""Reads documents of one image from its registry, with the login of this host if the registry requires one.

If a login is required, the registry answers 401 and names the method: the login itself (Basic), or a token that another
server gives for the login (Bearer). The login is sent only to the registry or to a server of its domain, and only over
TLS or within this machine. The token permits only pulling from this one repository.
"""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.parse
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec

from core import errors
from core.text import sanitize
from runtimes.base.registry_auth import Lookup
from runtimes.formats import json_decoder
from runtimes.registry import registry_address
from runtimes.registry.registry_address import RemoteName
from runtimes.registry.registry_requests import RegistryRequests, RegistryResponse

MAX_MANIFEST = 4 << 20  # bytes
MAX_TOKEN_ANSWER = 64 << 10
MAX_ERROR = 200  # characters
MAX_PAUSE_SECONDS, PAUSE_SECONDS = 3_600.0, 60.0
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_PARAMETER = re.compile(r'([A-Za-z_]+)=(?:"([^"]*)"|([^",\s]+))')
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class TooManyRequests(errors.EngineError):
    """The registry answers no more requests for now. `seconds`: until it does."""

    def __init__(self, message: str, *, seconds: float, hint: str) -> None:
        self.seconds = seconds
        super().__init__(message, hint=hint)


class RegistrySession:
    """Reads documents of one repository. Use it with `async with`."""

    def __init__(self, name: RemoteName, found: Lookup) -> None:
        self._name, self._found = name, found
        self._requests = RegistryRequests(name)
        self._authorization = ""

    async def __aenter__(self) -> Self:
        await self._requests.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.__aexit__(kind, error, trace)

    async def digest(self, reference: str) -> str:
        """Returns the digest that a tag points to. Most registries count this not as a pull."""
        answer = await self._get(f"manifests/{reference}", method="HEAD", accept=MANIFEST_TYPES, refused=(400, 405))
        digest = answer.headers.get("docker-content-digest", "")
        if answer.status == 200 and _DIGEST.fullmatch(digest):
            return digest
        return (await self.manifest(reference))[0]

    async def manifest(self, reference: str) -> tuple[str, str, bytes]:
        """Returns the digest, the media type and the content of what a tag or a digest points to."""
        answer = await self._get(f"manifests/{reference}", accept=MANIFEST_TYPES)
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        claimed = reference if ":" in reference else answer.headers.get("docker-content-digest", digest)
        self._check_digest(claimed, digest)
        return digest, answer.headers.get("content-type", "").partition(";")[0].strip(), answer.body

    async def blob(self, digest: str) -> bytes:
        """Returns a small blob, such as the configuration of an image."""
        answer = await self._get(f"blobs/{digest}")
        self._check_digest(digest, f"sha256:{hashlib.sha256(answer.body).hexdigest()}")
        return answer.body

    async def tags(self, limit: int) -> tuple[list[str], bool]:
        """Returns tags of the repository, at most `limit`, and whether there are more."""
        answer = await self._get(f"tags/list?n={limit}")
        found = json_decoder.decode_json(_Tags, answer.body).tags or []
        return found[:limit], len(found) > limit or "link" in answer.headers

    async def _get(
        self, what: str, *, method: str = "GET", accept: tuple[str, ...] = (), refused: tuple[int, ...] = ()
    ) -> RegistryResponse:
        """`refused`: statuses that are returned, because the registry may not know this kind of request."""
        path = f"/v2/{urllib.parse.quote(self._name.path)}/{what}"
        headers = {"Accept": ", ".join(accept)} if accept else {}
        answer = await self._send(method, path, headers)
        if answer.status == 401:
            await self._authorise(answer.headers.get("www-authenticate", ""))
            answer = await self._send(method, path, headers)
        if answer.status == 200 or answer.status in refused:
            return answer
        raise self._refusal(answer)

    async def _send(self, method: str, path: str, headers: Mapping[str, str]) -> RegistryResponse:
        more = {"Authorization": self._authorization} if self._authorization else {}
        return await self._requests.send(method, path, {**headers, **more}, max_bytes=MAX_MANIFEST)

    # ── the login ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _authorise(self, challenge: str) -> None:
        """Sets what the next requests carry. Raises EngineError if the registry wants a login that there is not."""
        scheme, _, rest = challenge.strip().partition(" ")
        login = self._found.login
        if scheme.lower() == "basic":
            if login is None or login.identity_token:
                raise self._no_login()
            if not self._requests.may_send_login:
                raise errors.EngineError(
                    f"{self._name.registry} asks for a login, but uses no TLS. No password was sent.",
                    hint="Configure the registry to use TLS.",
                )
            self._authorization = _basic(login.username, login.password)
        elif scheme.lower() == "bearer":
            given = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(rest[:8192])}
            self._authorization = f"Bearer {await self._token(given.get('realm', ''), given.get('service', ''))}"
        else:
            shown = sanitize.single_line(scheme, 20)
            raise errors.EngineError(
                f"{self._name.registry} asks for a login in a way that Quarterdeck does not support"
                f"{f' (“{shown}”)' if shown else ''}.",
                hint=f"On a host that is logged in to the registry, run: skopeo inspect docker://{self._name}",
            )

    async def _token(self, realm: str, service: str) -> str:
        registry_address.check_realm(self._name, realm)
        login = self._found.login
        asked = {"service": service, "scope": f"repository:{self._name.path}:pull"}
        if login is not None and login.identity_token:
            form = {**asked, "grant_type": "refresh_token", "client_id": "quarterdeck"}
            form["refresh_token"] = login.identity_token
            answer = await self._requests.ask_token("POST", realm, {}, form=form, max_bytes=MAX_TOKEN_ANSWER)
        else:
            url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(asked)}"
            headers = {"Authorization": _basic(login.username, login.password)} if login is not None else {}
            answer = await self._requests.ask_token("GET", url, headers, form=None, max_bytes=MAX_TOKEN_ANSWER)
        if answer.status in (400, 401, 403):
            raise self._no_login()
        if answer.status != 200:
            raise self._refusal(answer)
        found = json_decoder.decode_json(_Token, answer.body)
        token = found.token or found.access_token
        if not _TOKEN.fullmatch(token):
            raise errors.InvalidResponse(
                f"{self._name.registry} sent a token that is not valid.",
                sent=False,
                hint="Check that this address belongs to a registry.",
            )
        return token

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _no_login(self) -> errors.EngineError:
        return errors.EngineError(f"{self._name} cannot be read: the registry asks for a login.", hint=self._found.hint)

    def _refusal(self, answer: RegistryResponse) -> errors.QuarterdeckError:
        text = _error_text(answer.body)
        said = f": {text}" if text else ""
        match answer.status:
            case 401 | 403:
                return errors.EngineError(
                    f"{self._name} cannot be read: the registry refused the request{said}.", hint=self._found.hint
                )
            case 404:
                return errors.NotFound(
                    f"{self._name.registry} has no image {self._name.path} with the tag or digest"
                    f" {self._name.reference}.",
                    hint="Check the spelling of the image. A registry reports a private image as missing, too.",
                )
            case 429:
                seconds = _pause(answer.headers.get("retry-after", ""))
                login = "" if self._found.login is not None else f" A login may raise the limit. {self._found.hint}"
                return TooManyRequests(
                    f"{self._name.registry} limits requests{said}.",
                    seconds=seconds,
                    hint=f"Wait for {seconds:.0f} s.{login}",
                )
            case status:
                return errors.EngineError(
                    f"{self._name.registry} answered with status {status}{said}.", hint="Try again later."
                )

    def _check_digest(self, claimed: str, found: str) -> None:
        if claimed.startswith("sha256:") and claimed != found:
            raise errors.InvalidResponse(
                f"{self._name.registry} sent content that does not match its digest.",
                sent=False,
                hint="Check whether a proxy between Quarterdeck and the registry changes the content.",
            )


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] | None = None


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _error_text(body: bytes) -> str:
    """Returns the registry's own words, on one line."""
    try:
        found = (json_decoder.decode_json(_Errors, body).errors or [_Error()])[0]
    except errors.InvalidResponse:
        return ""
    return sanitize.single_line(found.message or found.code, MAX_ERROR).rstrip(".")


def _pause(retry_after: str) -> float:
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 8 else 0.0
    return min(MAX_PAUSE_SECONDS, seconds) or PAUSE_SECONDS
