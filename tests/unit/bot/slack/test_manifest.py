"""The app manifest: golden, and within the rules Slack publishes for the format."""

import json
import os
import re

import pytest

from bot.slack import manifest
from commands.catalogue import load_catalogue
from core import errors
from core.config import load
from tests.helpers.paths import GOLDEN as GOLDEN_DIR

GOLDEN = GOLDEN_DIR / "manifest"
WORDS = load_catalogue()
TOKENS = {**manifest.PLACEHOLDER_TOKENS, "HOME": "/nowhere"}


def settings(**more):
    named = {f"QUARTERDECK_SLACK__{name.upper()}": value for name, value in more.items()}
    return load.load(None, TOKENS | named).slack


CASES = {
    "socket": ({}, ""),
    "http": ({"mode": "http", "direct": "ps,logs,restart"}, "https://deck.example.com"),
    "all": ({"direct": ",".join([name for name in WORDS.commands if " " not in name][:49]), "command": "/ops"}, ""),
}


def breaks(document):
    """What Slack's published schema of version 1 would not take; written down from its rules."""
    found = []

    def rule(holds, what):
        if not holds:
            found.append(what)

    def only(part, *names):
        rule(set(part) <= set(names), f"unknown {set(part) - set(names)}")

    only(document, "_metadata", "display_information", "features", "oauth_config", "settings")
    shown = document["display_information"]
    only(shown, "name", "description", "long_description", "background_color")
    rule(1 <= len(shown["name"]) <= 35, "name")
    rule(len(shown["description"]) <= 140, "description")
    rule(re.fullmatch(r"#[0-9a-fA-F]{6}", shown["background_color"]), "background_color")
    features = document["features"]
    only(features, "app_home", "bot_user", "slash_commands")
    only(features["app_home"], "home_tab_enabled", "messages_tab_enabled", "messages_tab_read_only_enabled")
    only(features["bot_user"], "display_name", "always_online")
    rule(re.fullmatch(r"[a-z0-9._-]{1,80}", features["bot_user"]["display_name"]), "display_name")
    commands = features["slash_commands"]
    rule(1 <= len(commands) <= 50, "number of commands")
    rule(len({one["command"] for one in commands}) == len(commands), "a command twice")
    for one in commands:
        only(one, "command", "description", "usage_hint", "should_escape", "url")
        rule(re.fullmatch(r"/[^\s/]{1,31}", one["command"]), one["command"])
        rule(1 <= len(one["description"]) <= 2000, "description of a command")
        rule(len(one.get("usage_hint", "")) <= 1000, "usage_hint")
        rule(one["should_escape"] is True, "mentions would be forgeable")
    only(document["oauth_config"], "scopes")
    scopes = document["oauth_config"]["scopes"]["bot"]
    rule(len(set(scopes)) == len(scopes) <= 255, "scopes")
    kept = document["settings"]
    only(
        kept,
        "event_subscriptions", "interactivity", "org_deploy_enabled", "socket_mode_enabled", "token_rotation_enabled",
    )  # fmt: skip
    urls = [kept["event_subscriptions"].get("request_url"), kept["interactivity"].get("request_url")]
    urls += [one.get("url") for one in commands]
    if kept["socket_mode_enabled"]:
        rule(not any(urls), "an address in socket mode")
    else:
        rule(all(str(url).startswith("https://") for url in urls), "an address that is not https")
    needs = {"app_mention": "app_mentions:read", "message.im": "im:history"}
    rule(all(needs[event] in scopes for event in kept["event_subscriptions"]["bot_events"]), "an event without scope")
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_is_what_slack_takes(name):
    more, url = CASES[name]
    made = manifest.make_app_manifest(settings(**more), WORDS, url=url)
    assert breaks(json.loads(made)) == []
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "1":
        golden.write_text(made + "\n")
    assert made + "\n" == golden.read_text(), "run with GOLDEN=1 to rewrite it, then review the difference"


def test_what_slack_would_not_take_is_found():
    document = json.loads(manifest.make_app_manifest(None, WORDS))
    document["features"]["slash_commands"][0] |= {"command": "deck", "should_escape": False, "icon": "x"}
    document["settings"]["event_subscriptions"]["request_url"] = "http://x"
    assert len(breaks(document)) == 4


@pytest.mark.parametrize("url", ["", "http://deck.example.com", "deck.example.com"])
def test_http_mode_needs_its_public_address(url):
    with pytest.raises(errors.BadUsage, match="--url https"):
        manifest.make_app_manifest(settings(mode="http"), WORDS, url=url)


def test_two_slash_commands_of_one_name_are_refused():
    with pytest.raises(errors.BadUsage, match="have the name"):
        manifest.make_app_manifest(settings(command="/ps", direct="ps"), WORDS)
