"""The Slack app as a manifest, made from the commands and the configuration: paste it once, and the app asks for just
what the product uses.

Rules of the format that a person could break through the configuration are checked here, so that Slack does not have to
say them.
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
DESCRIPTION = "Look after containers from here: with permissions, limits and an audit trail."
# What each is for: slash commands; answers; mentions; direct messages in and out; long answers as files; who speaks;
# which groups they are in.
SCOPES = (
    "app_mentions:read",
    "chat:write",
    "commands",
    "files:write",
    "im:history",
    "im:write",
    "usergroups:read",
    "users:read",
)
EVENTS = ("app_mention", "message.im")
NO_TOKENS_YET = {
    "SLACK_BOT_TOKEN": "xoxb-1-1-none",
    "SLACK_APP_TOKEN": "xapp-1-1-none",
    "SLACK_SIGNING_SECRET": "none",
}
MOST_COMMANDS = 50
LONGEST_HINT = 1000
LONGEST_SUMMARY = 2000


def manifest(settings: load.Slack | None, catalogue: Catalogue, *, url: str = "") -> str:
    """JSON. `url`: the public address of http mode, to which /slack/events is added. Raises BadUsage."""
    mode = settings.mode if settings else "socket"
    command = settings.command if settings else "/deck"
    direct: Sequence[str] = settings.direct if settings else ()
    if mode == "http" and not url.startswith("https://"):
        raise errors.BadUsage(
            "In http mode Slack has to be told where to call.",
            hint="Give its public address: quarterdeck manifest --url https://deck.example.com",
        )
    request = f"{url.rstrip('/')}/slack/events" if mode == "http" else ""
    hint = " | ".join(["ps", "logs web", "restart web", "help"])
    commands = [_command(command, "Look after containers. Say help.", hint, request)]
    for name in direct:
        said = catalogue.find(name)
        commands.append(_command(f"/{said.name}", _capital(said.summary), _usage(said.examples), request))
    if len({one["command"] for one in commands}) < len(commands) or len(commands) > MOST_COMMANDS:
        raise errors.BadUsage("Two slash commands have one name.", hint="Look at slack.command and slack.direct.")
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
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _command(name: str, summary: str, hint: str, request: str) -> dict[str, Any]:
    # Escaped, so that a mention is an id and not a name anybody could carry.
    made: dict[str, Any] = {
        "command": name,
        "description": summary[:LONGEST_SUMMARY],
        "usage_hint": hint[:LONGEST_HINT],
    }
    return made | {"should_escape": True} | ({"url": request} if request else {})


def _usage(examples: Sequence[str]) -> str:
    return " | ".join(example.partition(" ")[2] for example in examples if " " in example)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
