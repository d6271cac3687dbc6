"""systemd's units that run containers: made of a container, installed, looked at, started and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from core.model.actions import Action, Risk, TargetAction
from core.model.containers import Container, protected
from core.model.facts import Facts
from core.model.refs import Ref
from core.model.results import Outcome


class Unit(msgspec.Struct, frozen=True, gc=False):
    """One unit that runs a container. `ref.name` is its name with `.service`; `active`, `sub` and `enabled` are
    systemd's own words (`active`, `running`, `generated`); `file` where it is written; `container` the name of what it
    runs, where it tells; `members` the ids of all its containers that are there, `labels` each different set of labels
    they carry; `since` unix seconds of its last change of state; `why` how it ended where it failed."""

    ref: Ref
    active: str
    sub: str
    enabled: str = ""
    file: str = ""
    container: str = ""
    description: str = ""
    since: float | None = None
    why: str = ""
    pid: int | None = None
    members: tuple[str, ...] = ()
    labels: tuple[Mapping[str, str], ...] = ()

    def facts(self, at: datetime) -> tuple[Facts, ...]:
        """One for each set of labels. While its container is not there its labels are not known, which is not the same
        as that it has none."""
        if not self.labels:
            return (Facts(state=self.active, service=self.ref.name, at=None),)
        return tuple(
            Facts(
                labels=labels,
                state=self.active,
                service=self.ref.name,
                protected=any(map(protected, self.labels)),
                at=at,
            )
            for labels in self.labels
        )

    @property
    def full_names(self) -> tuple[str, ...]:
        """What it is called in full: with or without what systemd puts behind it."""
        return (self.ref.name, *([bare] if (bare := self.ref.name.removesuffix(".service")) != self.ref.name else []))

    def contains(self, container: Container) -> bool:
        same = container.ref.engine == self.ref.engine
        return same and (container.ref.name == self.container or container.ref.id in self.members)


class Units(msgspec.Struct, frozen=True):
    rows: tuple[Unit, ...]
    missing: str = ""


class UnitFile(msgspec.Struct, frozen=True):
    """One file as it would be written: `path` where, `text` what."""

    path: str
    text: str


class UnitFiles(msgspec.Struct, frozen=True):
    """`unit`: the one to start; `notes`: what verification and generation had to say, a sentence each."""

    unit: str
    files: tuple[UnitFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUnits(Action[Units]):
    verb = "unit.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftUnit(TargetAction[UnitFiles]):
    """The files that would run the container `target` under systemd, verified, nothing written. `style`: `quadlet`, or
    `generate` for what `podman generate systemd` makes."""

    verb = "unit.draft"
    style: str = "quadlet"

    def timeout_seconds(self) -> float:
        return 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallUnit(TargetAction[Outcome]):
    """As DraftUnit, written, loaded and enabled; `now`: started too. A rootless engine's user lingers from then on."""

    verb = "unit.install"
    risk = Risk.CHANGE
    style: str = "quadlet"
    now: bool = True

    def timeout_seconds(self) -> float:
        return 90.0

    def confirm_reason(self) -> str:
        return f"makes {self.target.name} anew: what it wrote outside its volumes is lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUnit(TargetAction[Outcome]):
    verb = "unit.start"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUnit(TargetAction[Outcome]):
    verb = "unit.stop"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartUnit(TargetAction[Outcome]):
    verb = "unit.restart"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 60.0
