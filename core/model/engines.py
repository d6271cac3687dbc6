"""One engine as a whole: what it is, what it can do and whether it answers."""

from __future__ import annotations

import msgspec

from core.model.refs import EngineRef


class Engine(msgspec.Struct, frozen=True):
    """One engine as a whole. `address` holds no secret; `verbs` are those its owner allows; `fault` is why it did not
    answer, and then what only it knows is empty. `stream` is `up` or `down` where its events are watched, since
    `stream_since` (unix seconds), and `stream_fault` why it is down."""

    ref: EngineRef
    address: str
    verbs: tuple[str, ...]
    fault: str = ""
    version: str = ""
    api: str = ""
    system: str = ""
    """Operating system and architecture, such as `linux/x86_64`."""
    storage: str = ""
    cgroup: str = ""
    containers: int | None = None
    running: int | None = None
    runtime: str = ""
    """What runs the containers, such as `runc 1.1.5` or `crun`."""
    events: str = ""
    """How its events come: `ring of 256`, `file`, `journald`, `none`, `broadcast`, `polled`."""
    user: str = ""
    """Whose engine it is where it is not the machine's: `alice (1001)`."""
    owned: tuple[tuple[str, int], ...] = ()
    """Containers it holds that belong to another engine here, which tells of them: its kind and how many."""
    notes: tuple[str, ...] = ()
    """What is not a fault but should be known, a sentence each."""
    stream: str = ""
    stream_since: float = 0.0
    stream_fault: str = ""
