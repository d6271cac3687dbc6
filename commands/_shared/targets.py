"""Finds the targets that a command's arguments select, and the names that its reply shows for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from commands.spec import Context, Result, query
from core import errors
from core.model.refs import Kind, Ref
from core.text import command_line

MAX_NAMED = 8  # resources in an error message


async def select_targets(
    context: Context, command: str, maximum: int, kind: Kind = Kind.CONTAINER, *, every_match: bool = False
) -> Sequence[Ref]:
    """Finds the resources that the typed names and options select. Raises BadUsage if nothing was typed to select by,
    and for more than `maximum` resources. `every_match`: a name that fits several selects them all."""
    wanted = replace(query(context), kind=kind, every_match=every_match)
    if not (wanted.names or wanted.labels or wanted.host or wanted.engine):
        example = f"For example: {command} web, or {command} --label app=shop"
        hint = example if kind is Kind.CONTAINER else f"See its examples with: help {command}"
        raise errors.BadUsage(f"{command} needs a target.", hint=hint)
    refs = await context.find.find(wanted)
    if len(refs) > maximum:
        most = f"only one {kind}" if maximum == 1 else f"at most {maximum} {kind}s"
        shown = ", ".join(display_names(refs)[:MAX_NAMED])
        more = f" and {len(refs) - MAX_NAMED} more" if len(refs) > MAX_NAMED else ""
        raise errors.BadUsage(
            f"{command} takes {most} at once, but {len(refs)} are selected: {shown}{more}.",
            hint=f"Write the name of one {kind}." if maximum == 1 else f"Select fewer {kind}s, for example by name.",
        )
    return refs


def engine_pattern(context: Context) -> str:
    """Returns the engine that NAME or --engine chooses; empty for all. Raises BadUsage if both are given."""
    name, engine = context.args["name"] or "", context.args["engine"] or ""
    if name and engine:
        raise errors.BadUsage(
            f"The command names two engines: {command_line.abbreviate(name)} and {command_line.abbreviate(engine)}.",
            hint="Leave one of them out.",
        )
    return name or engine


def target_of_result(result: Result) -> Ref:
    """Returns the one target of an action."""
    return result.action.targets()[0]


def display_names(refs: Sequence[Ref]) -> list[str]:
    """Returns the name of each resource, with its engine if two have the same name."""
    counts = Counter(ref.name for ref in refs)
    return [ref.name if counts[ref.name] == 1 else f"{ref.name}@{ref.engine}" for ref in refs]
