"""Presents all engines of this process as one: runs each action on its engine, and lists resources of all engines.

A list requests one kind of resource from every engine in parallel. It returns the rows together with the errors of the
engines that did not answer. It waits only a little for slow engines after the others have answered. An engine that does
not support the kind is skipped. `resolve` selects rows by name; `core.name_matching` defines which rows a name selects.
Rows that the requester may not see are removed before names are matched, so a hidden resource is not found.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar, cast

from core import errors, unexpected_errors
from core.lazy_dataclass import dataclass
from core.model import list_action_by_kind
from core.model.actions import Action, DescribeEngine, Risk
from core.model.containers import LIVE_STATES
from core.model.refs import EngineRef
from core.name_matching import selection
from core.ports import Call, Query, Runtime
from runtimes.inventory import gather_answers
from runtimes.inventory.mirror import Mirror

R = TypeVar("R")
LIST_ENGINES = "List the engines with: engines"
NOT_STOPPED = (*LIVE_STATES, "restarting", "removing")
NO_ANSWER = (errors.Unreachable, errors.TimedOut, errors.InvalidResponse)


class Fleet:
    """Holds the runtimes of this process, which are added and removed while it runs. `builtin` runs the actions that
    need no engine. `bugs` logs what a runtime raises beside core.errors."""

    def __init__(self, runtimes: Iterable[Runtime] = (), *, builtin: Runtime | None = None) -> None:
        self._runtimes = list(runtimes)
        self._not_permitted: Sequence[Runtime] = ()
        self.builtin = builtin
        self.bugs = unexpected_errors.BugReporter()

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """A copy, which does not change when engines are added or removed."""
        return tuple(self._runtimes)

    def add(self, runtime: Runtime) -> None:
        self._runtimes.append(runtime)

    def remove(self, runtime: Runtime) -> None:
        """Removes an engine: from now on no command finds it. An action that runs on it ends as `run` describes."""
        self._runtimes.remove(runtime)

    def set_not_permitted(self, runtimes: Iterable[Runtime]) -> None:
        """Sets the engines that can only be described, because this process may not use them. They are in no list."""
        self._not_permitted = tuple(runtimes)

    def engines(self, query: Query) -> Sequence[EngineRef]:
        """Returns the engines in the query's scope. If any of them supports its verb, only those are returned. Raises
        NotFound if no engine matches the query's host or engine pattern."""
        runtimes = (*self.runtimes, *(self._not_permitted if query.verb == DescribeEngine.verb else ()))
        in_scope = [runtime for runtime in runtimes if _is_in_scope(query, runtime.ref)]
        if not in_scope:
            pattern = f"“{query.engine}”" if query.engine else ""
            host = f"the host “{query.host}”" if query.host else ""
            names = ", ".join(str(runtime.ref) for runtime in self.runtimes)
            raise errors.NotFound(
                f"No engine matches {' on '.join(filter(None, (pattern, host)))}.",
                hint=f"Use one of these engines: {names}." if names else "Add an engine to quarterdeck.yaml.",
            )
        able = [runtime for runtime in in_scope if query.verb in runtime.verbs]
        # Each once: before its first contact, an engine may be guessed to have another one's name.
        return list(dict.fromkeys(runtime.ref for runtime in able or in_scope))

    async def run(self, action: Action[R], call: Call) -> R:
        """Runs an action on its engine, and raises the engine's errors. If the engine is removed meanwhile and the
        action fails: raises NotFound, or an error with `sent` for a change whose outcome is not known."""
        runtime = self.runtime(action.engine)
        return await self._run(runtime, action, call)

    async def _run(self, runtime: Runtime, action: Action[R], call: Call) -> R:
        try:
            with self.bugs.translated(action.engine, action.verb, sent=action.risk is not Risk.READ):
                return await runtime.run(action, call)
        except NO_ANSWER as error:
            removed = runtime is not self.builtin and runtime not in (*self._runtimes, *self._not_permitted)
            if not removed:
                raise
            # The error only reports the closed connection, so a better one replaces it.
            if action.risk is Risk.READ or not error.sent:
                raise errors.NotFound(f"Quarterdeck does not watch {action.engine} now.", hint=LIST_ENGINES) from error
            raise errors.Unreachable(
                f"Quarterdeck stopped watching {action.engine} while the change was being made.",
                sent=True,
                hint="Before you give the command again, check the target with: ps",
            ) from error

    def refusal(self, action: Action[Any]) -> errors.QuarterdeckError | None:
        """Returns why the engine of an action would refuse it in every state; None if the engine would be asked."""
        return self.runtime(action.engine).refusal(action)

    def last_known(self, action: Action[R]) -> R:
        """Returns what is known without asking the engine of this list. Raises TimedOut if nothing is known."""
        return last_known(self.runtime(action.engine), action)

    def is_silent(self, ref: EngineRef) -> bool:
        """Returns whether this engine is known not to answer."""
        return any(
            isinstance(runtime, Mirror) and runtime.ref == ref and runtime.silence is not None
            for runtime in self._runtimes
        )

    def runtime(self, ref: EngineRef) -> Runtime:
        for runtime in (*self.runtimes, *self._not_permitted):
            if runtime.ref == ref:
                return runtime
        if self.builtin is not None and ref == self.builtin.ref:
            return self.builtin
        raise errors.NotFound(f"Quarterdeck does not watch {ref} now.", hint=LIST_ENGINES)

    async def list_rows(
        self, query: Query, call: Call, *, fresh: bool = False, only: EngineRef | None = None
    ) -> FleetRows:
        """Lists all resources of the query's kind on the engines in its scope, or on the one engine `only`. The rows
        are not filtered by permission. A resource that several engines report is listed once."""
        asked = [one for one in self.runtimes if (one.ref == only if only else _is_in_scope(query, one.ref))]

        def action(runtime: Runtime) -> Action[Any]:
            return list_action_by_kind.make_list_action(query.kind, runtime.ref, fresh=fresh)

        async def ask(runtime: Runtime) -> Any:
            try:
                return await self._run(runtime, action(runtime), call)
            except errors.QuarterdeckError as error:
                return error

        async def late(number: int) -> Any:
            try:
                return last_known(asked[number], action(asked[number]))
            except errors.QuarterdeckError as error:
                return error

        answers = await gather_answers.gather_answers(
            [functools.partial(ask, runtime) for runtime in asked], complete=gather_answers.is_complete, late=late
        )
        rows: list[Any] = []
        ages: dict[EngineRef, float] = {}
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
                ages[runtime.ref] = getattr(answer, "age", 0.0)
        return FleetRows(rows=list_action_by_kind.deduplicate(query.kind, rows), missing=missing, ages=ages)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRows:
    """Holds the rows of one kind that all engines listed. `missing`: the error of each engine that did not answer, or
    not completely. `ages`: the age of the rows of such an engine, in seconds."""

    rows: Sequence[Any]
    missing: Mapping[EngineRef, errors.QuarterdeckError] = field(default_factory=dict)
    ages: Mapping[EngineRef, float] = field(default_factory=dict)


def last_known(runtime: Runtime, action: Action[R]) -> R:
    """Returns what is known of an engine that did not answer this list in time. Raises TimedOut if nothing is known."""
    error = gather_answers.late_error(runtime.ref)
    if isinstance(runtime, Mirror):
        return runtime.last_known(action, error)
    if isinstance(action, DescribeEngine):
        return cast(R, gather_answers.unanswered(runtime, error))
    raise error


def resolve(query: Query, listed: FleetRows, visible: Callable[[Any], bool]) -> Sequence[Any]:
    """Returns the rows that a query selects among the `visible` ones. Raises NotFound (with similar names), Ambiguous,
    or the error of an engine that did not answer."""
    rows = [row for row in listed.rows if visible(row) and _has_labels(query.labels, row)]
    if query.stopped:
        rows = [row for row in rows if row.state not in NOT_STOPPED]
    if query.names:
        return selection.select_resources_by_name(
            query.kind, query.names, rows, listed.missing, every_match=query.every_match
        )
    if not rows:
        if listed.missing:
            raise next(iter(listed.missing.values()))
        what = " ".join(f"--label {label}" for label in query.labels)
        if query.stopped:
            raise errors.NotFound(
                f"There is no stopped container{f' with {what}' if what else ''}.", hint="List all with: ps -a"
            )
        raise errors.NotFound(
            f"No {query.kind} matches {what or 'these options'}.", hint=selection.list_hint(query.kind)
        )
    return rows


def _is_in_scope(query: Query, engine: EngineRef) -> bool:
    return (not query.host or fnmatch.fnmatchcase(engine.host, query.host)) and (
        not query.engine or engine.matches(query.engine)
    )


def _has_labels(labels: Sequence[str], row: Any) -> bool:
    """Whether the row has each label, given as `key` or `key=glob`. If a row has several sets of labels, one set must
    have them all."""
    given = getattr(row, "labels", {})
    return any(_match(labels, one) for one in ((given,) if isinstance(given, Mapping) else given or ({},)))


def _match(wanted: Sequence[str], labels: Mapping[str, str]) -> bool:
    for label in wanted:
        key, equals, pattern = label.partition("=")
        if key not in labels or (equals and not fnmatch.fnmatchcase(labels[key], pattern)):
            return False
    return True
