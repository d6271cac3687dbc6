"""Defines the interfaces between layers: engines (Runtime), lookups (Finder) and replies (Responder).

A Runtime has few members on purpose: a remote engine implements the same ones, so callers see no difference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from core.errors import QuarterdeckError
from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.events import Event
from core.model.prune import CacheRecord, Prune, UnusedResource
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply

R = TypeVar("R")


class Runtime(Protocol):
    """One engine, or anything that behaves like one.

    `run` executes one action. It is bounded in time, takes and returns plain values, and raises only `core.errors`.
    `verb_refusal` returns the error that `run` raises for every action with a verb, because the engine does not have
    the verb or its owner does not allow it; `refusal` returns that of one action, whose arguments may be invalid, too.
    Both return None if `run` asks the engine.
    `events` opens one event stream: it yields batches in the engine's order, starting at `since_ns` (inclusive; None:
    now), and yields one empty batch as soon as the subscription is active. When the stream breaks, it ends or raises;
    it never reconnects.
    """

    @property
    def ref(self) -> EngineRef: ...

    @property
    def verbs(self) -> frozenset[str]: ...

    def verb_refusal(self, verb: str) -> QuarterdeckError | None: ...

    def refusal(self, action: Action[Any]) -> QuarterdeckError | None: ...

    async def run(self, action: Action[R], call: Call) -> R: ...

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The requester and the deadline of one `run`. They are not part of the action, because buttons and stored plans
    contain the same action. `who` is an identity's id; `invocation` is the id of the command."""

    id: str
    who: str
    deadline: datetime
    invocation: str


class Finder(Protocol):
    """Finds what a command may see. Results are filtered by permission: for a resource that the requester may not
    list, the error is the same NotFound, with the same text, as for one that does not exist."""

    async def find(self, query: Query) -> Sequence[Ref]: ...

    def engines(self, query: Query) -> Sequence[EngineRef]: ...

    async def unused(self, prune: Prune) -> UnusedFound:
        """Finds what the engine of `prune` does not use and the requester may remove by it. Raises NotPermitted if that
        verb is not allowed on anything of that engine, and the errors of the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedFound:
    """Holds what a prune could remove. `kept`: why others that the requester may list are left out, each reason with
    their number; `measured`: whether the engine measured the sizes in time; `cache`: the build cache, if the requester
    may remove it."""

    rows: Sequence[UnusedResource]
    kept: Mapping[str, int]
    measured: bool = True
    cache: Sequence[CacheRecord] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Selects resources of one `kind`.

    `names` select by the rule of core.name_matching. Without `names`, all that satisfy `labels`, `host` and `engine`
    are selected. A plain name that fits several resources is refused as ambiguous; with `every_match` it selects them
    all, as a list does. `stopped`: only containers that do not run. `members`: the containers that belong to the
    selected resources, instead of these. `labels` are `key` or `key=glob`; `host` and `engine` are globs. `verb` limits
    the engines to those that have this verb and where the requester may use it, if there are any.
    """

    names: tuple[str, ...] = ()
    every_match: bool = False
    stopped: bool = False
    members: bool = False
    labels: tuple[str, ...] = ()
    host: str = ""
    engine: str = ""
    kind: Kind = Kind.CONTAINER
    verb: str = ""


class Responder(Protocol):
    """Sends replies to where one command came from: a terminal, or a Slack conversation.

    `started` is called before a change runs, `progress` while a long action runs; neither may wait or raise. `progress`
    returns False once nobody can receive it any more, so that an action that only reads may stop. `watching` is called
    after a change, while what it started is watched, again after each news; it may not wait or raise either.
    `is_private` returns whether nobody but the requester will see the reply to a change that was announced. `finish`
    sends the redacted reply, once; it raises only DeliveryError, when nobody could be reached.
    """

    def started(self, action: ActionStarted) -> None: ...

    def progress(self, progress: Progress) -> bool: ...

    def watching(self, watched: Watched) -> None: ...

    def is_private(self) -> bool: ...

    async def finish(self, reply: Reply) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted:
    """A change that was accepted and audited, and that starts now on the resources with these `names`. `line`: the
    command, with secrets hidden; `doing`: a participle such as `restarting`."""

    line: str
    doing: str
    names: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running action is: new `lines` of a followed log, or one sentence (`progress`). Both may be empty at
    the start. Secrets are already hidden.

    `skipped`: number of lines that are left out; `several`: other actions of the same command still run; `read_only`:
    the action changes nothing; `stop`: the command that ends it; `everyone`: the requester wants all people in the
    channel to see it; `ticking`: the sentence only shows that time goes by, and comes again each second.
    """

    name: str
    several: bool = False
    read_only: bool = False
    lines: Sequence[str] = ()
    skipped: int = 0
    progress: str = ""
    stop: str = ""
    everyone: bool = False
    ticking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A change that was made, and whose containers are watched. `reply`: the redacted reply so far; `stop`: the command
    that ends the watching, wherever it is given; `end`: ends it from this process. Neither changes a container."""

    reply: Reply
    stop: str
    end: Callable[[], None]
