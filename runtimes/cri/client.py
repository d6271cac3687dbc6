"""One CRI engine and the one way to ask it: its line, who it is, and what its errors are called here.

CRI says neither which machine nor which installation answers: an engine is known by its own name, this host's and its
socket. What it is called and which version it has is learned at first contact, and again for each stream of events.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from core import errors
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.engine import DEFAULTS, EngineAdapter
from runtimes.base.options import EngineOptions
from runtimes.cri import decode, snapshot
from runtimes.proto import cri_pb2 as cri
from runtimes.transport import grpc_channel

SERVICE = "/runtime.v1.RuntimeService"
IMAGES = "/runtime.v1.ImageService"
IMAGE_METHODS = frozenset({"ListImages", "ImageStatus", "PullImage", "RemoveImage"})
CRIO = "cri-o"
ACCESS = (
    "Run Quarterdeck as root. containerd gives its socket to a group too: `gid = …` under [grpc] in"
    " /etc/containerd/config.toml; CRI-O has no such setting."
)


class EngineClient(EngineAdapter):
    """`engine_name` is the engine's own word for itself, `containerd` or `cri-o`; empty before first contact."""

    kind = "cri"

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self.engine_name = self.api = ""
        self._line = grpc_channel.GrpcChannel(url, engine=str(self._ref), access=ACCESS)
        self._place = os.path.realpath(self._line.endpoint.path)
        self._eye = snapshot.Eye(self._ask)

    async def aclose(self) -> None:
        await super().aclose()
        await self._line.aclose()

    async def _look(self, seconds: float) -> snapshot.View:
        return await self._eye.look(self.ref, seconds)

    async def _ask(self, method: str, request: Any, answer: Any, seconds: float, *, about: str = "") -> Any:
        """`about`: what of the engine's the question is of, for the sentence that says it is gone."""
        await self._identify(seconds)
        try:
            return await self._line.call(_path(method), request, answer, seconds=seconds)
        except errors.NotFound as error:
            if not about:
                raise
            raise errors.NotFound(f"{about} is gone: {self.ref} has no such thing.") from error

    async def _ask_identity(self, seconds: float) -> None:
        try:
            told = await self._line.call(_path("Version"), cri.VersionRequest(), cri.VersionResponse, seconds=seconds)
        except errors.Unsupported as error:
            raise errors.Unreachable(
                f"{self.url} does not speak CRI v1.",
                hint="containerd does from 1.6 on, unless `disabled_plugins` in /etc/containerd/config.toml holds cri.",
            ) from error
        identity = f"{told.runtime_name}:{self._ref.host}:{self._place}"
        # containerd itself, another kind of engine, answers at the same address.
        self._register(f"cri at {self._line.endpoint}", identity, self._ref)
        self.engine_name, self.api = told.runtime_name, told.runtime_api_version
        self.version = f"{told.runtime_name} {told.runtime_version}".strip()


def done(began: float, now: float, detail: str = "", *, noop: bool = False) -> Outcome:
    return Outcome(status=Status.NOOP if noop else Status.DONE, detail=detail, took=now - began)


def _path(method: str) -> str:
    return f"{IMAGES if method in IMAGE_METHODS else SERVICE}/{method}"


def kept_up(labels: Mapping[str, str]) -> str:
    """What a change does not tell by itself where the kubelet made the thing."""
    return "the kubelet makes another one where its pod says so" if decode.POD_UID in labels else ""
