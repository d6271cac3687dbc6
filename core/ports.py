"""The few doors between layers. Small on purpose: a runtime is five names, and its remote twin looks the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from core.model.actions import Action
from core.model.events import Event
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who runs an action and until when; never inside the action, since the same value sits in buttons and plans."""

    id: str
    who: str
    deadline: datetime
    invocation: str


class Runtime(Protocol):
    """One engine, or something that answers as one.

    `run` is bounded, with plain data in and out; it raises core.errors only. `events` is one connection: it yields
    batches in the engine's order from `since_ns` (inclusive; None: from now) and ends or raises, never reconnects. An
    empty batch is yielded once when the subscription stands.
    """

    @property
    def ref(self) -> EngineRef: ...

    @property
    def verbs(self) -> frozenset[str]: ...

    async def run(self, action: Action[R], call: Call) -> R: ...

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Selects resources of one `kind`.

    `names` select by the rule of core.name_matching. Without `names`, all that satisfy `labels`, `host` and `engine`
    are selected. A plain name that fits several resources is refused as ambiguous; with `every_match` it selects them
    all, as a list does. `labels` are `key` or `key=glob`; `host` and `engine` are globs. `verb` limits the engines to
    those that have this verb and where the requester may use it, if there are any.
    """

    names: tuple[str, ...] = ()
    every_match: bool = False
    labels: tuple[str, ...] = ()
    host: str = ""
    engine: str = ""
    kind: Kind = Kind.CONTAINER
    verb: str = ""


class Finder(Protocol):
    """What a command may see, already filtered by permission: a thing one may not list is NotFound, word for word."""

    async def find(self, query: Query) -> Sequence[Ref]: ...

    def engines(self, query: Query) -> Sequence[EngineRef]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted:
    """A change that was accepted and recorded and is about to run on the things of these `names`. `line`: the words it
    was asked in, secrets hidden; `doing`: its word for going on, such as `restarting`."""

    line: str
    doing: str
    names: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How something that goes on is coming along: lines of a followed log (none yet, to begin with; `skipped` more came
    and are not among them), or a sentence of progress. `several`: other things go on beside it. `read_only`: it changes
    nothing. `stop`: the command line that ends it; `everyone`: the asker wants all to see it. Secrets are hidden
    already."""

    name: str
    several: bool = False
    read_only: bool = False
    lines: Sequence[str] = ()
    skipped: int = 0
    progress: str = ""
    stop: str = ""
    everyone: bool = False


class Responder(Protocol):
    """Sends what becomes of one command to its requester, and to others who should see it: on a terminal or in Slack.

    `started` gets a change before it runs; `progress` gets the news of a command that takes long. Both return at once
    and never raise. `progress` returns False once nobody can receive it any more, so that a command that only reads may
    end. `finish` gets the redacted reply, once. It raises DeliveryError if nobody could be reached, and nothing else.
    """

    def started(self, action: ActionStarted) -> None: ...

    def progress(self, progress: Progress) -> bool: ...

    async def finish(self, reply: Reply) -> None: ...
