"""Turning what the product sends into a message of a channel: one way for chat.*, response urls and acks.

`content` refuses what Slack would refuse; `post`, `change` and `remove` change the channel and wake those who wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.standins.slack import blocks, elements, mentions, plain, state
from tests.standins.slack.records import Json, Message, Refused
from tests.standins.slack.wire import Args

MOST_CHARACTERS = 40_000
MOST_IN_AN_UPDATE = 4_000  # bytes, as somebody measured; Slack's documents say characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message says. `None` means the caller said nothing about it, which matters to an update."""

    text: str | None
    blocks: list[Json] | None
    attachments: list[Json] | None
    loud: bool = False
    metadata: Json = field(default_factory=dict)


def content(workspace: state.Workspace, args: Args, *, most_bytes: int = 0) -> Content:
    """`most_bytes`: of the text; 0 for MOST_CHARACTERS."""
    text = args.values.get("text")
    if text is not None and not isinstance(text, str):
        raise Refused("invalid_arguments", rule="text is a string")
    given = args.json("blocks", list, "invalid_blocks_format")
    attached = args.json("attachments", list, "invalid_attachments")
    if not (text and text.strip()) and not given and not attached:
        raise Refused("no_text", rule="a message says something")
    if text and most_bytes and elements.size(text) > most_bytes:
        said = f"{elements.size(text)} bytes"
        raise Refused("msg_too_long", rule=f"text at most {most_bytes} bytes", messages=[said])
    if text and len(text) > MOST_CHARACTERS:
        raise Refused("msg_too_long", rule=f"text at most {MOST_CHARACTERS}", messages=[f"{len(text)} characters"])
    every = list(given or [])
    for one in attached or ():
        if not isinstance(one, dict):
            raise Refused("invalid_attachments", rule="attachments are objects")
        every += one.get("blocks") or []
    blocks.refuse(workspace, every)
    return Content(
        text=text,
        blocks=None if given is None else blocks.fill_ids(workspace, given),
        attachments=None if attached is None else [_attachment(workspace, one) for one in attached],
        loud=args.text("parse") == "full" or args.flag("link_names"),
        metadata=args.json("metadata", dict) or {},
    )


def _attachment(workspace: state.Workspace, one: Json) -> Json:
    return {**one, "blocks": blocks.fill_ids(workspace, one["blocks"])} if one.get("blocks") else one


def thread(workspace: state.Workspace, method: str, channel: str, thread_ts: str) -> str:
    """The ts of the thread's parent, which the product should have named itself."""
    if not thread_ts:
        return ""
    parent = workspace.messages.get(thread_ts)
    if parent is None or parent.channel != channel or parent.only_for:
        raise Refused("thread_not_found", rule="thread_ts names a message of that channel")
    if parent.thread_ts and parent.thread_ts != parent.ts:
        workspace.break_rule(method, "thread_ts is the parent's, not a reply's", thread_ts)
        return parent.thread_ts
    return thread_ts


def post(
    workspace: state.Workspace, said: Content, *, channel: str, author: str, thread_ts: str = "", only_for: str = "",
    files: tuple[str, ...] = (), broadcast: bool = False,
) -> Message:  # fmt: skip
    message = Message(
        ts=workspace.ts(),
        channel=channel,
        author=author,
        text=said.text or "",
        blocks=said.blocks or [],
        attachments=said.attachments or [],
        thread_ts=thread_ts,
        only_for=only_for,
        files=list(files),
        loud=said.loud,
        broadcast=broadcast,
        metadata=said.metadata,
    )
    workspace.messages[message.ts] = message
    _tell(workspace, "posted", message)
    return message


def change(workspace: state.Workspace, message: Message, said: Content) -> None:
    """Edits in place. Blocks and attachments that are not spoken of stay, as in Slack."""
    again = {one.get("block_id") for one in message.blocks} & {one.get("block_id") for one in said.blocks or ()}
    if again and message.author == state.BOT_USER:
        workspace.break_rule("chat.update", "a new block_id with each edit", sorted(map(str, again)))
    message.history.append(plain.message(workspace, message))
    message.fired += mentions.fires(message) + mentions.dangers(message)
    message.edits += 1
    if said.text is not None:
        message.text = said.text
    if said.blocks is not None:
        message.blocks = said.blocks
    if said.attachments is not None:
        message.attachments = said.attachments
    message.loud = message.loud or said.loud
    _tell(workspace, "changed", message)


def remove(workspace: state.Workspace, message: Message) -> None:
    message.deleted = True
    _tell(workspace, "removed", message)


def _tell(workspace: state.Workspace, what: str, message: Message) -> None:
    workspace.touch()
    for listener in workspace.listeners:
        listener(what, message)


def as_json(workspace: state.Workspace, message: Message) -> Json:
    """The message as Slack sends it to the product."""
    user = workspace.users.get(message.author)
    answer: Json = {"type": "message", "user": message.author, "text": message.text, "ts": message.ts}
    if user is not None:
        answer["team"] = user.team
    if message.author == state.BOT_USER:
        answer |= {"bot_id": state.BOT, "app_id": state.APP}
        answer["bot_profile"] = {"id": state.BOT, "app_id": state.APP, "name": "quarterdeck", "team_id": state.TEAM}
    optional: dict[str, Any] = {
        "blocks": message.blocks,
        "attachments": message.attachments,
        "thread_ts": message.thread_ts,
        "metadata": message.metadata,
    }
    answer |= {name: value for name, value in optional.items() if value}
    if message.edits:
        answer["edited"] = {"user": message.author, "ts": message.ts}
    if message.files:
        answer["files"] = [{"id": name, "name": workspace.files[name].name} for name in message.files]
    return answer
