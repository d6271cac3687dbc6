"""What goes on in the containers of the engine in memory: what they use, programs run in them, their health checks; and
what the engine tells of itself."""

from __future__ import annotations

from typing import Any

import msgspec

from core import errors
from core.model import actions, container_reads, containers, disk_use, inside_containers, resource_usage
from core.model.container_reads import FileChange, FileChanges, Processes
from core.model.containers import Container
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, ExecResult, Outcome
from runtimes.base.base_adapter import does
from tests.fake_engine.core import FakeEngine

MIB = 1 << 20


class Inside(FakeEngine):
    executed: list[inside_containers.Exec]
    """The programs that were asked for, in their order."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._used: dict[str, dict[str, Any]] = {}

    def use(self, ref: Ref, **more: Any) -> None:
        """From now on the container uses this much; None is not known."""
        self._used[ref.id] = more

    @does(resource_usage.ReadUsage)
    async def read_usage(self, action: resource_usage.ReadUsage, seconds: float) -> resource_usage.Usages:
        await self._answer("usage", seconds)
        rows = (row for row in self.containers.values() if not action.only or row.ref.id in action.only)
        return resource_usage.Usages(
            rows=tuple(self._usage(row) for row in rows if row.state in containers.LIVE_STATES)
        )

    @does(container_reads.ReadProcesses)
    async def read_processes(self, action: container_reads.ReadProcesses, seconds: float) -> Processes:
        await self._answer("top", seconds)
        row = self._find(action.target)
        if row.state != "running":
            raise errors.Rejected(409, f"container {row.ref.name} is not running")
        return Processes(titles=("UID", "PID", "CMD"), rows=(("root", "1", row.command),))

    @does(container_reads.ReadFileChanges)
    async def read_file_changes(self, action: container_reads.ReadFileChanges, seconds: float) -> FileChanges:
        await self._answer("diff", seconds)
        self._find(action.target)
        return FileChanges(changes=(FileChange("changed", "/data"), FileChange("added", "/data/file")))

    @does(disk_use.ReadDiskUse)
    async def read_disk_use(self, action: disk_use.ReadDiskUse, seconds: float) -> disk_use.DiskUse:
        await self._answer("df", seconds)
        return disk_use.DiskUse(images=4_200_000, volumes=0, unused_volumes=0, writable=1_000, read_at=self._now())

    @does(inside_containers.Exec)
    async def execute(self, action: inside_containers.Exec, seconds: float) -> ExecResult:
        """`echo` says its words, `env` its variables, a shell its command; `false` and what nobody knows fail."""
        await self._answer("change", seconds)
        self.executed = [*getattr(self, "executed", ()), action]
        row = self._find(action.target)
        if row.state != "running":
            raise errors.Rejected(409, f"container {row.ref.name} is not running")
        program, *words = action.command
        match program:
            case "echo":
                return ExecResult(exit_code=0, stdout=" ".join(words) + "\n")
            case "env":
                return ExecResult(exit_code=0, stdout="".join(f"{name}={text}\n" for name, text in action.environment))
            case "ls" | "sh":
                return ExecResult(exit_code=0, stdout=" ".join(action.command) + "\n", stderr="a remark\n")
            case "true" | "false":
                return ExecResult(exit_code=int(program == "false"))
            case _:
                return ExecResult(exit_code=127, stderr=f"{program}: not found\n")

    @does(actions.CheckHealth)
    async def check_health(self, action: actions.CheckHealth, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._find(action.target)
        if not row.health:
            raise errors.Rejected(409, f"container {row.ref.name} has no defined healthcheck")
        return Outcome(status=Status.DONE, detail=row.health)

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        await self._answer("info", seconds)
        ref = Ref(engine=self.ref, kind=Kind.ENGINE, id=self.engine_id, name=self.ref.host)
        data = {"ID": self.engine_id, "Name": self.ref.host, "Driver": "memory", "Containers": len(self.containers)}
        return Document(ref=ref, data=data)

    def _usage(self, row: Container) -> resource_usage.Usage:
        usual = resource_usage.Usage(
            ref=row.ref,
            cpu_percent=0.5,
            cpu_seconds=12.0,
            memory=8 * MIB,
            memory_limit=64 * MIB,
            network_received=2_000,
            network_sent=1_000,
            block_read=0,
            block_written=4_096,
            processes=1,
        )
        return msgspec.structs.replace(usual, **self._used.get(row.ref.id, {}))
