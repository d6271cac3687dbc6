"""Defines one recurring job, and what one run of it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one run did. `idle`: there was nothing to do, so it does not count as a run. `faults`: a sentence for each
    part that failed; the other parts were done."""

    idle: bool = False
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringJob:
    """One recurring job. `name`: also its label in the metrics. `every`: seconds between two starts. `within`: seconds
    that one run may take. `shared`: only one of the processes that share a store runs it. `run` may be cancelled at any
    time, and raises only core.errors. `close` is called when the schedule ends."""

    name: str
    every: float
    within: float
    run: Callable[[], Awaitable[RunReport]]
    shared: bool = False
    close: Callable[[], None] = lambda: None
