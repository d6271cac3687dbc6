"""Defines systemd units that run containers, and the actions on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk, TargetAction, stop_seconds
from core.model.containers import Container, protected
from core.model.refs import Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Outcome


class Unit(msgspec.Struct, frozen=True, gc=False):
    """One unit that runs a container. `ref.name` is its name with `.service`; `active`, `sub` and `enabled` are
    systemd's own states (`active`, `running`, `generated`); `file`: its path; `container`: the name of its container,
    if known; `members`: the ids of its existing containers, `labels`: each different set of their labels; `since`: unix
    seconds of its last change of state; `why`: how it ended, if it failed."""

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

    def facts(self, at: datetime) -> tuple[ResourceFacts, ...]:
        """Returns one for each set of labels. Without a container the labels are unknown, which is not the same as no
        labels: `at` is then None."""
        if not self.labels:
            return (ResourceFacts(state=self.active, service=self.ref.name, at=None),)
        return tuple(
            ResourceFacts(
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
        """Every full name that selects it: with and without `.service`."""
        return (self.ref.name, *([bare] if (bare := self.ref.name.removesuffix(".service")) != self.ref.name else []))

    def contains(self, container: Container) -> bool:
        same = container.ref.engine == self.ref.engine
        return same and (container.ref.name == self.container or container.ref.id in self.members)


class Units(msgspec.Struct, frozen=True):
    rows: tuple[Unit, ...]
    missing: str = ""


class UnitFile(msgspec.Struct, frozen=True):
    """One file to write: its `path` and its `text`."""

    path: str
    text: str


class UnitFiles(msgspec.Struct, frozen=True):
    """`unit`: the one to start; `notes`: messages of verification and generation, one sentence each."""

    unit: str
    files: tuple[UnitFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUnits(Action[Units]):
    verb = "unit.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftUnit(TargetAction[UnitFiles]):
    """Drafts the files that would run the container `target` under systemd. They are verified but not written. `style`:
    `quadlet`, or `generate` for the output of `podman generate systemd`."""

    verb = "unit.draft"
    style: str = "quadlet"

    def timeout_seconds(self) -> float:
        return 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectUnit(TargetAction[UnitFiles]):
    """Reads the files of a unit, as systemd uses them, without the values of environment variables."""

    verb = "unit.inspect"

    def timeout_seconds(self) -> float:
        return 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallUnit(TargetAction[Outcome]):
    """Drafts, writes, loads and enables a unit; `now`: also starts it. Enables lingering for a rootless engine's
    user."""

    verb = "unit.install"
    risk = Risk.CHANGE
    style: str = "quadlet"
    now: bool = True

    def timeout_seconds(self) -> float:
        return 90.0

    def confirm_reason(self) -> str:
        return f"creates {self.target.name} again: data outside its volumes is lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableUnit(TargetAction[Outcome]):
    """Lets systemd start a unit at every boot; `now`: also starts it now."""

    verb = "unit.enable"
    risk = Risk.CHANGE
    now: bool = False

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableUnit(TargetAction[Outcome]):
    """Stops systemd from starting a unit at boot; `now`: also stops it now. Its files stay."""

    verb = "unit.disable"
    risk = Risk.CHANGE
    now: bool = False

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadUnits(Action[Outcome]):
    """Lets the engine's systemd read all its unit files again. No unit starts or stops."""

    verb = "unit.reload"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 60.0


class Linger(msgspec.Struct, frozen=True):
    """Whether the systemd of `user` runs without a login; `enabled` None: it is the machine's, which always runs."""

    user: str
    enabled: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowLinger(Action[Linger]):
    verb = "unit.linger"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableLinger(Action[Outcome]):
    """Starts the systemd of a rootless engine's user at every boot, without a login. `user`: only if the engine is
    this user's; empty: whoever's it is."""

    verb = "unit.enable-linger"
    risk = Risk.CHANGE
    user: str = ""

    def timeout_seconds(self) -> float:
        return 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableLinger(Action[Outcome]):
    """Lets the systemd of a rootless engine's user run only while the user is logged in. If nobody is, systemd ends it
    within seconds, with all containers of that engine. `user`: only if the engine is this user's; empty: whoever's it
    is."""

    verb = "unit.disable-linger"
    risk = Risk.CHANGE
    user: str = ""

    def timeout_seconds(self) -> float:
        return 30.0

    def confirm_reason(self) -> str:
        return f"ends all units and containers of {self.engine} as soon as its user is not logged in"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUnit(TargetAction[Outcome]):
    verb = "unit.start"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUnit(TargetAction[Outcome]):
    verb = "unit.stop"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartUnit(TargetAction[Outcome]):
    verb = "unit.restart"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 30.0
