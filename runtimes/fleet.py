"""All engines as one: which answer, which things a query means, and who runs an action.

A survey asks every engine in parallel and returns what was found together with what was missing: a dead engine is a
value. What words mean is naming.py's. `visible` decides what the asker may know of, before anything is matched: a
hidden thing is not found, word for word.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core import errors
from core.model import things
from core.model.actions import Action, ListContainers, ListServices
from core.model.refs import EngineRef
from core.model.things import Container, Service, Services
from core.ports import Call, Query, Runtime
from runtimes import naming

R = TypeVar("R")
Thing = TypeVar("Thing", Container, Service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey(Generic[Thing]):
    """What exists, as far as the engines answered: `rows` found, `missing` the engines that did not say."""

    rows: Sequence[Thing]
    missing: Mapping[EngineRef, errors.QuarterdeckError] = field(default_factory=dict)


class Fleet:
    """The runtimes of this process. `desk` answers for actions that no engine runs."""

    def __init__(self, runtimes: Sequence[Runtime], *, desk: Runtime | None = None) -> None:
        self.runtimes = tuple(runtimes)
        self.desk = desk

    def engines(self, query: Query) -> Sequence[EngineRef]:
        """The engines a query reaches. Raises NotFound when its host or engine pattern matches none."""
        # Each once: an engine that has not answered yet may be guessed to be what another one is.
        refs = list(dict.fromkeys(runtime.ref for runtime in self.runtimes if _reaches(query, runtime.ref)))
        if not refs:
            pattern = " ".join(filter(None, (query.engine, query.host)))
            known = ", ".join(str(runtime.ref) for runtime in self.runtimes) or "none"
            raise errors.NotFound(f"No engine matches “{pattern}”.", hint=f"Engines here: {known}.")
        return refs

    async def run(self, action: Action[R], call: Call) -> R:
        return await self.runtime(action.engine).run(action, call)

    def runtime(self, ref: EngineRef) -> Runtime:
        for runtime in self.runtimes:
            if runtime.ref == ref:
                return runtime
        if self.desk is not None and ref == self.desk.ref:
            return self.desk
        raise errors.NotFound(f"There is no engine {ref} here any more.")

    async def survey(self, query: Query, call: Call, *, fresh: bool = False) -> Survey[Container]:
        """Every container on the engines the query reaches, unfiltered."""
        reached = [runtime for runtime in self.runtimes if _reaches(query, runtime.ref)]
        asked = [(one, ListContainers(engine=one.ref, fresh=fresh)) for one in reached]
        answers, missing = await self._ask(asked, call)
        return Survey(rows=[row for answer in answers for row in answer.rows], missing=missing)

    async def survey_services(self, query: Query, call: Call) -> Survey[Service]:
        """Every service on the engines the query reaches and that know of such; one that several managers of a Swarm
        tell of is there once."""
        able = [one for one in self.runtimes if _reaches(query, one.ref) and ListServices.verb in one.verbs]
        answers, missing = await self._ask([(one, ListServices(engine=one.ref)) for one in able], call)
        told: Sequence[Services] = answers
        for runtime, services in zip([one for one in able if one.ref not in missing], told, strict=True):
            if services.missing:
                missing[runtime.ref] = errors.EngineError(services.missing)
        return Survey(rows=things.once([row for services in told for row in services.rows]), missing=missing)

    async def _ask(
        self, asked: Sequence[tuple[Runtime, Action[Any]]], call: Call
    ) -> tuple[list[Any], dict[EngineRef, errors.QuarterdeckError]]:
        async def one(runtime: Runtime, action: Action[Any]) -> Any:
            try:
                return await runtime.run(action, call)
            except errors.QuarterdeckError as error:
                return error

        answers = await asyncio.gather(*(one(runtime, action) for runtime, action in asked))
        missing = {
            runtime.ref: answer
            for (runtime, _), answer in zip(asked, answers, strict=True)
            if isinstance(answer, errors.QuarterdeckError)
        }
        return [answer for answer in answers if not isinstance(answer, errors.QuarterdeckError)], missing


def select(query: Query, survey: Survey[Container], visible: Callable[[Container], bool]) -> Sequence[Container]:
    """The containers a query means. Raises NotFound (with what was close), Ambiguous, or the error of an engine that
    could not say."""
    rows = [row for row in survey.rows if visible(row) and _labelled(query.labels, row)]
    if query.words:
        return naming.containers(query.words, rows, survey.missing)
    if not rows:
        if survey.missing:
            raise next(iter(survey.missing.values()))
        what = " ".join(f"--label {label}" for label in query.labels)
        raise errors.NotFound(f"No container matches {what or 'that'}.", hint="See what there is with: ps -a")
    return rows


def select_services(query: Query, survey: Survey[Service], visible: Callable[[Service], bool]) -> Sequence[Service]:
    """As `select`, for services."""
    return naming.services(query.words, [row for row in survey.rows if visible(row)], survey.missing)


def _reaches(query: Query, engine: EngineRef) -> bool:
    return (not query.host or fnmatch.fnmatchcase(engine.host, query.host)) and (
        not query.engine or naming.placed(engine, query.engine)
    )


def _labelled(labels: Sequence[str], row: Container) -> bool:
    for label in labels:
        key, equals, want = label.partition("=")
        if key not in row.labels or (equals and not fnmatch.fnmatchcase(row.labels[key], want)):
            return False
    return True
