"""Formats followed events as lines. Skips events that the requester is not permitted to see now, and events whose
resource name does not match the command.

The end of a container arrives twice: at once, and again when its cause is known. The second line says so, because
otherwise it would look like another end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from bot.dispatch.job_follower import Texts
from bot.dispatch.visible_fleet import VisibleFleet
from commands._shared import event_selection, event_text
from core import errors, oldest_entries
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, EventList
from core.model.results import LogLine
from runtimes.inventory import event_followers

MAX_UNEXPLAINED = 1_000  # ends whose causes are not known yet


def make_event_formatter(action: ListEvents, view_now: Callable[[], Awaitable[VisibleFleet]]) -> Texts:
    """Returns a function that formats the lines of a job that `action` started. `view_now` returns what the requester
    may see now."""
    unexplained: dict[tuple[int, str, str, str], None] = {}  # the ends that were shown without their causes

    async def format_lines(lines: Sequence[LogLine]) -> Sequence[str]:
        events = tuple(event for line in lines if (event := event_followers.decode(line)) is not None)
        try:
            seen = await (await view_now()).filter_events(action, EventList(rows=events))
        except errors.NotPermitted:  # the next look at the permission ends the job, and says why
            return ()
        return [_line(event, unexplained) for event in event_selection.select_events(action.names, seen.rows)]

    return format_lines


def _line(event: Event, unexplained: dict[tuple[int, str, str, str], None]) -> str:
    title = event_text.format_title(event)
    if event.kind is EventKind.DIED:
        identity = event.identity()
        if "cause_text" not in event.attrs:
            unexplained[identity] = None
            oldest_entries.limit_entries(unexplained, MAX_UNEXPLAINED)
        elif identity in unexplained:
            del unexplained[identity]
            title = "cause of the end of"
    at = f"{datetime.fromtimestamp(event.at_ns / 1e9, UTC):%H:%M:%SZ}"
    detail = event_text.format_detail(event)
    return f"{at} {title} {event_text.format_resource_name(event)}{f': {detail}' if detail else ''}"
