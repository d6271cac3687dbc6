"""Sends requests to a Docker daemon, in the newest API version that both Quarterdeck and the daemon support.

The version is negotiated at the first request and again for each event stream. For this, Quarterdeck requests `/info`
without a version, and the daemon reports its newest version in the header `Api-Version`. A daemon that is newer than
Quarterdeck is also asked for its oldest version, with `/version`.
"""

from __future__ import annotations

import abc
import re

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker import decode, json_models
from runtimes.docker_like.client import HttpEngineClient
from runtimes.formats import json_decoder

NEWEST_API, OLDEST_API = (1, 51), (1, 24)
MAX_ERROR = 256  # bytes of an error that is not JSON
_VERSION_REFUSED = re.compile(
    r"client version \S+ is too (?:old|new)\. (?:Minimum supported API version is (?P<oldest>\d+\.\d+)|"
    r"Maximum supported API version is (?P<newest>\d+\.\d+))",
    re.IGNORECASE,
)


class EngineClient(HttpEngineClient, abc.ABC):
    """Sends requests to one daemon. `engine_id` is the daemon's own id; `api` is the negotiated version of its API."""

    kind = "docker"
    sends_headers_early = True

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self.api = ""
        self._info = json_models.Info()
        self._decoder = decode.Decoder(self._ref, self.skipped)

    async def _ask_identity(self, seconds: float) -> None:
        response = await self._http.request("GET", "/info", deadline=seconds)
        if response.status == 400 and b"HTTPS server" in response.body:
            raise errors.Unreachable(
                f"{self.address} requires TLS.",
                hint="Add `tls: {ca: …, cert: …, key: …}` to this engine in quarterdeck.yaml, or set"
                " DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH.",
            )
        if response.status >= 400:
            raise self._refusal(response.status, response.body, "", "info")
        info = json_decoder.decode_json(json_models.Info, response.body, self.skipped)
        newest = decode.api_version(response.headers.get("api-version", "1.41"))
        if newest < OLDEST_API:
            raise errors.InvalidResponse(
                f"{self.address} supports Docker API up to {_dotted(newest)}, but Quarterdeck needs at least"
                f" {_dotted(OLDEST_API)}.",
                hint="Upgrade Docker on that machine.",
            )
        if newest > NEWEST_API:
            await self._check_oldest_version(seconds)
        ref = EngineRef(host=info.name or self._ref.host, kind=self.kind, name=self._ref.name)
        self._register(self.address, info.identity(), ref)
        self.api, self.version, self._info = _dotted(min(newest, NEWEST_API)), info.version, info
        if ref != self._ref:
            self._ref = ref
            self._decoder = decode.Decoder(ref, self.skipped)

    async def _check_oldest_version(self, seconds: float) -> None:
        """Raises InvalidResponse if the daemon supports only versions of the API that are newer than ours."""
        response = await self._http.request("GET", "/version", deadline=seconds)
        if response.status >= 400:
            raise self._refusal(response.status, response.body, "", "version")
        oldest = json_decoder.decode_json(json_models.Versions, response.body).oldest_api
        if oldest and decode.api_version(oldest) > NEWEST_API:
            raise _too_new(self.address, f"{oldest} or newer")

    def _refusal(self, status: int, body: bytes, name: str, kind: str) -> errors.QuarterdeckError:
        if status == 400 and (found := _VERSION_REFUSED.search(self._error_text(body))):
            # The daemon was replaced by another version since it was identified.
            self._identified = False
            oldest, newest = found["oldest"], found["newest"]
            if oldest and decode.api_version(oldest) > NEWEST_API:
                return _too_new(self.address, f"{oldest} or newer")
            limit = f"{oldest} or newer" if oldest else f"{newest} or older"
            return errors.InvalidResponse(
                f"{self.address} does not support Docker API {self.api}, which it supported before. It supports"
                f" {limit}.",
                hint="Give the command again. Quarterdeck then asks the engine for its version.",
            )
        return super()._refusal(status, body, name, kind)

    def _path(self, target: str) -> str:
        return f"/v{self.api}{target}"

    def _decode_container(self, body: bytes) -> Container:
        return self._decoder.container(body)

    def _error_text(self, body: bytes) -> str:
        try:
            text = json_decoder.decode_json(json_models.Error, body).message
        except errors.InvalidResponse:
            text = body[:MAX_ERROR].decode("utf-8", "replace")
        return text.strip()


def _too_new(address: str, needed: str) -> errors.InvalidResponse:
    return errors.InvalidResponse(
        f"{address} needs Docker API {needed}, but this Quarterdeck supports at most {_dotted(NEWEST_API)}.",
        hint="Upgrade Quarterdeck. Or lower the engine's minimum: set"
        f" DOCKER_MIN_API_VERSION={_dotted(NEWEST_API)} in dockerd's environment, and restart it.",
    )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
