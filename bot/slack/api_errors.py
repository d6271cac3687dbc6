"""Reads the error codes in Slack's answers, and returns a hint for each."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackApiError

from core.text import sanitize

MAX_REASONS, MAX_REASON = 10, 200
# Errors about a message of the bot that cannot be edited, or in whose thread nothing can be posted.
MESSAGE_GONE_CODES = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
THREAD_GONE_CODES = frozenset({"message_not_found", "thread_not_found", "cannot_reply_to_message"})
# Errors after which Slack may have carried out the call all the same.
UNSURE_CODES = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})


def read_response(error: SlackApiError) -> tuple[Mapping[str, Any], int]:
    """The response's JSON object and HTTP status. The library's error holds its own response or the bare HTTP one."""
    response: Any = error.response
    data = getattr(response, "data", None)
    status: int = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    return data if isinstance(data, dict) else {}, status


def error_in(body: str, status: int) -> str:
    """The error code in the answer of a response URL; empty for success. Slack answers `ok`, `{"ok":true}`,
    `used_url` or `{"ok":false,"error":"used_url"}`."""
    body = body.strip()
    with contextlib.suppress(ValueError):
        data = json.loads(body)
        if isinstance(data, dict):
            return "" if status == 200 and data.get("ok") else error_code(data.get("error", ""), status)
    return "" if status == 200 and body in ("", "ok") else error_code(body, status)


def reasons(body: Mapping[str, Any]) -> Sequence[str]:
    """Slack's words about the parts of a call that it refused, such as `must be less than 3001 characters
    [json-pointer:/blocks/0/text/text]`; at most MAX_REASONS."""
    metadata = body.get("response_metadata")
    given = metadata.get("messages") if isinstance(metadata, dict) else None
    listed = given or body.get("errors")
    if not isinstance(listed, list):
        return ()
    found = (
        sanitize.single_line(each, MAX_REASON).removeprefix("[ERROR] ") for each in listed if isinstance(each, str)
    )
    return tuple(dict.fromkeys(found))[:MAX_REASONS]


def reasons_in(text: str) -> Sequence[str]:
    """The same of the answer of a response URL."""
    with contextlib.suppress(ValueError):
        data = json.loads(text)
        return reasons(data) if isinstance(data, dict) else ()
    return ()


def error_code(text: Any, status: int) -> str:
    """Slack's error code, or the HTTP status if the text is not an error code."""
    code = str(text).strip()[:64]
    return code if code and all(letter.isalnum() or letter in "_-" for letter in code) else f"status {status}"


def hint(body: Mapping[str, Any], method: str) -> str:
    code = str(body.get("error", ""))
    if code == "missing_scope":
        scope = body.get("needed") or "that this method needs"
        return f"Add the scope {scope} on the app's OAuth & Permissions page and reinstall the app."
    app = method == "apps.connections.open"
    token = "app token (slack.app_token, xapp-…)" if app else "bot token (slack.bot_token, xoxb-…)"
    other = f"The code is explained at https://docs.slack.dev/reference/methods/{method}"
    return HINTS.get(code, other).replace("TOKEN", token)


HINTS = {
    "invalid_auth": "The TOKEN is not valid. Copy it again from the app's pages at api.slack.com.",
    "not_authed": "The TOKEN is not valid. Copy it again from the app's pages at api.slack.com.",
    "not_allowed_token_type": "The TOKEN is a token of another kind. See slack.bot_token and slack.app_token in"
    " quarterdeck.example.yaml.",
    "token_revoked": "The TOKEN was revoked. Reinstall the app and copy the new one.",
    "token_expired": "The TOKEN has expired. Reinstall the app and copy the new one.",
    "account_inactive": "The app was removed from the workspace. Install it again.",
    "msg_too_long": "Give the command with fewer targets, or with a smaller --tail.",
    "msg_blocks_too_long": "Give the command with fewer targets, or with a smaller --tail.",
    "not_in_channel": "Invite the bot to the channel.",
    "channel_not_found": "Check the channel's id under `alerts` in quarterdeck.yaml, or give `alerts here` in another"
    " channel. Invite the bot to a private channel.",
    "is_archived": "Unarchive the channel, or choose another one.",
}
