"""Decodes Docker's networks, volumes, statistics and its answers about itself into Quarterdeck's values.

Found by experiment on Docker 20.10 and 26.1 (the latter with both of its image stores).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.model.refs import EngineRef, Kind, Ref
from core.model.resources import Network, Volume
from core.model.usage import Usage
from runtimes.docker import models
from runtimes.docker_like import decode as shared
from runtimes.formats import decoding

NO_LIMIT = 1 << 60  # bytes; a larger limit means that there is none


def networks(engine: EngineRef, body: bytes) -> tuple[Network, ...]:
    return tuple(
        [
            Network(
                ref=Ref(engine=engine, kind=Kind.NETWORK, id=row.id, name=row.name),
                driver=row.driver,
                scope=row.scope,
                subnets=tuple([one.subnet for one in (row.ipam and row.ipam.config) or () if one.subnet]),
                internal=row.internal,
                labels=row.labels or {},
            )
            for row in decoding.decode(list[models.Network], body)
        ]
    )


def volumes(engine: EngineRef, body: bytes) -> tuple[Volume, ...]:
    return shared.volumes(engine, decoding.decode(models.Volumes, body).volumes or ())


def usage(ref: Ref, stats: models.Stats, cpu_percent: float | None, host_memory: int) -> Usage:
    """`host_memory`: bytes of memory of the host, which Docker sends as the limit of a container without one."""
    memory, details = stats.memory.usage, stats.memory.stats or models.MemoryDetails()
    if memory is not None:
        inactive = details.total_inactive if details.total_inactive is not None else details.inactive
        memory = max(0, memory - (inactive or 0))
    limit = details.limit if details.limit is not None else stats.memory.limit
    sums = {"read": 0, "write": 0}
    for block in stats.blocks.bytes or ():
        if (operation := block.operation.lower()) in sums:
            sums[operation] += block.value
    traffic = None if stats.networks is None else stats.networks.values()
    return Usage(
        ref=ref,
        cpu_percent=cpu_percent,
        cpu_seconds=stats.cpu_seconds,
        memory=memory,
        memory_limit=limit if limit and limit < NO_LIMIT and limit != host_memory else None,
        network_received=None if traffic is None else sum(one.received for one in traffic),
        network_sent=None if traffic is None else sum(one.sent for one in traffic),
        block_read=None if stats.blocks.bytes is None else sums["read"],
        block_written=None if stats.blocks.bytes is None else sums["write"],
        processes=stats.processes.current,
    )


def notes(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What `/info` reports that is not a fault, but good to know."""
    found = []
    if info.get("LiveRestoreEnabled"):
        found.append("Its containers continue while the daemon restarts (live-restore).")
    found += _swarm_notes(info.get("Swarm") or {})
    found += [str(warning).removeprefix("WARNING: ") for warning in info.get("Warnings") or ()]
    return tuple(found)


def rootless(info: Mapping[str, Any]) -> bool:
    return any("name=rootless" in str(option) for option in info.get("SecurityOptions") or ())


def runtime(info: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    """The OCI runtime, with its version if the daemon reports one: `runc 1.1.5`."""
    name = str(info.get("DefaultRuntime") or "")
    found = [part for part in version.get("Components") or () if isinstance(part, dict) and part.get("Name") == name]
    number = str(found[0].get("Version") or "").partition("+")[0] if found else ""
    return f"{name} {number}".strip()


def _swarm_notes(swarm: Mapping[str, Any]) -> list[str]:
    state = str(swarm.get("LocalNodeState") or "inactive")
    if state == "inactive":
        return []
    if state == "locked":
        return ["It belongs to a Swarm that is locked: its services do not run until somebody unlocks it."]
    faults = [f"Its Swarm has a fault: {swarm['Error']}"] if swarm.get("Error") else []
    if state != "active":
        return [f"It belongs to a Swarm; its state there is {state}.", *faults]
    if not swarm.get("ControlAvailable"):
        return ["It is a worker of a Swarm.", *faults]
    nodes, managers = swarm.get("Nodes") or 1, swarm.get("Managers") or 1
    return [f"It is a manager of a Swarm of {nodes} node{'s' * (nodes != 1)}, {managers} of them managing.", *faults]
