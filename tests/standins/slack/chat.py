"""chat.*: what may be said where, by a bot that is or is not in the channel."""

from __future__ import annotations

from tests.standins.slack import posting, state
from tests.standins.slack.records import Channel, Json, Message, Refused
from tests.standins.slack.wire import Args, Method


def speakable(workspace: state.Workspace, word: str) -> Channel:
    """The channel of a post: an id, `#name`, or a person's id for their DM with the bot."""
    if word in workspace.users:
        user = workspace.users[word]
        if user.deleted or user.is_bot or not workspace.is_member(user):
            raise Refused("channel_not_found")
        return workspace.dm(word)
    channel = workspace.channels.get(word)
    if channel is None and word.startswith("#"):
        channel = next((one for one in workspace.channels.values() if one.name == word[1:]), None)
    inside = channel is not None and state.BOT_USER in channel.members
    if channel is None or (channel.kind != "public" and not inside):
        raise Refused("channel_not_found")
    if channel.archived:
        raise Refused("is_archived")
    return channel


def post(workspace: state.Workspace, args: Args) -> Json:
    channel = speakable(workspace, args.need("channel"))
    if state.BOT_USER not in channel.members and "chat:write.public" not in workspace.scopes:
        raise Refused("not_in_channel")
    said = posting.content(workspace, args)
    parent = posting.thread(workspace, "chat.postMessage", channel.id, args.text("thread_ts"))
    broadcast = args.flag("reply_broadcast")
    message = posting.post(
        workspace, said, channel=channel.id, author=state.BOT_USER, thread_ts=parent, broadcast=broadcast
    )
    return {"channel": channel.id, "ts": message.ts, "message": posting.as_json(workspace, message)}


def post_ephemeral(workspace: state.Workspace, args: Args) -> Json:
    channel, user = speakable(workspace, args.need("channel")), args.need("user")
    if state.BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    said = posting.content(workspace, args)
    parent = posting.thread(workspace, "chat.postEphemeral", channel.id, args.text("thread_ts"))
    message = posting.post(workspace, said, channel=channel.id, author=state.BOT_USER, thread_ts=parent, only_for=user)
    return {"message_ts": message.ts}


def update(workspace: state.Workspace, args: Args) -> Json:
    message = _own(workspace, args, "cant_update_message")
    said = posting.content(workspace, args, most_bytes=posting.MOST_IN_AN_UPDATE)
    if message.blocks and said.text is not None and said.blocks is None:
        # Slack's documents and its behaviour have disagreed on whether the old blocks stay; say it, then both agree.
        workspace.break_rule("chat.update", "an update of a message with blocks says `blocks`, even if []", said.text)
    posting.change(workspace, message, said)
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": message.text,
        "message": posting.as_json(workspace, message),
    }


def delete(workspace: state.Workspace, args: Args) -> Json:
    message = _own(workspace, args, "cant_delete_message")
    posting.remove(workspace, message)
    return {"channel": message.channel, "ts": message.ts}


def _own(workspace: state.Workspace, args: Args, otherwise: str) -> Message:
    """The bot's own lasting message; an ephemeral one is not to be found, however right its ts is."""
    channel = workspace.channels.get(args.need("channel"))
    ts = args.need("ts")
    if channel is None or (channel.kind != "public" and state.BOT_USER not in channel.members):
        rule = "chat.update and chat.delete take a channel id" if args.text("channel") in workspace.users else ""
        raise Refused("channel_not_found", rule=rule)
    message = workspace.messages.get(ts)
    if message is not None and message.only_for:
        raise Refused("message_not_found", rule="an ephemeral message changes only through a response_url")
    if message is None or message.deleted or message.channel != channel.id:
        raise Refused("message_not_found")
    if message.author != state.BOT_USER:
        raise Refused(otherwise, rule="a bot changes only its own messages")
    if channel.archived:
        raise Refused("is_archived")
    return message


METHODS = (
    Method(name="chat.postMessage", run=post, scope="chat:write"),
    Method(name="chat.postEphemeral", run=post_ephemeral, scope="chat:write"),
    Method(name="chat.update", run=update, scope="chat:write"),
    Method(name="chat.delete", run=delete, scope="chat:write"),
)
