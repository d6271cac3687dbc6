"""libpod's statistics into usage. Podman's own percentage is since the container began; ours is since the reading
before, so the first reading has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from core.model.refs import Ref
from core.model.usage import Usage
from runtimes.podman import decode


class _Network(msgspec.Struct, gc=False):
    received: int = msgspec.field(name="RxBytes", default=0)
    sent: int = msgspec.field(name="TxBytes", default=0)


class _Stats(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="ContainerID", default="")
    cpu: int = msgspec.field(name="CPUNano", default=0)
    at: int = msgspec.field(name="SystemNano", default=0)
    memory: int = msgspec.field(name="MemUsage", default=0)
    limit: int = msgspec.field(name="MemLimit", default=0)
    received: int | None = msgspec.field(name="NetInput", default=None)
    sent: int | None = msgspec.field(name="NetOutput", default=None)
    read: int | None = msgspec.field(name="BlockInput", default=None)
    written: int | None = msgspec.field(name="BlockOutput", default=None)
    processes: int | None = msgspec.field(name="PIDs", default=None)
    networks: dict[str, _Network] | None = msgspec.field(name="Network", default=None)

    def network(self) -> tuple[int | None, int | None]:
        """Received and sent: one sum up to Podman 4, each interface from 5 on."""
        if self.networks is None:
            return self.received, self.sent
        each = self.networks.values()
        return sum(one.received for one in each), sum(one.sent for one in each)


class _Told(msgspec.Struct):
    rows: list[_Stats] | None = msgspec.field(name="Stats", default=None)


class Meter:
    """Remembers the last reading of each container, for the next one's percentage; as many as run."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, int]] = {}

    def knows(self, things: Collection[str]) -> bool:
        return all(thing in self._before for thing in things)

    def rows(self, body: bytes, wanted: Mapping[str, Ref], machine: int) -> tuple[Usage, ...]:
        """`machine`: bytes of memory it has, which Podman gives as the limit where there is none; 0: not known."""
        now = {one.id: one for one in decode.decode(_Told, body).rows or () if one.id in wanted and one.at}
        found = tuple(self._row(wanted[thing], one, machine) for thing, one in now.items())
        self._before = {thing: (one.cpu, one.at) for thing, one in now.items()}
        return found

    def _row(self, ref: Ref, one: _Stats, machine: int) -> Usage:
        cpu, at = self._before.get(one.id, (0, 0))
        passed = one.at - at
        percent = (one.cpu - cpu) / passed * 100 if at and passed > 0 and one.cpu >= cpu else None
        received, sent = one.network()
        return Usage(
            ref=ref,
            cpu_percent=percent,
            cpu_seconds=one.cpu / 1e9,
            memory=one.memory,
            memory_limit=one.limit if 0 < one.limit < (machine or one.limit + 1) else None,
            network_received=received,
            network_sent=sent,
            block_read=one.read,
            block_written=one.written,
            processes=one.processes,
        )
