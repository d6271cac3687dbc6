"""Generates the manifest of the Slack app from the commands and the configuration.

The app then asks for exactly the scopes that Quarterdeck uses. If the configuration would give a manifest that Slack
rejects, an error is raised before a person pastes the manifest into Slack.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from commands.catalogue import Catalogue
from core import errors
from core.config import load

NAME = "Quarterdeck"
BOT_NAME = "quarterdeck"
DESCRIPTION = "Operate containers from Slack, with permissions, limits and an audit trail."
# For mentions; the names of public channels; replies; slash commands; long replies as files; direct messages from and
# to people; the user groups they are in; the people's names.
SCOPES = (
    "app_mentions:read",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "im:history",
    "im:write",
    "usergroups:read",
    "users:read",
)
EVENTS = ("app_mention", "message.im")
PLACEHOLDER_TOKENS = {
    "SLACK_BOT_TOKEN": "xoxb-1-1-none",
    "SLACK_APP_TOKEN": "xapp-1-1-none",
    "SLACK_SIGNING_SECRET": "none",
}
MAX_COMMANDS = 50
MAX_HINT = 1000  # characters
MAX_SUMMARY = 2000  # characters


def make_app_manifest(settings: load.Slack | None, catalogue: Catalogue, *, url: str = "") -> str:
    """Returns the manifest as JSON. `url`: the public address for http mode, without the path /slack/events. Raises
    BadUsage."""
    mode = settings.mode if settings else "socket"
    command = settings.command if settings else "/deck"
    direct: Sequence[str] = settings.direct if settings else ()
    if mode == "http" and not url.startswith("https://"):
        raise errors.BadUsage(
            "With `slack.mode: http`, the manifest needs the public address of Quarterdeck.",
            hint="Add the address: quarterdeck manifest --url https://deck.example.com",
        )
    request = f"{url.rstrip('/')}/slack/events" if mode == "http" else ""
    hint = " | ".join(["ps", "logs web", "restart web", "help"])
    commands = [_command(command, "Operate containers. Start with help.", hint, request)]
    for name in direct:
        found = catalogue.find(name)
        commands.append(_command(f"/{found.name}", _capital(found.summary), _usage(found.examples), request))
    names = [one["command"] for one in commands]
    if twice := [name for name in names if names.count(name) > 1]:
        raise errors.BadUsage(
            f"Two slash commands have the name {twice[0]}.",
            hint="Change slack.command or slack.direct in quarterdeck.yaml.",
        )
    if len(commands) > MAX_COMMANDS:
        raise errors.BadUsage(
            f"The app has {len(commands)} slash commands; Slack allows {MAX_COMMANDS}.",
            hint="Remove commands from slack.direct in quarterdeck.yaml.",
        )
    where = {"request_url": request} if request else {}
    document = {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {"name": NAME, "description": DESCRIPTION, "background_color": "#17405c"},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": BOT_NAME, "always_online": True},
            "slash_commands": commands,
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**where, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **where},
            "org_deploy_enabled": True,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _command(name: str, summary: str, hint: str, request: str) -> dict[str, Any]:
    # With should_escape, Slack sends a mention as an id and not as a name that anybody can take.
    made: dict[str, Any] = {
        "command": name,
        "description": summary[:MAX_SUMMARY],
        "usage_hint": hint[:MAX_HINT],
    }
    return made | {"should_escape": True} | ({"url": request} if request else {})


def _usage(examples: Sequence[str]) -> str:
    return " | ".join(example.partition(" ")[2] for example in examples if " " in example)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
