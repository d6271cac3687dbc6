"""The payloads Slack sends, field by field: slash commands, events, presses of buttons, submitted and closed modals."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

from tests.standins.slack import posting, state, views
from tests.standins.slack.records import Channel, Json, Message, Refused, User, View

TYPED_MENTION = re.compile(r"(?<![\w<])([@#])([\w.-]+)")


def typed(workspace: state.Workspace, raw: str, *, linked: bool) -> str:
    """What Slack makes of the words of a slash command: entities always, `@name` and `#name` into ids where mentions
    are `linked`. Formatting stays as marks."""
    safe = html.escape(raw, quote=False)
    if not linked:
        return safe

    def mention(match: re.Match[str]) -> str:
        sign, word = match[1], match[2]
        pool: dict[str, Any] = workspace.users if sign == "@" else workspace.channels
        for found in pool.values():
            if found.name == word:
                return f"<{sign}{found.id}|{word}>"
        for group in workspace.groups.values() if sign == "@" else ():
            if group.handle == word:
                return f"<!subteam^{group.id}|@{word}>"
        return match[0]

    return TYPED_MENTION.sub(mention, safe)


def slash(workspace: state.Workspace, user: User, channel: Channel, command: str, text: str) -> Json:
    escapes = workspace.command_escapes.get(command)
    shown = {"im": "directmessage", "private": "privategroup", "public": channel.name}
    return {
        "token": state.VERIFICATION,
        "team_id": state.TEAM,
        "team_domain": "standin",
        "channel_id": channel.id,
        "channel_name": shown[channel.kind],
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": typed(workspace, text, linked=bool(escapes)),
        "api_app_id": state.APP,
        "is_enterprise_install": "true" if workspace.settings.grid == "organization" else "false",
        **({"enterprise_id": state.ENTERPRISE, "enterprise_name": "Grid"} if workspace.settings.grid else {}),
        "response_url": workspace.response_url("commands", user.id, channel.id),
        "trigger_id": workspace.trigger(user.id),
    }


def event(workspace: state.Workspace, inner: Json, *, shared: bool = False) -> Json:
    enterprise = state.ENTERPRISE if workspace.settings.grid else None
    org_wide = workspace.settings.grid == "organization"
    return {
        "token": state.VERIFICATION,
        "team_id": state.TEAM,
        "context_team_id": state.TEAM,
        "context_enterprise_id": enterprise,
        **({"enterprise_id": enterprise} if enterprise else {}),
        "api_app_id": state.APP,
        "event": inner,
        "type": "event_callback",
        "event_id": workspace.id("Ev"),
        "event_time": int(workspace.now()),
        "authorizations": [
            {
                "enterprise_id": enterprise,
                "team_id": None if org_wide else state.TEAM,
                "user_id": state.BOT_USER,
                "is_bot": True,
                "is_enterprise_install": org_wide,
            }
        ],
        "is_ext_shared_channel": shared,
        "event_context": workspace.id("EC"),
    }


def message_event(workspace: state.Workspace, kind: str, message: Message, channel: Channel, **more: Any) -> Json:
    """`app_mention` or `message`; people whom Slack counts to another workspace carry user_team and source_team."""
    inner = posting.as_json(workspace, message) | {"type": kind, "channel": channel.id, "event_ts": message.ts}
    user = workspace.users[message.author]
    if message.author != state.BOT_USER:
        inner["client_msg_id"] = str(uuid.UUID(int=workspace.random.getrandbits(128)))
    if user.team != state.TEAM:
        inner |= {"user_team": user.team, "source_team": user.team, "team": user.team}
    if kind == "message":
        inner["channel_type"] = {"im": "im", "public": "channel", "private": "group"}[channel.kind]
    return inner | more


def pressed(workspace: state.Workspace, user: User, part: Json, block_id: str, chosen: Json | None) -> Json:
    """The action of one press. `chosen` is the option picked in a menu."""
    action: Json = {"action_id": part["action_id"], "block_id": block_id, "type": part["type"]}
    if part["type"] == "button":
        action |= {key: part[key] for key in ("text", "value", "style", "url") if part.get(key)}
    elif chosen is not None:
        action["selected_option"] = chosen
    return action | {"action_ts": workspace.ts()}


def block_actions(
    workspace: state.Workspace, user: User, action: Json, *, message: Message | None = None, view: View | None = None,
    attachment: int = 0, values: Json | None = None,
) -> Json:  # fmt: skip
    """From a message (`attachment`: 1-based, 0 for the message itself), or from a view."""
    payload = _interaction(workspace, user, "block_actions", view.id if view else "")
    payload["actions"] = [action]
    if view is not None:
        payload["container"] = {"type": "view", "view_id": view.id}
        payload["view"] = views.as_json(view, values)
        return payload
    if message is None:
        raise Refused("internal_error")
    channel = workspace.channels[message.channel]
    container: Json = {
        "type": "message_attachment" if attachment else "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.only_for),
    }
    if attachment:
        container |= {"attachment_id": attachment, "is_app_unfurl": False}
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    named = {"im": "directmessage", "private": "privategroup", "public": channel.name}
    payload |= {
        "container": container,
        "channel": {"id": channel.id, "name": named[channel.kind]},
        "state": {"values": values or {}},
        "response_url": workspace.response_url(
            "actions", user.id, channel.id, source=message.ts, thread_ts=message.thread_ts
        ),
    }
    if not message.only_for:
        payload["message"] = posting.as_json(workspace, message)
    return payload


def submission(workspace: state.Workspace, user: User, view: View, values: Json) -> Json:
    payload = _interaction(workspace, user, "view_submission", view.id)
    return payload | {"view": views.as_json(view, values), "response_urls": []}


def closed(workspace: state.Workspace, user: User, view: View, *, cleared: bool) -> Json:
    payload = _interaction(workspace, user, "view_closed", view.id)
    del payload["trigger_id"]
    return payload | {"view": views.as_json(view), "is_cleared": cleared}


def _interaction(workspace: state.Workspace, user: User, kind: str, view: str) -> Json:
    grid, org_wide = workspace.settings.grid, workspace.settings.grid == "organization"
    return {
        "type": kind,
        "team": None if org_wide else {"id": state.TEAM, "domain": "standin"},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team},
        "api_app_id": state.APP,
        "token": state.VERIFICATION,
        "trigger_id": workspace.trigger(user.id, view),
        "enterprise": {"id": state.ENTERPRISE, "name": "Grid"} if grid else None,
        "is_enterprise_install": org_wide,
    }
