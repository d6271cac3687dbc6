"""Tests an alert rule on past events: reads the history of events hour by hour, and replays it in a thread.

A test has limits: the number of events per hour, the total time, and one test at a time in this process. Events that
the requester may not list are removed before the replay, so that no count reveals them.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bot import event_file
from bot.access.unlisted_resource_facts import build_unlisted_resource_facts
from bot.notify import configured_rules
from collectors.rule import Rule
from collectors.rule_replay import RuleReplay, is_stored
from commands._shared import event_coverage_text
from core import errors
from core.config import rule_lines
from core.model.containers import Container
from core.model.event_actions import ListEvents
from core.model.events import Event
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.rule_tests import ReplayRule, RuleTest
from core.ports import Runtime
from core.text import text_timestamps
from runtimes.inventory.stored_events import StoredEvents

WINDOW = timedelta(hours=1)
MAX_EVENTS = 20_000  # of one engine in one hour
MAX_SECONDS = 15.0
MayList = Callable[[Ref, ResourceFacts | None], bool]
"""Whether the requester may list a resource with these facts; None: nobody knows them any more."""
_SECOND = 1_000_000_000


class RuleTestRunner:
    """Runs tests. `rules`: all rules by name, also those that are switched off. `stored`: the history."""

    def __init__(self, rules: Sequence[Rule], stored: StoredEvents) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._stored = stored
        self._running = asyncio.Lock()

    async def run(
        self,
        action: ReplayRule,
        runtimes: Sequence[Runtime],
        rows: Sequence[Container],
        may_list: MayList,
        now: datetime,
    ) -> RuleTest:
        """Returns what the rule would have reported. `rows`: the containers that exist now. Raises UserError."""
        rule, settings = self._rule(action)
        if action.file and action.place.kind != "console":
            raise errors.UserError(
                "A file with events can only be read at a console.",
                hint="On Quarterdeck's host, run: quarterdeck do rules test"
                f" {rule.name if action.name else '[options]'} --file FILE",
            )
        if not action.file and not is_stored(rule):
            raise errors.UserError(
                f"The rule {rule.name} cannot be tested, because its events are not stored.",
                hint="To see what the rule has found since Quarterdeck's start, give: rules",
            )
        if self._running.locked():
            raise errors.UserError(
                "This test was not started, because another test is running.", hint="Wait a few seconds, and try again."
            )
        async with self._running:
            until_ns = int(now.timestamp() * _SECOND)
            notes: list[str] = []
            began = time.monotonic()
            known = {row.ref.id: row for row in rows}
            replay = RuleReplay(rule, known, raw=bool(action.file))
            since_ns = action.since_ns
            if action.file:
                events = await asyncio.to_thread(event_file.read_events, action.file)
                since_ns, until_ns = events[0].at_ns, events[-1].at_ns
                await asyncio.to_thread(_replay, replay, events, None, {}, now)
            else:
                for start, end in _windows(since_ns, until_ns):
                    if time.monotonic() - began > MAX_SECONDS:
                        notes.append(
                            f"The test ended after {MAX_SECONDS:.0f} s. Events after {_clock(start)} are left out."
                        )
                        until_ns = start
                        break
                    found = await self._read(runtimes, start, end, notes)
                    await asyncio.to_thread(_replay, replay, found, may_list, known, now)
                notes += await self._unknown_times(runtimes, may_list, since_ns, until_ns, now)
            await asyncio.to_thread(replay.finish, until_ns)
            if number := replay.removed:
                notes.append(f"{number:,} of the containers were removed since then, so their labels are not known.")
        return RuleTest(
            rule=rule.name,
            settings=settings,
            since_ns=since_ns,
            until_ns=until_ns,
            events=replay.events,
            asked=replay.asked,
            found=replay.found,
            messages=tuple(replay.newest_messages()),
            more=len(replay.messages) - len(replay.newest_messages()),
            repeated=replay.repeated,
            reopened=replay.reopened,
            held_back=replay.held_back,
            waiting=replay.waiting,
            took=time.monotonic() - began,
            notes=tuple(dict.fromkeys(notes)),
        )

    async def _unknown_times(
        self, runtimes: Sequence[Runtime], may_list: MayList, since_ns: int, until_ns: int, now: datetime
    ) -> Sequence[str]:
        """Returns sentences about what nobody knows of the time, where the rule could have found something."""
        coverages = [
            (runtime.ref, await self._stored.coverage(str(getattr(runtime, "engine_id", "")), runtime.ref))
            for runtime in runtimes
            if may_list(Ref(engine=runtime.ref, kind=Kind.ENGINE, id=str(runtime.ref), name=str(runtime.ref)), None)
        ]
        return event_coverage_text.find_unknown_times(coverages, since_ns, until_ns, now, asked=False).notes

    def _rule(self, action: ReplayRule) -> tuple[Rule, str]:
        """Returns the rule to test, and a sentence about what of it is not as configured."""
        change = {
            "for": _duration(action.hold),
            "settle": _duration(action.settle),
            "cooldown": _duration(action.cooldown),
            "severity": action.severity,
        }
        if action.on or action.where:
            if action.threshold is not None:
                raise errors.BadUsage(
                    "--threshold changes an existing rule, but --on and --where describe a new one.",
                    hint="For a new rule, write --count instead of --threshold. For an existing rule, leave out --on"
                    " and --where.",
                )
            event = {"on": action.on, "count": action.count or None, "within": _duration(action.within)}
            made = rule_lines.validate_new_rule(
                {"name": action.name or "new-rule", **event, **change},
                action.where,
                regexes=action.place.kind == "console",
            )
            return configured_rules.build_custom_rule(made), "a new rule"
        rule = self._rules.get(action.name)
        if rule is None:
            raise errors.NotFound(f"There is no alert rule “{action.name}”.", hint="List the rules with: rules")
        if action.count or action.within is not None:
            raise errors.BadUsage(
                "--count and --within need --on or --where, because they describe a new rule.",
                hint="Add --on or --where. For an existing rule, use --threshold.",
            )
        if action.threshold is not None and rule.threshold is None:
            raise errors.BadUsage(f"The rule {rule.name} has no threshold.", hint="Leave out --threshold.")
        given = {name: value for name, value in {**change, "threshold": action.threshold}.items() if value is not None}
        told = ", ".join(f"{name} {_told(value)}" for name, value in given.items() if value != "")
        return configured_rules.apply_override(rule, rule_lines.rule_change(given)), told

    async def _read(self, runtimes: Sequence[Runtime], since_ns: int, until_ns: int, notes: list[str]) -> list[Event]:
        """Returns the stored events of this time, the oldest first."""
        engines = {runtime.ref: engine_id for runtime in runtimes if (engine_id := getattr(runtime, "engine_id", ""))}

        async def read(ref: EngineRef, engine_id: str) -> list[Event]:
            action = ListEvents(engine=ref, since_ns=since_ns, until_ns=until_ns - 1, limit=MAX_EVENTS)
            events, missing = await self._stored.read(engine_id, ref, action)
            notes.extend(missing)
            if len(events) >= MAX_EVENTS:
                notes.append(f"{ref}: only the newest {MAX_EVENTS:,} events of an hour are used.")
            return events

        # One after another: the store limits the events of all questions that are asked at once.
        answers = [await read(ref, engine_id) for ref, engine_id in engines.items()]
        return sorted((event for events in answers for event in events), key=lambda event: event.at_ns)


def _replay(
    replay: RuleReplay,
    events: Sequence[Event],
    may_list: MayList | None,
    known: Mapping[str, Container],
    now: datetime,
) -> None:
    """Replays the events about resources that the requester may list."""
    if may_list is None:
        replay.feed(events)
        return

    @functools.cache
    def visible(subject: Ref) -> bool:
        row = known.get(subject.id)
        return may_list(
            subject, row.facts(now) if row is not None else build_unlisted_resource_facts(subject, None, now)
        )

    replay.feed([event for event in events if visible(event.subject)])


def _windows(since_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
    step = int(WINDOW.total_seconds()) * _SECOND
    for start in range(since_ns, until_ns, step):
        yield start, min(start + step, until_ns)


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _told(value: object) -> str:
    return f"{value.total_seconds():g} s" if isinstance(value, timedelta) else f"{value}"


def _clock(at_ns: int) -> str:
    return text_timestamps.format_timestamp(at_ns / 1e9)
