"""The engines the contract is held against: each a private one the suite starts, and what it cannot tell by its nature.

A test names the verbs it is about, and runs on every engine whose class has them: `@over(actions.Pause)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from core.model import actions, images, inside_containers
from core.model.background_jobs import ReadJob
from core.ports import Call
from runtimes import engine_registry
from tests.daemons.containerd import containerd_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """`fixture`: the daemon (its words are those of tests.daemons.docker.Dockerd); `lacks`: what this engine cannot
    tell;
    `older`: what its kind does, and the version here not yet."""

    kind: str
    fixture: str
    lacks: frozenset[str] = frozenset()
    older: frozenset[type[actions.Action]] = frozenset()
    ssh: bool = False


READY = ": > /dev/ready; echo ready"
"""What a script says once its traps are set."""
# Only a parent learns a process's code, and nobody writes down when it ended; a container runs once.
OCI_LACKS = frozenset({"exit codes", "times of an end", "another run"})
# The kubelet makes another container where others start one again.
CRI_LACKS = frozenset({"another run", "image labels", "progress"})
# On version 1 of cgroups an ordinary user's containers have none of their own.
# The engine of another user than this process gets no login of ours.
ROOTLESS_LACKS = frozenset({"pauses", "use", "our logins"})
FIELDS = {
    "docker": Field(kind="docker", fixture="dockerd"),
    # It keeps no word of when a run began. From 2.0 on it fetches images itself from a registry without TLS.
    "containerd": Field(
        kind="containerd",
        fixture="containerdd",
        lacks=frozenset({"times of an end"}),
        older=frozenset() if containerd_version() >= (2, 0) else frozenset({images.PullImage}),
    ),
    "docker by ssh": Field(kind="docker", fixture="dockerd", ssh=True),
    "podman": Field(kind="podman", fixture="podmand"),
    "podman rootless": Field(kind="podman", fixture="rootless_podmand", lacks=ROOTLESS_LACKS),
    "podman by ssh": Field(kind="podman", fixture="podmand", ssh=True),
    "runc": Field(kind="oci", fixture="ocid", lacks=OCI_LACKS),
    "crun": Field(kind="oci", fixture="crund", lacks=OCI_LACKS),
    "cri": Field(kind="cri", fixture="crid", lacks=CRI_LACKS),
    "cri-o, a stand-in": Field(kind="cri", fixture="crio", lacks=CRI_LACKS | {"data on disk", "cgroups"}),
}


def capable(*needed: type[actions.Action]) -> Sequence[str]:
    """The fields whose engine does all of these."""
    able = {name: set(engine_registry.engine_class(field.kind)._table) - field.older for name, field in FIELDS.items()}
    return [name for name, table in able.items() if set(needed) <= table]


def over(*needed: type[actions.Action]):
    return pytest.mark.parametrize("ground", capable(*needed), indirect=True)


class Ground:
    """One engine under test, and a daemon to put containers on it by means that are not ours."""

    def __init__(self, runtime, daemon, lacks=frozenset()):
        self.runtime, self.daemon, self.lacks = runtime, daemon, lacks

    async def do(self, action, seconds=60.0):
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        return await self.runtime.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))

    def called(self, name):
        """What this engine calls the container the daemon was told to run as `name`."""
        return self.daemon.called(name) if hasattr(self.daemon, "called") else name

    async def rows(self):
        """By the name the daemon was told."""
        rows = (await self.do(actions.ListContainers(engine=self.runtime.ref))).rows
        return {self.plain(row.ref): row for row in rows}

    def plain(self, ref):
        """The name the daemon was told."""
        told = {self.called(name): name for name in getattr(self.daemon, "made", ())}
        return told.get(ref.name, ref.name)

    async def ref(self, name):
        return (await self.rows())[name].ref

    async def until_ready(self, target, seconds=90.0):
        """Waits until a script has come past `READY`: a signal that arrives before its trap is set is lost."""
        async with asyncio.timeout(seconds):
            while not await self._is_ready(target):
                await asyncio.sleep(0.05)

    async def _is_ready(self, target):
        if target.engine.kind == "cri":
            return (await self.do(actions.ReadLogs(engine=target.engine, target=target))).lines
        command = ("/bin/sh", "-c", "test -e /dev/ready")
        look = inside_containers.Exec(engine=target.engine, target=target, command=command)
        return (await self.do(look)).exit_code == 0

    def again(self, **more):
        """Another adapter for the same engine."""
        return engine_registry.open_engine(
            engine_registry.EngineAddress(kind=self.runtime.ref.kind, url=self.daemon.url, **more)
        )

    def away(self):
        """An adapter for an engine of this kind that is not there."""
        scheme = self.daemon.url.partition("://")[0]
        return engine_registry.open_engine(
            engine_registry.EngineAddress(kind=self.runtime.ref.kind, url=f"{scheme}:///nowhere/e.sock")
        )

    async def outcome(self, action, seconds=120.0):
        """How a job ended, and the progress it told."""
        started = await self.do(action)
        cursor, told = "", []
        async with asyncio.timeout(seconds):
            while True:
                page = await self.do(ReadJob(engine=self.runtime.ref, job=started.job, cursor=cursor, wait=1.0))
                cursor = page.cursor
                told += [page.progress] if page.progress and page.progress not in told else []
                if page.outcome is not None:
                    return page.outcome, told
