"""Decodes each payload that Slack sends into a SlackRequest: slash commands, mentions, direct messages and clicks.

The functions have no side effects. They return None for a payload that needs no answer: edits, messages of bots, joins
and the like. They raise LookupError, TypeError or AttributeError for a payload whose fields are not as Slack documents
them. Slack may deliver one request twice, on another socket or in another envelope; both get the same `id`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackRequest:
    """Holds one thing that a person did in Slack: a command, a message or a click.

    `teams`: every workspace that Slack names for the person. `message`: the ts of the person's message, or of the
    message with the clicked button. `private`: that message is ephemeral, so only the clicker sees it. `thread`: the ts
    of its thread.
    """

    id: str
    source: Source
    user: str
    teams: frozenset[str]
    text: str
    channel: str
    dm: bool = False
    thread: str | None = None
    response_url: str = ""
    message: str = ""
    private: bool = False


class Source(enum.StrEnum):
    SLASH = "slash"
    MENTION = "mention"
    DM = "dm"
    CLICK = "click"


def from_command(body: Mapping[str, Any], direct: bool) -> SlackRequest:
    """Decodes a slash command. If `direct`, the command's own name is the first word of the line (`/ps -a`)."""
    text = str(body.get("text") or "")
    name = str(body["command"]).lstrip("/")
    channel = str(body.get("channel_id") or "")
    return SlackRequest(
        id=f"slack-{body['trigger_id']}",
        source=Source.SLASH,
        user=str(body["user_id"]),
        teams=_teams(body.get("team_id")),
        text=f"{name} {text}" if direct else text,
        channel=channel,
        dm=channel.startswith("D"),
        response_url=str(body.get("response_url") or ""),
    )


def from_message(body: Mapping[str, Any]) -> SlackRequest | None:
    """Decodes a mention or a direct message. None for an edit or a bot's message."""
    event = body["event"]
    if event.get("bot_id") or event.get("bot_profile") or event.get("subtype") or event.get("edited"):
        return None
    dm = event.get("channel_type") == "im" or str(event.get("channel", "")).startswith("D")
    if not event.get("user") or not event.get("ts") or (event["type"] == "message" and not dm):
        return None
    return SlackRequest(
        # Not the event's own id: Slack sends two events for a mention in a direct message.
        id=f"slack-{event['channel']}-{event['ts']}",
        source=Source.DM if dm else Source.MENTION,
        user=str(event["user"]),
        teams=_teams(event.get("user_team"), event.get("source_team"), event.get("team") or body.get("team_id")),
        text=str(event.get("text") or ""),
        channel=str(event["channel"]),
        dm=dm,
        thread=event.get("thread_ts"),
        message=str(event["ts"]),
    )


def from_click(body: Mapping[str, Any]) -> SlackRequest | None:
    """Decodes a click on a button, whose value is the command line."""
    action = body["actions"][0]
    container = body.get("container") or {}
    channel = str((body.get("channel") or {}).get("id") or container.get("channel_id") or "")
    if not action.get("value") or not channel:
        return None
    user = body["user"]
    message = body.get("message") or {}
    return SlackRequest(
        id=f"slack-{body['trigger_id']}",
        source=Source.CLICK,
        user=str(user["id"]),
        teams=_teams(user.get("team_id") or (body.get("team") or {}).get("id")),
        text=str(action["value"]),
        channel=channel,
        dm=channel.startswith("D"),
        thread=container.get("thread_ts") or message.get("thread_ts"),
        response_url=str(body.get("response_url") or ""),
        message=str(container.get("message_ts") or message.get("ts") or ""),
        private=bool(container.get("is_ephemeral")),
    )


def _teams(*names: Any) -> frozenset[str]:
    return frozenset(str(name) for name in names if name)
