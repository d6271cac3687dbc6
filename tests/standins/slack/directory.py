"""Who and where: auth, users, conversations, user groups. Only reads, except opening a DM."""

from __future__ import annotations

from collections.abc import Callable

from tests.standins.slack import posting, state
from tests.standins.slack.records import Channel, Group, Json, Message, Refused, User
from tests.standins.slack.wire import Args, Method

PREFIX = {"public": "channels", "private": "groups", "im": "im"}


def auth_test(workspace: state.Workspace, args: Args) -> Json:
    org_wide = workspace.settings.grid == "organization"
    answer: Json = {
        "url": "https://standin.slack.com/",
        "team": "Grid" if org_wide else "Standin",
        "user": workspace.users[state.BOT_USER].name,
        "team_id": state.ENTERPRISE if org_wide else state.TEAM,
        "user_id": state.BOT_USER,
        "bot_id": state.BOT,
        "is_enterprise_install": org_wide,
    }
    return answer | ({"enterprise_id": state.ENTERPRISE} if workspace.settings.grid else {})


def api_test(workspace: state.Workspace, args: Args) -> Json:
    if "error" in args:
        raise Refused(args.text("error"), args=args.values)
    return {"args": args.values}


def open_conversation(workspace: state.Workspace, args: Args) -> Json:
    if "channel" in args:
        channel = visible(workspace, args.text("channel"))
        return {"no_op": True, "already_open": True, "channel": {"id": channel.id}}
    users = [word for word in args.text("users").replace(" ", "").split(",") if word]
    if not users:
        raise Refused("users_list_not_supplied", rule="required argument")
    if len(users) > 1:
        raise Refused("method_not_supported_for_channel_type", rule="the stand-in opens DMs with one person only")
    user = workspace.users.get(users[0])
    if user is None:
        raise Refused("user_not_found")
    if user.is_bot:
        raise Refused("cannot_dm_bot")
    if user.deleted:
        raise Refused("user_disabled")
    if not workspace.is_member(user):
        raise Refused("user_not_visible")
    return {"channel": {"id": workspace.dm(user.id).id}}


def conversation(workspace: state.Workspace, args: Args) -> Json:
    channel = visible(workspace, args.need("channel"))
    answer = as_json(channel)
    if args.flag("include_num_members"):
        answer["num_members"] = len(channel.members)
    return {"channel": answer}


def history(workspace: state.Workspace, args: Args) -> Json:
    """The messages of a channel, the newest first, without those in threads."""
    channel = visible(workspace, args.need("channel"))
    if state.BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    found = [one for one in _messages(workspace, channel, args) if one.thread_ts in ("", one.ts)]
    page, cursor = _page([one.ts for one in reversed(found)], args)
    return _shown(workspace, page, cursor, args)


def replies(workspace: state.Workspace, args: Args) -> Json:
    """A thread: its parent, and the replies, the oldest first."""
    channel, ts = visible(workspace, args.need("channel")), args.need("ts")
    parent = workspace.messages.get(ts)
    if parent is None or parent.channel != channel.id or parent.only_for:
        raise Refused("thread_not_found", rule="ts names a message of that channel")
    found = [one for one in _messages(workspace, channel, args) if one.thread_ts == ts and one.ts != ts]
    page, cursor = _page([ts, *(one.ts for one in found)], args)
    return _shown(workspace, page, cursor, args)


def _messages(workspace: state.Workspace, channel: Channel, args: Args) -> list[Message]:
    """What is there after `oldest`, the oldest first; ephemeral messages are in no history."""
    oldest = float(args.text("oldest", "0"))
    found = [one for one in workspace.messages.values() if one.channel == channel.id and not one.only_for]
    return sorted((one for one in found if not one.deleted and float(one.ts) > oldest), key=lambda one: float(one.ts))


def _shown(workspace: state.Workspace, page: list[str], cursor: str, args: Args) -> Json:
    shown = [posting.as_json(workspace, workspace.messages[ts]) for ts in page]
    if not args.flag("include_all_metadata"):
        for one in shown:
            one.pop("metadata", None)
    return {"messages": shown, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}


def members(workspace: state.Workspace, args: Args) -> Json:
    channel = visible(workspace, args.need("channel"))
    everyone = sorted(channel.members)
    page, cursor = _page(everyone, args)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def user(workspace: state.Workspace, args: Args) -> Json:
    found = workspace.users.get(args.need("user"))
    if found is None:
        raise Refused("user_not_found")
    return {"user": person(workspace, found)}


def groups(workspace: state.Workspace, args: Args) -> Json:
    with_users = args.flag("include_users")
    team = state.TEAM
    if workspace.settings.grid == "organization":
        if not args.text("team_id"):
            raise Refused("missing_argument", rule="a token of an organization names the workspace")
        team = args.text("team_id")
    return {"usergroups": [group(one, with_users=with_users) for one in workspace.groups.values() if one.team == team]}


def group_users(workspace: state.Workspace, args: Args) -> Json:
    found = workspace.groups.get(args.need("usergroup"))
    if found is None:
        raise Refused("no_such_subteam")
    return {"users": list(found.users)}


def visible(workspace: state.Workspace, word: str) -> Channel:
    channel = workspace.channels.get(word)
    if channel is None or (channel.kind != "public" and state.BOT_USER not in channel.members):
        raise Refused("channel_not_found")
    return channel


def as_json(channel: Channel) -> Json:
    answer: Json = {
        "id": channel.id,
        "is_channel": channel.kind == "public",
        "is_group": False,
        "is_im": channel.kind == "im",
        "is_mpim": False,
        "is_private": channel.kind != "public",
        "is_archived": channel.archived,
        "is_member": state.BOT_USER in channel.members,
        "is_ext_shared": channel.shared,
        "is_org_shared": False,
        "is_shared": channel.shared,
        "context_team_id": state.TEAM,
    }
    return answer | ({"user": channel.user} if channel.kind == "im" else {"name": channel.name})


def person(workspace: state.Workspace, found: User) -> Json:
    stranger = not workspace.is_member(found) and not found.teams
    answer: Json = {
        "id": found.id,
        "team_id": found.team,
        "name": found.name,
        "real_name": found.name.title(),
        "deleted": found.deleted,
        "tz": "Europe/Berlin",
        "tz_offset": 3600,
        "profile": {"real_name": found.name.title(), "display_name": found.name, "team": found.team},
        "is_bot": found.is_bot,
        "is_app_user": False,
        "updated": 1_700_000_000,
    }
    if stranger:
        return answer | {"is_stranger": True}
    if workspace.settings.grid:
        answer["enterprise_user"] = {
            "id": found.id,
            "enterprise_id": state.ENTERPRISE,
            "enterprise_name": "Grid",
            "is_admin": False,
            "is_owner": False,
            "teams": found.teams or [found.team],
        }
    return answer | {
        "is_admin": found.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": found.is_restricted,
        "is_ultra_restricted": found.is_ultra_restricted,
    }


def group(found: Group, *, with_users: bool) -> Json:
    answer: Json = {
        "id": found.id,
        "team_id": found.team,
        "enterprise_subteam_id": found.id if found.organization else "",
        "is_usergroup": True,
        "name": found.name,
        "description": "",
        "handle": found.handle,
        "is_external": False,
        "date_create": 1_700_000_000,
        "date_update": 1_700_000_000,
        "date_delete": 0,
        "auto_type": None,
        "created_by": "U0ADA",
        "updated_by": "U0ADA",
        "deleted_by": None,
        "prefs": {"channels": [], "groups": []},
        "user_count": len(found.users),
    }
    return answer | ({"users": list(found.users)} if with_users else {})


def _page(everything: list[str], args: Args) -> tuple[list[str], str]:
    limit, cursor = args.number("limit", 100), args.text("cursor")
    if not 1 <= limit <= 1000:
        raise Refused("invalid_limit", rule="limit between 1 and 1000")
    if cursor and not cursor.startswith("at:"):
        raise Refused("invalid_cursor", rule="a cursor comes from Slack")
    start = int(cursor.removeprefix("at:") or 0)
    more = start + limit < len(everything)
    return everything[start : start + limit], f"at:{start + limit}" if more else ""


def _by_kind(verb: str) -> Callable[[state.Workspace, Args], str]:
    def scope(workspace: state.Workspace, args: Args) -> str:
        channel = workspace.channels.get(args.text("channel"))
        return f"{PREFIX[channel.kind if channel else 'public']}:{verb}"

    return scope


METHODS = (
    Method(name="api.test", run=api_test, token="none", get=True),
    Method(name="auth.test", run=auth_test, token="any", get=True),
    Method(name="conversations.open", run=open_conversation, scope="im:write"),
    Method(name="conversations.info", run=conversation, scope=_by_kind("read"), get=True, json=False),
    Method(name="conversations.members", run=members, scope=_by_kind("read"), get=True, json=False),
    Method(name="conversations.history", run=history, scope=_by_kind("history"), get=True, json=False),
    Method(name="conversations.replies", run=replies, scope=_by_kind("history"), get=True, json=False),
    Method(name="users.info", run=user, scope="users:read", get=True, json=False),
    Method(name="usergroups.list", run=groups, scope="usergroups:read", get=True, json=False),
    Method(name="usergroups.users.list", run=group_users, scope="usergroups:read", get=True, json=False),
)
