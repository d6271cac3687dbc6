"""Reads what a Docker daemon reports about itself: version, storage, counts, warnings."""

from __future__ import annotations

import abc
import asyncio
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core import errors, secret_search_threads
from core.model import actions
from core.model.engines import Engine
from core.model.refs import Kind, Ref
from core.model.results import Document
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.docker import json_models
from runtimes.docker.client import EngineClient
from runtimes.formats import json_decoder

EVENT_HISTORY = "ring of 256"
"""Every version of Docker remembers the last 256 events, of all types together, in memory."""


class InfoVerbs(EngineClient, abc.ABC):
    """Serves the verbs that describe the Docker daemon."""

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        unreachable = Engine(ref=self.ref, address=self.address, verbs=tuple(sorted(self.verbs)))
        try:
            # The two requests share one deadline.
            async with asyncio.timeout(seconds):
                body, version = await self._info_and_version(seconds)
            info, document = json_decoder.decode_json(json_models.Info, body), json_decoder.decode_json_object(body)
        except errors.EngineError as error:
            return msgspec.structs.replace(unreachable, fault=error.full_message())
        except TimeoutError:
            return msgspec.structs.replace(unreachable, fault=f"{self.ref} did not answer within {seconds:.0f} s.")
        return msgspec.structs.replace(
            unreachable,
            ref=self.ref,
            version=info.version,
            api=self.api,
            system=f"{info.system}/{info.architecture}",
            storage=info.storage,
            cgroup=info.cgroup,
            containers=info.containers,
            running=info.running,
            runtime=runtime(document, version),
            events=EVENT_HISTORY,
            user=self._owner() if rootless(document) else "",
            notes=notes(document),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        body, version = await self._info_and_version(seconds)
        ref = Ref(engine=self.ref, kind=Kind.ENGINE, id=str(self.ref), name=str(self.ref))
        # The daemon reports its proxies with the passwords in their addresses.
        document = {**json_decoder.decode_json_object(body), "Version": version}
        return Document(
            ref=ref, data=await secret_search_threads.run_search(lambda: redact_json.redact_document(document))
        )

    async def _info_and_version(self, seconds: float) -> tuple[bytes, Mapping[str, Any]]:
        """`/info`, and `/version` with the versions of the daemon's components; empty if only `/version` failed."""
        info, version = await asyncio.gather(
            self._request("GET", "/info", seconds), self._request("GET", "/version", seconds), return_exceptions=True
        )
        if isinstance(info, BaseException):
            raise info
        return info.body, {} if isinstance(version, BaseException) else json_decoder.decode_json_object(version.body)

    def _owner(self) -> str:
        """The user of a rootless daemon: the owner of its socket, because the daemon does not report it."""
        endpoint = self._http.endpoint
        if endpoint.scheme != "unix":
            return "not root"
        try:
            uid = Path(endpoint.path).stat().st_uid
            return f"{pwd.getpwuid(uid).pw_name} ({uid})"
        except (OSError, KeyError):
            return "not root"


def notes(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What `/info` reports that is not a fault, but good to know."""
    details = json_decoder.convert(json_models.Details, info)
    found = []
    if details.live_restore:
        found.append("Its containers continue while the daemon restarts (live-restore).")
    found += _swarm_notes(details.swarm or json_models.SwarmDetails())
    found += [warning.removeprefix("WARNING: ") for warning in details.warnings or ()]
    return tuple(found)


def rootless(info: Mapping[str, Any]) -> bool:
    options = json_decoder.convert(json_models.Details, info).security or ()
    return any("name=rootless" in option for option in options)


def runtime(info: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    """The OCI runtime, with its version if the daemon reports one: `runc 1.1.5`."""
    name = json_decoder.convert(json_models.Details, info).runtime or ""
    components = json_decoder.convert(json_models.Components, version).components or ()
    number = next((part.version.partition("+")[0] for part in components if part.name == name), "")
    return f"{name} {number}".strip()


def _swarm_notes(swarm: json_models.SwarmDetails) -> list[str]:
    state = swarm.state or "inactive"
    if state == "inactive":
        return []
    if state == "locked":
        return ["It belongs to a Swarm that is locked: its services do not run until somebody unlocks it."]
    faults = [f"Its Swarm has a fault: {swarm.error}"] if swarm.error else []
    if state != "active":
        return [f"It belongs to a Swarm; its state there is {state}.", *faults]
    if not swarm.manager:
        return ["It is a worker of a Swarm.", *faults]
    nodes, managers = swarm.nodes or 1, swarm.managers or 1
    return [f"It is a manager of a Swarm of {nodes} node{'s' * (nodes != 1)}, {managers} of them managing.", *faults]
