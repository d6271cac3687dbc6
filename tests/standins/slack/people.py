"""What people do at Slack's screen, and which payloads the product gets for it.

Whatever Slack's own client would not let them do raises `Impossible`: speaking in a channel they are not in, a slash
command inside a thread, a button they cannot see. Each deed returns what it made: ts, envelope id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.standins.slack import composer, delivery, payloads, plain, posting, screen, state, views
from tests.standins.slack.records import Channel, Delivery, Impossible, Json, Message, User, View

PICKED = {
    "users_select": "user",
    "channels_select": "channel",
    "conversations_select": "conversation",
    "datepicker": "date",
    "timepicker": "time",
    "datetimepicker": "date_time",
}


class People:
    def __init__(self, workspace: state.Workspace, deliveries: delivery.Deliveries) -> None:
        self._workspace, self._deliveries = workspace, deliveries

    async def say(
        self, user: str, channel: str, text: str, thread_ts: str | None = None, subtype: str = "",
        blocks: list[Json] | None = None,
    ) -> Json:  # fmt: skip
        """Types a message into Slack's editor. The product hears of it in its DM, or where it is in and mentioned.
        `subtype` `thread_broadcast`: sent to the thread and to the channel; `file_share`: with a file; `me_message`:
        by `/me`, which has no rich text. `blocks`: rich text that differs from what typing gives."""
        workspace, who, where = self._workspace, self._workspace.user(user), self._workspace.channel(channel)
        self._must_be_in(who, where)
        parent = self._seen(who, thread_ts) if thread_ts else None
        if subtype == "thread_broadcast" and parent is None:
            raise Impossible("only a reply in a thread can be sent to the channel too")
        said = self._typed(text, blocks, rich=subtype != "me_message")
        message = posting.post(
            workspace,
            said,
            channel=where.id,
            author=who.id,
            thread_ts=(parent.thread_ts or parent.ts) if parent else "",
        )
        more: Json = {"subtype": subtype} if subtype else {}
        if subtype == "thread_broadcast" and parent is not None:
            more["root"] = posting.as_json(workspace, parent)
        if subtype == "file_share":
            file = {"id": workspace.id("F"), "name": "notes.txt", "mimetype": "text/plain", "size": 12}
            more |= {"files": [file], "upload": False, "display_as_bot": False}
        if who.is_bot:
            more |= {"subtype": "bot_message", "bot_id": f"B{who.id[1:]}"}
        sent = await self._tell(message, where, more)
        return {"ts": message.ts, "envelope_id": sent}

    async def edit(self, user: str, ts: str, text: str) -> Json:
        """Edits an own message: `message_changed` in a DM, a second app_mention with `edited` elsewhere."""
        workspace, who = self._workspace, self._workspace.user(user)
        message = self._seen(who, ts)
        if message.author != who.id:
            raise Impossible("people edit their own messages only")
        before = posting.as_json(workspace, message)
        said = self._typed(text)
        posting.change(workspace, message, said)
        where = workspace.channels[message.channel]
        if where.kind == "im":
            inner = self._changed(message, where, before)
            made = await self._deliveries.send("events_api", payloads.event(workspace, inner))
            return {"ts": ts, "envelope_id": made.envelope_id}
        return {"ts": ts, "envelope_id": await self._tell(message, where, {})}

    async def slash(self, user: str, channel: str, command: str, text: str = "", thread_ts: str | None = None) -> Json:
        workspace, who, where = self._workspace, self._workspace.user(user), self._workspace.channel(channel)
        if thread_ts:
            raise Impossible("slash commands do not work in threads")
        if command not in workspace.command_escapes or "commands" not in workspace.scopes:
            raise Impossible(f"{command} is not a valid command")
        if who.is_bot or not workspace.is_member(who):
            raise Impossible(f"{who.name} has no slash commands of this workspace")
        self._must_be_in(who, where)
        payload = payloads.slash(workspace, who, where, command, text)
        made = await self._deliveries.send("slash_commands", payload)
        return _handed(made, payload)

    async def click(self, user: str, message: str | Json, label: str, values: Mapping[str, Any] | None = None) -> Json:
        """Presses a button, or picks an option of a menu, by what stands on it. `message`: a ts, a view id, or what
        `screen` gave. A confirmation is confirmed."""
        workspace, who = self._workspace, self._workspace.user(user)
        name = message if isinstance(message, str) else str(message.get("ts") or message["id"])
        view = workspace.views.get(name)
        thing: Message | View = view or self._seen(who, name)
        if view is not None and view.user != who.id:
            raise Impossible(f"{who.name} does not see that view")
        shown = screen.buttons(workspace, thing)
        found = next((one for one in shown if one["label"] == label), None)
        if found is None:
            raise Impossible(f"there is no button {label!r}, only {[one['label'] for one in shown]}")
        action = payloads.pressed(workspace, who, found["part"], found["block_id"], found["option"])
        payload = payloads.block_actions(
            workspace,
            who,
            action,
            message=thing if isinstance(thing, Message) else None,
            view=view,
            attachment=found["attachment"],
            values=_state(screen.inputs(view), values or {}) if view is not None else None,
        )
        made = await self._deliveries.send("interactive", payload)
        return _handed(made, payload)

    async def submit(self, user: str, values: Mapping[str, Any] | None = None, view: str = "") -> Json:
        """Fills in and submits a modal, by default the topmost. `values` by action id, block id or label."""
        workspace, who = self._workspace, self._workspace.user(user)
        top = self._modal(who, view)
        if not top.body.get("submit"):
            raise Impossible("that view has nothing to submit")
        asked = [one for one in top.body["blocks"] if one["type"] == "input"]
        named = {plain.text(workspace, one["label"]): one["block_id"] for one in asked}
        given = {named.get(key, key): value for key, value in (values or {}).items()}
        filled = _state(screen.inputs(top), given)
        for block in asked:
            entered = filled[block["block_id"]][block["element"]["action_id"]]
            if not block.get("optional") and all(not value for key, value in entered.items() if key != "type"):
                raise Impossible(f"{plain.text(workspace, block['label'])} is required")
        workspace.view_errors.pop(top.id, None)
        made = await self._deliveries.send("interactive", payloads.submission(workspace, who, top, filled))
        return {"envelope_id": made.envelope_id, "view_id": top.id}

    async def dismiss(self, user: str) -> Json:
        """Closes the topmost modal; the product hears of it if it asked to."""
        workspace, who = self._workspace, self._workspace.user(user)
        top = self._modal(who, "")
        everything = bool(top.body.get("clear_on_close"))
        views.close(workspace, who.id, everything=everything)
        if not top.body.get("notify_on_close"):
            return {"envelope_id": ""}
        payload = payloads.closed(workspace, who, top, cleared=everything)
        return {"envelope_id": (await self._deliveries.send("interactive", payload)).envelope_id}

    async def open_home(self, user: str) -> Json:
        workspace, who = self._workspace, self._workspace.user(user)
        where = workspace.dm(who.id)
        inner: Json = {
            "type": "app_home_opened",
            "user": who.id,
            "channel": where.id,
            "tab": "home",
            "event_ts": workspace.ts(),
        }
        home = workspace.views.get(workspace.homes.get(who.id, ""))
        if home is not None:
            inner["view"] = views.as_json(home)
        made = await self._deliveries.send("events_api", payloads.event(workspace, inner))
        return {"envelope_id": made.envelope_id}

    async def invite(self, user: str, channel: str, who: str = state.BOT_USER) -> Json:
        """`user` invites `who`, by default the bot, which hears of it if it may read that kind of channel."""
        workspace, inviter = self._workspace, self._workspace.user(user)
        where, guest = workspace.channel(channel), workspace.user(who)
        self._must_be_in(inviter, where)
        where.members.add(guest.id)
        workspace.touch()
        scope = "channels:read" if where.kind == "public" else "groups:read"
        if state.BOT_USER not in where.members or scope not in workspace.scopes:
            return {"envelope_id": ""}
        inner = {
            "type": "member_joined_channel",
            "user": guest.id,
            "channel": where.id,
            "channel_type": "C" if where.kind == "public" else "G",
            "team": guest.team,
            "inviter": inviter.id,
            "event_ts": workspace.ts(),
        }
        made = await self._deliveries.send("events_api", payloads.event(workspace, inner, shared=where.shared))
        return {"envelope_id": made.envelope_id}

    def _typed(self, text: str, blocks: list[Json] | None = None, *, rich: bool = True) -> posting.Content:
        made = blocks or (composer.blocks(self._workspace, text) if rich else None)
        return posting.Content(text=composer.text(self._workspace, text), blocks=made, attachments=None)

    # what the product hears

    async def _tell(self, message: Message, where: Channel, more: Json) -> str:
        """The envelope id of the event, empty when Slack would send none."""
        workspace = self._workspace
        called = state.BOT_USER in where.members and f"<@{state.BOT_USER}>" in message.text
        if where.kind == "im" and "im:history" in workspace.scopes:
            inner = payloads.message_event(workspace, "message", message, where, **more)
        elif where.kind != "im" and called and "app_mentions:read" in workspace.scopes:
            inner = payloads.message_event(workspace, "app_mention", message, where, **more)
        else:
            return ""
        made = await self._deliveries.send("events_api", payloads.event(workspace, inner, shared=where.shared))
        return made.envelope_id

    async def echo(self, what: str, message: Message) -> None:
        """The bot's own messages in a DM come back to it as events."""
        workspace, where = self._workspace, self._workspace.channels[message.channel]
        if what == "posted":
            inner = payloads.message_event(workspace, "message", message, where)
        else:
            inner = self._changed(message, where, posting.as_json(workspace, message))
        await self._deliveries.send("events_api", payloads.event(workspace, inner))

    def _changed(self, message: Message, where: Channel, before: Json) -> Json:
        return {
            "type": "message",
            "subtype": "message_changed",
            "hidden": True,
            "message": posting.as_json(self._workspace, message),
            "previous_message": before,
            "channel": where.id,
            "channel_type": "im",
            "ts": (now := self._workspace.ts()),
            "event_ts": now,
        }

    # what people can reach

    def _must_be_in(self, who: User, where: Channel) -> None:
        if who.id not in where.members:
            raise Impossible(f"{who.name} is not in {where.name}")
        if where.archived:
            raise Impossible(f"{where.name} is archived")

    def _seen(self, who: User, ts: str) -> Message:
        message = self._workspace.messages.get(ts)
        if message is None or message.deleted or message.only_for not in ("", who.id):
            raise Impossible(f"{who.name} sees no message {ts}")
        if not screen.may_see(self._workspace.channels[message.channel], who):
            raise Impossible(f"{who.name} cannot see that channel")
        return message

    def _modal(self, who: User, name: str) -> View:
        stack = self._workspace.stacks.get(who.id, [])
        if not stack or (name and name != stack[-1]):
            raise Impossible(f"{who.name} has no such modal on screen")
        return self._workspace.views[stack[-1]]


def _handed(made: Delivery, payload: Json) -> Json:
    """What a test may want to hold against the product's later calls."""
    return {
        "envelope_id": made.envelope_id,
        "trigger_id": payload["trigger_id"],
        "response_url": payload.get("response_url", ""),
    }


def _state(inputs: list[tuple[str, Json]], values: Mapping[str, Any]) -> Json:
    """`state.values` of a view: what was given, else what stood there."""
    filled: Json = {}
    for block_id, element in inputs:
        value = values.get(element["action_id"], values.get(block_id))
        filled[block_id] = {element["action_id"]: {"type": element["type"]} | _entered(element, value)}
    return filled


def _entered(element: Json, value: Any) -> Json:
    kind = element["type"]
    if kind in ("static_select", "radio_buttons", "external_select"):
        return {"selected_option": _option(element, value) if value is not None else element.get("initial_option")}
    if kind in ("multi_static_select", "checkboxes"):
        chosen = [_option(element, one) for one in value] if value is not None else element.get("initial_options")
        return {"selected_options": chosen or []}
    if kind in PICKED:
        key = PICKED[kind]
        return {f"selected_{key}": value if value is not None else element.get(f"initial_{key}")}
    if kind == "multi_users_select":
        return {"selected_users": value if value is not None else element.get("initial_users", [])}
    return {"value": str(value) if value is not None else element.get("initial_value")}


def _option(element: Json, value: str) -> Json:
    groups = element.get("option_groups") or [{"options": element.get("options") or []}]
    for option in (option for group in groups for option in group["options"]):
        if value in (option["value"], option["text"]["text"]):
            return {key: option[key] for key in ("text", "value")}
    raise Impossible(f"there is no option {value!r}")
