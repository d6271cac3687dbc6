"""Modals and Home tabs: who may open one (a trigger, once, within 3 s), the stack of at most three, hashes, inputs."""

from __future__ import annotations

from typing import Any

from tests.standins.slack import blocks, elements, state
from tests.standins.slack.records import Json, Refused, Trigger, View
from tests.standins.slack.wire import Args, Method

MOST_ON_STACK, MOST_BYTES = 3, 250_000
MODAL = ("type", "title", "blocks")
SHARED = ("private_metadata", "callback_id", "external_id")
MODAL_MORE = (*SHARED, "close", "submit", "clear_on_close", "notify_on_close", "submit_disabled")


def open_view(workspace: state.Workspace, args: Args) -> Json:
    body = checked(workspace, args, "modal")
    trigger = _spend(workspace, args)
    made = put(workspace, body, trigger.user)
    workspace.stacks[trigger.user] = [made.id]
    return {"view": as_json(made)}


def push(workspace: state.Workspace, args: Args) -> Json:
    body = checked(workspace, args, "modal")
    trigger = _spend(workspace, args)
    if trigger.view not in workspace.stacks.get(trigger.user, ()):
        raise Refused("invalid_trigger_id", rule="views.push takes a trigger of an open modal")
    return {"view": as_json(push_on(workspace, body, trigger.user))}


def update(workspace: state.Workspace, args: Args) -> Json:
    named = args.text("external_id")
    if bool(named) == bool(args.text("view_id")):
        raise Refused("invalid_arguments", rule="either view_id or external_id")
    found = workspace.views.get(args.text("view_id")) if not named else _external(workspace, named)
    if found is None:
        raise Refused("not_found")
    body = checked(workspace, args, found.body["type"], itself=found)
    _same_hash(args, found)
    change(workspace, found, body)
    return {"view": as_json(found)}


def publish(workspace: state.Workspace, args: Args) -> Json:
    user = workspace.users.get(args.need("user_id"))
    if user is None:
        raise Refused("invalid_arguments", rule="user_id names a user", messages=["invalid user_id"])
    found = workspace.views.get(workspace.homes.get(user.id, ""))
    body = checked(workspace, args, "home", itself=found)
    if found is None:
        found = put(workspace, body, user.id)
        workspace.homes[user.id] = found.id
    else:
        _same_hash(args, found)
        change(workspace, found, body)
    return {"view": as_json(found)}


def checked(workspace: state.Workspace, args: Args, kind: str, *, itself: View | None = None) -> Json:
    body = args.json("view", dict)
    if body is None:
        raise Refused("invalid_arguments", rule="required argument", messages=["missing required field: view"])
    if len(str(body)) > MOST_BYTES:
        raise Refused("view_too_large", rule="a view at most 250 kB")
    found = elements.Findings(surface=kind)
    if body.get("type") != kind:
        found.say("/view/type", f"must be {kind}")
    else:
        modal = kind == "modal"
        elements.keys(found, body, "/view", MODAL if modal else ("type", "blocks"), MODAL_MORE if modal else SHARED)
        for name in ("title", "submit", "close"):
            elements.text(found, body.get(name), f"/view/{name}", 24, elements.PLAIN)
        elements.string(found, body.get("private_metadata"), "/view/private_metadata", 3000, 0)
        elements.string(found, body.get("callback_id"), "/view/callback_id", 255)
        elements.string(found, body.get("external_id"), "/view/external_id", 255)
    inside = body.get("blocks") or []
    if kind == "modal" and not body.get("submit") and any(_is_input(one) for one in inside):
        found.say("/view/submit", "must have submit when the view has input blocks")
    if found.wrong:
        raise Refused("invalid_arguments", rule="view", messages=found.wrong)
    blocks.refuse(workspace, inside, kind)
    other = _external(workspace, body["external_id"]) if body.get("external_id") else None
    if other is not None and other is not itself:
        raise Refused("duplicate_external_id", rule="external_id is unique in a workspace")
    return {**body, "blocks": blocks.fill_ids(workspace, inside)}


def put(workspace: state.Workspace, body: Json, user: str) -> View:
    made = View(id=workspace.id("V"), user=user, body=body, hash=_hash(workspace))
    made.root = made.id
    workspace.views[made.id] = made
    workspace.touch()
    return made


def push_on(workspace: state.Workspace, body: Json, user: str) -> View:
    """Onto the person's stack, which must have room."""
    stack = workspace.stacks.setdefault(user, [])
    if len(stack) >= MOST_ON_STACK:
        raise Refused("push_limit_reached", rule=f"at most {MOST_ON_STACK} views on a stack")
    made = put(workspace, body, user)
    if stack:
        made.root, made.previous = stack[0], stack[-1]
    stack.append(made.id)
    return made


def change(workspace: state.Workspace, found: View, body: Json) -> None:
    found.body, found.hash = body, _hash(workspace)
    workspace.touch()


def close(workspace: state.Workspace, user: str, *, everything: bool) -> None:
    """The topmost view of a person goes, or all of them."""
    stack = workspace.stacks.get(user, [])
    for name in list(stack) if everything else stack[-1:]:
        stack.remove(name)
        workspace.views.pop(name, None)
    workspace.touch()


def as_json(view: View, values: Json | None = None) -> Json:
    answer: dict[str, Any] = {
        "id": view.id,
        "team_id": state.TEAM,
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "title": None,
        "close": None,
        "submit": None,
        "clear_on_close": False,
        "notify_on_close": False,
        **view.body,
        "state": {"values": values or {}},
        "hash": view.hash,
        "root_view_id": view.root,
        "previous_view_id": view.previous or None,
        "app_id": state.APP,
        "app_installed_team_id": state.TEAM,
        "bot_id": state.BOT,
    }
    return answer


def _spend(workspace: state.Workspace, args: Args) -> Trigger:
    """A trigger opens one view within 3 s, and is spent even when somebody else already used it."""
    trigger = workspace.triggers.get(args.need("trigger_id"))
    if trigger is None:
        raise Refused("invalid_trigger_id", rule="a trigger_id comes from Slack")
    if trigger.used:
        raise Refused("exchanged_trigger_id", rule="a trigger_id is used once")
    if workspace.now() - trigger.at > workspace.settings.trigger_seconds:
        raise Refused("expired_trigger_id", rule="a trigger_id lives 3 s")
    trigger.used = True
    return trigger


def _same_hash(args: Args, found: View) -> None:
    if args.text("hash") and args.text("hash") != found.hash:
        raise Refused("hash_conflict")


def _external(workspace: state.Workspace, name: str) -> View | None:
    return next((one for one in workspace.views.values() if one.body.get("external_id") == name), None)


def _hash(workspace: state.Workspace) -> str:
    return f"{int(workspace.now())}.{workspace.id('')}"


def _is_input(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "input"


METHODS = (
    Method(name="views.open", run=open_view),
    Method(name="views.push", run=push),
    Method(name="views.update", run=update),
    Method(name="views.publish", run=publish),
)
