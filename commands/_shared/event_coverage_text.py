"""Writes the note in a reply about missing events: which engines have no stored events for a part of the requested
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import formatting
from core.lazy_dataclass import dataclass
from core.model.event_coverage import NEVER, NOT_NOW, NOT_YET, Coverage, Missed
from core.model.refs import EngineRef

MAX_ENGINES = 5  # that are named with what is not known of them
MAX_SPANS = 3  # of one engine
# What is known of the past of an engine that remembers no events itself, beside what Quarterdeck received.
_NO_MEMORY = {"cri": "{} stores no events; only the last run of each existing container is known"}
_IGNORED_NS = 2_000_000_000
"""At the borders of a time: a watcher saves its progress only now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTimes:
    """What is not known. `only`: in place of a sentence that nothing happened, if one engine was asked and nobody ever
    watched it; `notes`: sentences to add to any reply."""

    notes: tuple[str, ...] = ()
    only: str = ""

    def __bool__(self) -> bool:
        return bool(self.notes)


def find_unknown_times(
    coverages: Sequence[tuple[EngineRef, Coverage]],
    since_ns: int,
    until_ns: int,
    now: datetime,
    *,
    asked: bool = True,
) -> UnknownTimes:
    """Returns what is not known of the time from `since_ns` to `until_ns`. `asked`: the engines were asked, too."""
    found = []
    for engine, coverage in coverages:
        spans = [each for each in coverage.unknown(since_ns, until_ns) if each.until_ns - each.from_ns > _IGNORED_NS]
        if spans:
            found.append(_describe(engine, coverage, spans, since_ns, until_ns, now, asked=asked))
    notes = found[:MAX_ENGINES]
    if len(found) > MAX_ENGINES:
        more = formatting.count(len(found) - MAX_ENGINES, "more engine")
        notes.append(f"Events of {more} are missing too. To see one of these engines, add: --engine NAME")
    only = ""
    if len(coverages) == 1 and found and not coverages[0][1].watched_ns and coverages[0][1].remembered_ns:
        engine, coverage = coverages[0]
        only = f"{_remembers(engine, coverage, now)}; nothing happened in that time. {_before(NEVER)}"
    return UnknownTimes(notes=tuple(notes), only=only)


def _describe(  # noqa: PLR0917 (one engine and one time)
    engine: EngineRef,
    coverage: Coverage,
    spans: Sequence[Missed],
    since_ns: int,
    until_ns: int,
    now: datetime,
    *,
    asked: bool,
) -> str:
    if not coverage.watched_ns and asked:
        if coverage.remembered_ns:
            return f"{_remembers(engine, coverage, now)}. {_before(NEVER)}"
        what = _NO_MEMORY.get(engine.kind, "{} stores no events of this time").format(engine)
        return f"{what}, and {NEVER}. A running bot stores the events that it receives."
    when = []
    for span in spans[-MAX_SPANS:]:
        begins, ends = span.from_ns <= since_ns, span.until_ns >= until_ns
        if begins and ends:
            text = "in this time"
        elif begins:
            text = f"before {formatting.moment(span.until_ns / 1e9)}"
        elif ends:
            text = f"since {formatting.moment(span.from_ns / 1e9)}"
        else:
            text = f"from {formatting.moment(span.from_ns / 1e9)} to {formatting.moment(span.until_ns / 1e9)}"
        when.append(f"{text} ({span.why})")
    more = f" and {len(spans) - MAX_SPANS} times before" if len(spans) > MAX_SPANS else ""
    memory = ""
    if coverage.remembered_ns and any(span.why in (NOT_NOW, NOT_YET) for span in spans):
        memory = f" {_remembers(engine, coverage, now)}."
    return f"Events of {engine} are missing {' and '.join(when)}{more}.{memory}"


def _remembers(engine: EngineRef, coverage: Coverage, now: datetime) -> str:
    seconds = max(0.0, now.timestamp() - coverage.remembered_ns / 1e9)
    return f"{engine} itself stores only the events of the last {formatting.span(seconds)}"


def _before(why: str) -> str:
    return f"Earlier events are missing: {why}."
