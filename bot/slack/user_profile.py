"""Decodes Slack's data about a person (`users.info`) and about the user groups of a workspace (`usergroups.list`).

Nothing is raised: a field of another type than Slack documents counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack import names
from core.lazy_dataclass import dataclass

SLACKBOT = "USLACKBOT"  # speaks for whoever set a reminder; Slack does not mark it as a bot


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile:
    """`team`: the workspace or organization that Slack names for the person. In an organization, `teams` has all
    workspaces of the person, and `enterprise` is the organization. `stranger`: Slack's own flag for a person of another
    workspace in a shared channel. `zone`: the person's time zone, such as `Europe/Berlin`."""

    name: str
    team: str
    teams: frozenset[str]
    enterprise: str
    bot: bool
    guest: bool
    stranger: bool
    deactivated: bool
    zone: str = ""


def decode_user(data: Mapping[str, Any]) -> UserProfile:
    """Raises nothing: a field of another type than Slack documents counts as absent."""
    enterprise = _object(data.get("enterprise_user"))
    team = _id(data.get("team_id"))
    teams = enterprise.get("teams")
    return UserProfile(
        name=names.user_name(data),
        team=team,
        teams=frozenset({team, *map(_id, teams if isinstance(teams, list) else ())} - {""}),
        enterprise=_id(enterprise.get("enterprise_id")),
        bot=bool(data.get("is_bot") or data.get("is_workflow_bot") or data.get("is_connector_bot"))
        or data.get("id") == SLACKBOT,
        guest=bool(data.get("is_restricted") or data.get("is_ultra_restricted")),
        stranger=bool(data.get("is_stranger")),
        deactivated=bool(data.get("deleted")),
        zone=_id(data.get("tz")),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str:
    return value if isinstance(value, str) else ""


def group_handles(groups: list[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the handle of each user group by its id."""
    return {_id(group.get("id")): _id(group.get("handle")) for group in groups}


def groups_by_user(groups: list[Mapping[str, Any]], *, handles: bool) -> dict[str, frozenset[str]]:
    """For each user, the ids and handles of their groups. Disabled groups are left out.

    Without `handles`, only a group of the whole organization counts by its handle: in every workspace an administrator
    can make a group with the handle of another workspace's group."""
    found: dict[str, set[str]] = {}
    for group in groups:
        if group.get("date_delete"):
            continue
        of_organization = group.get("enterprise_subteam_id") or _id(group.get("team_id")).startswith("E")
        names = {group.get("id"), group.get("handle") if handles or of_organization else ""}
        for user in group.get("users") or ():
            found.setdefault(str(user), set()).update(str(name) for name in names if name)
    return {user: frozenset(names) for user, names in found.items()}
