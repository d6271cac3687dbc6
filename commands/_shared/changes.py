"""Plans and renders the commands that change something: one action for each target, then their outcomes.

The reply is a sentence for one target, and a table for several. If the outcome of a change is unknown, the reply says
so, and the change is not repeated. If the started containers were watched after the change, the sentence ends with what
became of them. The result of the whole command (in a console, its exit code) is the worst of all outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from commands._shared import formatting, next_steps, run_verdicts, targets
from commands.spec import SELECTION, TARGETS, Arg, ArgType, Context, Plan, Render, Result
from core.lazy_dataclass import dataclass
from core.model.actions import MAX_STOP_SECONDS, Action
from core.model.effect_factory import REMOVE
from core.model.refs import Kind, Ref
from core.model.replies import Block, Button, Ending, Reply, Status, Table, Text, Tone
from core.model.results import Outcome
from core.model.verification import RunState, RunVerdict
from core.text import command_line

MAX_TARGETS = 500

TARGET_ARGS = (TARGETS, *SELECTION)
TIMEOUT = Arg(
    name="--timeout",
    short="t",
    hidden_names=("--time",),
    type=ArgType.SECONDS,
    maximum=MAX_STOP_SECONDS,
    help="time that a container has to stop before it is killed (default: the container's own setting; at most"
    f" {MAX_STOP_SECONDS:,})",
)
_LOW_PORT = "An ordinary user's engine publishes only ports from 1024 on: choose one, such as -p 8080:80."
# What slirp4netns and pasta say to an engine without the right to a low port.
PORT_ADVICE = (("privileged port", _LOW_PORT), ("failed to bind port", _LOW_PORT))
# The command that shows a resource of a kind; `ps` for every other kind.
SHOW_COMMANDS = {
    Kind.ENGINE: "engines",
    Kind.IMAGE: "images",
    Kind.NETWORK: "network ls",
    Kind.NODE: "nodes",
    Kind.POD: "pods",
    Kind.PROJECT: "project ls",
    Kind.UNIT: "units",
    Kind.VOLUME: "volume ls",
}
KINDS_WITH_LOGS = (Kind.CONTAINER, Kind.SERVICE)
TAKEN = ("already", "in use")  # in the words of an engine that has another resource of the name
# From the best to the worst.
_BY_SEVERITY = (Ending.OK, Ending.NOTHING, Ending.USAGE, Ending.REFUSED, Ending.FAILED, Ending.UNKNOWN, Ending.ERROR)
_TONES = {Ending.OK: Tone.GOOD, Ending.NOTHING: Tone.WARN, Ending.UNKNOWN: Tone.WARN}
WORTH_SAYING = 0.05  # seconds: a shorter time would be shown as 0.0 s
UNKNOWN = "unknown"  # the category of a change whose outcome is unknown


def not_running_too(resources: str, group: str = "a glob") -> Arg:
    """Returns the option of the commands that restart `resources`: it includes what bot.dispatch.change_targets leaves
    out of a group."""
    return Arg(
        name="--all",
        short="a",
        type=ArgType.FLAG,
        help=f"also start {resources} that are not running; without --all, {group} restarts only running ones",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Holds the phrases of one kind of change.

    `done`: `restarted`. `unchanged`: `was already running`; empty where the engine's own sentence is shown. `advice`:
    pairs of a text and a hint, which is shown after a failure with that text. `not_done`: `not restarted` by default.
    `renames`: the target has another name afterwards, so no next step by its old name is offered.
    """

    done: str
    unchanged: str = ""
    advice: tuple[tuple[str, str], ...] = ()
    not_done: str = ""
    renames: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """Holds the outcome of the change of one target.

    `category`: one word, by which outcomes are counted. `phrase`: the sentence without the target's name, for a table
    that has the name in another column. `runs`: what became of the containers that the change started. `killed`: how
    many containers did not end within their grace and were killed. `gone`: the target does not exist any more, or may
    not exist any more.
    """

    name: str
    ref: Ref
    ending: Ending
    category: str
    sentence: str
    phrase: str
    tone: Tone
    runs: Sequence[RunVerdict] = ()
    killed: int = 0
    gone: bool = False


def make_plan(command: str, action: Callable[[Context, Ref], Action[Any]], kind: Kind = Kind.CONTAINER) -> Plan:
    async def plan(context: Context) -> Sequence[Action[Any]]:
        return [action(context, ref) for ref in await targets.select_targets(context, command, MAX_TARGETS, kind)]

    return plan


def make_render(wording: Wording) -> Render:
    def render(context: Context, results: Sequence[Result]) -> Reply:
        return render_outcomes(wording, results, context)

    return render


def render_outcomes(wording: Wording, results: Sequence[Result], context: Context) -> Reply:
    """Renders a sentence for one target; for several, the number of each outcome and a row for each target."""
    names = targets.display_names([targets.target_of_result(result) for result in results])
    changed = [_target_result(wording, name, result) for name, result in zip(names, results, strict=True)]
    if not changed:
        return Reply(blocks=(Text(text="Nothing to do."),), ending=Ending.NOTHING)
    last = max(changed, key=lambda one: (_BY_SEVERITY.index(one.ending), run_verdicts.TONES.index(one.tone)))
    worst, tone = last.ending, last.tone
    runs = [run for target in changed for run in target.runs]
    if len(changed) == 1:
        blocks: list[Block] = [Text(text=changed[0].sentence, tone=tone)]
    else:
        counts = Counter(target.category for target in changed)
        summary = ", ".join(f"{number} {category}" for category, number in counts.most_common())
        if killed := sum(target.killed for target in changed):
            summary += f"; {killed} did not end in time and {'was' if killed == 1 else 'were'} killed"
        blocks = [
            Text(text=f"{summary}.", tone=tone),
            Table(columns=("NAME", "RESULT"), rows=[(target.name, target.phrase) for target in changed], wrap=True),
        ]
        if any(target.category == UNKNOWN for target in changed):
            blocks.append(
                Text(text="Unknown changes are not repeated. Check them before you repeat them.", tone=Tone.WARN)
            )
    if waiting := run_verdicts.waiting_sentence(runs):
        blocks.append(Text(text=waiting))
    blocks += run_verdicts.log_lines(runs)
    buttons = _buttons(changed, context)
    gone = wording.renames or any(target.gone for target in changed)
    if not buttons and worst is Ending.OK and not waiting and not gone:
        buttons = next_steps.offer_next_steps(context, [target.ref for target in changed])
    return Reply(blocks=blocks, buttons=buttons, ending=worst, everyone=True)


def _target_result(wording: Wording, name: str, result: Result) -> TargetResult:
    ref = targets.target_of_result(result)
    if result.error is not None:
        ending = formatting.reply_ending_for(result.error)
        # A change whose request may have reached the engine is unknown, whatever the error was.
        status, detail = (Status.UNKNOWN if ending is Ending.UNKNOWN else Status.FAILED), result.error.full_message()
    else:
        outcome: Outcome = result.value
        status, detail = Status(outcome.status), outcome.detail
        ending = Ending.UNKNOWN if status is Status.UNKNOWN else Ending.FAILED if status is Status.FAILED else Ending.OK
    tone, runs = _TONES.get(ending, Tone.BAD), result.runs
    match status:
        case Status.DONE:
            took = f" in {result.value.took:.1f} s" if result.value.took >= WORTH_SAYING else ""
            # `from 2 to 4` continues the sentence; any other detail follows it.
            how, semicolon, rest = detail.partition("; ") if detail.startswith(("from ", "to ", "as ")) else ("",) * 3
            how, more = (f" {how}", semicolon + rest) if how else ("", f"; {detail}" if detail else "")
            category, phrase = wording.done, f"{wording.done}{how}{took}{more}"
            if (seen := run_verdicts.summarize(runs, ref)) is not None:
                category, phrase = seen.category or category, f"{phrase}{';' if more else ','} {seen.phrase}"
                ending, tone = seen.ending, seen.tone
        case Status.NOOP:
            category, phrase = "unchanged", wording.unchanged or detail
        case Status.UNKNOWN:
            reason = _reason(detail)
            hint = f"It is not repeated. Check with: {_line(_show_command(ref), ref)}"
            return TargetResult(
                ref=ref,
                name=name,
                ending=ending,
                tone=tone,
                category=UNKNOWN,
                sentence=f"It is not known whether {name} was {wording.done}{reason} {hint}",
                phrase=f"not known{reason}",
            )
        case _:
            category = "refused" if ending is Ending.REFUSED else "failed"
            advice = "".join(f" {hint}" for text, hint in wording.advice if text in detail.lower())
            phrase = f"{wording.not_done or f'not {wording.done}'}{_reason(detail)}{advice}"
            sentence = f"{name} was {phrase}"
            return TargetResult(
                ref=ref, name=name, ending=ending, tone=tone, category=category, sentence=sentence, phrase=phrase
            )
    return TargetResult(
        ref=ref,
        name=name,
        ending=ending,
        tone=tone,
        category=category,
        sentence=f"{name} {phrase}.",
        phrase=phrase,
        runs=runs,
        killed=len(result.value.killed),
        gone=_is_gone(result, ref, status),
    )


def _is_gone(result: Result, ref: Ref, status: Status) -> bool:
    """Whether a change has removed its target, or may have: a container that was created with --rm removes itself when
    it ends."""
    if any(run.ref == ref and run.state is RunState.REMOVED for run in result.runs):
        return True
    if result.action.verb.endswith(".remove"):
        return True
    return status is Status.DONE and any(one.verb == REMOVE and one.ref == ref for one in result.action.effects or ())


def _reason(detail: str) -> str:
    detail = detail.strip()
    if not detail:
        return "."
    return f": {detail}" if detail.endswith((".", "!", "?")) else f": {detail}."


def _buttons(changed: Sequence[TargetResult], context: Context) -> tuple[Button, ...]:
    """Makes buttons for the one target whose change failed or is unknown, or whose container did not do well."""
    bad = [target for target in changed if target.ending in (Ending.FAILED, Ending.UNKNOWN) and not target.runs]
    if not bad:
        return run_verdicts.buttons_for(context, [run for target in changed for run in target.runs])
    if len(bad) != 1:
        return ()
    ref = bad[0].ref
    if _does_not_exist(bad[0]):
        return ()
    logs = "service logs" if _is_of_swarm(ref) else "logs"
    look = Button(label=f"Look at {ref.name}"[:70], line=_line(_show_command(ref), ref), offered=True)
    return (
        (look, Button(label="Its logs", line=_line(logs, ref), offered=True))
        if ref.kind in KINDS_WITH_LOGS
        else (look,)
    )


def _does_not_exist(target: TargetResult) -> bool:
    """Whether the target was to be created, and there is nothing with its name."""
    return (
        target.ref.id.startswith("new:")
        and target.ending is Ending.FAILED
        and not any(words in target.phrase for words in TAKEN)
    )


def _show_command(ref: Ref) -> str:
    return "service ps" if _is_of_swarm(ref) else SHOW_COMMANDS.get(ref.kind, "ps")


def _is_of_swarm(ref: Ref) -> bool:
    """Whether it is a service of a Swarm. One of a Compose project is shown by its containers."""
    return ref.kind is Kind.SERVICE and ref.engine.kind == "swarm"


def _line(command: str, ref: Ref) -> str:
    """Returns a command line with the target's name and engine, not its id: the reader wants to see the resource that
    has the name now."""
    name = str(ref.engine) if ref.kind is Kind.ENGINE else f"{ref.name}@{ref.engine}"
    return command_line.quote([*command.split(), name])
