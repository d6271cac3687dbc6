"""The part of Docker in which the daemon tells about itself."""

from __future__ import annotations

import abc
import asyncio
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core import errors
from core.model import actions
from core.model.engines import Engine
from core.model.refs import Kind, Ref
from core.model.results import Document
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.docker import decode_resources
from runtimes.docker.client import EngineClient
from runtimes.formats import decoding
from runtimes.swarm import models
from runtimes.transport.endpoint import Endpoint

EVENTS = "ring of 256"
"""Docker remembers the last 256 events of all types together, in memory, whatever its version."""


class Info(msgspec.Struct):
    """What we read of `/info`."""

    name: str = msgspec.field(name="Name", default="")
    id: str = msgspec.field(name="ID", default="")
    version: str = msgspec.field(name="ServerVersion", default="")
    root: str = msgspec.field(name="DockerRootDir", default="")
    system: str = msgspec.field(name="OSType", default="")
    architecture: str = msgspec.field(name="Architecture", default="")
    storage: str = msgspec.field(name="Driver", default="")
    cgroup: str = msgspec.field(name="CgroupVersion", default="")
    containers: int = msgspec.field(name="Containers", default=0)
    running: int = msgspec.field(name="ContainersRunning", default=0)
    memory: int = msgspec.field(name="MemTotal", default=0)
    swarm: models.Local = msgspec.field(name="Swarm", default_factory=models.Local)

    def identity(self) -> str:
        # Up to Docker 20 the id is the machine's, in /etc/docker: two daemons on one machine share it.
        return self.id if self.root in ("", USUAL_ROOT) else f"{self.id}:{self.root}"


USUAL_ROOT = "/var/lib/docker"


class InfoVerbs(EngineClient, abc.ABC):
    api: str

    @abc.abstractmethod
    def _endpoint(self) -> Endpoint: ...

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(ref=self.ref, address=str(self._endpoint()), verbs=tuple(sorted(self.verbs)))
        try:
            # Two questions share the time; one that hangs must not take the other's.
            async with asyncio.timeout(seconds):
                body, version = await self._both(seconds)
            info, whole = decoding.decode(Info, body), decoding.document(body)
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        except TimeoutError:
            return msgspec.structs.replace(told, fault=f"{self.ref} did not answer within {seconds:.0f} s.")
        return msgspec.structs.replace(
            told,
            ref=self.ref,
            version=info.version,
            api=self.api,
            system=f"{info.system}/{info.architecture}",
            storage=info.storage,
            cgroup=info.cgroup,
            containers=info.containers,
            running=info.running,
            runtime=decode_resources.runtime(whole, version),
            events=EVENTS,
            user=self._owner() if decode_resources.rootless(whole) else "",
            notes=decode_resources.notes(whole),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        body, version = await self._both(seconds)
        ref = Ref(engine=self.ref, kind=Kind.ENGINE, id=str(self.ref), name=str(self.ref))
        # Proxies are told with whatever is written in them.
        return Document(ref=ref, data=redact_json.redact_document({**decoding.document(body), "Version": version}))

    async def _both(self, seconds: float) -> tuple[bytes, Mapping[str, Any]]:
        """`/info`, and `/version`, which knows the versions of what the daemon is made of."""
        info, version = await asyncio.gather(
            self._ask("GET", "/info", seconds), self._ask("GET", "/version", seconds), return_exceptions=True
        )
        if isinstance(info, BaseException):
            raise info
        return info.body, {} if isinstance(version, BaseException) else decoding.document(version.body)

    def _owner(self) -> str:
        """Whose daemon a rootless one is, by its socket; it does not tell itself."""
        endpoint = self._endpoint()
        if endpoint.scheme != "unix":
            return "not root"
        try:
            uid = Path(endpoint.path).stat().st_uid
            return f"{pwd.getpwuid(uid).pw_name} ({uid})"
        except (OSError, KeyError):
            return "not root"
