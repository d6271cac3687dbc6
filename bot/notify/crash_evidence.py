"""Collects the evidence for the crash card of a container's incident: from the mirror of its engine, an inspection, its
log, and the store.

Each source has a short time limit. A source that fails or takes too long is left out. A log is read only if the route
of the channel allows it, the container's labels do not forbid it, and no guard of the policy restricts it. Each such
read is audited.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog

from bot.notify.crash_card import Evidence, PastContainerEnd, crash_card
from collectors import quarterdeck_labels
from core import errors
from core.model.actions import InspectContainer, ReadLogs
from core.model.containers import Container
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind
from core.model.incidents import Incident
from core.model.past_run_settings import PastRunSettings, settings_of
from core.model.refs import Kind, Ref
from core.model.replies import Reply
from core.model.results import Document, LogLine, LogPage
from core.ports import Call
from core.text import redact
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
R = TypeVar("R")
SOURCE_SECONDS = 3.0  # for each source
END_SECONDS, POLL_SECONDS = 4.0, 0.25  # for the end that a notice has announced
CARD_SECONDS = 12.0  # for all of them
LOG_LINES, LOG_READ_LINES = 30, 400
LOG_CHARACTERS = 6_000  # of all lines in the card
HISTORY = timedelta(days=1)
MAX_ENDS = 5
USAGE_SECONDS = 1800.0  # before the end
# Between the first line of a run and the event of its start, between the event of an end and the last line, and between
# an end and the first line of the next run.
BEFORE_START_NS, AFTER_END_NS, BEFORE_RESTART_NS = 5_000_000_000, 1_500_000_000, 50_000_000
RUN_EVENTS = frozenset({EventKind.STARTED, EventKind.DIED})
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")


class GoodContainerRunsReader(Protocol):
    """Reads the settings of the last good run of an owner."""

    async def good_run(self, engine: str, owner: str, /) -> PastRunSettings | None: ...


class CrashEvidence:
    """Makes crash cards. `may_read_log`: whether the policy has nothing against showing a container's log in this
    channel; it also audits the read."""

    def __init__(
        self,
        mirrors: Callable[[], Sequence[Mirror]],
        runs: GoodContainerRunsReader,
        *,
        may_read_log: Callable[[Incident, Container, str], Awaitable[bool]],
    ) -> None:
        self._mirrors = mirrors
        self._runs = runs
        self._may_read_log = may_read_log

    async def card(self, incident: Incident, channel: str, *, logs: bool) -> Reply:
        """Returns the crash card for this channel. `logs`: whether its route shows log lines."""
        evidence = Evidence()
        try:
            async with asyncio.timeout(CARD_SECONDS):
                evidence = await self._collect(incident, channel, logs=logs)
        except TimeoutError:
            evidence = Evidence(notes=("More details could not be read in time.",))
        except Exception as error:  # a card without details is better than none
            log.exception(
                "The details of an incident could not be read because of a bug.",
                incident=incident.id,
                error=type(error).__name__,
            )
        return crash_card(incident, evidence)

    async def _collect(self, incident: Incident, channel: str, *, logs: bool) -> Evidence:
        subject = incident.main.subject
        mirror = next((each for each in self._mirrors() if each.ref == subject.engine), None)
        if mirror is None or subject.kind is not Kind.CONTAINER:
            return Evidence()
        if incident.main.topic == "end" and incident.main.cause is None:
            await _explained_end(mirror, subject)  # out of memory: its notice comes before the end
        ends = [event for event in await _events(mirror, subject) if event.kind is EventKind.DIED]
        died = next((event for event in reversed(ends) if event.subject.id == subject.id), None)
        until = died.at_ns / 1e9 if died is not None else datetime.now(UTC).timestamp()
        document, good, lines = await asyncio.gather(
            _tried(lambda: mirror.run(InspectContainer(engine=subject.engine, target=subject), _call(incident))),
            _tried(lambda: self._runs.good_run(mirror.engine_id, incident.main.owner)),
            self._log_lines(incident, mirror, channel, died) if logs else _nothing(),
        )
        code = died.attrs.get("exit_code", "") if died is not None else ""
        usage = mirror.usage.latest.get(subject.id)
        points = [point for point in mirror.usage.points(subject.id, until - USAGE_SECONDS) if point.at <= until]
        return Evidence(
            cause=died.attrs.get("cause_text", "") if died is not None else "",
            ended_ns=died.at_ns if died is not None else 0,
            exit_code=int(code) if code.lstrip("-").isdecimal() else None,
            health=redact.redact(_health(document)),
            points=points,
            memory_limit=_memory_limit(document) or (usage.memory_limit if usage is not None else None),
            now=run_settings(subject, document) if document is not None else None,
            good=good,
            ends=[
                PastContainerEnd(at_ns=end.at_ns, why=end.attrs.get("cause_text", "its cause is not known"))
                for end in reversed(ends[-MAX_ENDS:])
            ],
            log=lines,
            notes=() if document is not None else ("The container was removed, so its settings are not known.",),
        )

    async def _log_lines(
        self, incident: Incident, mirror: Mirror, channel: str, died: Event | None
    ) -> Sequence[str] | None:
        """Returns the last lines of the run that ended; None if they may not be shown, or were not read."""
        subject = incident.main.subject
        row = mirror.last_known_row(subject.id)
        if row is None or ReadLogs.verb not in mirror.verbs:
            return None
        if any(map(quarterdeck_labels.logs_are_off, (row.labels, incident.main.labels))):
            return None
        if not await self._may_read_log(incident, row, channel):
            return None
        begin, end = _run(mirror, subject, died)
        action = ReadLogs(engine=subject.engine, target=subject, tail=LOG_READ_LINES, since_ns=begin)
        page = await _tried(lambda: mirror.run(action, _call(incident)))
        if not isinstance(page, LogPage):
            return None
        texts = [line.text for line in page.lines if _is_between(line, begin, end)]
        # All lines are searched, because a secret may begin before the first one that is shown.
        shown = redact.redact("\n".join(texts)).split("\n")[-LOG_LINES:] if texts else []
        while sum(map(len, shown)) > LOG_CHARACTERS and len(shown) > 1:
            shown.pop(0)
        return [line[:LOG_CHARACTERS] for line in shown]


def run_settings(subject: Ref, document: Document, at: float = 0.0) -> PastRunSettings:
    """Returns with what a container runs, from its inspection. Secrets, such as in its command, are hidden."""
    found = settings_of(subject.id, at, document.summary)
    texts = {name: redact.redact(text) for name, text in found.texts.items()}
    return PastRunSettings(container=found.container, at=at, texts=texts)


async def _explained_end(mirror: Mirror, subject: Ref) -> None:
    """Waits until the end of the container and its cause are known. A container whose child was killed lives on."""
    deadline = asyncio.get_running_loop().time() + END_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        died = mirror.history.last_end(subject.id)
        if died is not None and "cause_text" in died.attrs:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _events(mirror: Mirror, subject: Ref) -> Sequence[Event]:
    """Returns the events of a day about this container and about others of its name, the oldest first."""
    since = datetime.now(UTC) - HISTORY
    action = ListEvents(
        engine=subject.engine,
        since_ns=int(since.timestamp()) * 1_000_000_000,
        actions=("died",),
        names=((subject.name, (subject,)),),
    )
    listed = await _tried(lambda: mirror.run(action, _call_named("incident")))
    rows: Sequence[Event] = listed.rows if listed is not None else mirror.history.since(action.since_ns)
    return [event for event in rows if event.subject.id == subject.id or event.subject.name == subject.name]


def _run(mirror: Mirror, subject: Ref, died: Event | None) -> tuple[int, int]:
    """Returns between which times the lines of the run that ended were written, in nanoseconds; 0: no limit. An engine
    reports a start some moments after the program has begun, and an end some moments after its last line."""
    events = [event for event in mirror.history if event.subject.id == subject.id and event.kind in RUN_EVENTS]
    before = [event for event in events if died is None or event.at_ns < died.at_ns]
    started = max((event.at_ns for event in before if event.kind is EventKind.STARTED), default=0)
    earlier = max((each.at_ns for each in before if each.kind is EventKind.DIED and each.at_ns < started), default=0)
    begin = max(earlier + 1, started - BEFORE_START_NS) if started else 0
    if died is None:
        return begin, 0
    again = any(event.at_ns > died.at_ns and event.kind is EventKind.STARTED for event in events)
    return begin, died.at_ns + (BEFORE_RESTART_NS if again else AFTER_END_NS)


def _is_between(line: LogLine, begin: int, end: int) -> bool:
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", line.at))
    except ValueError:
        return True
    at_ns = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e9)
    return at_ns >= begin and (not end or at_ns <= end)


def _health(document: Document | None) -> str:
    text = document.summary.get("Health", "") if document is not None else ""
    return text if text and text not in ("healthy", "none") else ""


def _memory_limit(document: Document | None) -> int | None:
    """Returns the memory limit in bytes, of Docker's and Podman's inspections and of an OCI specification."""
    if document is None:
        return None
    data = document.data
    for path in (
        ("HostConfig", "Memory"),
        ("spec", "linux", "resources", "memory", "limit"),
        ("info", "runtimeSpec", "linux", "resources", "memory", "limit"),
    ):
        value: Any = data
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int) and 0 < value < 1 << 62:
            return value
    return None


def _call(incident: Incident) -> Call:
    return _call_named(f"incident {incident.id}")


def _call_named(name: str) -> Call:
    deadline = datetime.now(UTC) + timedelta(seconds=SOURCE_SECONDS)
    return Call(id=name, who="alerts", deadline=deadline, invocation="")


async def _tried(read: Callable[[], Awaitable[R]]) -> R | None:
    """Calls `read` and returns its result, or None if it failed or took too long."""
    try:
        async with asyncio.timeout(SOURCE_SECONDS):
            return await read()
    except (errors.QuarterdeckError, TimeoutError) as error:
        log.debug("A part of the details of an incident could not be read.", reason=str(error))
        return None


async def _nothing() -> None:
    return None
