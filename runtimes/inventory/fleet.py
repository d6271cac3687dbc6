"""Joins the engines of this process: finds the engine an action is for, lists all of them, resolves names.

A listing asks every engine in parallel for one kind of resource. It returns the rows together with the engines that did
not answer: a dead engine is a value here, not an exception. An engine that lacks the kind has nothing to miss.
`visible` decides what one person may see, before names are matched: a hidden resource is not found. core.name_matching
decides what a name selects.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core import errors
from core.model import listings
from core.model.actions import Action, Risk
from core.model.refs import EngineRef
from core.name_matching import selection
from core.ports import Call, Query, Runtime

R = TypeVar("R")
NO_ANSWER = (errors.Unreachable, errors.TimedOut, errors.InvalidResponse)


class Fleet:
    """The runtimes of this process, which come and go while it runs. `builtin` runs the actions that no engine runs."""

    def __init__(self, runtimes: Iterable[Runtime] = (), *, builtin: Runtime | None = None) -> None:
        self._runtimes = list(runtimes)
        self.builtin = builtin

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """A copy: it stays as it is when engines come and go."""
        return tuple(self._runtimes)

    def add(self, runtime: Runtime) -> None:
        self._runtimes.append(runtime)

    def remove(self, runtime: Runtime) -> None:
        """From now on the engine does not exist for any command. An action that runs on it ends as `run` says."""
        self._runtimes.remove(runtime)

    def engines(self, query: Query) -> Sequence[EngineRef]:
        """The engines in the query's scope; of these only those that can do its verb, if there are any. Raises NotFound
        if no engine matches the query's host or engine pattern."""
        in_scope = [runtime for runtime in self.runtimes if _is_in_scope(query, runtime.ref)]
        if not in_scope:
            pattern = " ".join(filter(None, (query.engine, query.host)))
            names = ", ".join(str(runtime.ref) for runtime in self.runtimes) or "none"
            raise errors.NotFound(f"No engine matches “{pattern}”.", hint=f"The engines are: {names}.")
        able = [runtime for runtime in in_scope if query.verb in runtime.verbs]
        # Each once: before its first contact, an engine may be guessed to have another one's name.
        return list(dict.fromkeys(runtime.ref for runtime in able or in_scope))

    async def run(self, action: Action[R], call: Call) -> R:
        """Raises what the engine raises. If the engine is removed meanwhile and the action fails: NotFound, or an error
        with `sent` for a change whose outcome is not known."""
        runtime = self.runtime(action.engine)
        return await self._run(runtime, action, call)

    async def _run(self, runtime: Runtime, action: Action[R], call: Call) -> R:
        try:
            return await runtime.run(action, call)
        except Exception as error:
            removed = runtime is not self.builtin and runtime not in self._runtimes
            if not removed or (isinstance(error, errors.QuarterdeckError) and not isinstance(error, NO_ANSWER)):
                raise
            # Its connections were closed under the action, so the error itself explains nothing.
            if action.risk is Risk.READ or not getattr(error, "sent", True):
                raise errors.NotFound(
                    f"{action.engine} is not watched any more.", hint="List the engines with: engines"
                ) from error
            raise errors.Unreachable(f"{action.engine} was removed while it was asked.", sent=True) from error

    def runtime(self, ref: EngineRef) -> Runtime:
        for runtime in self.runtimes:
            if runtime.ref == ref:
                return runtime
        if self.builtin is not None and ref == self.builtin.ref:
            return self.builtin
        raise errors.NotFound(f"{ref} is not watched any more.", hint="List the engines with: engines")

    async def list_rows(
        self, query: Query, call: Call, *, fresh: bool = False, only: EngineRef | None = None
    ) -> FleetRows:
        """Everything of the query's kind on the engines in its scope, or on the one engine `only`; unfiltered. A
        resource that several engines report is listed once."""
        asked = [one for one in self.runtimes if (one.ref == only if only else _is_in_scope(query, one.ref))]

        async def ask(runtime: Runtime) -> Any:
            try:
                return await self._run(runtime, listings.list_action(query.kind, runtime.ref, fresh=fresh), call)
            except errors.QuarterdeckError as error:
                return error

        answers = await asyncio.gather(*map(ask, asked))
        rows: list[Any] = []
        missing: dict[EngineRef, errors.QuarterdeckError] = {}
        for runtime, answer in zip(asked, answers, strict=True):
            if isinstance(answer, errors.Unsupported) or runtime not in self._runtimes:
                continue
            if isinstance(answer, errors.QuarterdeckError):
                missing[runtime.ref] = answer
                continue
            rows += answer.rows
            if getattr(answer, "missing", ""):
                missing[runtime.ref] = errors.EngineError(answer.missing)
        return FleetRows(rows=listings.deduplicate(query.kind, rows), missing=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRows:
    """The rows of one kind that the engines listed. `missing`: the error of each engine that did not answer."""

    rows: Sequence[Any]
    missing: Mapping[EngineRef, errors.QuarterdeckError] = field(default_factory=dict)


def resolve(query: Query, listed: FleetRows, visible: Callable[[Any], bool]) -> Sequence[Any]:
    """The rows that a query means. Raises NotFound (with similar names), Ambiguous, or the error of an engine that did
    not answer."""
    rows = [row for row in listed.rows if visible(row) and _has_labels(query.labels, row)]
    if query.names:
        return selection.select(query.kind, query.names, rows, listed.missing, every_match=query.every_match)
    if not rows:
        if listed.missing:
            raise next(iter(listed.missing.values()))
        what = " ".join(f"--label {label}" for label in query.labels)
        raise errors.NotFound(f"No {query.kind} matches {what or 'that'}.", hint=selection.list_hint(query.kind))
    return rows


def _is_in_scope(query: Query, engine: EngineRef) -> bool:
    return (not query.host or fnmatch.fnmatchcase(engine.host, query.host)) and (
        not query.engine or engine.matches(query.engine)
    )


def _has_labels(labels: Sequence[str], row: Any) -> bool:
    """Whether each `key` or `key=glob` is among the row's labels. A row with several sets of labels needs them all in
    one set."""
    given = getattr(row, "labels", {})
    return any(_match(labels, one) for one in ((given,) if isinstance(given, Mapping) else given or ({},)))


def _match(wanted: Sequence[str], labels: Mapping[str, str]) -> bool:
    for label in wanted:
        key, equals, pattern = label.partition("=")
        if key not in labels or (equals and not fnmatch.fnmatchcase(labels[key], pattern)):
            return False
    return True
