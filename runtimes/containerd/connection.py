"""Connects to one containerd daemon, and reads its uuid, its version and its supported features.

The daemon stores its uuid in its data directory. The uuid shows whether another daemon answers at this socket now. So
it is read before any other request, and again before each event stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping

from core import errors
from core.model import images
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS, IdentifyingAdapter
from runtimes.containerd import client, decode, decode_info, pull
from runtimes.kernel import procfs
from runtimes.transport import connect, grpc_channel

ACCESS = "Set `uid` and `gid` under [grpc] in /etc/containerd/config.toml: they open the socket to another user."


class Connection(IdentifyingAdapter):
    """Holds the connection to one daemon and what the daemon reported about itself. If another engine on this host is
    watched too (`watched_kinds`), the containerd namespaces that belong to it are excluded."""

    kind = "containerd"

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._channel = grpc_channel.GrpcChannel(url, engine=str(self._ref), access=ACCESS)
        self._channel.on_skipped = self.skipped.add
        self._client = client.Client(self._channel)
        self._excluded = ExcludedNamespaces(options.watched_kinds)
        self._containers = decode.ContainerDecoder(self._ref, self.skipped)
        self._shares_pids = False  # the daemon's process ids are those of this process' PID namespace
        self._can_pull = True  # until the daemon reports otherwise
        self._root = ""  # the daemon's data directory

    @property
    def verbs(self) -> frozenset[str]:
        """Returns the supported verbs. `image.pull` is missing if this version of containerd cannot pull images."""
        return super().verbs if self._can_pull else super().verbs - {images.PullImage.verb}

    def verb_refusal(self, verb: str) -> errors.QuarterdeckError | None:
        if verb == images.PullImage.verb and not self._can_pull:
            return errors.Unsupported(verb, str(self._ref), pull.NOT_SUPPORTED)
        return super().verb_refusal(verb)

    async def aclose(self) -> None:
        await super().aclose()
        await self._channel.aclose()

    async def _ask_identity(self, seconds: float) -> None:
        server, version, plugins = await asyncio.gather(
            self._client.server(seconds), self._client.version(seconds), self._client.plugins(seconds)
        )
        self._register(str(self._channel.endpoint), server.uuid, self._ref)
        self.version = version
        self._can_pull = pull.is_supported(plugins)
        self._root = decode_info.data_root(plugins)
        self._shares_pids = self._is_same_pid_namespace(server.pidns)

    def _is_same_pid_namespace(self, daemon: int) -> bool:
        """Compares the daemon's PID namespace with that of this process. `daemon`: the PID namespace that the daemon
        reports. containerd up to 1.6 reports 0. Then the namespace of the process that listens at the socket is
        used."""
        own = procfs.pid_namespace()
        if not daemon:
            daemon = procfs.pid_namespace(str(connect.peer_credentials(self._channel.endpoint.path)[0])) or 0
        return own is not None and own == daemon


class ExcludedNamespaces(Mapping[str, str]):
    """By excluded namespace: the kind of engine that owns it. Changes when engines come and go."""

    def __init__(self, watched_kinds: Collection[str]) -> None:
        self._watched_kinds = watched_kinds

    def __getitem__(self, namespace: str) -> str:
        kind = decode.NAMESPACE_OWNERS[namespace]
        if kind not in self._watched_kinds:
            raise KeyError(namespace)
        return kind

    def __iter__(self) -> Iterator[str]:
        return (name for name, kind in decode.NAMESPACE_OWNERS.items() if kind in self._watched_kinds)

    def __len__(self) -> int:
        return sum(1 for _ in self)
