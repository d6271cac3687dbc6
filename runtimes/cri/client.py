"""Sends requests to one CRI engine over gRPC, identifies the engine, and raises its failures as `core.errors`.

CRI reports no id of the machine or of the installation. So the engine's id is built from the runtime name that the
engine reports, the name of this host and the path of the socket. Name and version are read before the first request,
and again for each new event stream.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from core import errors
from core.model.refs import Ref
from core.name_matching import selection
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS, IdentifyingAdapter
from runtimes.cri import decode
from runtimes.cri.snapshot import Snapshot, SnapshotReader
from runtimes.proto import cri_pb2 as cri
from runtimes.transport import grpc_channel

RUNTIME_SERVICE = "/runtime.v1.RuntimeService"
IMAGE_SERVICE = "/runtime.v1.ImageService"
IMAGE_METHODS = frozenset({"ListImages", "ImageStatus", "PullImage", "RemoveImage", "ImageFsInfo"})
CRIO, CONTAINERD = "cri-o", "containerd"
ACCESS = (
    "Run Quarterdeck as root. containerd can open its socket to a group: `gid = …` under [grpc] in"
    " /etc/containerd/config.toml. CRI-O has no such setting."
)


class CriEngineClient(IdentifyingAdapter):
    """Sends requests to one CRI engine. `engine_name`: the runtime name that the engine reports, `containerd` or
    `cri-o`; empty before the first response. `major`: the first number of its version, 0 if unknown."""

    kind = "cri"

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self.engine_name = self.api = ""
        self.major = 0
        self._channel = grpc_channel.GrpcChannel(url, engine=str(self._ref), access=ACCESS)
        self._channel.on_skipped = self.skipped.add
        self._socket_path = os.path.realpath(self._channel.endpoint.path)
        self._snapshots = SnapshotReader(self._request)

    async def aclose(self) -> None:
        await super().aclose()
        await self._channel.aclose()

    async def _snapshot(self, seconds: float) -> Snapshot:
        return await self._snapshots.read(self.ref, seconds)

    async def _request(
        self, method: str, request: Any, response: Any, seconds: float, *, target: Ref | None = None
    ) -> Any:
        """Sends one request. `response`: the type of the response. `target`: the resource that the error names if it
        does not exist."""
        await self._identify(seconds)
        try:
            return await self._channel.call(_path(method), request, response, seconds=seconds)
        except errors.NotFound as error:
            if target is None:
                raise
            raise self._gone(target) from error

    def _gone(self, target: Ref) -> errors.NotFound:
        return errors.NotFound(
            f"{self.ref} has no {target.kind} {target.name}.",
            hint=selection.list_hint(target.kind),
        )

    async def _ask_identity(self, seconds: float) -> None:
        try:
            found = await self._channel.call(
                _path("Version"), cri.VersionRequest(), cri.VersionResponse, seconds=seconds
            )
        except errors.Unsupported as error:
            raise errors.Unreachable(
                f"The engine at {self.url} does not support CRI v1.",
                hint="Update the engine: containerd must be 1.6 or newer. If /etc/containerd/config.toml lists cri in"
                " `disabled_plugins`, remove it there and restart containerd.",
            ) from error
        identity = f"{found.runtime_name}:{self._ref.host}:{self._socket_path}"
        # containerd's native API, another kind of engine, has the same socket.
        self._register(f"cri at {self._channel.endpoint}", identity, self._ref)
        self.engine_name, self.api = found.runtime_name, found.runtime_api_version
        self.version = f"{found.runtime_name} {found.runtime_version}".strip()
        major = found.runtime_version.removeprefix("v").partition(".")[0]
        self.major = int(major) if major.isascii() and major.isdecimal() else 0


def _path(method: str) -> str:
    return f"{IMAGE_SERVICE if method in IMAGE_METHODS else RUNTIME_SERVICE}/{method}"


def recreation_note(labels: Mapping[str, str]) -> str:
    """Returns a sentence for the outcome of a stop or a removal: the kubelet may create the container or pod again.
    Empty if the kubelet did not create it."""
    return "the kubelet creates a new one if its pod requires it" if decode.POD_UID in labels else ""
