"""`help`: all commands on one screen, or everything about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import show
from commands.spec import Arg, Command, Context, Result, Take
from core.model.actions import Action, Risk
from core.model.builtin import CommandHelp, HelpPage, ShowHelp
from core.model.replies import Block, Lines, Reply, Text, Tone

GROUPS = ("Look", "Change", "Who may do what", "Quarterdeck itself")
# A command whose verbs begin with one of these is about permission, or about the desk itself.
_POLICY = ("policy.", "audit.")
_BUILTIN = ("help.", "question.")


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (ShowHelp(topic=context.args["topic"] or ""),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return Reply(
            blocks=(Text(text=result.error.full_message(), tone=Tone.BAD),), ending=show.ending_of(result.error)
        )
    page: HelpPage = result.value
    return Reply(blocks=_one(page.commands[0]) if page.topic and page.commands else _all(page.commands))


def _all(commands: Sequence[CommandHelp]) -> list[Block]:
    widest = max((len(_said(one)) for one in commands), default=0)
    lines: list[str] = []
    for group in GROUPS:
        members = [one for one in commands if _group(one) == group]
        if members:
            lines += [group, *(f"  {_said(one):<{widest}}  {one.summary}" for one in members)]
    return [Lines(lines=lines), Text(text="Say help and a command for its options and examples, such as: help logs")]


def _one(one: CommandHelp) -> list[Block]:
    lines = [f"Usage: {one.usage}"]
    if one.args:
        widest = min(28, max(len(typed) for typed, _ in one.args))
        lines += ["", *(f"  {typed:<{widest}}  {meaning}" for typed, meaning in one.args)]
    if one.examples:
        lines += ["", "Examples:", *(f"  {example}" for example in one.examples)]
    if one.aliases:
        lines += ["", f"Also: {', '.join(one.aliases)}"]
    if one.verbs:
        lines += ["", f"Needs: {', '.join(one.verbs)}"]
    return [Text(text=f"{one.name}: {one.summary}"), Lines(lines=lines)]


def _group(one: CommandHelp) -> str:
    if not one.verbs or all(verb.startswith(_BUILTIN) for verb in one.verbs):
        return "Quarterdeck itself"
    if all(verb.startswith(_POLICY) for verb in one.verbs):
        return "Who may do what"
    return "Look" if one.risk == Risk.READ else "Change"


def _said(one: CommandHelp) -> str:
    return ", ".join((one.name, *one.aliases))


command = Command(
    name="help",
    summary="show what can be said here",
    examples=("help", "help logs", "logs --help"),
    plan=plan,
    render=render,
    verbs=(ShowHelp.verb,),
    args=(Arg(name="topic", take=Take.COMMAND, help="a command"),),
)
