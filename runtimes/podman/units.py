"""systemd's units of Podman's containers: listed, drafted, installed, started and stopped.

A unit is ours to touch if systemd itself says that it runs podman for a container, asked at the time of the change: by
no other road could anybody restart sshd through here. What a container's labels say of its unit only adds to what is
protected with it.

Installing is steps of which each may be the last before a power cut: linger, write, reload, enable, start. Each changes
nothing where it was done before, so that to install again finishes what was begun. Only the engine on this machine has
units: another machine's systemd is not spoken to.
"""

from __future__ import annotations

import abc
import asyncio
import re
import socket
import time
from collections.abc import Sequence

import msgspec

from core import errors
from core.model import units
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.adapter import does
from runtimes.podman import client, container_spec, decode, quadlet, unit_drafts
from runtimes.podman.client import quoted
from runtimes.podman.unit_drafts import Drafted
from runtimes.systemd import systemctl, systemctl_parse, unit_files

ENABLED = frozenset({"enabled", "enabled-runtime", "generated", "static", "linked"})
# As Podman allows them; they become names of files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
VERIFYING = 20.0  # seconds; both programs together take one


class _Row(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)
    pod: str = msgspec.field(name="PodName", default="")


class _Pod(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")


class Units(client.EngineClient, abc.ABC):
    @does(units.ListUnits)
    async def list_units(self, action: units.ListUnits, seconds: float) -> units.Units:
        asked = await self._systemd(seconds)
        asked.refuse(change=False)
        loaded, files, listed = await asyncio.gather(
            asked.loaded(seconds / 2),
            asked.files(seconds / 2),
            self._ask("GET", "/containers/json?all=true", seconds / 2),
        )
        known = systemctl_parse.services(loaded)
        more = systemctl_parse.perhaps(files, [service.name for service in known])
        known += systemctl_parse.services(await asked.show(more, seconds / 2))
        rows = decode.decode(list[_Row], listed.body)
        found = {service.name: self._unit(service, rows) for service in known if service.runs and service.there}
        left_out = len(more) - systemctl.MOST_NAMES
        return units.Units(
            rows=tuple(found[name] for name in sorted(found)),
            missing=f"{left_out} more units that are not loaded were not looked at." if left_out > 0 else "",
        )

    @does(units.DraftUnit)
    async def draft_unit(self, action: units.DraftUnit, seconds: float) -> units.UnitFiles:
        asked = await self._systemd(seconds)
        container = await self._container(action.target, seconds)
        drafted = await self._draft(container, action.style, asked, seconds / 2)
        verified, faults = await unit_drafts.verify(drafted, asked, min(VERIFYING, seconds / 2))
        return units.UnitFiles(
            unit=drafted.unit,
            files=tuple(units.UnitFile(path=str(file.path), text=file.shown or file.text) for file in drafted.files),
            notes=(*drafted.notes, *drafted.losses, *verified, *(f"It would not run: {why}" for why in faults)),
        )

    @does(units.InstallUnit)
    async def install_unit(self, action: units.InstallUnit, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        asked = await self._systemd(seconds)
        asked.refuse(change=True)
        container = await self._container(action.target, _left(ends))
        if asked.uid:
            # A user who is not there has no systemd to be asked anything.
            await asked.linger(_left(ends))
        running = await self._run_by(container, asked, _left(ends))
        if running is not None:
            return await self._complete(running, asked, action.now, ends)
        drafted = await self._draft(container, action.style, asked, _left(ends))
        _, faults = await unit_drafts.verify(drafted, asked, min(VERIFYING, _left(ends)))
        if problems := [*drafted.losses, *faults]:
            raise errors.Refused(f"No unit was installed for {container.name}. {' '.join(problems[:3])}")
        await self._refuse_taken(drafted, asked, _left(ends))
        written = False
        for file in drafted.files:
            # One by one: the environment is there before what reads it.
            written |= await asyncio.to_thread(unit_files.write, file.folder, file.name, file.text, mode=file.mode)
        outcome = await self._bring_up(drafted, container, asked, action.now, ends)
        if outcome.status == Status.NOOP and written:
            return msgspec.structs.replace(outcome, status=Status.DONE)
        return outcome

    @does(units.StartUnit)
    async def start_unit(self, action: units.StartUnit, seconds: float) -> Outcome:
        return await self._act(action.target, "start", seconds, idle=("active", "reloading"), already="was active")

    @does(units.StopUnit)
    async def stop_unit(self, action: units.StopUnit, seconds: float) -> Outcome:
        return await self._act(action.target, "stop", seconds, idle=("inactive", "failed"), already="was not active")

    @does(units.RestartUnit)
    async def restart_unit(self, action: units.RestartUnit, seconds: float) -> Outcome:
        return await self._act(action.target, "restart", seconds)

    # ── whose systemd ────────────────────────────────────────────────────────────────────────────────────────────

    async def _systemd(self, seconds: float) -> systemctl.Systemd:
        """The one that runs this engine's units. Raises Unreachable for another machine's: a socket may be one of
        theirs, forwarded."""
        info = await self._meet(seconds)
        if not self.local or info.host.hostname != socket.gethostname():
            raise errors.Unreachable(
                f"{self.ref} is on another machine, whose systemd is not to be reached from here.",
                hint="For its units, run Quarterdeck there.",
            )
        uid = info.uid if info.rootless else 0
        if uid is None:
            raise errors.InvalidResponse(f"{self.ref} does not tell whose engine it is.")
        return systemctl.Systemd(uid)

    # ── drafting ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _container(self, target: Ref, seconds: float) -> container_spec.Container:
        answer = await self._ask("GET", f"/containers/{quoted(target)}/json", seconds, about=target.name)
        found = decode.decode(container_spec.Container, answer.body)
        if not _NAME.fullmatch(found.name):
            raise errors.UserError(f"No unit can be named after {target.name}.")
        return found

    async def _draft(
        self, container: container_spec.Container, style: str, asked: systemctl.Systemd, seconds: float
    ) -> Drafted:
        version = _version(self.version)
        unit_drafts.refuse_style(style, version)
        owner = systemctl.person(asked.uid) if asked.uid else None
        if style == "quadlet":
            answer = await self._ask("GET", f"/images/{container.image}/json", seconds, kind="image")
            image = decode.decode(container_spec.Image, answer.body)
            pod = await self._pod_of(container, seconds)
            return unit_drafts.by_quadlet(container, image, owner=owner, version=version, pod=pod)
        why = unit_drafts.anew(container)
        wanted = f"new={'false' if why else 'true'}&useName=true&noHeader=true"
        answer = await self._ask("GET", f"/generate/{container.id}/systemd?{wanted}", seconds, about=container.name)
        told = decode.decode(dict[str, str], answer.body)
        return unit_drafts.by_podman(container, told, owner=owner, why=why)

    async def _pod_of(self, container: container_spec.Container, seconds: float) -> str:
        if not container.pod:
            return ""
        answer = await self._ask("GET", f"/pods/{container.pod}/json", seconds, kind="pod")
        return decode.decode(_Pod, answer.body).name

    # ── installing ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _run_by(
        self, container: container_spec.Container, asked: systemctl.Systemd, seconds: float
    ) -> systemctl_parse.Service | None:
        """The unit that runs it already, if both the container and systemd say so."""
        name = (container.config.labels or {}).get(quadlet.UNIT_LABEL, "")
        if not systemctl.is_name(name):
            return None
        service = await self._shown(name, asked, seconds)
        ours = service is not None and service.runs and service.there and service.container == container.name
        return service if ours else None

    async def _refuse_taken(self, drafted: Drafted, asked: systemctl.Systemd, seconds: float) -> None:
        """A container may be called as one of the machine's services is, which its unit would stand before."""
        service = await self._shown(drafted.unit, asked, seconds)
        if service is not None and service.load != "not-found" and service.file != str(drafted.files[-1].path):
            raise errors.Refused(
                f"There is a unit {drafted.unit} already{f', from {service.file}' if service.file else ''}.",
                hint="Give the container another name.",
            )

    async def _bring_up(
        self,
        drafted: Drafted,
        container: container_spec.Container,
        asked: systemctl.Systemd,
        now: bool,
        ends: float,
    ) -> Outcome:
        await asked.reload(_left(ends))
        service = await self._shown(drafted.unit, asked, _left(ends))
        if service is None or not service.there:
            return Outcome(
                status=Status.FAILED, detail=f"its files are written, but systemd makes no {drafted.unit} of them"
            )
        as_what = f"as {drafted.unit}, from {drafted.files[-1].path}"
        there = service.enabled in ENABLED
        if not there:
            await asked.enable(drafted.unit, _left(ends))
        if not now or service.active == "active":
            return Outcome(status=Status.NOOP if there else Status.DONE, detail=as_what)
        if drafted.adopts:
            # What runs already would stay outside the unit, which would not see it end.
            await self._ask("POST", f"/containers/{container.id}/stop", _left(ends), about=container.name)
        return await self._started(drafted.unit, "start", asked, ends, as_what)

    async def _complete(
        self, service: systemctl_parse.Service, asked: systemctl.Systemd, now: bool, ends: float
    ) -> Outcome:
        """What an installation that was broken off has left to do for a container its unit runs already."""
        missing = service.enabled not in ENABLED
        if missing:
            await asked.reload(_left(ends))
            await asked.enable(service.name, _left(ends))
        if now and service.active != "active":
            return await self._started(service.name, "start", asked, ends, f"as {service.name}")
        detail = f"as {service.name}" if missing else f"is run by {service.name} already"
        return Outcome(status=Status.DONE if missing else Status.NOOP, detail=detail)

    # ── acting ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _act(
        self, target: Ref, verb: str, seconds: float, *, idle: Sequence[str] = (), already: str = ""
    ) -> Outcome:
        began = time.monotonic()
        asked = await self._systemd(seconds)
        asked.refuse(change=True)
        service = await self._shown(target.id, asked, seconds) if systemctl.is_name(target.id) else None
        if service is None or not service.runs or service.name != target.id:
            raise errors.NotFound(
                f"{self.ref} has no unit {target.name} that runs a container.", hint="See them with: units"
            )
        if service.active in idle:
            return Outcome(status=Status.NOOP, detail=already)
        outcome = await self._started(service.name, verb, asked, began + seconds, "")
        return msgspec.structs.replace(outcome, took=time.monotonic() - began)

    async def _started(self, name: str, verb: str, asked: systemctl.Systemd, ends: float, detail: str) -> Outcome:
        try:
            await asked.act(verb, name, _left(ends))
        except errors.Rejected as error:
            service = await self._shown(name, asked, _left(ends))
            why = service.why if service is not None else ""
            return Outcome(status=Status.FAILED, detail=f"{name} did not {verb}: {why or error.text}")
        return Outcome(status=Status.DONE, detail=detail)

    @staticmethod
    async def _shown(name: str, asked: systemctl.Systemd, seconds: float) -> systemctl_parse.Service | None:
        """Of one asked for alone the first paragraph is its own, whatever it makes of others."""
        return next(iter(systemctl_parse.services(await asked.show([name], seconds))), None)

    def _unit(self, service: systemctl_parse.Service, rows: Sequence[_Row]) -> units.Unit:
        mine = [row for row in rows if _belongs(row, service)]
        labels = {tuple(sorted(labels.items())): labels for row in mine if (labels := row.labels or {}) is not None}
        changed = time.time() - time.monotonic() + service.changed / 1e6
        return units.Unit(
            ref=Ref(engine=self.ref, kind=Kind.UNIT, id=service.name, name=service.name),
            active=service.active,
            sub=service.sub,
            enabled=service.enabled,
            file=service.file,
            container=service.container,
            description=service.description,
            since=round(changed, 1) if service.changed else None,
            why=service.why,
            pid=service.pid,
            members=tuple(row.id for row in mine),
            labels=tuple(labels.values()),
        )


def _belongs(row: _Row, service: systemctl_parse.Service) -> bool:
    if service.pod and row.pod == service.pod:
        return True
    if (row.labels or {}).get(quadlet.UNIT_LABEL) == service.name:
        return True
    return bool(service.container) and (service.container in (row.names or ()) or service.container == row.id)


def _version(text: str) -> tuple[int, ...]:
    parts = text.partition("-")[0].split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def _left(ends: float) -> float:
    return max(0.05, ends - time.monotonic())
