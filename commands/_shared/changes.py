"""What the commands that change things share: targets in, one action each; outcomes in, a sentence or a table out.

An outcome that is not known is said as such, and that nothing is repeated. The ending is the worst of all outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from commands._shared import show
from commands.spec import SELECTION, TARGETS, Arg, Context, Plan, Render, Result, Take
from core.model.actions import Action
from core.model.refs import Kind, Ref
from core.model.replies import Block, Button, Ending, Reply, Status, Table, Text, Tone
from core.model.results import Outcome
from core.text import command_line

MOST_TARGETS = 500
LONGEST_TIMEOUT = 300  # seconds a container may be given to end by itself

WHICH = (TARGETS, *SELECTION)
TIMEOUT = Arg(
    name="--timeout",
    short="t",
    also=("--time",),
    take=Take.SECONDS,
    default=10,
    top=LONGEST_TIMEOUT,
    help="how long it may take to end by itself before it is killed",
)
LOOKS = {Kind.IMAGE: "images", Kind.NODE: "nodes", Kind.POD: "pods", Kind.UNIT: "units"}
WITH_LOGS = (Kind.CONTAINER, Kind.SERVICE)
# From the least to the most worrying.
_BY_WORRY = (Ending.OK, Ending.NOTHING, Ending.USAGE, Ending.REFUSED, Ending.FAILED, Ending.UNKNOWN, Ending.ERROR)
_TONES = {Ending.OK: Tone.GOOD, Ending.NOTHING: Tone.WARN, Ending.UNKNOWN: Tone.WARN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The words of one change: `restart`, `restarted`, `was already running`; `advice` follows a failure that holds the
    word before it. Where `already` is empty the engine's own word stands; `undone` is `not restarted` unless given."""

    command: str
    done: str
    already: str
    advice: tuple[tuple[str, str], ...] = ()
    undone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one target's change came out, in words."""

    name: str
    ref: Ref
    ending: Ending
    word: str
    sentence: str
    short: str
    """The sentence where the name stands beside it already."""


def planning(command: str, action: Callable[[Context, Ref], Action[Any]], kind: Kind = Kind.CONTAINER) -> Plan:
    async def plan(context: Context) -> Sequence[Action[Any]]:
        return [action(context, ref) for ref in await show.chosen(context, command, MOST_TARGETS, kind)]

    return plan


def rendering(said: Said) -> Render:
    def render(_: Context, results: Sequence[Result]) -> Reply:
        return outcomes(said, results)

    return render


def outcomes(said: Said, results: Sequence[Result]) -> Reply:
    """One target: a sentence. Several: how many of each, then a row for each."""
    names = show.names([show.subject(result) for result in results])
    ended = [_ended(said, name, result) for name, result in zip(names, results, strict=True)]
    if not ended:
        return Reply(blocks=(Text(text="Nothing to do."),), ending=Ending.NOTHING)
    worst = max((one.ending for one in ended), key=_BY_WORRY.index)
    tone = _TONES.get(worst, Tone.BAD)
    if len(ended) == 1:
        blocks: list[Block] = [Text(text=ended[0].sentence, tone=tone)]
    else:
        counts = Counter(one.word for one in ended)
        blocks = [
            Text(text=", ".join(f"{number} {word}" for word, number in counts.most_common()) + ".", tone=tone),
            Table(columns=("NAME", "RESULT"), rows=[(one.name, one.short) for one in ended]),
        ]
        if worst is Ending.UNKNOWN:
            blocks.append(Text(text="What is not known is not tried again; look before you do.", tone=Tone.WARN))
    return Reply(blocks=blocks, buttons=_buttons(ended), ending=worst, everyone=True)


def _ended(said: Said, name: str, result: Result) -> Ended:
    ref = show.subject(result)
    if result.error is not None:
        ending = show.ending_of(result.error)
        # A change that may have left for the engine is unknown, whatever stood in its way.
        status, detail = (Status.UNKNOWN if ending is Ending.UNKNOWN else Status.FAILED), result.error.full_message()
    else:
        outcome: Outcome = result.value
        status, detail = Status(outcome.status), outcome.detail
        ending = Ending.UNKNOWN if status is Status.UNKNOWN else Ending.FAILED if status is Status.FAILED else Ending.OK
    match status:
        case Status.DONE:
            took = f" in {result.value.took:.1f} s" if result.value.took > 0 else ""
            # `from 2 to 4` goes on with the sentence; what is one of its own stands behind it.
            goes_on = detail.startswith(("from ", "to ", "as "))
            how, more = (f" {detail}", "") if goes_on else ("", f"; {detail}" if detail else "")
            word, short = said.done, f"{said.done}{how}{took}{more}"
        case Status.NOOP:
            word, short = "unchanged", said.already or detail
        case Status.UNKNOWN:
            look = f"Nothing is tried again by itself; look with: {_line(_look(ref), ref)}"
            because = _because(detail)
            sentence = f"It is not known whether {name} was {said.done}{because} {look}"
            return Ended(
                ref=ref, name=name, ending=ending, word="unknown", sentence=sentence, short=f"not known{because}"
            )
        case _:
            word = "refused" if ending is Ending.REFUSED else "failed"
            advice = "".join(f" {cure}" for sign, cure in said.advice if sign in detail.lower())
            short = f"{said.undone or f'not {said.done}'}{_because(detail)}{advice}"
            sentence = f"{name} was {short}"
            return Ended(ref=ref, name=name, ending=ending, word=word, sentence=sentence, short=short)
    return Ended(ref=ref, name=name, ending=ending, word=word, sentence=f"{name} {short}.", short=short)


def _because(detail: str) -> str:
    detail = detail.strip()
    if not detail:
        return "."
    return f": {detail}" if detail.endswith((".", "!", "?")) else f": {detail}."


def _buttons(ended: Sequence[Ended]) -> tuple[Button, ...]:
    """Where to look next, for one target that did not go well."""
    bad = [one for one in ended if one.ending in (Ending.FAILED, Ending.UNKNOWN)]
    if len(bad) != 1:
        return ()
    one = bad[0]
    look = Button(label=f"Look at {one.ref.name}"[:70], line=_line(_look(one.ref), one.ref))
    return (look, Button(label="Its logs", line=_line("logs", one.ref))) if one.ref.kind in WITH_LOGS else (look,)


def _look(ref: Ref) -> str:
    """The command that shows such a thing."""
    return LOOKS.get(ref.kind, "ps")


def _line(command: str, ref: Ref) -> str:
    """By name and engine, not by id: whoever carries the name now is who one wants to see."""
    return command_line.quote([command, f"{ref.name}@{ref.engine}"])
