"""Block Kit's smaller parts: text objects, options, buttons, menus, inputs. Each check writes what is wrong, with a
JSON pointer, into `Findings`; nothing raises, so that one answer names every mistake, as Slack's does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

BOTH = ("plain_text", "mrkdwn")
PLAIN = ("plain_text",)


@dataclass(slots=True)
class Findings:
    """`wrong`: mistakes of whoever built the blocks. `not_yet`: block types this workspace has not got."""

    surface: str = "message"
    rollout: frozenset[str] = frozenset()
    long_tables: bool = True
    wrong: list[str] = field(default_factory=list)
    not_yet: list[str] = field(default_factory=list)
    block_ids: set[str] = field(default_factory=set)
    row_actions: set[str] = field(default_factory=set)
    tables: int = 0
    charts: int = 0
    markdown: int = 0

    def say(self, where: str, what: str) -> None:
        self.wrong.append(f"{what} [json-pointer:{where}]")


def keys(found: Findings, value: Any, where: str, required: Iterable[str], optional: Iterable[str] = ()) -> bool:
    """Whether `value` is an object with these keys and no others."""
    if not isinstance(value, dict):
        found.say(where, "must provide an object")
        return False
    good, required = True, tuple(required)
    for name in required:
        if value.get(name) is None:
            found.say(where, f"missing required field: {name}")
            good = False
    for name in value:
        if name not in required and name not in optional and value[name] is not None:
            found.say(where, f"invalid additional property: {name}")
            good = False
    return good


IN_BYTES = 3000
"""Texts with this limit or a longer one are counted in bytes: Slack's documents say characters, and people who send
emoji have seen bytes counted. The strictest reading counts."""


def size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def string(found: Findings, value: Any, where: str, limit: int, least: int = 1) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        found.say(where, "must provide a string")
    elif len(value) < least:
        found.say(where, f"must be more than {least - 1} characters")
    elif (size(value) if limit >= IN_BYTES else len(value)) > limit:
        found.say(where, f"must be less than {limit + 1} characters")


def listing(found: Findings, value: Any, where: str, limit: int, least: int = 1) -> list[Any]:
    if not isinstance(value, list):
        found.say(where, "must provide an array")
        return []
    if len(value) < least:
        found.say(where, f"no fewer than {least} items allowed")
    if len(value) > limit:
        found.say(where, f"no more than {limit} items allowed")
    return value


def text(found: Findings, value: Any, where: str, limit: int, kinds: tuple[str, ...] = BOTH) -> None:
    if value is None:
        return
    if isinstance(value, dict) and value.get("type") not in kinds:
        found.say(where, f"must be one of: {', '.join(kinds)}")
        return
    own = "emoji" if isinstance(value, dict) and value.get("type") == "plain_text" else "verbatim"
    if keys(found, value, where, ("type", "text"), (own,)):
        string(found, value["text"], f"{where}/text", limit)
        if not isinstance(value.get(own, False), bool):
            found.say(f"{where}/{own}", "must be a boolean")


def confirm(found: Findings, value: Any, where: str) -> None:
    if value is not None and keys(found, value, where, ("title", "text", "confirm", "deny"), ("style",)):
        text(found, value["title"], f"{where}/title", 100, PLAIN)
        text(found, value["text"], f"{where}/text", 300)
        text(found, value["confirm"], f"{where}/confirm", 30, PLAIN)
        text(found, value["deny"], f"{where}/deny", 30, PLAIN)


def options(found: Findings, value: Any, where: str, limit: int, kinds: tuple[str, ...] = PLAIN) -> None:
    for at, option in enumerate(listing(found, value, where, limit)):
        place = f"{where}/{at}"
        if keys(found, option, place, ("text", "value"), ("description", "url")):
            text(found, option["text"], f"{place}/text", 75, kinds)
            string(found, option["value"], f"{place}/value", 150)
            text(found, option.get("description"), f"{place}/description", 75, kinds)


COMMON = ("action_id", "confirm", "focus_on_load")
MENU = (*COMMON, "placeholder")


def _button(found: Findings, value: Any, where: str) -> None:
    more = ("action_id", "url", "value", "style", "confirm", "accessibility_label")
    if keys(found, value, where, ("type", "text"), more):
        text(found, value["text"], f"{where}/text", 75, PLAIN)
        string(found, value.get("value"), f"{where}/value", 2000)
        string(found, value.get("url"), f"{where}/url", 3000)
        string(found, value.get("accessibility_label"), f"{where}/accessibility_label", 75)
        if value.get("style") not in (None, "primary", "danger"):
            found.say(f"{where}/style", "must be one of: primary, danger")


def _menu(found: Findings, value: Any, where: str) -> None:
    more = (*MENU, "options", "option_groups", "initial_option", "initial_options", "max_selected_items")
    if keys(found, value, where, ("type",), more):
        if (value.get("options") is None) == (value.get("option_groups") is None):
            found.say(where, "exactly one of options and option_groups is needed")
        if value.get("options") is not None:
            options(found, value["options"], f"{where}/options", 100)
        for at, group in enumerate(value.get("option_groups") or ()):
            if keys(found, group, f"{where}/option_groups/{at}", ("label", "options")):
                text(found, group["label"], f"{where}/option_groups/{at}/label", 75, PLAIN)
                options(found, group["options"], f"{where}/option_groups/{at}/options", 100)
        text(found, value.get("placeholder"), f"{where}/placeholder", 150, PLAIN)


def _choices(limit: int, kinds: tuple[str, ...]) -> Callable[[Findings, Any, str], None]:
    def check(found: Findings, value: Any, where: str) -> None:
        if keys(found, value, where, ("type", "options"), (*COMMON, "initial_option", "initial_options")):
            options(found, value["options"], f"{where}/options", limit, kinds)

    return check


def _typed(*more: str) -> Callable[[Findings, Any, str], None]:
    """Inputs whose own keys need no closer look."""

    def check(found: Findings, value: Any, where: str) -> None:
        if keys(found, value, where, ("type",), (*MENU, *more)):
            text(found, value.get("placeholder"), f"{where}/placeholder", 150, PLAIN)

    return check


def _image(found: Findings, value: Any, where: str) -> None:
    if keys(found, value, where, ("type", "alt_text"), ("image_url", "slack_file")):
        string(found, value.get("image_url"), f"{where}/image_url", 3000)
        string(found, value["alt_text"], f"{where}/alt_text", 2000)


LENGTHS = ("min_length", "max_length", "multiline", "dispatch_action_config", "initial_value")
ELEMENTS: dict[str, Callable[[Findings, Any, str], None]] = {
    "button": _button,
    "static_select": _menu,
    "multi_static_select": _menu,
    "overflow": _choices(5, PLAIN),
    "checkboxes": _choices(10, BOTH),
    "radio_buttons": _choices(10, BOTH),
    "users_select": _typed("initial_user"),
    "multi_users_select": _typed("initial_users", "max_selected_items"),
    "channels_select": _typed("initial_channel", "response_url_enabled"),
    "conversations_select": _typed(
        "initial_conversation", "default_to_current_conversation", "filter", "response_url_enabled"
    ),
    "external_select": _typed("initial_option", "min_query_length"),
    "datepicker": _typed("initial_date"),
    "timepicker": _typed("initial_time", "timezone"),
    "datetimepicker": _typed("initial_date_time"),
    "plain_text_input": _typed(*LENGTHS),
    "number_input": _typed("is_decimal_allowed", "min_value", "max_value", *LENGTHS),
    "email_text_input": _typed(*LENGTHS),
    "url_text_input": _typed(*LENGTHS),
}
INPUTS = frozenset(ELEMENTS) - {"button", "overflow"}
TYPED = frozenset({"plain_text_input", "number_input", "email_text_input", "url_text_input"})
IN_ACTIONS = frozenset(ELEMENTS) - TYPED
IN_SECTION = IN_ACTIONS | {"image"}


def element(found: Findings, value: Any, where: str, allowed: frozenset[str], seen: set[str]) -> None:
    """One interactive element (or image). `seen` holds the action ids of its block, which may not repeat."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in allowed:
        found.say(where, f"unsupported type: {kind}")
        return
    if kind == "image":
        _image(found, value, where)
        return
    ELEMENTS[kind](found, value, where)
    confirm(found, value.get("confirm"), f"{where}/confirm")
    name = value.get("action_id")
    string(found, name, f"{where}/action_id", 255)
    if isinstance(name, str):
        if name in seen:
            found.say(f"{where}/action_id", f'`action_id` "{name}" already exists in this block')
        seen.add(name)


def context_element(found: Findings, value: Any, where: str) -> None:
    if isinstance(value, dict) and value.get("type") == "image":
        _image(found, value, where)
    else:
        text(found, value, where, 2000)
