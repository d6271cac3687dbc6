"""All engines as one: which answer, which things a query means, and who runs an action.

A survey asks every engine in parallel and returns what was found together with what was missing: a dead engine is a
value. Names resolve by exact name, then unique prefix, then id prefix; globs and labels select many. `visible` decides
what the asker may know of, before anything is matched: a hidden thing is not found, word for word.
"""

from __future__ import annotations

import asyncio
import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from core import errors
from core.model.actions import Action, ListContainers
from core.model.refs import EngineRef, Ref
from core.model.things import Container
from core.ports import Call, Query, Runtime

R = TypeVar("R")
SHORTEST_ID = 4
GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What exists, as far as the engines answered: `rows` found, `missing` the engines that did not say."""

    rows: Sequence[Container]
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

    async def survey(self, query: Query, call: Call, *, fresh: bool = False) -> Survey:
        """Every container on the engines the query reaches, unfiltered."""

        async def one(runtime: Runtime) -> Sequence[Container] | errors.QuarterdeckError:
            try:
                return (await runtime.run(ListContainers(engine=runtime.ref, fresh=fresh), call)).rows
            except errors.QuarterdeckError as error:
                return error

        reached = [runtime for runtime in self.runtimes if _reaches(query, runtime.ref)]
        answers = await asyncio.gather(*(one(runtime) for runtime in reached))
        rows: list[Container] = []
        missing: dict[EngineRef, errors.QuarterdeckError] = {}
        for runtime, answer in zip(reached, answers, strict=True):
            if isinstance(answer, errors.QuarterdeckError):
                missing[runtime.ref] = answer
            else:
                rows.extend(answer)
        return Survey(rows=rows, missing=missing)


def select(query: Query, survey: Survey, visible: Callable[[Container], bool]) -> Sequence[Container]:
    """The containers a query means. Raises NotFound (with what was close), Ambiguous, or the error of an engine that
    could not say."""
    rows = [row for row in survey.rows if visible(row) and _labelled(query.labels, row)]
    chosen: dict[Ref, Container] = {}
    for word in query.words:
        for row in _matches(word, rows, survey):
            chosen.setdefault(row.ref, row)
    if query.words:
        return tuple(chosen.values())
    if not rows:
        if survey.missing:
            raise next(iter(survey.missing.values()))
        what = " ".join(f"--label {label}" for label in query.labels)
        raise errors.NotFound(f"No container matches {what or 'that'}.", hint="See what there is with: ps -a")
    return rows


def _matches(word: str, rows: Sequence[Container], survey: Survey) -> Sequence[Container]:
    name, at, place = word.partition("@")
    place, sharp, pinned = place.partition("#") if at else (place, "", "")
    if not at:
        name, sharp, pinned = name.partition("#")
    pool = [row for row in rows if _placed(row.ref.engine, place)] if place else rows
    if sharp:
        pool = [row for row in pool if row.ref.id.startswith(pinned)]
    if not name and sharp and pinned:
        found = pool
    elif GLOB_CHARACTERS & set(name):
        found = [row for row in pool if fnmatch.fnmatchcase(row.ref.name, name)]
        if not found:
            raise _not_found(word, rows, survey)
        return found
    else:
        found = _named(name, pool)
    if not found:
        raise _not_found(word, rows, survey)
    if len(found) > 1:
        same_name = len({row.ref.name for row in found}) < len(found)
        raise errors.Ambiguous(
            word, [f"{row.ref.name}@{row.ref.engine}" if same_name else row.ref.name for row in found]
        )
    return found


def _named(name: str, rows: Iterable[Container]) -> list[Container]:
    """Exact names before prefixes before ids: what somebody typed in full must never mean another thing."""
    if not name:
        return []
    everything = list(rows)
    return (
        [row for row in everything if row.ref.name == name]
        or [row for row in everything if row.ref.id == name]
        or [row for row in everything if row.ref.name.startswith(name)]
        or [row for row in everything if len(name) >= SHORTEST_ID and row.ref.id.startswith(name)]
    )


def _not_found(word: str, rows: Sequence[Container], survey: Survey) -> errors.QuarterdeckError:
    if survey.missing:
        engine, error = next(iter(survey.missing.items()))
        return errors.Unreachable(
            f"“{word}” is not on the engines that answered, and {engine} did not answer: {error.message}",
            hint=error.hint,
        )
    name = word.partition("@")[0].partition("#")[0]
    close = difflib.get_close_matches(name, sorted({row.ref.name for row in rows}), n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else "See what there is with: ps -a"
    return errors.NotFound(f"There is no container “{word}”.", hint=hint)


def _reaches(query: Query, engine: EngineRef) -> bool:
    return (not query.host or fnmatch.fnmatchcase(engine.host, query.host)) and (
        not query.engine or _placed(engine, query.engine)
    )


def _placed(engine: EngineRef, pattern: str) -> bool:
    """`docker`, `docker/host7`, `host7`, `docker/host7/rootless`; globs allowed."""
    words = (engine.kind, engine.host, f"{engine.kind}/{engine.host}", str(engine))
    return any(fnmatch.fnmatchcase(text, pattern) for text in words)


def _labelled(labels: Sequence[str], row: Container) -> bool:
    for label in labels:
        key, equals, want = label.partition("=")
        if key not in row.labels or (equals and not fnmatch.fnmatchcase(row.labels[key], want)):
            return False
    return True
