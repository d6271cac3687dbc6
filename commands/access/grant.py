"""`grant`: gives permissions to a person or group. They are valid from the next command on, on every replica."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, grant_table
from commands.spec import Arg, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.bot_actions import AddGrant, GrantAdded
from core.model.policy_selectors import Selector
from core.model.replies import Button, Reply, Text, Tone
from core.text import command_line

_WHO = re.compile(r"everyone|[a-z]+:\S+|<@[A-Z0-9]+(?:\|[^>]*)?>|<!subteam\^[A-Z0-9]+(?:\|[^>]*)?>")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if not _WHO.fullmatch(args["who"]):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(args['who'])}” is not a person or group.",
            hint="Mention somebody, or write everyone, group:NAME, console:NAME or slack:TEAM/USER. To see your own"
            " identity, give: whoami",
        )
    if args["who"].startswith("slack:") and "/" not in args["who"]:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(args['who'])}” is not a complete Slack identity.",
            hint="Mention somebody, or write slack:TEAM/USER. To see your own, give: whoami",
        )
    if named := next((place for place in args["in"] if place.startswith("#")), ""):
        raise errors.BadUsage(
            f"A grant cannot contain the channel name “{named}”, because channels can be renamed.",
            hint="Pick the channel from Slack's list while typing, or write its id, such as C0123ABCD.",
        )
    on = Selector(
        engine=args["engine"] or "",
        host=args["host"] or "",
        name=args["name"] or "",
        project=args["project"] or "",
        service=args["service"] or "",
        labels=tuple(_label(label) for label in args["label"]),
    )
    return (AddGrant(by=context.who, place=context.place, who=args["who"], can=args["what"], on=on, places=args["in"]),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    granted: GrantAdded = result.value
    grant = granted.grant
    undo = Button(label=f"Revoke {grant.id}", line=command_line.quote(["revoke", grant.id]), danger=True)
    if not granted.new:
        return Reply(blocks=(Text(text=f"This grant exists already: {grant_table.sentence(grant)} ({grant.id})"),))
    text = f"{grant_table.sentence(grant, now=True)} Revoke it with: revoke {grant.id}"
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=(undo,), everyone=True)


def _label(label: str) -> tuple[str, str]:
    key, equals, want = label.partition("=")
    return key, want if equals else "*"


command = Command(
    name="grant",
    summary="give somebody permissions",
    examples=(
        "grant group:sre operator",
        "grant console:alice container.restart --name 'web-*' --host 'prod-*'",
        "grant everyone container.logs --label team=shop --in C0SHOPOPS",
    ),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(AddGrant.verb,),
    args=(
        Arg(
            name="who",
            required=True,
            help="mention of a person or group, everyone, group:NAME (a Slack user group or a Unix group),"
            " console:NAME (a Unix user) or slack:TEAM/USER (ids, as `whoami` shows them)",
        ),
        Arg(
            name="what",
            required=True,
            many=True,
            help="role (viewer, operator, admin or a role of quarterdeck.yaml), permission (container.restart), pattern"
            " of permissions (container.*) or risk class (risk:read, risk:change, risk:destroy); a risk class does not"
            " include `exec`, `run` and other commands that reach into containers",
        ),
        Arg(name="--name", help="only on resources with this name, such as 'web-*' (globs allowed)"),
        Arg(name="--project", help="only on resources of this Compose project, such as shop (globs allowed)"),
        Arg(name="--service", help="only on resources of this Compose service, such as web (globs allowed)"),
        Arg(
            name="--label",
            short="l",
            many=True,
            placeholder="KEY[=VALUE]",
            help="only on resources with this label, such as team=shop (globs allowed)",
        ),
        Arg(name="--host", help="only on hosts with this name, such as 'prod-*' (globs allowed)"),
        Arg(
            name="--engine",
            help="only on this engine or kind of engine, such as docker/prod-1 or docker (globs allowed)",
        ),
        Arg(
            name="--in",
            placeholder="CHANNEL",
            many=True,
            help="only for commands given in this channel: mention, or id such as C0123ABCD",
        ),
    ),
)
