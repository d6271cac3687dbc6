"""Decides in which channels, and to which people, a changed incident is posted now, and which have to wait.

Nothing new is posted in the quiet hours of a route, to a person who is muted, and while an incident is silenced,
snoozed or in maintenance. A message that was posted before is edited, because an edit notifies nobody. The message also
shows the reason why the incident is not posted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.notify.alert_settings import AlertSettings
from bot.notify.posted_incidents import PendingIncident
from core.lazy_dataclass import dataclass
from core.model.alert_routes import Destination, Routing
from core.model.incidents import Incident, IncidentState, PostedIncident

# An incident that was over for longer than this, and was never posted, is not posted any more.
OLD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedQuietHours:
    """Quiet hours that are over. `text`: names them in words; `begin`: of this one time, in seconds since the epoch."""

    text: str
    begin: float


def places_to_post(
    pending: PendingIncident, routing: Routing, settings: AlertSettings, now: float
) -> Sequence[Destination]:
    """Returns the places where the incident is posted or edited now, and records them in `pending`, with the time
    until which other places wait. `now`: seconds since the epoch."""
    incident = pending.incident
    hold = settings.hold(incident, now)
    pending.held = hold.text if incident.state is not IncidentState.RESOLVED else ""
    found = []
    for destination in _places(incident, routing):
        post = incident.post_at(destination.to)
        silent, other = False, post is not None and not post.gone and post.held != pending.held
        if until := max(_waits_until(destination, settings, now), hold.until):
            if post is None or post.told < incident.turns:
                pending.waits_until = min(pending.waits_until or until, until)
            if post is None or post.gone or (post.version == incident.version and not other):
                continue
            silent = True
        elif not (
            _is_news(incident, destination, now) if post is None else other or _must_say(incident, post, destination)
        ):
            continue
        unmuted = tuple(who for who in destination.mention if not settings.muted_until(who, now))
        pending.left.add(destination.to)
        found.append(replace(destination, mention=unmuted, silent=silent))
    return found


def missed_quiet_hours(incident: Incident, destination: Destination, now: float) -> EndedQuietHours | None:
    """Returns the quiet hours in which an incident that was never posted began or ended; None if there are none."""
    if destination.quiet is None:
        return None
    hours = destination.quiet.ended(now)
    if hours is None or not (incident.began_ns / 1e9 in hours or incident.changed_ns / 1e9 in hours):
        return None
    return EndedQuietHours(text=f"in the quiet hours {destination.quiet.text()}", begin=hours.begin)


def newly_mentioned(incident: Incident, post: PostedIncident, destination: Destination) -> tuple[str, ...]:
    """Returns whom a new entry of the thread mentions: those who were not mentioned yet, and everybody if the
    incident is back."""
    if incident.state is IncidentState.RESOLVED or post.shared:
        return ()
    if post.told < incident.turns:
        return destination.mention
    return tuple(who for who in destination.mention if who not in post.mentioned)


def _places(incident: Incident, routing: Routing) -> Sequence[Destination]:
    """Returns every place of the incident: where the routes say, and where it was posted before they changed."""
    found = list(routing.destinations(incident))
    known = {post.destination for each in found if (post := incident.post_at(each.to)) is not None}
    found += [Destination(to=post.destination) for post in incident.posts if post.destination not in known]
    return found


def _waits_until(destination: Destination, settings: AlertSettings, now: float) -> float:
    quiet = destination.quiet.at(now) if destination.quiet is not None else None
    muted = settings.muted_until(destination.to, now) if destination.is_person else 0.0
    return max(quiet.end if quiet is not None else 0.0, muted)


def _is_news(incident: Incident, destination: Destination, now: float) -> bool:
    """Whether an incident is posted in a place where it was never posted."""
    if incident.state is not IncidentState.RESOLVED:
        return True
    if incident.posts:
        return False
    return now - incident.changed_ns / 1e9 <= OLD_SECONDS or missed_quiet_hours(incident, destination, now) is not None


def _must_say(incident: Incident, post: PostedIncident, destination: Destination) -> bool:
    changed = (post.version < incident.version and not post.gone) or post.told < incident.turns
    return changed or bool(newly_mentioned(incident, post, destination))
