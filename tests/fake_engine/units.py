"""systemd beside the engine in memory: a unit runs one container, and the container's state is the unit's."""

from __future__ import annotations

from typing import Any

from core import errors
from core.model import containers, units
from core.model.containers import Container
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from tests.fake_engine.core import FakeEngine

FOLDER = "/etc/containers/systemd"


class Units(FakeEngine):
    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._runs: dict[str, Ref] = {}
        self.lingers = False
        """Whether the units of a rootless engine run without a login."""

    def add_unit(self, container: Ref) -> Ref:
        """The unit that runs this container, named as it is."""
        self._runs[f"{container.name}.service"] = container
        return self._unit(f"{container.name}.service").ref

    @does(units.ListUnits)
    async def list_units(self, action: units.ListUnits, seconds: float) -> units.Units:
        await self._answer("units", seconds)
        return units.Units(rows=tuple(map(self._unit, self._runs)))

    @does(units.DraftUnit)
    async def draft_unit(self, action: units.DraftUnit, seconds: float) -> units.UnitFiles:
        await self._answer("draft", seconds)
        return _draft(self._find(action.target), action.style)

    @does(units.InspectUnit)
    async def inspect_unit(self, action: units.InspectUnit, seconds: float) -> units.UnitFiles:
        await self._answer("inspect", seconds)
        return _draft(self._run_by(action.target), "quadlet")

    @does(units.EnableUnit)
    async def enable_unit(self, action: units.EnableUnit, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._run_by(action.target)
        if action.now and row.state not in containers.LIVE_STATES:
            self.happen(EventKind.STARTED, row.ref)
            return Outcome(status=Status.DONE, detail="it is started")
        return Outcome(status=Status.NOOP, detail="is enabled by its Quadlet file")

    @does(units.DisableUnit)
    async def disable_unit(self, action: units.DisableUnit, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._run_by(action.target)
        if action.now and row.state in containers.LIVE_STATES:
            self._end(row)
            return Outcome(status=Status.DONE, detail="it is stopped")
        return Outcome(status=Status.DONE)

    @does(units.ReloadUnits)
    async def reload_units(self, action: units.ReloadUnits, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        return Outcome(status=Status.DONE)

    @does(units.ShowLinger)
    async def show_linger(self, action: units.ShowLinger, seconds: float) -> units.Linger:
        await self._answer("inspect", seconds)
        return units.Linger(user="alice", enabled=self.lingers)

    @does(units.EnableLinger)
    async def enable_linger(self, action: units.EnableLinger, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        already, self.lingers = self.lingers, True
        if already:
            return Outcome(status=Status.NOOP, detail="had lingering for alice already")
        return Outcome(status=Status.DONE, detail="lingering is enabled for alice")

    @does(units.DisableLinger)
    async def disable_linger(self, action: units.DisableLinger, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        before, self.lingers = self.lingers, False
        if not before:
            return Outcome(status=Status.NOOP, detail="had no lingering for alice")
        return Outcome(status=Status.DONE, detail="lingering is disabled for alice: its units end at the last logout")

    @does(units.InstallUnit)
    async def install_unit(self, action: units.InstallUnit, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._find(action.target)
        drafted = _draft(row, action.style)
        if drafted.unit in self._runs:
            return Outcome(status=Status.NOOP, detail=f"{drafted.unit} is there already")
        self._runs[drafted.unit] = row.ref
        if action.now and row.state not in containers.LIVE_STATES:
            self.happen(EventKind.STARTED, row.ref)
        return Outcome(status=Status.DONE, detail=f"as {drafted.unit}")

    @does(units.StartUnit)
    async def start_unit(self, action: units.StartUnit, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._run_by(action.target)
        if row.state in containers.LIVE_STATES:
            return Outcome(status=Status.NOOP, detail="was active already")
        self.happen(EventKind.STARTED, row.ref)
        return Outcome(status=Status.DONE)

    @does(units.StopUnit)
    async def stop_unit(self, action: units.StopUnit, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._run_by(action.target)
        if row.state not in containers.LIVE_STATES:
            return Outcome(status=Status.NOOP, detail="was not active")
        self._end(row)
        return Outcome(status=Status.DONE)

    @does(units.RestartUnit)
    async def restart_unit(self, action: units.RestartUnit, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._run_by(action.target)
        if row.state in containers.LIVE_STATES:
            self._end(row)
        self.happen(EventKind.STARTED, row.ref)
        return Outcome(status=Status.DONE)

    def _end(self, row: Container) -> None:
        for kind in (EventKind.KILLED, EventKind.DIED, EventKind.STOPPED):
            self.happen(kind, row.ref, **({"exit_code": "0"} if kind is EventKind.DIED else {}))

    def _run_by(self, target: Ref) -> Container:
        if target.id not in self._runs:
            raise errors.NotFound(f"{self.ref} has no unit {target.name}.", hint="List the units with: units")
        return self._find(self._runs[target.id])

    def _unit(self, name: str) -> units.Unit:
        row = self.containers.get(self._runs[name].id)
        up = row is not None and row.state in containers.LIVE_STATES
        failed = not up and row is not None and bool(row.exit_code)
        return units.Unit(
            ref=Ref(engine=self.ref, kind=Kind.UNIT, id=name, name=name),
            active="active" if up else "failed" if failed else "inactive",
            sub="running" if up else "failed" if failed else "dead",
            enabled="generated",
            file=f"{FOLDER}/{name.removesuffix('.service')}.container",
            container=self._runs[name].name,
            members=() if row is None else (row.ref.id,),
            labels=() if row is None else (row.labels,),
            why=f"exit code {row.exit_code}" if failed and row is not None else "",
        )


def _draft(row: Container, style: str) -> units.UnitFiles:
    name = row.ref.name
    if style == "quadlet":
        path, text = f"{FOLDER}/{name}.container", f"[Container]\nContainerName={name}\nImage={row.image}\n"
    else:
        path = f"/etc/systemd/system/{name}.service"
        text = f"[Service]\nExecStart=/usr/bin/podman start -a {name}\n"
    return units.UnitFiles(unit=f"{name}.service", files=(units.UnitFile(path=path, text=text),))
