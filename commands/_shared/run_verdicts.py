"""Formats the verification of the containers that a change started, as the end of the sentence about the change:
`worker restarted in 0.3 s, died again after 1 s (exit 2, 8th time in 1 h).`
"""

from __future__ import annotations

from collections.abc import Sequence

from commands._shared import next_steps
from commands.spec import Context
from core.lazy_dataclass import dataclass
from core.model.containers import NO_EXIT_CODE
from core.model.refs import Kind, Ref
from core.model.replies import Button, Ending, Lines, Tone
from core.model.verification import RunState, RunVerdict
from core.text import command_line

MAX_NAMES = 5
AT_ONCE = 0.5  # seconds
_GOOD = (RunState.RUNNING, RunState.HEALTHY)
# From the best to the worst.
TONES = (Tone.GOOD, Tone.PLAIN, Tone.WARN, Tone.BAD)
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictText:
    """What became of all containers of one target. `phrase`: the end of a sentence, without a full stop; `category`:
    one word by which targets are counted, empty if all is well."""

    phrase: str
    tone: Tone
    ending: Ending
    category: str = ""


def summarize(runs: Sequence[RunVerdict], target: Ref | None) -> VerdictText | None:
    """Returns the text about one target, or about a group of containers (None); None as long as nothing is known."""
    known = [run for run in runs if run.state is not RunState.WATCHED]
    if not known:
        return None
    if len(runs) == 1 and target is not None and target.kind is runs[0].ref.kind:
        return _one(runs[0])
    worst = max(known, key=_severity)
    text = _one(worst)
    waiting = len(runs) - len(known)
    if text.tone is Tone.GOOD:
        if waiting:
            return None
        longest = max(run.seconds for run in runs)
        healthy = all(run.state is RunState.HEALTHY for run in runs)
        after = "" if healthy and longest < AT_ONCE else f" after {_span(longest)}"
        count = f"{len(runs)} container{'s' if len(runs) > 1 else ''}"
        phrase = f"{count} {'healthy' if healthy else 'still running'}{after}"
        return VerdictText(phrase=phrase, tone=Tone.GOOD, ending=Ending.OK)
    bad = [run for run in known if run.state not in _GOOD]
    others = sum(run.state in _GOOD for run in known)
    more = f", {len(bad) - MAX_NAMES} more failed or ended" if len(bad) > MAX_NAMES else ""
    rest = f"; {others} other{'s run' if others > 1 else ' runs'}" if others else ""
    phrase = "; ".join(f"{run.ref.name} {_one(run).phrase}" for run in sorted(bad, key=_severity)[::-1][:MAX_NAMES])
    return VerdictText(phrase=f"{phrase}{more}{rest}", tone=text.tone, ending=text.ending, category=text.category)


def waiting_sentence(runs: Sequence[RunVerdict]) -> str:
    """Returns the sentence about the containers that are still watched; empty if there are none."""
    waiting = [run for run in runs if run.state is RunState.WATCHED]
    if not waiting:
        return ""
    return f"Watching {waiting[0].ref.name if len(waiting) == 1 else f'{len(waiting)} containers'}…"


def buttons_for(context: Context, runs: Sequence[RunVerdict]) -> tuple[Button, ...]:
    """Returns what somebody needs for the one container that did not do well; nothing if there are several."""
    found = [shown for run in runs if (shown := buttons(context, run))]
    return found[0] if len(found) == 1 else ()


def buttons(context: Context, run: RunVerdict) -> tuple[Button, ...]:
    """Returns what somebody needs for a container that did not do well."""
    at = next_steps.word(context, run.ref)
    words = ["service", "logs"] if run.ref.kind is Kind.SERVICE else ["logs"]
    logs = _offer("Logs", *words, at)
    match run.state:
        case RunState.ENDED if run.ref.kind is Kind.SERVICE:
            return (logs, _offer("Tasks", "service", "ps", at))
        case RunState.UNHEALTHY | RunState.UNCHECKED:
            return (logs, _offer("Stop", "stop", at))
        case RunState.ENDED if run.restarting:
            return (logs, _offer("Stop", "stop", at))
        case RunState.ENDED | RunState.STOPPED:
            return (logs, _offer("Start", "start", at))
    return ()


def _offer(label: str, *words: str) -> Button:
    return Button(label=label, line=command_line.quote(words), offered=True)


def log_lines(runs: Sequence[RunVerdict]) -> tuple[Lines, ...]:
    """Returns the last log line of each container that ended, where it was read."""
    return tuple(Lines(lines=(run.log,), title=f"Last line of {run.ref.name}:") for run in runs if run.log)


def _one(run: RunVerdict) -> VerdictText:
    after = f"after {_span(run.seconds)}"
    match run.state:
        case RunState.HEALTHY:
            # Right after an unpause, the last result still holds.
            phrase = f"healthy {after}" if run.seconds >= AT_ONCE else "healthy"
            return VerdictText(phrase=phrase, tone=Tone.GOOD, ending=Ending.OK)
        case RunState.UNHEALTHY:
            return VerdictText(phrase=f"unhealthy {after}", tone=Tone.WARN, ending=Ending.FAILED, category="unhealthy")
        case RunState.UNCHECKED:
            text = f"runs, but its health check has not succeeded {after}"
            return VerdictText(phrase=text, tone=Tone.WARN, ending=Ending.OK, category="not healthy yet")
        case RunState.ENDED:
            return _ended(run, after)
        case RunState.STOPPED:
            return VerdictText(
                phrase=f"stopped by somebody {after}", tone=Tone.WARN, ending=Ending.OK, category="stopped again"
            )
        case RunState.PAUSED:
            return VerdictText(phrase=f"paused {after}", tone=Tone.WARN, ending=Ending.OK, category="paused again")
        case RunState.REMOVED:
            return VerdictText(phrase=f"removed {after}", tone=Tone.WARN, ending=Ending.OK, category="removed")
        case RunState.UNWATCHED:
            text = f"not watched any further: {run.why.removesuffix('.')}"
            return VerdictText(phrase=text, tone=Tone.PLAIN, ending=Ending.OK)
        case RunState.UNKNOWN:
            text = f"but it is not known whether it still runs{f': {run.why}' if run.why else ''}".removesuffix(".")
            return VerdictText(phrase=text, tone=Tone.WARN, ending=Ending.UNKNOWN, category="not verified")
    which = "all tasks still running" if run.ref.kind is Kind.SERVICE else "still running"
    return VerdictText(phrase=f"{which} {after}", tone=Tone.GOOD, ending=Ending.OK)


def _ended(run: RunVerdict, after: str) -> VerdictText:
    details = ["out of memory"] if run.out_of_memory else []
    if run.exit_code is not None:
        details.append(f"exit {run.exit_code}")
    elif run.ref.kind is Kind.CONTAINER and (unknown := NO_EXIT_CODE.get(run.ref.engine.kind)):
        details.append(unknown)
    if run.ref.kind is Kind.SERVICE:
        many = f"{run.ends} tasks" if run.ends > 1 else "a task"
        details += [run.why] if run.why else []
        how = f" ({', '.join(details)})" if details else ""
        return VerdictText(
            phrase=f"but {many} failed {after}{how}", tone=Tone.WARN, ending=Ending.FAILED, category="tasks failed"
        )
    if run.ends > 1:
        details.append(f"{_ordinal(run.ends)} time in 1 h")
    how = f" ({', '.join(details)})" if details else ""
    again = " again" if run.ends > 1 else ""
    if not run.failed:
        return VerdictText(phrase=f"ended{again} {after}{how}", tone=Tone.PLAIN, ending=Ending.OK, category="ended")
    word = "ended" if run.exit_code is None and not run.restarting else "died"
    return VerdictText(
        phrase=f"{word}{again} {after}{how}", tone=Tone.WARN, ending=Ending.FAILED, category=f"{word}{again}"
    )


def _severity(run: RunVerdict) -> tuple[int, bool]:
    text = _one(run)
    return TONES.index(text.tone), text.ending is Ending.FAILED


def _span(seconds: float) -> str:
    """Formats a short time: `0.4 s`, `6 s`, `2 min`."""
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else _SUFFIXES.get(number % 10, "th")
    return f"{number}{suffix}"
