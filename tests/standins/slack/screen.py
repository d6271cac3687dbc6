"""A person's screen: what they see of a channel, in order, and what they can press.

Edits happen in place, ephemeral messages are on one person's screen only, deleted ones on nobody's.
"""

from __future__ import annotations

from tests.standins.slack import blocks, mentions, plain, state
from tests.standins.slack.records import Channel, File, Impossible, Json, Message, User, View


def may_see(channel: Channel, user: User) -> bool:
    return user.id in channel.members or (
        channel.kind == "public" and not user.is_restricted and state.TEAM in (user.teams or [user.team])
    )


def screen(workspace: state.Workspace, user: User, channel: Channel, thread_ts: str = "") -> list[Json]:
    """All of the channel with its threads, or one thread with its parent."""
    if not may_see(channel, user):
        raise Impossible(f"{user.name} cannot see {channel.name}")
    return [
        shown(workspace, message)
        for message in workspace.messages.values()
        if message.channel == channel.id
        and not message.deleted
        and message.only_for in ("", user.id)
        and (not thread_ts or thread_ts in (message.ts, message.thread_ts))
    ]


def shown(workspace: state.Workspace, message: Message) -> Json:
    author = workspace.users.get(message.author)
    return {
        "ts": message.ts,
        "channel": message.channel,
        "thread_ts": message.thread_ts,
        "author": author.name if author else "slackbot",
        "text": plain.message(workspace, message),
        "fallback": plain.mrkdwn(workspace, message.text),
        "ephemeral": bool(message.only_for),
        "edits": message.edits,
        "before": list(message.history),
        "buttons": [button["label"] for button in buttons(workspace, message)],
        "files": [_file(workspace.files[name]) for name in message.files],
        "fires": mentions.fires(message),
        "dangers": mentions.dangers(message),
        "links": mentions.links(message),
        "blocks": message.blocks,
    }


def shown_view(workspace: state.Workspace, view: View) -> Json:
    return {
        "id": view.id,
        "title": plain.text(workspace, view.body["title"]) if view.body.get("title") else "",
        "text": plain.view(workspace, view),
        "buttons": [button["label"] for button in buttons(workspace, view)],
        "hash": view.hash,
        "callback_id": view.body.get("callback_id", ""),
        "errors": workspace.view_errors.get(view.id, {}),
        "body": view.body,
    }


def buttons(workspace: state.Workspace, thing: Message | View) -> list[Json]:
    """Everything to press or choose, in order: one entry per button, one per option of a menu."""
    found: list[Json] = []
    for at, block in _blocks_of(thing):
        for part in blocks.interactive(block):
            common = {"action_id": part["action_id"], "block_id": block["block_id"], "attachment": at, "part": part}
            if part["type"] == "button":
                found.append(
                    common
                    | {"label": plain.text(workspace, part["text"]), "value": part.get("value"), "option": None}
                    | {"style": part.get("style", ""), "confirm": _confirm(workspace, part)}
                )
                continue
            groups = part.get("option_groups") or [{"options": part.get("options") or []}]
            for option in (option for group in groups for option in group["options"]):
                label = plain.text(workspace, option["text"])
                found.append(common | {"label": label, "value": option["value"], "option": option, "confirm": ""})
    return found


def inputs(view: View) -> list[tuple[str, Json]]:
    """Block id and element of each input of a view."""
    return [(one["block_id"], one["element"]) for one in view.body.get("blocks", ()) if one.get("type") == "input"]


def _blocks_of(thing: Message | View) -> list[tuple[int, Json]]:
    if isinstance(thing, View):
        return [(0, block) for block in thing.body.get("blocks", ())]
    own = [(0, block) for block in thing.blocks]
    return own + [(at, block) for at, one in enumerate(thing.attachments, 1) for block in one.get("blocks") or ()]


def _confirm(workspace: state.Workspace, part: Json) -> str:
    return plain.text(workspace, part["confirm"]["text"]) if part.get("confirm") else ""


def _file(file: File) -> Json:
    content = (file.content or b"").decode("utf-8", "replace")
    return {"id": file.id, "name": file.name, "title": file.title, "content": content}
