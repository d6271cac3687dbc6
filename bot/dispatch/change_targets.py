"""Finds which targets a change affects: leaves out targets that need no change, and reports them.

A list may be old. So the targets are listed again before one is left out, and inspected if the list shows them as
running. If a person names one target, the engine decides whether it needs the change. If the change needs a
confirmation, this is checked here. A change that the engine would refuse is refused before the question.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Result
from core.lazy_dataclass import dataclass
from core.model import bot_actions, change_applicability
from core.model.actions import Action, Risk
from core.model.change_applicability import ChangeFit, Finding
from core.model.containers import Container
from core.model.project_actions import RestartProject
from core.model.refs import Key, Ref
from core.model.replies import Ending, Reply, Text, Tone

MAX_NAMES = 10  # in one sentence
RESTARTS = ("container.restart", "pod.restart", "unit.restart")


ActionKey = tuple[str | Ref, ...]
"""The verb of an action, and its targets."""


@dataclass(frozen=True, slots=True)
class ChangeTargets:
    """What is left of a plan. `notes`: a sentence about each sort of target that was left out. `refused`: the engine
    would refuse the change. `unable`: the results of what an engine refuses in every state, which was left out too."""

    plan: Sequence[Action[Any]]
    notes: tuple[str, ...] = ()
    refused: bool = False
    unable: Sequence[Result] = ()

    def all_notes(self) -> Sequence[str]:
        """Returns a sentence about everything that was left out."""
        return (*self.notes, *_notes_on_unable(self.unable))

    def noted(self, reply: Reply) -> Reply:
        """Returns the reply to the change with the notes at its end."""
        return (
            replace(reply, blocks=(*reply.blocks, *(Text(text=note) for note in self.notes))) if self.notes else reply
        )

    def reply(self) -> Reply | None:
        """Returns the reply to a change with which there is nothing to do, or which would be refused; None if the
        command itself has to show why no engine can do it."""
        if self.unable and not self.notes:
            return None
        text = " ".join(self.all_notes()) or "Nothing to do."
        if self.refused or self.unable:
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


async def find_targets(
    plan: Sequence[Action[Any]], view: VisibleFleet, known: Mapping[ActionKey, Finding], *, every: bool, asks: bool
) -> ChangeTargets:
    """Returns what is left of an allowed plan of changes. `known`: what the engines were asked about. `every`: what
    does not run is meant too. `asks`: a question would be asked about the plan. Raises the errors of
    `VisibleFleet.refresh`."""
    named = {key for lookup in view.lookups for key in lookup.named_alone()}
    several = len(plan) > 1

    def matters(action: Action[Any]) -> bool:
        finding = _finding(action, view, known)
        return finding is not None and _leaves_out(
            action, finding, named=named, every=every, asks=asks, several=several
        )

    if not any(map(matters, plan)):
        return ChangeTargets(plan)
    plan = sort_by_name(await view.refresh(plan))
    live = (view.row(action.targets()[0]) for action in plan if len(action.targets()) == 1 and matters(action))
    await view.look_again(
        [row for row in live if isinstance(row, Container) and row.state not in change_applicability.ENDED]
    )
    out = [
        (action, finding)
        for action in plan
        if matters(action) and (finding := _finding(action, view, known)) is not None
    ]
    fails = [(action, finding) for action, finding in out if asks and finding.fails]
    if any(action.targets()[0].key in named for action, _ in fails):
        out = fails
        return ChangeTargets((), _notes(out, all_left_out=True), refused=True)
    left_out = {id(action) for action, _ in out}
    kept = [action for action in plan if id(action) not in left_out]
    refused = not kept and bool(out) and all(finding.fit is ChangeFit.REFUSED for _, finding in out)
    return ChangeTargets(kept, _notes(out, all_left_out=not kept), refused=refused)


def action_key(action: Action[Any]) -> ActionKey:
    """Returns what identifies an action in its plan."""
    return (action.verb, *action.targets())


def _finding(action: Action[Any], view: VisibleFleet, known: Mapping[ActionKey, Finding]) -> Finding | None:
    if action.risk is Risk.READ or action.engine == bot_actions.BOT:
        return None
    if (finding := known.get(action_key(action))) is not None:
        return finding
    if isinstance(action, RestartProject):
        rows = [view.row(ref) for ref in action.containers]
        ended = all(row is not None and row.state in change_applicability.ENDED for row in rows)
        return (
            Finding(ChangeFit.DONE, "has no running container", f"Start its containers with: start {action.project}/")
            if ended
            else None
        )
    targets = action.targets()
    return change_applicability.find(action, view.row(targets[0])) if len(targets) == 1 else None


def _leaves_out(
    action: Action[Any], finding: Finding, *, named: Set[Key], every: bool, asks: bool, several: bool
) -> bool:
    match finding.fit:
        case ChangeFit.DONE:
            return asks or several
        case ChangeFit.IDLE:
            return (action.targets()[0].key not in named and not every) or (asks and finding.fails)
        case ChangeFit.REFUSED:
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
    if finding.fit is ChangeFit.IDLE and actions[0].verb in RESTARTS:
        hint = (
            f". To start {'it' if one else 'them'} too, add --all"
            if all_left_out
            else f" (--all includes {'it' if one else 'them'})"
        )
    else:
        text = finding.hint if one else re.sub(r"\bit\b", "them", finding.hint)
        hint = f". {text.replace('NAME', names[0] if one else 'NAME …')}" if text else ""
    return f"{listed(names)} {phrase}{left}{hint}."


def _notes_on_unable(unable: Sequence[Result]) -> Iterator[str]:
    """Yields a sentence for each reason: `web is left out: cri/prod-1 does not support container.pause. …`"""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for result in unable:
        if result.error is not None:
            reasons[result.error.full_message()].append(_name(result.action))
    for reason, names in reasons.items():
        yield f"{listed(names)} {'is' if len(names) == 1 else 'are'} left out: {reason}"


def _name(action: Action[Any]) -> str:
    return action.project if isinstance(action, RestartProject) else action.targets()[0].name


def listed(names: Collection[str], most: int = MAX_NAMES) -> str:
    """Returns names as a sentence has them: `a, b and c`, at most so many of them."""
    shown = list(names)
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
