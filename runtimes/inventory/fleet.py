"""All engines as one: which answer, which things a query means, and who runs an action.

A survey asks every engine in parallel for one kind of thing and returns what was found together with what was missing:
a dead engine is a value, and one that knows no such things has none to miss. core.name_matching decides what a name
selects. `visible` decides what the asker may know of, before anything is matched: a hidden thing is not found, word for
word.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core import errors
from core.model import listings
from core.model.actions import Action
from core.model.refs import EngineRef
from core.name_matching import selection
from core.ports import Call, Query, Runtime

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What exists of one kind, as far as the engines answered: `rows` found, `missing` the engines that did not say."""

    rows: Sequence[Any]
    missing: Mapping[EngineRef, errors.QuarterdeckError] = field(default_factory=dict)


class Fleet:
    """The runtimes of this process. `builtin` answers for actions that no engine runs."""

    def __init__(self, runtimes: Sequence[Runtime], *, builtin: Runtime | None = None) -> None:
        self.all = tuple(runtimes)
        self.builtin = builtin

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """Those that are there now."""
        return tuple(runtime for runtime in self.all if runtime.present)

    def engines(self, query: Query) -> Sequence[EngineRef]:
        """The engines a query reaches, of these the ones that can do its verb if there are such. Raises NotFound when
        its host or engine pattern matches none."""
        reached = [runtime for runtime in self.runtimes if _reaches(query, runtime.ref)]
        if not reached:
            pattern = " ".join(filter(None, (query.engine, query.host)))
            known = ", ".join(str(runtime.ref) for runtime in self.runtimes) or "none"
            raise errors.NotFound(f"No engine matches “{pattern}”.", hint=f"Engines here: {known}.")
        able = [runtime for runtime in reached if query.verb in runtime.verbs]
        # Each once: an engine that has not answered yet may be guessed to be what another one is.
        return list(dict.fromkeys(runtime.ref for runtime in able or reached))

    async def run(self, action: Action[R], call: Call) -> R:
        return await self.runtime(action.engine).run(action, call)

    def runtime(self, ref: EngineRef) -> Runtime:
        for runtime in self.runtimes:
            if runtime.ref == ref:
                return runtime
        if self.builtin is not None and ref == self.builtin.ref:
            return self.builtin
        raise errors.NotFound(f"There is no engine {ref} here any more.")

    async def list_all(
        self, query: Query, call: Call, *, fresh: bool = False, only: EngineRef | None = None
    ) -> Listing:
        """Everything of the query's kind on the engines it reaches, unfiltered, or on the one engine `only`. What
        several engines tell of is there once."""
        reached = [one for one in self.runtimes if (one.ref == only if only else _reaches(query, one.ref))]

        async def ask(runtime: Runtime) -> Any:
            try:
                return await runtime.run(listings.list_action(query.kind, runtime.ref, fresh=fresh), call)
            except errors.QuarterdeckError as error:
                return error

        answers = await asyncio.gather(*map(ask, reached))
        rows: list[Any] = []
        missing: dict[EngineRef, errors.QuarterdeckError] = {}
        for runtime, answer in zip(reached, answers, strict=True):
            if isinstance(answer, errors.Unsupported):
                continue
            if isinstance(answer, errors.QuarterdeckError):
                missing[runtime.ref] = answer
                continue
            rows += answer.rows
            if getattr(answer, "missing", ""):
                missing[runtime.ref] = errors.EngineError(answer.missing)
        return Listing(rows=listings.deduplicate(query.kind, rows), missing=missing)


def select(query: Query, survey: Listing, visible: Callable[[Any], bool]) -> Sequence[Any]:
    """The things a query means. Raises NotFound (with what was close), Ambiguous, or the error of an engine that could
    not say."""
    rows = [row for row in survey.rows if visible(row) and _labelled(query.labels, row)]
    if query.names:
        return selection.select(query.kind, query.names, rows, survey.missing, every_match=query.every_match)
    if not rows:
        if survey.missing:
            raise next(iter(survey.missing.values()))
        what = " ".join(f"--label {label}" for label in query.labels)
        raise errors.NotFound(f"No {query.kind} matches {what or 'that'}.", hint=selection.list_hint(query.kind))
    return rows


def _reaches(query: Query, engine: EngineRef) -> bool:
    return (not query.host or fnmatch.fnmatchcase(engine.host, query.host)) and (
        not query.engine or engine.matches(query.engine)
    )


def _labelled(labels: Sequence[str], row: Any) -> bool:
    """Each `key` or `key=glob` is among its labels; where it has several sets of them, in one and the same."""
    told = getattr(row, "labels", {})
    return any(_carries(labels, one) for one in ((told,) if isinstance(told, Mapping) else told or ({},)))


def _carries(labels: Sequence[str], having: Mapping[str, str]) -> bool:
    for label in labels:
        key, equals, want = label.partition("=")
        if key not in having or (equals and not fnmatch.fnmatchcase(having[key], want)):
            return False
    return True
