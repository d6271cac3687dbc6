"""Reads what a Podman service reports about itself: version, storage, counts, and where it logs its events."""

from __future__ import annotations

import abc

import msgspec

from core import errors
from core.model import actions
from core.model.engines import Engine
from core.model.refs import Kind, Ref
from core.model.results import Document
from runtimes.base.base_adapter import does
from runtimes.formats import json_decoder
from runtimes.podman import events, json_models

NO_CGROUPS = "Rootless on cgroup v1: its containers have no limits and no statistics, and cannot be paused."


class InfoVerbs(events.EventVerbs, abc.ABC):
    """Serves the verbs that describe the Podman service."""

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        unreachable = Engine(ref=self.ref, address=self.address, verbs=tuple(sorted(self.verbs)))
        try:
            info = await self._engine_info(seconds, again=True)
            notes = await self._notes(info, seconds / 2)
        except errors.EngineError as error:
            return msgspec.structs.replace(unreachable, fault=error.full_message())
        return msgspec.structs.replace(
            unreachable,
            ref=self.ref,
            version=info.version.number,
            api=info.version.api,
            system=f"{info.host.os}/{info.host.arch}",
            storage=info.store.driver,
            cgroup=info.host.cgroup.removeprefix("v"),
            containers=info.store.containers.number,
            running=info.store.containers.running,
            runtime=_runtime(info.host.runtime),
            events=await self._event_source(info, seconds),
            user=self.user(),
            notes=notes,
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        response = await self._request("GET", "/info", seconds)
        engine = Ref(engine=self.ref, kind=Kind.ENGINE, id=str(self.ref), name=str(self.ref))
        return Document(ref=engine, data=json_decoder.decode_json_object(response.body))

    async def _event_source(self, info: json_models.Info, seconds: float) -> str:
        """Podman's own name of its event backend; `file by API` if its event file cannot be read from here."""
        if info.host.events == "file" and not (self.local and await self.event_file(seconds) is not None):
            return "file by API"
        return info.host.events

    async def _notes(self, info: json_models.Info, seconds: float) -> tuple[str, ...]:
        notes = [] if info.has_cgroups else [NO_CGROUPS]
        if info.host.events == events.NONE:
            notes.append(f"It {events.NO_EVENTS} {events.NO_EVENTS_HINT}")
        elif info.host.events == "file" and self.local and await self.event_file(seconds) is None:
            path = self.event_file_path()
            reason = self.event_file_fault
            notes.append(f"Its event file {path} is not read: {reason}. So events come by its API, up to 0.3 s late.")
        return tuple(notes)


def _runtime(runtime: json_models.OciRuntime) -> str:
    """`runc 1.1.5`, from a version of several lines that begins with `runc version 1.1.5+ds1`."""
    parts = runtime.version.partition("\n")[0].split()
    return f"{runtime.name} {parts[2]}" if parts[1:2] == ["version"] and len(parts) > 2 else runtime.name
