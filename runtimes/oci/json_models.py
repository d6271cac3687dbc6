"""Models the JSON files that runc and crun write: `state.json`, `status` and `config.json`."""

from __future__ import annotations

import msgspec

from runtimes.formats import json_field_types


class CrunStatus(msgspec.Struct, rename="kebab"):
    """Models crun's `status`: only the parts that Quarterdeck needs."""

    pid: json_field_types.Pid = 0
    start_ticks: json_field_types.Int64 = msgspec.field(name="process-start-time", default=0)
    cgroup: str = msgspec.field(name="cgroup-path", default="")
    created: str = ""
    bundle: str = ""


class RuncConfig(msgspec.Struct):
    """Models the configuration in runc's `state.json`."""

    labels: json_field_types.EssentialNames = None
    cgroups: msgspec.Raw = msgspec.Raw(b"")


class RuncState(msgspec.Struct):
    """Models runc's `state.json`: only the parts that Quarterdeck needs."""

    pid: json_field_types.Pid = msgspec.field(name="init_process_pid", default=0)
    start_ticks: json_field_types.Int64 = msgspec.field(name="init_process_start", default=0)
    created: str = ""
    config: RuncConfig = msgspec.field(default_factory=RuncConfig)
    cgroups: dict[str, str] | None = msgspec.field(name="cgroup_paths", default=None)


class ProcessSpec(msgspec.Struct):
    """Models the process in a container's `config.json`."""

    args: list[str] | None = None


class Spec(msgspec.Struct):
    """Models a container's `config.json`: only the parts that Quarterdeck needs."""

    process: ProcessSpec | None = None
    annotations: json_field_types.Labels = None
