"""Builds the crash card, the first entry of an incident's thread: the known facts about the problem and the run that
ended.

The evidence comes from `bot.notify.crash_evidence`. Unknown facts are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import UTC, datetime

from core.lazy_dataclass import dataclass
from core.model.end_causes import CauseKind
from core.model.incidents import Incident
from core.model.past_run_settings import PastRunSettings, differences
from core.model.replies import Block, Chart, Fields, Lines, Reply, Table, Text
from core.model.resource_usage import Point
from core.model.signal_names import SIGNALS
from core.text import text_timestamps

MAX_CHANGES = 8
POINTS = 20  # of a chart
MEBIBYTE = 1 << 20
SIGNAL_BASE = 128
SIGKILL = 9
EXIT_CODES = {
    0: "it finished by itself",
    1: "a general failure of the program",
    2: "wrong usage, or a failure that the program reports so",
    125: "the engine could not run it",
    126: "its command could not be executed",
    127: "its command was not found",
}
SIGNAL_WORDS = {
    6: "it aborted itself",
    SIGKILL: "which somebody sent, or the kernel because memory ran out",
    11: "a segmentation fault",
    15: "it was asked to end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastContainerEnd:
    """An earlier end. `at_ns`: the engine's time; `why`: its cause in words."""

    at_ns: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found out about the subject of an incident. `cause`: of its last end, in words; empty if it is not
    known. `ended_ns`: the end of the run; 0 if it did not end.
    `points`: the usage before that, the oldest first; `memory_limit`: in bytes. `now`: the settings of the run; `good`:
    those of the last good run. `ends`: the newest ones, the newest first. `log`: the last lines of the run; None: they
    may not be shown here."""

    cause: str = ""
    ended_ns: int = 0
    exit_code: int | None = None
    health: str = ""
    points: Sequence[Point] = ()
    memory_limit: int | None = None
    now: PastRunSettings | None = None
    good: PastRunSettings | None = None
    ends: Sequence[PastContainerEnd] = ()
    log: Sequence[str] | None = None
    notes: Sequence[str] = field(default=())


def crash_card(incident: Incident, evidence: Evidence) -> Reply:
    """Returns the entry."""
    main = incident.main
    fields = {
        "Subject": f"{main.subject.kind} {main.subject}",
        "Rule": f"{main.rule} ({main.severity})",
        "First found": _time(incident.began_ns),
    }
    if cause := main.cause.text if main.cause is not None else evidence.cause:
        fields["Cause"] = cause
    if evidence.exit_code is not None:
        known = bool(cause) and (main.cause is None or main.cause.kind is not CauseKind.UNKNOWN)
        fields["Exit code"] = f"{evidence.exit_code}: {exit_code_in_words(evidence.exit_code, cause_known=known)}"
    if memory := _memory(evidence):
        fields["Memory"] = memory
    if evidence.health:
        fields["Health check"] = evidence.health
    if main.team:
        fields["Team"] = main.team
    if main.link:
        fields["Source"] = main.link
    fields["Incident"] = incident.id
    blocks: list[Block] = [Fields(fields=fields)]
    blocks += [Text(text=text) for text in (_changes(evidence), *evidence.notes) if text]
    if evidence.ends:
        rows = [(_time(end.at_ns), end.why) for end in evidence.ends]
        blocks.append(Table(columns=("ENDED", "WHY"), rows=rows, title="Recent ends"))
    blocks += _charts(evidence)
    if evidence.log:
        blocks.append(Lines(lines=evidence.log, title=f"The last {len(evidence.log)} log lines"))
    return Reply(blocks=blocks)


def exit_code_in_words(code: int, *, cause_known: bool = False) -> str:
    """Returns what an exit code usually means. `cause_known`: why the run ended is said beside it."""
    if code in EXIT_CODES:
        return EXIT_CODES[code]
    number = code - SIGNAL_BASE
    if number in SIGNALS:
        words = "" if cause_known and number == SIGKILL else SIGNAL_WORDS.get(number, "")
        return f"ended by SIG{SIGNALS[number]}" + (f", {words}" if words else "")
    return "the program's own code for a failure"


def _memory(evidence: Evidence) -> str:
    """Returns the memory before the end against its limit."""
    known = [point for point in evidence.points if point.memory is not None]
    limit = evidence.memory_limit
    if not known:
        return f"limit {_size(limit)}" if limit else ""
    last = known[-1]
    used = last.memory or 0.0
    when = f", {max(0, round(evidence.ended_ns / 1e9 - last.at))} s before the end" if evidence.ended_ns else ""
    highest = max(point.memory or 0.0 for point in known)
    of = f" of {_size(limit)} ({100 * used / limit:.0f} %)" if limit else ", no limit"
    return f"{_size(used)}{of}{when}; at most {_size(highest)}"


def _changes(evidence: Evidence) -> str:
    if evidence.now is None:
        return ""
    if evidence.good is None:
        return "No good run of it is known yet, so there is nothing to compare with."
    when = text_timestamps.format_timestamp(evidence.good.at)
    found = list(differences(evidence.good, evidence.now))
    if not found:
        return f"Nothing of its image, command, limits and environment changed since the last good run ({when})."
    more = [f"and {len(found) - MAX_CHANGES} more"] if len(found) > MAX_CHANGES else []
    return "\n".join(
        [f"Changed since the last good run ({when}):", *(f"• {each}" for each in found[:MAX_CHANGES]), *more]
    )


def _charts(evidence: Evidence) -> list[Block]:
    points = _thinned(evidence.points)
    if len(points) < 2:
        return []
    labels = [f"{datetime.fromtimestamp(point.at, UTC):%H:%M:%S}" for point in points]
    charts: list[Block] = []
    memory = [None if point.memory is None else point.memory / MEBIBYTE for point in points]
    if any(value is not None for value in memory):
        series = {"memory": memory}
        if evidence.memory_limit:
            series["limit"] = [evidence.memory_limit / MEBIBYTE] * len(points)
        charts.append(Chart(title="Memory before the end (MiB)", labels=labels, series=series, unit="MiB", axis="UTC"))
    processor = [point.cpu_percent for point in points]
    if any(value is not None for value in processor):
        charts.append(
            Chart(title="CPU before the end (%)", labels=labels, series={"cpu": processor}, unit="%", axis="UTC")
        )
    return charts


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Returns at most POINTS of the points, each at another second; the last one always."""
    unique = list({point.at: point for point in points}.values())
    step = -(-len(unique) // POINTS) or 1
    return unique[::-1][::step][::-1]


def _size(number: float | None) -> str:
    mebibytes = (number or 0.0) / MEBIBYTE
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def _time(at_ns: int) -> str:
    return text_timestamps.format_timestamp(at_ns / 1e9)
