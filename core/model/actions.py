"""Every operation as a value: the same object is authorised, limited, confirmed, audited, stored and run.

Reads are operations too: logs leak secrets. An action says which engine runs it, what it touches, how risky it is and
how long it may take; nothing in it says who asked (that travels in `ports.Call`), except where the asker is its
subject.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from core import model
from core.model.containers import Containers
from core.model.engines import Engine
from core.model.events import Event
from core.model.facts import Facts
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import Document, ExecResult, Outcome
from core.model.services import Services

R_co = TypeVar("R_co", covariant=True)


class Risk(enum.StrEnum):
    READ = "read"
    CHANGE = "change"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[R_co]):
    """`verb` is the word policy, config and metrics use; `listing` marks reads whose rows are filtered by
    permission, `secret` what is answered to the asker alone."""

    verb: ClassVar[str] = ""
    risk: ClassVar[Risk] = Risk.READ
    listing: ClassVar[bool] = False
    secret: ClassVar[bool] = False
    engine: EngineRef

    def targets(self) -> Sequence[Ref]:
        """Everything this acts on; each is decided and the strictest verdict wins."""
        return (Ref(engine=self.engine, kind=Kind.ENGINE, id=str(self.engine), name=str(self.engine)),)

    def prospective_facts(self, ref: Ref, at: datetime) -> Facts | None:
        """Of something this is about to make: what is asked for it to be, which it is decided on. None: `ref` is there
        already, and what it is decides."""
        return None

    def timeout_seconds(self) -> float:
        """Seconds this may take before it counts as timed out."""
        return 10.0

    def confirm_reason(self) -> str:
        """Why this is asked about before it is done, as the end of a sentence; empty where it need not be."""
        return "cannot be undone" if self.risk is Risk.DESTROY else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAction(Action[R_co]):
    """An action on one pinned thing."""

    target: Ref

    def targets(self) -> Sequence[Ref]:
        return (self.target,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListContainers(Action[Containers]):
    """`fresh` asks the engine even where a live mirror could answer."""

    verb = "container.list"
    listing = True
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvents(Action[tuple[Event, ...]]):
    """What happened since `since_ns` (nanoseconds since the epoch) as far as the engine or our history reaches.
    `names`: each typed name with the containers that it selects now. The engine ignores them; the command uses them to
    choose among the events."""

    verb = "event.list"
    listing = True
    since_ns: int = 0
    limit: int = 1000
    names: tuple[tuple[str, tuple[Ref, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectContainer(TargetAction[Document]):
    verb = "container.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLogs(TargetAction[Any]):
    """`tail`: last lines wanted; `since_ns`: only lines from then on, or `cursor` of an earlier page. With `follow` the
    lines come as a job (core.model.jobs.Started) that goes on until the container ends or somebody stops it."""

    verb = "container.logs"
    tail: int = 100
    since_ns: int = 0
    cursor: str = ""
    follow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(TargetAction[Outcome]):
    verb = "container.start"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(TargetAction[Outcome]):
    """`timeout`: seconds between the polite signal and the kill."""

    verb = "container.stop"
    risk = Risk.CHANGE
    timeout: int = 10

    def timeout_seconds(self) -> float:
        return self.timeout + 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(TargetAction[Outcome]):
    """`timeout`: seconds between the polite signal and the kill."""

    verb = "container.restart"
    risk = Risk.CHANGE
    timeout: int = 10

    def timeout_seconds(self) -> float:
        return self.timeout + 20.0


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
    """`force` kills a running container first; `volumes` removes its anonymous volumes too."""

    verb = "container.remove"
    risk = Risk.DESTROY
    force: bool = False
    volumes: bool = False

    def timeout_seconds(self) -> float:
        return 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec(TargetAction[ExecResult]):
    """Runs a program in a container to its end, without a terminal or input. `timeout`: seconds; what runs on after
    them is left to the engine."""

    verb = "container.exec"
    risk = Risk.CHANGE
    command: tuple[str, ...]
    user: str = ""
    timeout: int = 30

    def timeout_seconds(self) -> float:
        return self.timeout + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth(TargetAction[Outcome]):
    """Runs a container's health check now; the outcome's detail is its result."""

    verb = "container.healthcheck"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListServices(Action[Services]):
    """What compose projects and a Swarm run; a Swarm's managers know it whole, a worker only its own part."""

    verb = "service.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(TargetAction[Any]):
    """Makes `replicas` of a service run, as a job; `timeout`: seconds until they all have to."""

    verb = "service.scale"
    risk = Risk.CHANGE
    replicas: int
    timeout: int = 120

    def timeout_seconds(self) -> float:
        return self.timeout + 30.0

    def confirm_reason(self) -> str:
        return f"leaves nothing of {self.target.name} running" if self.replicas == 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeEngine(Action[Engine]):
    """The engine as a whole. One that does not answer is described too, with its reason."""

    verb = "engine.list"
    listing = True

    def timeout_seconds(self) -> float:
        return 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowInfo(Action[Document]):
    """Everything the engine tells of itself, in its own words."""

    verb = "engine.info"


def all_actions() -> Iterator[type[Action[Any]]]:
    """All concrete actions of every module here, for the codec, the configuration and tests that hold for each."""
    for module in pkgutil.iter_modules(model.__path__, "core.model."):
        importlib.import_module(module.name)
    yield from _below(Action)


def _below(root: type[Action[Any]]) -> Iterator[type[Action[Any]]]:
    for sub in root.__subclasses__():
        # `slots=True` makes a second class; the first lingers until collected and is not the one its module holds.
        if getattr(sys.modules[sub.__module__], sub.__name__, None) is sub:
            if sub.verb:
                yield sub
            yield from _below(sub)
