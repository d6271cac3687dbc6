"""What runc and crun write to their state files, and what Quarterdeck stores of it for one container."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class StoredState(msgspec.Struct, frozen=True):
    """What a runtime wrote about one container. `start_ticks`: when its first process started, in the kernel's clock
    ticks; a later process with the same number has another value. `freezer_cgroup`, `memory_cgroup`: folders, empty if
    unknown; with version 2 both are the same. `limits_digest` changes when the resource limits change."""

    program: str
    pid: int
    start_ticks: int
    created: str
    created_ns: int
    bundle: str
    annotations: Mapping[str, str]
    freezer_cgroup: str = ""
    memory_cgroup: str = ""
    limits_digest: bytes = b""
    command: str = ""


class RuncConfig(msgspec.Struct):
    labels: list[str] | None = None
    cgroups: msgspec.Raw = msgspec.Raw(b"")


class RuncState(msgspec.Struct):
    """runc's `state.json`."""

    pid: int = msgspec.field(name="init_process_pid", default=0)
    start_ticks: int = msgspec.field(name="init_process_start", default=0)
    created: str = ""
    config: RuncConfig = msgspec.field(default_factory=RuncConfig)
    cgroups: dict[str, str] | None = msgspec.field(name="cgroup_paths", default=None)


class CrunStatus(msgspec.Struct, rename="kebab"):
    """crun's `status`."""

    pid: int = 0
    start_ticks: int = msgspec.field(name="process-start-time", default=0)
    cgroup: str = msgspec.field(name="cgroup-path", default="")
    created: str = ""
    bundle: str = ""


class Process(msgspec.Struct):
    args: list[str] | None = None


class Spec(msgspec.Struct):
    """The part of a `config.json` that is used here."""

    process: Process | None = None
    annotations: dict[str, str] | None = None
