"""`can`: checks whether the requester may do something, and by which rule, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model import list_action_by_kind
from core.model.actions import Action
from core.model.bot_actions import CheckPermission
from core.model.policy import Decision, Verdict
from core.model.refs import Kind, Ref
from core.model.replies import Block, Ending, Reply, Table, Text, Tone
from core.ports import Query
from core.text import command_line

ANSWERS = {
    Verdict.ALLOW: "yes",
    Verdict.CONFIRM: "yes, after you confirm",
    Verdict.APPROVE: "yes, after somebody else approves",
    Verdict.DENY: "no",
}
# The kind of resource of each command that is not about containers.
KINDS = {
    "scale": Kind.SERVICE,
    "services": Kind.SERVICE,
    "images": Kind.IMAGE,
    "pods": Kind.POD,
    "nodes": Kind.NODE,
    "drain": Kind.NODE,
    "activate": Kind.NODE,
    "units": Kind.UNIT,
}

# The first words of commands of two words.
NOUNS = frozenset(map(str, Kind)) | {"swarm", "generate", "quadlet", "linger"}


async def plan(context: Context) -> Sequence[Action[Any]]:
    typed = _words(context.args["what"])
    if len(typed) > 2:
        raise errors.BadUsage(
            f"The command `can` takes a target and a command, not {len(typed)} words:"
            f" {command_line.abbreviate(' '.join(typed))}",
            hint="Write for example: can web restart",
        )
    if len(typed) == 1:
        return (CheckPermission(who=context.who, place=context.place, word=typed[0]),)
    refs, word = await _target_and_word(context, typed[0], typed[1])
    return [CheckPermission(who=context.who, place=context.place, word=word, target=ref) for ref in refs]


def render(_: Context, results: Sequence[Result]) -> Reply:
    # One command may need several verbs; each has its own row.
    decided: list[tuple[str, Decision]] = []
    blocks: list[Block] = []
    frozen: Text | None = None
    for result in results:
        if result.error is None:
            decided += result.value.decisions
            if result.value.freeze:
                frozen = Text(text=f"At present the command is refused anyway: {result.value.freeze}", tone=Tone.WARN)
        else:
            blocks.append(Text(text=result.error.full_message(), tone=Tone.BAD))
    if frozen is not None:
        blocks.append(frozen)
    if not decided:
        return Reply(blocks=blocks, ending=formatting.failed_ending(results))
    ending = Ending.REFUSED if any(decision.verdict is Verdict.DENY for _, decision in decided) else Ending.OK
    if len(decided) == 1:
        subject, decision = decided[0]
        hint = f" {decision.hint}" if decision.hint else ""
        text = f"{subject}: {ANSWERS[decision.verdict]}. {decision.reason.rstrip('.')} (rule {decision.rule}).{hint}"
        return Reply(blocks=(Text(text=text), *blocks), ending=ending)
    rows = [
        (
            subject,
            ANSWERS[decision.verdict],
            decision.reason,
            decision.rule,
            "; and ".join(map(", ".join, decision.approvers)),
        )
        for subject, decision in decided
    ]
    table = Table(
        columns=("WHAT", "MAY YOU", "BECAUSE", "RULE", "APPROVERS"), rows=rows, wrapped=("BECAUSE", "APPROVERS")
    )
    return Reply(blocks=(table, *blocks), ending=ending)


def _words(typed: Sequence[str]) -> Sequence[str]:
    """Joins a noun and the verb after it: `can shop network inspect` is about the command `network inspect`."""
    for at, word in enumerate(typed[:-1]):
        if word in NOUNS and len(typed) - at == 2:
            return (*typed[:at], " ".join(typed[at:]))
    return typed


async def _target_and_word(context: Context, first: str, second: str) -> tuple[Sequence[Ref], str]:
    """Accepts `can web restart` and also `can restart web`: where the first is no target, the second is tried."""
    try:
        return await context.find.find(Query(names=(first,), kind=_kind(second))), second
    except errors.NotFound as missing:
        try:
            return await context.find.find(Query(names=(second,), kind=_kind(first))), first
        except errors.NotFound:
            raise missing from None


def _kind(word: str) -> Kind:
    """The kind of resource that a command or verb is about."""
    for separator in (".", " "):
        noun = word.partition(separator)[0]
        if separator in word and noun in list_action_by_kind.LISTS:
            return Kind(noun)
    return KINDS.get(word, Kind.CONTAINER)


command = Command(
    name="can",
    summary="check whether you may do something, and why",
    examples=("can web restart", "can restart", "can 'shop-*' container.logs"),
    plan=plan,
    render=render,
    verbs=(CheckPermission.verb,),
    args=(
        Arg(
            name="what",
            type=ArgType.TARGET,
            required=True,
            many=True,
            help="a command (restart) or a permission (container.restart); to check one target, write the target first",
        ),
    ),
)
