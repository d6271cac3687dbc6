"""Enables and disables the systemd units of Podman's containers, shows their files, reloads systemd, and lets a user's
units run without a login."""

from __future__ import annotations

import abc
import time

import msgspec

from core import errors
from core.model import units
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.multi_request_change import report_done
from runtimes.podman.units import ENABLED, LOOK_SECONDS, UnitVerbs
from runtimes.systemd import systemctl, unit_secrets

ROOT = "root"
# States of a unit whose file is reached only through a link, which `systemctl disable` removes.
REMOVED_BY_DISABLE = frozenset({"linked", "linked-runtime"})


class UnitEnableVerbs(UnitVerbs, abc.ABC):
    """Serves the verbs about the files of units, and about when systemd starts them."""

    @does(units.InspectUnit)
    async def inspect_unit(self, action: units.InspectUnit, seconds: float) -> units.UnitFiles:
        systemd = await self._systemd(seconds)
        systemd.check_access(change=False)
        service = await self._own_service(action.target, systemd)
        text = unit_secrets.hide_values(await systemd.cat(service.name, seconds))
        files = [units.UnitFile(path=path, text=part) for path, part in unit_secrets.split_files(text)]
        return units.UnitFiles(unit=service.name, files=tuple(files))

    @does(units.EnableUnit)
    async def enable_unit(self, action: units.EnableUnit, seconds: float) -> Outcome:
        began = time.monotonic()
        systemd = await self._systemd(LOOK_SECONDS)
        systemd.check_access(change=True)
        service = await self._own_service(action.target, systemd)
        enabled = service.enabled in ENABLED
        if not enabled:
            await systemd.enable(service.name, LOOK_SECONDS)
        starts = action.now and service.active not in ("active", "reloading")
        if starts:
            ends = began + min(seconds, service.job_seconds("start") + LOOK_SECONDS)
            with report_done(f"{service.name} is enabled", changed=not enabled):
                outcome = await self._run_job(service.name, "start", systemd, ends, "it is started")
            if outcome.status != Status.DONE and not enabled:
                return msgspec.structs.replace(outcome, detail=f"it is enabled, but {outcome.detail}")
            if outcome.status != Status.DONE or not enabled:
                return outcome
        if enabled and not starts:
            detail = "is enabled by its Quadlet file" if service.enabled == "generated" else "was enabled already"
            return Outcome(status=Status.NOOP, detail=detail)
        detail = "it is started; it was enabled already" if enabled else ""
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    @does(units.DisableUnit)
    async def disable_unit(self, action: units.DisableUnit, seconds: float) -> Outcome:
        began = time.monotonic()
        systemd = await self._systemd(LOOK_SECONDS)
        systemd.check_access(change=True)
        service = await self._own_service(action.target, systemd)
        if service.enabled in REMOVED_BY_DISABLE:
            raise errors.UserError(
                f"{service.name} was not disabled. Its state is {service.enabled}, so `systemctl disable` would also"
                " remove the link to its unit file.",
                hint=f"To stop the unit now: unit stop {service.name}. To remove the link too, run `systemctl disable"
                f" {service.name}` on the engine's host.",
            )
        if service.enabled == "generated":
            raise errors.UserError(
                f"{service.name} was not disabled, because its Quadlet file{f' {service.file}' if service.file else ''}"
                " enables it.",
                hint="Remove the section [Install] of that file on the host, then give `daemon-reload`."
                f" To stop the unit: unit stop {service.name}",
            )
        enabled = service.enabled in ENABLED and service.enabled != "static"
        if enabled:
            await systemd.disable(service.name, LOOK_SECONDS)
        ends_it = action.now and service.active not in ("inactive", "failed")
        if ends_it:
            ends = began + min(seconds, service.job_seconds("stop") + LOOK_SECONDS)
            with report_done(f"{service.name} is disabled", changed=enabled):
                outcome = await self._stop_job(service, "stop", systemd, ends, "it is stopped")
            if outcome.status != Status.DONE:
                detail = f"it is disabled, but {outcome.detail}" if enabled else outcome.detail
                return msgspec.structs.replace(outcome, detail=detail)
            detail = outcome.detail if enabled else f"{outcome.detail}; it was not enabled"
            return msgspec.structs.replace(outcome, detail=detail, took=time.monotonic() - began)
        if not enabled:
            detail = "has no section [Install], so only other units start it"
            return Outcome(status=Status.NOOP, detail=detail if service.enabled == "static" else "was not enabled")
        running = "" if service.active in ("inactive", "failed") else "it continues to run until it is stopped"
        return Outcome(status=Status.DONE, detail=running, took=time.monotonic() - began)

    @does(units.ReloadUnits)
    async def reload_units(self, action: units.ReloadUnits, seconds: float) -> Outcome:
        began = time.monotonic()
        systemd = await self._systemd(LOOK_SECONDS)
        systemd.check_access(change=True)
        await systemd.daemon_reload(seconds)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    @does(units.ShowLinger)
    async def show_linger(self, action: units.ShowLinger, seconds: float) -> units.Linger:
        systemd = await self._systemd(seconds)
        systemd.check_access(change=False)
        if not systemd.uid:
            return units.Linger(user=ROOT, enabled=None)
        return units.Linger(user=systemctl.unix_user(systemd.uid).name, enabled=await systemd.lingers(seconds))

    @does(units.EnableLinger)
    async def enable_linger(self, action: units.EnableLinger, seconds: float) -> Outcome:
        systemd = await self._systemd(seconds)
        systemd.check_access(change=True)
        if not systemd.uid:
            return Outcome(status=Status.NOOP, detail="runs as root, whose units need no lingering")
        user = systemctl.unix_user(systemd.uid).name
        if action.user not in ("", user):
            return Outcome(status=Status.NOOP, detail=f"runs as {user}, not as {action.user}")
        if await systemd.lingers(seconds):
            return Outcome(status=Status.NOOP, detail=f"had lingering for {user} already")
        await systemd.enable_linger(seconds)
        if not await systemd.lingers(seconds):
            raise errors.EngineError(
                f"systemd reported no error, but lingering is not enabled for {user}.",
                sent=True,
                hint=f"On the engine's host, run as root: loginctl enable-linger {user}",
            )
        return Outcome(status=Status.DONE, detail=f"lingering is enabled for {user}")

    @does(units.DisableLinger)
    async def disable_linger(self, action: units.DisableLinger, seconds: float) -> Outcome:
        systemd = await self._systemd(seconds)
        systemd.check_access(change=True)
        if not systemd.uid:
            return Outcome(status=Status.NOOP, detail="runs as root, for which lingering cannot be disabled")
        user = systemctl.unix_user(systemd.uid).name
        if action.user not in ("", user):
            return Outcome(status=Status.NOOP, detail=f"runs as {user}, not as {action.user}")
        if not await systemd.lingers(seconds):
            return Outcome(status=Status.NOOP, detail=f"had no lingering for {user}")
        await systemd.disable_linger(seconds)
        if await systemd.lingers(seconds):
            raise errors.EngineError(
                f"systemd reported no error, but lingering is still enabled for {user}.",
                sent=True,
                hint=f"On the engine's host, run as root: loginctl disable-linger {user}",
            )
        return Outcome(status=Status.DONE, detail=f"lingering is disabled for {user}: its units end at the last logout")
