"""A small world for commands: containers on two hosts, a Finder over them, and a desk of words typed."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.parsing import parser
from commands.catalogue import Catalogue, load_catalogue
from commands.spec import Context, Result
from core import errors
from core.model.actions import Action, ListContainers
from core.model.containers import Container, Containers, Port
from core.model.invocation import Identity, Place
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply
from core.ports import Query

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
HOST7 = EngineRef(host="host7", kind="docker")
HOST8 = EngineRef(host="host8", kind="docker")


def container(name: str, number: int, engine: EngineRef = HOST7, **more: Any) -> Container:
    given: dict[str, Any] = {
        "image": "nginx:1.27",
        "image_id": "sha256:aa",
        "command": "nginx",
        "state": "running",
        "status": "Up 3 hours",
        "created_at": 0.0,
        "labels": {},
    } | more
    return Container(ref=Ref(engine=engine, kind=Kind.CONTAINER, id=f"{number:02x}" * 32, name=name), **given)


WEB = container(
    "web",
    0x4F,
    labels={"app": "shop", "com.docker.compose.project": "shop", "com.docker.compose.service": "front"},
    ports=(
        Port(private=80, public=8080, ip="0.0.0.0"),
        Port(private=80, public=8080, ip="::"),
        Port(private=443),
    ),
    health="healthy",
    status="Up 3 hours (healthy)",
)
WEB2 = container("web-2", 0x5A, labels={"app": "shop"}, health="unhealthy", status="Up 1 hour (unhealthy)")
BATCH = container("batch", 0x6B, state="exited", status="Exited (137) 2 minutes ago")
FAR = container("web", 0x7C, HOST8, labels={"app": "shop"})


@dataclass
class FakeFinder:
    """Finds by exact name or glob, label key=value and host glob; enough to see what a command asked for."""

    rows: Sequence[Container]
    asked: list[Query] = field(default_factory=list)

    async def find(self, query: Query) -> Sequence[Ref]:
        self.asked.append(query)
        found = [row.ref for row in self.rows if self._means(query, row)]
        if not found:
            raise errors.NotFound(f"There is no container “{' '.join(query.names)}”.")
        return found

    def engines(self, query: Query) -> Sequence[EngineRef]:
        self.asked.append(query)
        return [ref for ref in dict.fromkeys(row.ref.engine for row in self.rows) if self._reaches(query, ref)]

    def _means(self, query: Query, row: Container) -> bool:
        named = not query.names or any(fnmatch.fnmatchcase(row.ref.name, word) for word in query.names)
        labelled = all(row.labels.get(label.partition("=")[0]) == label.partition("=")[2] for label in query.labels)
        return named and labelled and self._reaches(query, row.ref.engine)

    @staticmethod
    def _reaches(query: Query, engine: EngineRef) -> bool:
        return fnmatch.fnmatchcase(engine.host, query.host or "*")


@dataclass
class World:
    """`say` plans a typed line and renders what `answer` (or the world's rows) makes of each action."""

    words: Catalogue
    rows: Sequence[Container] = (WEB, WEB2, BATCH)
    who: Identity = field(default_factory=lambda: Identity(id="console:alice", name="alice"))

    def __post_init__(self) -> None:
        self.find = FakeFinder(self.rows)

    def context(self, line: str) -> tuple[parser.Parsed, Context]:
        parsed = parser.parse(line, self.words)
        place = Place(channel="#ops")
        return parsed, Context(who=self.who, place=place, args=parsed.args, find=self.find, now=NOW)

    async def plan(self, line: str) -> Sequence[Action[Any]]:
        parsed, context = self.context(line)
        plan = await parsed.command.plan(context)
        assert {action.verb for action in plan} <= {*parsed.command.verbs, *parsed.command.optional}
        return plan

    async def say(self, line: str, answer: Callable[[Action[Any]], Any] | None = None) -> Reply:
        parsed, context = self.context(line)
        results = []
        for action in await parsed.command.plan(context):
            value = (answer or self.rows_of)(action)
            error = value if isinstance(value, errors.QuarterdeckError) else None
            results.append(Result(action=action, value=None if error else value, error=error))
        return parsed.command.render(context, results)

    def rows_of(self, action: Action[Any]) -> Any:
        assert isinstance(action, ListContainers)
        return Containers(rows=tuple(row for row in self.rows if row.ref.engine == action.engine))


@pytest.fixture(scope="session")
def words() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def world(words: Catalogue) -> World:
    return World(words)


@pytest.fixture
def two_hosts(words: Catalogue) -> World:
    return World(words, (WEB, WEB2, BATCH, FAR))
