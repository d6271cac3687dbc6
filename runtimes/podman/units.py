"""Lists, drafts, installs, starts and stops the systemd units that run Podman's containers.

A unit may be changed only if systemd itself reports, at the time of the change, that the unit runs podman for a
container. So nobody can restart sshd this way. A container's label may also name a unit. That name is used only to
protect the unit together with the container; it never allows a change of the unit.

An installation has five steps: enable lingering, write the file, reload systemd, enable the unit, start it. A step that
was done before changes nothing. So if an installation is interrupted, such as by a power cut, installing again
completes it. Only an engine on this machine has units: Quarterdeck cannot reach the systemd of another machine.
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
from runtimes.base.base_adapter import does
from runtimes.base.multi_request_change import report_done
from runtimes.docker_like.client import quoted_id
from runtimes.formats import json_decoder, json_field_types
from runtimes.podman import inspect_models, quadlet_draft, unit_drafts, unit_members
from runtimes.podman.unit_drafts import UnitDraft
from runtimes.podman.versions import parse_version
from runtimes.systemd import systemctl, systemctl_parse, unit_file_writer

ENABLED = frozenset({"enabled", "enabled-runtime", "generated", "static", "linked"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")  # what Podman allows; it becomes the name of a file
LOOK_SECONDS = 15.0  # to read a unit, and what a change may take beyond the unit's own settings
VERIFY_SECONDS = 20.0  # for both programs, which usually take one second together


class _Pod(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")


class UnitVerbs(unit_members.UnitMembers, abc.ABC):
    """Serves the unit verbs for Podman."""

    @does(units.ListUnits)
    async def list_units(self, action: units.ListUnits, seconds: float) -> units.Units:
        systemd = await self._systemd(seconds)
        systemd.check_access(change=False)
        loaded, files, listed = await asyncio.gather(
            systemd.show_loaded(seconds / 2),
            systemd.list_unit_files(seconds / 2),
            self._request("GET", "/containers/json?all=true", seconds / 2),
        )
        services = systemctl_parse.parse_services(loaded)
        unloaded = systemctl_parse.unloaded_candidates(files, [service.name for service in services])
        services += systemctl_parse.parse_services(await systemd.show(unloaded, seconds / 2))
        rows = await json_decoder.decode_all_rows(unit_members.ListedContainer, listed.body, self.skipped)
        found = {one.name: self._unit(one, rows) for one in services if one.runs_container and one.exists}
        left_out = len(unloaded) - systemctl.MAX_NAMES
        return units.Units(
            rows=tuple(found[name] for name in sorted(found)),
            missing=f"{left_out} more units that are not loaded were not checked." if left_out > 0 else "",
        )

    @does(units.DraftUnit)
    async def draft_unit(self, action: units.DraftUnit, seconds: float) -> units.UnitFiles:
        systemd = await self._systemd(seconds)
        container = await self._container(action.target, seconds)
        draft = await self._draft(container, action.style, systemd, seconds / 2)
        verified, faults = await unit_drafts.verify(draft, systemd, min(VERIFY_SECONDS, seconds / 2))
        return units.UnitFiles(
            unit=draft.unit,
            files=tuple(units.UnitFile(path=str(file.path), text=file.shown or file.text) for file in draft.files),
            notes=(*draft.notes, *draft.losses, *verified, *(f"The unit would not run: {fault}" for fault in faults)),
        )

    @does(units.InstallUnit)
    async def install_unit(self, action: units.InstallUnit, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        systemd = await self._systemd(seconds)
        systemd.check_access(change=True)
        container = await self._container(action.target, _left(ends))
        if systemd.uid:
            # A user who is not logged in may have no running systemd.
            await systemd.enable_linger(_left(ends))
        existing = await self._unit_of(container, systemd, _left(ends))
        if existing is not None:
            return await self._complete(existing, systemd, action.now, ends)
        draft = await self._draft(container, action.style, systemd, _left(ends))
        _, faults = await unit_drafts.verify(draft, systemd, min(VERIFY_SECONDS, _left(ends)))
        if problems := [*draft.losses, *faults]:
            hint = f"See the draft: units --draft {container.name} --style {draft.style}"
            if draft.losses:
                hint = f"To keep the data, give: unit install {container.name} --style generate"
            raise errors.Refused(f"No unit was installed for {container.name}. {' '.join(problems[:3])}", hint=hint)
        await self._check_name(draft, container.name, systemd, _left(ends))
        written = False
        for file in draft.files:
            # In order: the environment file has to exist before the unit that reads it.
            written |= await asyncio.to_thread(
                unit_file_writer.write_unit_file, file.directory, file.name, file.text, mode=file.mode
            )
        with report_done(f"The files of {draft.unit} are written", changed=written):
            outcome = await self._load_and_start(draft, container, systemd, action.now, ends)
        noop = outcome.status == Status.NOOP and written
        return msgspec.structs.replace(outcome, status=Status.DONE) if noop else outcome

    @does(units.StartUnit)
    async def start_unit(self, action: units.StartUnit, seconds: float) -> Outcome:
        return await self._change_state(
            action.target, "start", seconds, done_states=("active", "reloading"), already="was active"
        )

    @does(units.StopUnit)
    async def stop_unit(self, action: units.StopUnit, seconds: float) -> Outcome:
        return await self._change_state(
            action.target, "stop", seconds, done_states=("inactive", "failed"), already="was not active"
        )

    @does(units.RestartUnit)
    async def restart_unit(self, action: units.RestartUnit, seconds: float) -> Outcome:
        return await self._change_state(action.target, "restart", seconds)

    async def _systemd(self, seconds: float) -> systemctl.Systemd:
        """Returns the systemd that runs this engine's units. Raises Unreachable if the engine is on another machine,
        whose socket may be forwarded to this one."""
        info = await self._engine_info(seconds)
        if not self.local or info.host.hostname != socket.gethostname():
            raise errors.Unreachable(
                f"The systemd of {self.ref} cannot be reached: it is on another machine, or Quarterdeck is in a"
                " container.",
                hint="To use its units, run Quarterdeck on that machine, and not in a container.",
            )
        uid = info.uid if info.rootless else 0
        if uid is None:
            raise errors.InvalidResponse(
                f"{self.ref} does not report the user it runs as.",
                hint=f"See what this engine reports with: info {self.ref}",
            )
        return systemctl.Systemd(uid)

    # ── drafting ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _container(self, target: Ref, seconds: float) -> inspect_models.InspectedContainer:
        answer = await self._request("GET", f"/containers/{quoted_id(target)}/json", seconds, name=target.name)
        found = json_decoder.decode_json(inspect_models.InspectedContainer, answer.body)
        if not _NAME.fullmatch(found.name):
            hint = f"Rename the container: rename {target.name} NEW"
            raise errors.UserError(f"“{target.name}” cannot be the name of a unit.", hint=hint)
        return found

    async def _draft(
        self, container: inspect_models.InspectedContainer, style: str, systemd: systemctl.Systemd, seconds: float
    ) -> UnitDraft:
        version = parse_version(self.version)
        unit_drafts.check_style(style, version)
        owner = systemctl.unix_user(systemd.uid) if systemd.uid else None
        if style == "quadlet":
            answer = await self._request("GET", f"/images/{container.image}/json", seconds, kind="image")
            image = json_decoder.decode_json(inspect_models.InspectedImage, answer.body)
            pod = await self._pod_of(container, seconds)
            return unit_drafts.draft_quadlet_unit(container, image, owner=owner, version=version, pod=pod)
        adopt_reason = unit_drafts.why_adopt(container)
        query = f"new={'false' if adopt_reason else 'true'}&useName=true&noHeader=true"
        answer = await self._request("GET", f"/generate/{container.id}/systemd?{query}", seconds, name=container.name)
        generated = json_decoder.decode_json(dict[str, str], answer.body)
        return unit_drafts.draft_generated(container, generated, owner=owner, adopt_reason=adopt_reason)

    async def _pod_of(self, container: inspect_models.InspectedContainer, seconds: float) -> str:
        if not container.pod:
            return ""
        answer = await self._request("GET", f"/pods/{container.pod}/json", seconds, kind="pod")
        return json_decoder.decode_json(_Pod, answer.body).name

    # ── installing ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _unit_of(
        self, container: inspect_models.InspectedContainer, systemd: systemctl.Systemd, seconds: float
    ) -> systemctl_parse.Service | None:
        """Returns the unit that runs the container already, if both the container's label and systemd report it."""
        name = (container.config.labels or {}).get(quadlet_draft.UNIT_LABEL, "")
        if not systemctl.is_service_name(name):
            return None
        service = await self._show(name, systemd, seconds)
        if service is None or not service.exists or not service.runs_container:
            return None
        return service if service.container == container.name else None

    async def _check_name(self, draft: UnitDraft, container: str, systemd: systemctl.Systemd, seconds: float) -> None:
        """Raises Refused if another service has the same name, because the new unit would hide that service."""
        service = await self._show(draft.unit, systemd, seconds)
        if service is not None and service.load != "not-found" and service.file != str(draft.files[-1].path):
            raise errors.Refused(
                f"A unit {draft.unit} exists already{f' in {service.file}' if service.file else ''}.",
                hint=f"Remove this unit's file on the host, or give the container another name: rename {container} NEW",
            )

    async def _load_and_start(
        self,
        draft: UnitDraft,
        container: inspect_models.InspectedContainer,
        systemd: systemctl.Systemd,
        now: bool,
        ends: float,
    ) -> Outcome:
        await systemd.daemon_reload(_left(ends))
        service = await self._show(draft.unit, systemd, _left(ends))
        if service is None or not service.exists:
            user = " --user" if systemd.uid else ""
            return Outcome(
                status=Status.FAILED,
                detail=f"its files were written, but systemd did not generate {draft.unit} from them. Find the mistake"
                f" on the host with: /usr/lib/systemd/system-generators/podman-system-generator{user} --dryrun",
            )
        detail = f"as {draft.unit}, from {draft.files[-1].path}"
        enabled = service.enabled in ENABLED
        if not enabled:
            await systemd.enable(draft.unit, _left(ends))
        if not now or service.active == "active":
            return Outcome(status=Status.NOOP if enabled else Status.DONE, detail=detail)
        if draft.adopts:
            # A container that runs already would stay outside the unit, which would not notice its end.
            await self._request("POST", f"/containers/{container.id}/stop", _left(ends), name=container.name)
        return await self._run_job(draft.unit, "start", systemd, ends, detail)

    async def _complete(
        self, service: systemctl_parse.Service, systemd: systemctl.Systemd, now: bool, ends: float
    ) -> Outcome:
        """Completes an interrupted installation of a unit that runs the container already."""
        missing = service.enabled not in ENABLED
        if missing:
            await systemd.daemon_reload(_left(ends))
            await systemd.enable(service.name, _left(ends))
        if now and service.active != "active":
            with report_done(f"{service.name} is enabled", changed=missing):
                return await self._run_job(service.name, "start", systemd, ends, f"as {service.name}")
        detail = f"as {service.name}" if missing else f"is already run by {service.name}"
        return Outcome(status=Status.DONE if missing else Status.NOOP, detail=detail)

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change_state(
        self, target: Ref, verb: str, seconds: float, *, done_states: Sequence[str] = (), already: str = ""
    ) -> Outcome:
        began = time.monotonic()
        systemd = await self._systemd(LOOK_SECONDS)
        systemd.check_access(change=True)
        service = await self._own_service(target, systemd)
        if service.active in done_states:
            return Outcome(status=Status.NOOP, detail=already)
        allowed = min(seconds, service.job_seconds(verb) + LOOK_SECONDS)
        if verb == "start":
            outcome = await self._run_job(service.name, verb, systemd, began + allowed, "")
        else:
            outcome = await self._stop_job(service, verb, systemd, began + allowed)
        return msgspec.structs.replace(outcome, took=time.monotonic() - began)

    async def _own_service(self, target: Ref, systemd: systemctl.Systemd) -> systemctl_parse.Service:
        """Returns the service, if systemd reports that it runs a container. Raises NotFound."""
        service = await self._show(target.id, systemd, LOOK_SECONDS) if systemctl.is_service_name(target.id) else None
        if service is None or not service.runs_container or service.name != target.id:
            raise errors.NotFound(
                f"{self.ref} has no unit {target.name} that runs a container.", hint="List the units with: units"
            )
        return service

    async def _stop_job(
        self, service: systemctl_parse.Service, verb: str, systemd: systemctl.Systemd, ends: float, detail: str = ""
    ) -> Outcome:
        """Stops or restarts a unit, and reports what did not end in time."""
        stop = await self._before_stop(service)
        outcome = await self._run_job(service.name, verb, systemd, ends, detail)
        if outcome.status != Status.DONE:
            return outcome
        ended = await self._show(service.name, systemd, LOOK_SECONDS) if verb == "stop" else None
        return await self._with_killed(outcome, stop, ended)

    async def _run_job(self, name: str, verb: str, systemd: systemctl.Systemd, ends: float, detail: str) -> Outcome:
        try:
            await systemd.change_state(verb, name, _left(ends))
        except errors.Rejected as error:
            service = await self._show(name, systemd, _left(ends))
            reason = service.failure if service is not None else ""
            return Outcome(status=Status.FAILED, detail=f"{name} did not {verb}: {reason or error.text}")
        return Outcome(status=Status.DONE, detail=detail)

    @staticmethod
    async def _show(name: str, systemd: systemctl.Systemd, seconds: float) -> systemctl_parse.Service | None:
        """Shows one service alone, so that the first paragraph is its own, whatever its command line contains."""
        return next(iter(systemctl_parse.parse_services(await systemd.show([name], seconds))), None)

    def _unit(self, service: systemctl_parse.Service, rows: Sequence[unit_members.ListedContainer]) -> units.Unit:
        members = [row for row in rows if unit_members.is_member(row, service)]
        labels = {tuple(sorted(labels.items())): labels for row in members if (labels := row.labels or {}) is not None}
        changed = time.time() - time.monotonic() + service.changed / 1e6
        return units.Unit(
            ref=Ref(engine=self.ref, kind=Kind.UNIT, id=service.name, name=service.name),
            active=service.active,
            sub=service.sub,
            enabled=service.enabled,
            file=service.file,
            container=service.container,
            description=service.description,
            since=round(changed, 1) if service.changed and changed < json_field_types.MAX_UNIX_SECONDS else None,
            why=service.failure,
            pid=service.pid,
            members=tuple(row.id for row in members),
            labels=tuple(labels.values()),
        )


def _left(ends: float) -> float:
    return max(0.05, ends - time.monotonic())
