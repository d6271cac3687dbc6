"""Defines actions: every operation is one value, which is authorised, limited, confirmed, audited, stored and executed.

Reads are actions too, because logs can contain secrets. An action knows its engine, its targets, its risk and its
timeout. An action usually does not contain the requester (see `ports.Call`); `whoami` is an exception. This module has
the base classes and the actions on containers, services and engines; other actions are in the module of their kind of
resource.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec

from core import model
from core.lazy_dataclass import dataclass
from core.model.containers import Containers
from core.model.engines import Engine
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import MAX_PAGE_CHARACTERS, Document, Outcome
from core.model.services import Services

R_co = TypeVar("R_co", covariant=True)
MAX_STOP_SECONDS = 3_600
"""The longest that the stop of a resource is waited for, whatever it asks for itself."""


class Risk(enum.StrEnum):
    """How much an action can do: read only, change something, or destroy something for good."""

    READ = "read"
    CHANGE = "change"
    DESTROY = "destroy"


class Effect(msgspec.Struct, frozen=True):
    """What an action also does, besides what its verb says of its target. Guards see it as `verb` with `risk` on `ref`.
    `ends`: it ends or freezes running processes of `ref`; `certain`: False if it may or may not happen."""

    verb: str
    risk: Risk
    ref: Ref
    ends: bool = False
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[R_co]):
    """One operation. `verb` is its name in policy, configuration and metrics; `listing`: the result is a list whose
    rows are filtered by permission; `secret`: only the requester sees the result.

    `effects`: what it also does (see core.model.effects); None until that was worked out. `members`: the containers
    that belong to its target, as far as known; `groups`: the service and the node that its target belongs to."""

    verb: ClassVar[str] = ""
    risk: ClassVar[Risk] = Risk.READ
    listing: ClassVar[bool] = False
    secret: ClassVar[bool] = False
    engine: EngineRef
    effects: tuple[Effect, ...] | None = None
    members: tuple[Ref, ...] = ()
    groups: tuple[Ref, ...] = ()

    def targets(self) -> Sequence[Ref]:
        """Returns everything this acts on. Each target is decided, and the strictest verdict applies."""
        return (Ref(engine=self.engine, kind=Kind.ENGINE, id=str(self.engine), name=str(self.engine)),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        """Returns the facts of a target that this action will create, because policy decides on them. None: the target
        exists already, and policy decides on its current facts."""
        return None

    def without(self, gone: Collection[Ref]) -> Self | None:
        """Returns the same action without targets that were removed after the command was given. None: it is refused
        if any target is gone."""
        return None

    def timeout_seconds(self) -> float:
        """Returns how long this may take, in seconds, before it has timed out."""
        return 10.0

    def needs(self) -> Sequence[Action[Any]]:
        """Returns what must be allowed beside this: the policy decides on each as if somebody asked for it alone, and
        the engine's owner must allow its verb."""
        return ()

    def confirm_reason(self) -> str:
        """Returns why this needs a confirmation, as the end of a sentence; empty if it needs none."""
        if self.risk is Risk.DESTROY:
            return "cannot be undone"
        removed = {effect.ref: None for effect in self.effects or () if effect.certain and effect.risk is Risk.DESTROY}
        own = [ref.name for ref in self.targets() if ref in removed]
        if own:
            return f"removes {own[0]}, because it was created with --rm"
        if not removed:
            return ""
        what = "its container" if len(removed) == 1 else f"its {len(removed)} containers"
        return f"removes {what}: data outside of volumes is lost"

    def destroys(self) -> bool:
        """Returns whether this destroys something, or may destroy something."""
        return self.risk is Risk.DESTROY or any(effect.risk is Risk.DESTROY for effect in self.effects or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAction(Action[R_co]):
    """An action on one resource, pinned by its id."""

    target: Ref

    def targets(self) -> Sequence[Ref]:
        return (self.target,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListContainers(Action[Containers]):
    """`fresh`: asks the engine even if a live mirror could answer."""

    verb = "container.list"
    listing = True
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectContainer(TargetAction[Document]):
    verb = "container.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLogs(TargetAction[Any]):
    """`tail`: number of last lines; `since_ns`: only lines from this time; `until_ns`: only lines until this time;
    `previous`: only lines of the newest run that has ended; `cursor`: continues an earlier page; `max_characters`: of
    the page, older lines are left out. With `follow` the result is a job (core.model.background_jobs.JobStarted) that
    runs until the container ends or somebody stops it; with `over_restarts` it goes on when the container starts
    again."""

    verb = "container.logs"
    tail: int = 100
    since_ns: int = 0
    until_ns: int = 0
    previous: bool = False
    cursor: str = ""
    follow: bool = False
    over_restarts: bool = False
    max_characters: int = MAX_PAGE_CHARACTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(TargetAction[Outcome]):
    verb = "container.start"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(TargetAction[Outcome]):
    """`timeout`: seconds between the stop signal and the kill; None: the container's own setting. The engine's adapter
    waits as long as that setting asks, so `timeout_seconds` is only the most that it may ask."""

    verb = "container.stop"
    risk = Risk.CHANGE
    timeout: int | None = None

    def timeout_seconds(self) -> float:
        return stop_seconds(self.timeout) + 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(TargetAction[Outcome]):
    """`timeout`: as for Stop."""

    verb = "container.restart"
    risk = Risk.CHANGE
    timeout: int | None = None

    def timeout_seconds(self) -> float:
        return stop_seconds(self.timeout) + 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(TargetAction[Outcome]):
    """`signal`: a name such as KILL, TERM, HUP."""

    verb = "container.kill"
    risk = Risk.CHANGE
    signal: str = "KILL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(TargetAction[Outcome]):
    verb = "container.pause"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpause(TargetAction[Outcome]):
    verb = "container.unpause"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(TargetAction[Outcome]):
    """`force`: kills a running container first; `volumes`: also removes its anonymous volumes."""

    verb = "container.remove"
    risk = Risk.DESTROY
    force: bool = False
    volumes: bool = False

    def timeout_seconds(self) -> float:
        return 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth(TargetAction[Outcome]):
    """Runs a container's health check now. The outcome's detail is the result."""

    verb = "container.healthcheck"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListServices(Action[Services]):
    """The services of compose projects and of a Swarm. A manager knows the whole Swarm, a worker only its own tasks."""

    verb = "service.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(TargetAction[Any]):
    """Changes the number of replicas of a service, as a job. `timeout`: seconds until all of them must run."""

    verb = "service.scale"
    risk = Risk.CHANGE
    replicas: int
    timeout: int = 120

    def timeout_seconds(self) -> float:
        # A replica that is stopped has the time that it asks for itself.
        return self.timeout + stop_seconds(None) + 30.0

    def removable(self) -> frozenset[str] | None:
        """Returns the ids of what it may remove; None if its effects were not worked out, so there is no limit."""
        if self.effects is None:
            return None
        return frozenset(effect.ref.id for effect in self.effects if effect.risk is Risk.DESTROY)

    def confirm_reason(self) -> str:
        if self.replicas == 0:
            return f"leaves nothing of {self.target.name} running"
        removed = [effect for effect in self.effects or () if effect.certain and effect.risk is Risk.DESTROY]
        names = [effect.ref.name for effect in removed if effect.ref != self.target]
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            return f"removes {', '.join(names[:10])}{more}"
        return f"ends tasks of {self.target.name}" if removed else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeEngine(Action[Engine]):
    """The state of one engine. An engine that does not answer is also described, with the reason."""

    verb = "engine.list"
    listing = True

    def timeout_seconds(self) -> float:
        return 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowInfo(Action[Document]):
    """The engine's own description of itself."""

    verb = "engine.info"


def stop_seconds(timeout: int | None) -> float:
    """Returns how many seconds a stop may take at most: `timeout`, or the resource's own setting if that is None."""
    return MAX_STOP_SECONDS if timeout is None else timeout


def all_actions() -> Iterator[type[Action[Any]]]:
    """Yields all concrete actions of all modules in this package; for the codec, the configuration and tests."""
    for module in pkgutil.iter_modules(model.__path__, "core.model."):
        importlib.import_module(module.name)
    yield from _subclasses(Action)


def _subclasses(root: type[Action[Any]]) -> Iterator[type[Action[Any]]]:
    for sub in root.__subclasses__():
        # `slots=True` creates a second class; the first one exists until it is collected, and must be skipped.
        if getattr(sys.modules[sub.__module__], sub.__name__, None) is sub:
            if sub.verb:
                yield sub
            yield from _subclasses(sub)
