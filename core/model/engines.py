"""Defines the value that describes one engine: its address, its version, the allowed verbs, and whether it answers."""

from __future__ import annotations

import msgspec

from core.model.refs import EngineRef


class Engine(msgspec.Struct, frozen=True):
    """One engine. `address` contains no secret; `verbs` are those that the configuration allows. `fault`: why the
    engine did not answer; all fields that only the engine knows are then empty. `stream`: the state of the event
    stream, `up` or `down` since `stream_since` (unix seconds), or empty if nobody watches; `stream_fault`: why it is
    down. `not_permitted`: why Quarterdeck's user may not use an engine that was found; it is then never contacted."""

    ref: EngineRef
    address: str
    verbs: tuple[str, ...]
    fault: str = ""
    not_permitted: str = ""
    version: str = ""
    api: str = ""
    system: str = ""
    """Operating system and architecture, such as `linux/x86_64`."""
    storage: str = ""
    cgroup: str = ""
    containers: int | None = None
    running: int | None = None
    runtime: str = ""
    """The low-level runtime, such as `runc 1.1.5` or `crun`."""
    events: str = ""
    """How the engine provides events: `ring of 256`, `file`, `journald`, `none`, `broadcast`, `polled`."""
    user: str = ""
    """The owner of a rootless engine: `alice (1001)`."""
    owned: tuple[tuple[str, int], ...] = ()
    """Its containers that another engine of this host lists: the kind of that engine, and their number."""
    notes: tuple[str, ...] = ()
    """Remarks that are not faults; one sentence each."""
    stream: str = ""
    stream_since: float = 0.0
    stream_fault: str = ""
