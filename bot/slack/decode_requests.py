"""Decodes each payload that Slack sends into a SlackRequest: slash commands, mentions, direct messages and clicks.

The functions have no side effects. For a payload that needs no answer, such as an edit, a bot's message or a join, they
return the reason, which the caller counts. They raise LookupError, TypeError or AttributeError for a payload whose
fields are not as Slack documents them. Slack may deliver one request twice, on another socket or in another envelope;
both get the same `id`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from bot.slack import rich_text_reader
from bot.slack.rich_text_reader import RichTextReadings
from core.lazy_dataclass import dataclass

MAX_TEXT = 20_000  # characters of `text`, with Slack's markup; a command has at most 4,000


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackRequest:
    """Holds one thing that a person did in Slack: a command, a message or a click.

    `text` has at most MAX_TEXT characters; `rich_text` holds the same with its formatting, if Slack has sent it.
    `teams`: the workspaces that Slack names for the person; in an Enterprise organization they are some of several.
    `workspace` and `enterprise`: where it happened. `message`: the ts of the person's message, or of the message with
    the clicked button. `private`: that message is ephemeral, so only the clicker sees it. `thread`: the ts
    of its thread. `sent_at`: when a message was sent, in seconds since the epoch. `channel_name`: what Slack calls the
    channel, if it says so.
    """

    id: str
    source: Source
    user: str
    teams: frozenset[str]
    text: str
    channel: str
    rich_text: RichTextReadings | None = None
    workspace: str = ""
    enterprise: str = ""
    dm: bool = False
    thread: str | None = None
    response_url: str = ""
    message: str = ""
    sent_at: float | None = None
    private: bool = False
    channel_name: str = ""


class Source(enum.StrEnum):
    SLASH = "slash"
    MENTION = "mention"
    DM = "dm"
    CLICK = "click"


class Ignored(enum.StrEnum):
    """Why a payload gets no answer. BOT: a bot sent it, perhaps Quarterdeck itself. EDITED: a person edited or deleted
    a message. SYSTEM: Slack wrote the message, for example about a join. ELSEWHERE: a channel's message without a
    mention. NO_COMMAND: a button or menu without a command line. UNUSED: a kind of payload that Quarterdeck does not
    use. MALFORMED: its fields are not as Slack documents them."""

    BOT = "bot"
    EDITED = "edited"
    SYSTEM = "system"
    ELSEWHERE = "elsewhere"
    NO_COMMAND = "no_command"
    UNUSED = "unused"
    MALFORMED = "malformed"


# What Slack says in place of the name of a channel.
NOT_NAMES = frozenset({"directmessage", "privategroup"})
MAX_CHANNEL_NAME = 80
# The subtypes of messages that no person typed as such. All others are a person's message: `file_share`,
# `thread_broadcast` and `me_message`, and those that Slack may add.
_BOT_SUBTYPES = frozenset({"bot_message", "bot_add", "bot_remove", "bot_enable", "bot_disable", "slackbot_response"})
_EDIT_SUBTYPES = frozenset({"message_changed", "message_deleted", "message_replied", "tombstone"})
_SYSTEM_SUBTYPES = frozenset(
    {
        *(f"{kind}_{what}" for kind in ("channel", "group") for what in ("archive", "join", "leave", "name", "purpose",
                                                                         "topic", "unarchive")),
        "app_conversation_join", "app_conversation_leave", "assistant_app_thread", "canvas_updated",
        "channel_canvas_updated", "channel_convert_to_private", "channel_convert_to_public",
        "channel_posting_permissions", "ekm_access_denied", "file_comment", "file_mention",
        "huddle_thread", "joiner_notification", "joiner_notification_for_inviter", "list_record_comment",
        "pinned_item", "reminder_add", "reminder_delete", "reply_broadcast", "sh_room_created", "sh_room_shared",
        "tabbed_canvas_updated", "unpinned_item",
    }
)  # fmt: skip


def from_command(body: Mapping[str, Any], direct: bool) -> SlackRequest:
    """Decodes a slash command. If `direct`, the command's own name is the first word of the line (`/ps -a`)."""
    text = str(body.get("text") or "")
    name = str(body["command"]).lstrip("/")
    channel = str(body.get("channel_id") or "")
    named = str(body.get("channel_name") or "")
    return SlackRequest(
        id=f"slack-{body['trigger_id']}",
        source=Source.SLASH,
        user=str(body["user_id"]),
        teams=frozenset(),
        workspace=_id(body.get("team_id")),
        enterprise=_id(body.get("enterprise_id")),
        text=(f"{name} {text}" if direct else text)[:MAX_TEXT],
        channel=channel,
        channel_name="" if named in NOT_NAMES else named[:MAX_CHANNEL_NAME],
        dm=channel.startswith("D"),
        response_url=str(body.get("response_url") or ""),
    )


def from_message(body: Mapping[str, Any]) -> SlackRequest | Ignored:
    """Decodes a mention or a direct message."""
    event = body["event"]
    subtype = event.get("subtype")
    if event.get("bot_id") or event.get("bot_profile") or subtype in _BOT_SUBTYPES:
        return Ignored.BOT
    if event.get("edited") or subtype in _EDIT_SUBTYPES:
        return Ignored.EDITED
    if event.get("hidden") or subtype in _SYSTEM_SUBTYPES or not event.get("user"):
        return Ignored.SYSTEM
    dm = event.get("channel_type") == "im" or str(event.get("channel", "")).startswith("D")
    if event["type"] == "message" and not dm:
        return Ignored.ELSEWHERE
    if not event.get("ts"):
        return Ignored.MALFORMED
    text = str(event.get("text") or "")[:MAX_TEXT]
    return SlackRequest(
        # Not the event's own id: Slack sends two events for a mention in a direct message.
        id=f"slack-{event['channel']}-{event['ts']}",
        source=Source.DM if dm else Source.MENTION,
        user=str(event["user"]),
        teams=_ids(event.get("user_team"), event.get("source_team"), event.get("team")),
        workspace=_workspace(body),
        enterprise=_id(_authorization(body).get("enterprise_id")),
        text=text,
        rich_text=rich_text_reader.read_rich_text(event.get("blocks"), text),
        channel=str(event["channel"]),
        dm=dm,
        thread=event.get("thread_ts"),
        message=str(event["ts"]),
        sent_at=_seconds(event["ts"]),
    )


def from_click(body: Mapping[str, Any]) -> SlackRequest | Ignored:
    """Decodes a click on a button, whose value is the command line."""
    action = body["actions"][0]
    container = body.get("container") or {}
    channel = str((body.get("channel") or {}).get("id") or container.get("channel_id") or "")
    if not action.get("value") or not channel:
        return Ignored.NO_COMMAND
    user = body["user"]
    message = body.get("message") or {}
    return SlackRequest(
        id=f"slack-{body['trigger_id']}",
        source=Source.CLICK,
        user=str(user["id"]),
        teams=_ids(user.get("team_id")),
        workspace=_id((body.get("team") or {}).get("id")),
        enterprise=_id((body.get("enterprise") or {}).get("id")),
        text=str(action["value"])[:MAX_TEXT],
        channel=channel,
        dm=channel.startswith("D"),
        thread=container.get("thread_ts") or message.get("thread_ts"),
        response_url=str(body.get("response_url") or ""),
        message=str(container.get("message_ts") or message.get("ts") or ""),
        private=bool(container.get("is_ephemeral")),
    )


def _authorization(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The installation of the app for which Slack sends the event."""
    authorizations = body.get("authorizations") or [{}]
    return authorizations[0] or {}


def _workspace(body: Mapping[str, Any]) -> str:
    """The workspace that receives the event. In a channel that is shared with another company, `team_id` can be that
    company's. An app of a whole organization is authorized for the organization (`E…`) and receives the event in one of
    its workspaces."""
    named = [_id(_authorization(body).get("team_id")), _id(body.get("context_team_id")), _id(body.get("team_id"))]
    return next((team for team in named if team and not team.startswith("E")), "")


def _seconds(ts: Any) -> float | None:
    """The time of a message, in seconds since the epoch."""
    try:
        return float(ts)
    except (TypeError, ValueError):
        return None


def _ids(*names: Any) -> frozenset[str]:
    return frozenset(_id(name) for name in names) - {""}


def _id(name: Any) -> str:
    return str(name) if name else ""
