"""Finds out what a change will really hit: leaves out targets with which it has nothing to do, and says so.

Nothing is left out because of a list that may be old: the targets are listed again first, and inspected if the list
shows them as running. A target that somebody named
by itself, and not as a part of a group, is left to the engine, unless a question would be asked about it. A change that
the engine would refuse is refused before the question.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence, Set
from dataclasses import replace
from typing import Any

from bot.dispatch.visible_fleet import VisibleFleet
from core.lazy_dataclass import dataclass
from core.model import bot_actions, target_states
from core.model.actions import Action, Risk
from core.model.containers import Container
from core.model.project_actions import RestartProject
from core.model.refs import Key, Ref
from core.model.replies import Ending, Reply, Text, Tone
from core.model.target_states import Finding, Fit

MAX_NAMES = 10  # in one sentence
RESTARTS = ("container.restart", "pod.restart", "unit.restart")


@dataclass(frozen=True, slots=True)
class ChangeTargets:
    """What is left of a plan. `notes`: a sentence about each sort of target that was left out. `refused`: the engine
    would refuse the change."""

    plan: Sequence[Action[Any]]
    notes: tuple[str, ...] = ()
    refused: bool = False

    def noted(self, reply: Reply) -> Reply:
        """Returns the reply to the change with the notes at its end."""
        return (
            replace(reply, blocks=(*reply.blocks, *(Text(text=note) for note in self.notes))) if self.notes else reply
        )

    def reply(self) -> Reply:
        """Returns the reply to a change with which there is nothing to do, or which would be refused."""
        text = " ".join(self.notes) or "Nothing to do."
        if self.refused:
            return Reply(blocks=(Text(text=f"Nothing was done: {text}", tone=Tone.BAD),), ending=Ending.FAILED)
        return Reply(blocks=(Text(text=f"Nothing to do: {text}"),))


def sort_by_name(plan: Sequence[Action[Any]]) -> Sequence[Action[Any]]:
    """Returns changes in the order of their targets' names, `web-2` before `web-10`; a plan that reads as it is."""
    if len(plan) < 2 or any(action.risk is Risk.READ for action in plan):
        return plan
    return sorted(plan, key=lambda action: natural(action.targets()[0]) if action.targets() else ((), ""))


def natural(ref: Ref) -> tuple[tuple[Any, ...], str]:
    """Returns the key by which resources are sorted."""
    # Text and digits alternate, so that text is always compared with text and numbers with numbers.
    parts = re.split(r"([0-9]{1,9})", ref.name)
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts)), str(ref.engine)


async def find_targets(plan: Sequence[Action[Any]], view: VisibleFleet, *, every: bool, asks: bool) -> ChangeTargets:
    """Returns what is left of an allowed plan of changes. `every`: what does not run is meant too. `asks`: a question
    would be asked about the plan. Raises the errors of `VisibleFleet.refresh`."""
    named = {key for lookup in view.lookups for key in lookup.named_alone()}
    several = len(plan) > 1

    def matters(action: Action[Any]) -> bool:
        finding = _finding(action, view)
        return finding is not None and _leaves_out(
            action, finding, named=named, every=every, asks=asks, several=several
        )

    if not any(map(matters, plan)):
        return ChangeTargets(plan)
    plan = sort_by_name(await view.refresh(plan))
    live = (view.row(action.targets()[0]) for action in plan if len(action.targets()) == 1 and matters(action))
    await view.look_again([row for row in live if isinstance(row, Container) and row.state not in target_states.ENDED])
    out = [(action, finding) for action in plan if matters(action) and (finding := _finding(action, view)) is not None]
    if any(finding.fit is Fit.REFUSED and action.targets()[0].key in named for action, finding in out):
        out = [(action, finding) for action, finding in out if finding.fit is Fit.REFUSED]
        return ChangeTargets((), _notes(out, all_left_out=True), refused=True)
    left_out = {id(action) for action, _ in out}
    kept = [action for action in plan if id(action) not in left_out]
    refused = not kept and all(finding.fit is Fit.REFUSED for _, finding in out)
    return ChangeTargets(kept, _notes(out, all_left_out=not kept), refused=refused)


def _finding(action: Action[Any], view: VisibleFleet) -> Finding | None:
    if action.risk is Risk.READ or action.engine == bot_actions.BOT:
        return None
    if isinstance(action, RestartProject):
        rows = [view.row(ref) for ref in action.containers]
        ended = all(row is not None and row.state in target_states.ENDED for row in rows)
        return (
            Finding(Fit.DONE, "has no container that runs", f"Start them with: start {action.project}/")
            if ended
            else None
        )
    targets = action.targets()
    return target_states.find(action, view.row(targets[0])) if len(targets) == 1 else None


def _leaves_out(
    action: Action[Any], finding: Finding, *, named: Set[Key], every: bool, asks: bool, several: bool
) -> bool:
    match finding.fit:
        case Fit.DONE:
            return asks or several
        case Fit.IDLE:
            return action.targets()[0].key not in named and not every
        case Fit.REFUSED:
            return asks
    return False


def _notes(out: Sequence[tuple[Action[Any], Finding]], *, all_left_out: bool) -> tuple[str, ...]:
    """Returns a sentence about each sort: `migrate is not running and is left out (--all includes it).`"""
    sorts: defaultdict[Finding, list[Action[Any]]] = defaultdict(list)
    for action, finding in out:
        sorts[finding].append(action)
    return tuple(_note(finding, actions, all_left_out=all_left_out) for finding, actions in sorts.items())


def _note(finding: Finding, actions: Sequence[Action[Any]], *, all_left_out: bool) -> str:
    names = [_name(action) for action in actions]
    one = len(names) == 1
    phrase = finding.phrase if one else finding.phrase.replace("is ", "are ", 1).replace("has ", "have ", 1)
    left = "" if all_left_out else f" and {'is' if one else 'are'} left out"
    if finding.fit is Fit.IDLE and actions[0].verb in RESTARTS:
        hint = (
            f". To start {'it' if one else 'them'} too, add --all"
            if all_left_out
            else f" (--all includes {'it' if one else 'them'})"
        )
    else:
        hint = f". {finding.hint.replace('NAME', names[0] if one else 'NAME …')}" if finding.hint else ""
    return f"{listed(names)} {phrase}{left}{hint}."


def _name(action: Action[Any]) -> str:
    return action.project if isinstance(action, RestartProject) else action.targets()[0].name


def listed(names: Collection[str], most: int = MAX_NAMES) -> str:
    """Returns names as a sentence has them: `a, b and c`, at most so many of them."""
    shown = list(names)
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
