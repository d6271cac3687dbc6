"""Writes the text of a question: each target with its state and age, the volumes that stay, and how the change can be
undone.

The states come from the lists in which the targets were found. Volumes are counted by an inspection of a few
containers. If the inspection fails, the question does not mention volumes.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.dispatch import change_targets, reply_formatting
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Command, Context
from core import errors
from core.lazy_dataclass import dataclass
from core.model import change_applicability
from core.model.actions import Action, InspectContainer, Kill, Remove, Scale
from core.model.policy import Decision
from core.model.project_actions import RestartProject
from core.model.refs import Key, Kind, Ref
from core.model.replies import Block
from core.ports import Call
from runtimes.inventory.fleet import Fleet

MAX_DESCRIBED = 4  # targets whose states are told one by one; more are counted by state
MAX_UNDO_NAMES = 5
INSPECT_SECONDS = 2.0
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
# What a question asks for, by the word for the running change.
_IMPERATIVES = {
    **{f"{verb}ing": verb.capitalize() for verb in ("start", "restart", "kill", "drain", "install")},
    **{f"{verb}ing": f"{verb}e".capitalize() for verb in ("remov", "paus", "unpaus", "scal", "activat", "enabl")},
    **{"stopping": "Stop", "disabling": "Disable", "updating": "Update", "rolling back": "Roll back"},
}
# The command that undoes a change, by its verb.
_UNDO = {
    "container.start": "stop",
    "container.stop": "start",
    "container.kill": "start",
    "container.pause": "unpause",
    "container.unpause": "pause",
    "pod.start": "pod stop",
    "pod.stop": "pod start",
    "pod.pause": "pod unpause",
    "pod.unpause": "pod pause",
    "unit.start": "unit stop",
    "unit.stop": "unit start",
    "unit.enable": "unit disable",
    "unit.disable": "unit enable",
    "node.drain": "activate",
    "node.activate": "drain",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionText:
    """`text`: what the question asks, without the time for its answer. `preview`: blocks in front of it, instead of the
    names of the targets."""

    text: str
    preview: Sequence[Block] = ()


async def describe_question(
    command: Command,
    context: Context,
    plan: Sequence[Action[Any]],
    decision: Decision,
    left_out: Sequence[str],
    *,
    view: VisibleFleet,
    fleet: Fleet,
) -> QuestionText:
    """Returns the text of the question about a plan. `left_out`: sentences about what the plan leaves out."""
    preview = command.preview(context, plan) if command.preview is not None else ()
    what = f"{command.name}?" if preview else await describe_change(command, plan, view, fleet, context.now)
    parts = (what, sentence(decision.reason), *left_out, undo(plan, view))
    return QuestionText(text=" ".join(filter(None, parts)), preview=preview)


async def describe_change(
    command: Command, plan: Sequence[Action[Any]], view: VisibleFleet, fleet: Fleet, now: datetime
) -> str:
    """Returns the question without its reason: `Remove web on prod-1 (exited 2 hours ago, 3 volumes are kept)?`."""
    imperative = _imperative(command, plan)
    refs = [ref for action in plan for ref in action.targets()]
    rows = [view.row(ref) for ref in refs]
    if not imperative or not refs or any(row is None for row in rows):
        names = change_targets.listed(reply_formatting.list_target_names(plan))
        return f"{command.name} {names}?".strip()
    volumes = await _volumes(plan, fleet, view.call) if len(refs) <= MAX_DESCRIBED else {}
    states = [
        ", ".join(filter(None, (change_applicability.describe(row, now.timestamp()), volumes.get(ref.key, ""))))
        for ref, row in zip(refs, rows, strict=True)
    ]
    hosts = list(dict.fromkeys(ref.engine.host for ref in refs))
    where = f" on {hosts[0]}" if len(hosts) == 1 else f" on {len(hosts)} hosts"
    if isinstance(plan[0], RestartProject) and len(plan) == 1:
        return f"{imperative} the project {plan[0].project}{where}: {_counted(_names(refs, plan), rows)}?"
    if len(refs) == 1:
        noun = "" if refs[0].kind is Kind.CONTAINER else f"the {refs[0].kind} "
        state = f" ({states[0]})" if states[0] else ""
        return f"{imperative} {noun}{refs[0].name}{_suffix(plan[0])}{where}{state}?"
    words = {change_applicability.state_word(row) for row in rows}
    kinds = {ref.kind for ref in refs}
    kind = f"{refs[0].kind}s" if len(kinds) == 1 else "resources"
    if len(refs) <= MAX_DESCRIBED:
        each = [f"{name} ({state})" if state else name for name, state in zip(_names(refs, plan), states, strict=True)]
        return f"{imperative} {len(refs)} {kind}{where}: {change_targets.listed(each)}?"
    if len(words) == 1:
        state = f"{word} " if (word := next(iter(words))) and word != "not running" else ""
        after = " that are not running" if word == "not running" else ""
        return f"{imperative} {len(refs)} {state}{kind}{after}{where}: {change_targets.listed(_names(refs, plan))}?"
    return f"{imperative} {len(refs)} {kind}{where}: {_counted(_names(refs, plan), rows)}?"


def undo(plan: Sequence[Action[Any]], view: VisibleFleet) -> str:
    """Returns a sentence that names the command that undoes the plan. Empty if no command undoes it."""
    verbs = {action.verb for action in plan}
    if len(verbs) != 1 or any(action.destroys() for action in plan):
        return ""
    if isinstance(plan[0], Scale):
        known = {action.targets()[0].name: getattr(view.row(action.targets()[0]), "desired", None) for action in plan}
        pairs = [f"{name}={desired}" for name, desired in known.items() if desired is not None]
        whole = len(pairs) == len(known) <= MAX_UNDO_NAMES
        return f"Undo it with: scale {' '.join(pairs)}." if whole else ""
    command = _UNDO.get(plan[0].verb)
    if command is None or (isinstance(plan[0], Kill) and plan[0].signal != "KILL"):
        return ""
    names = [ref.name for action in plan for ref in action.targets()]
    if len(names) > MAX_UNDO_NAMES:
        return f"Undo it with `{command}` and the same names."
    return f"Undo it with: {command} {' '.join(names)}."


def sentence(reason: str) -> str:
    """Returns a reason as a sentence."""
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}." if reason else ""


def _imperative(command: Command, plan: Sequence[Action[Any]]) -> str:
    signals = {action.signal for action in plan if isinstance(action, Kill)}
    if signals - {"KILL"}:
        return f"Send {' and '.join(sorted(signals))} to"
    return _IMPERATIVES.get(command.doing, "")


def _suffix(action: Action[Any]) -> str:
    if not isinstance(action, Scale):
        return ""
    return f" to {action.replicas} replica{'' if action.replicas == 1 else 's'}"


def _names(refs: Sequence[Ref], plan: Sequence[Action[Any]]) -> list[str]:
    """Returns each name, with its engine if two are equal, and with the number of replicas that it shall have."""
    seen = Counter(ref.name for ref in refs)
    suffixes = [_suffix(action) for action in plan] if len(plan) == len(refs) else [""] * len(refs)
    return [
        f"{ref.name if seen[ref.name] == 1 else f'{ref.name}@{ref.engine}'}{suffix}"
        for ref, suffix in zip(refs, suffixes, strict=True)
    ]


def _counted(names: Sequence[str], rows: Sequence[Any]) -> str:
    """Returns the names by state, the most frequent state first: `4 running (a, b, c and d), 1 paused (e)`."""
    by_state: defaultdict[str, list[str]] = defaultdict(list)
    for name, row in zip(names, rows, strict=True):
        by_state[change_applicability.state_word(row)].append(name)
    ordered = sorted(by_state.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{len(some)} {word}".rstrip() + f" ({change_targets.listed(some)})" for word, some in ordered)


async def _volumes(plan: Sequence[Action[Any]], fleet: Fleet, call: Call) -> Mapping[Key, str]:
    """Returns what happens to the volumes of each container that the plan removes."""
    removals = [action for action in plan if isinstance(action, Remove)]
    found = await asyncio.gather(*(_volumes_of(action, fleet, call) for action in removals))
    return {action.target.key: text for action, text in zip(removals, found, strict=True)}


async def _volumes_of(action: Remove, fleet: Fleet, call: Call) -> str:
    try:
        async with asyncio.timeout(INSPECT_SECONDS):
            inspected = await fleet.run(InspectContainer(engine=action.engine, target=action.target), call)
    except (errors.QuarterdeckError, TimeoutError):
        return ""
    mounts = inspected.data.get("Mounts")
    volumes = [
        str(mount.get("Name") or "")
        for mount in (mounts if isinstance(mounts, list) else ())
        if isinstance(mount, dict) and mount.get("Type") == "volume"
    ]
    anonymous = sum(1 for name in volumes if _ANONYMOUS.fullmatch(name)) if action.volumes else 0
    stay = len(volumes) - anonymous
    parts = []
    if anonymous:
        parts.append(f"{anonymous} anonymous volume{'s are' if anonymous > 1 else ' is'} removed with its data")
    if stay:
        parts.append(f"{stay} volume{'s are' if stay > 1 else ' is'} kept")
    return ", ".join(parts)
