"""`help`: lists all commands on one screen, or explains one."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.bot_actions import HelpEntry, HelpPage, ShowHelp
from core.model.replies import Block, Lines, Reply, Text

WIDTH = 80  # characters of the overview
GROUPS = ("Show", "Change", "Permissions", "Quarterdeck itself")
# A command belongs to a group where all its verbs begin with one of these.
_POLICY = ("policy.", "audit.")
_BUILTIN = ("help.", "question.")


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (ShowHelp(topic=context.args["topic"] or ""),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    page: HelpPage = result.value
    if page.topic and len(page.commands) == 1:
        return Reply(blocks=_page(page.commands[0]))
    return Reply(blocks=_list(page.commands) if page.topic else _overview(page.commands))


def _overview(commands: Sequence[HelpEntry]) -> list[Block]:
    single = [one for one in commands if " " not in one.name]
    widest = max((len(_names(one)) for one in single), default=0)
    lines: list[str] = []
    for group in GROUPS:
        members = [one for one in single if _group(one) == group]
        if members:
            lines += [group, *(f"  {_names(one):<{widest}}  {one.summary}" for one in members)]
    if by_noun := _by_noun(commands):
        lines.append("By resource")
        for noun, verbs in by_noun.items():
            first, *more = textwrap.wrap(", ".join(verbs), WIDTH - widest - 4)
            lines += [f"  {noun:<{widest}}  {first}", *(f"  {'':<{widest}}  {part}" for part in more)]
    return [
        Lines(lines=lines),
        Text(text="To see a command's options and examples, write `help` and its name: help logs"),
    ]


def _list(commands: Sequence[HelpEntry]) -> list[Block]:
    """Shows the commands of one noun."""
    widest = max((len(one.name) for one in commands), default=0)
    return [
        Lines(lines=[f"{one.name:<{widest}}  {one.summary}" for one in commands]),
        Text(text=f"To see a command's options and examples: help {commands[0].name}"),
    ]


def _by_noun(commands: Sequence[HelpEntry]) -> Mapping[str, Sequence[str]]:
    """Returns the verbs of the commands of two words, by their noun; not those that are other names of one word."""
    pairs = sorted(one.name.split() for one in commands if " " in one.name)
    return {noun: [verb for other, verb in pairs if other == noun] for noun, _ in pairs}


def _page(one: HelpEntry) -> list[Block]:
    lines = [f"Usage: {one.usage}"]
    if one.args:
        widest = min(28, max(len(typed) for typed, _ in one.args))
        lines += ["", *(f"  {typed:<{widest}}  {meaning}" for typed, meaning in one.args)]
    if one.examples:
        lines += ["", "Examples:", *(f"  {example}" for example in one.examples)]
    if one.aliases:
        lines += ["", f"Aliases: {', '.join(one.aliases)}"]
    if one.verbs:
        lines += ["", _permissions(one)]
    return [Text(text=f"{one.name}: {one.summary}"), Lines(lines=lines)]


def _permissions(one: HelpEntry) -> str:
    """Returns the verb of the ordinary use, then each verb that a condition needs instead of it."""
    conditional = [verb for _, verb in one.verb_conditions]
    usual = ", ".join(verb for verb in one.verbs if verb not in conditional)
    instead = " instead" if usual else ""
    parts = [*filter(None, [usual]), *(f"{condition}: {verb}{instead}" for condition, verb in one.verb_conditions)]
    return f"{'Permission' if len(one.verbs) == 1 else 'Permissions'}: {'; '.join(parts)}"


def _group(one: HelpEntry) -> str:
    if not one.verbs or all(verb.startswith(_BUILTIN) for verb in one.verbs):
        return "Quarterdeck itself"
    if all(verb.startswith(_POLICY) for verb in one.verbs):
        return "Permissions"
    return "Show" if one.risk == Risk.READ else "Change"


def _names(one: HelpEntry) -> str:
    return ", ".join((one.name, *(alias for alias in one.aliases if " " not in alias)))


command = Command(
    name="help",
    summary="list all commands, or explain one",
    examples=("help", "help logs", "help service ls", "help network", "logs --help"),
    plan=plan,
    render=render,
    verbs=(ShowHelp.verb,),
    args=(
        Arg(
            name="topic",
            type=ArgType.COMMAND,
            help="a command, or a kind of resource such as network; without TOPIC: list all commands",
        ),
    ),
)
