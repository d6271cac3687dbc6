"""Plans and renders the newest log lines of containers, for `logs` and `pod logs`.

The lines of several containers are sorted by time, and each line begins with its container's name. Between the runs of
a container, a separator line shows how the run ended. Older lines are left out; the reply counts them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from commands._shared import follow_end_reply, formatting, log_parts, next_steps, targets
from commands.spec import Arg, ArgType, Context, Result
from core import errors
from core.lazy_dataclass import dataclass
from core.model.actions import Action, ReadLogs
from core.model.background_jobs import FollowResult
from core.model.refs import EngineRef, Ref
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.results import MAX_PAGE_CHARACTERS, LogLine, LogPage
from core.text import error_lines, run_separator_lines

# Lines shown where no number is given: by default, with --follow, with --since.
TAIL = 100
FOLLOW_TAIL = 10
SINCE_TAIL = 1_000
MAX_LINES = 10_000
MAX_TARGETS = 20
MAX_CHARACTERS = MAX_PAGE_CHARACTERS  # of one reply; the containers share them
MAX_FOLLOWED = 5
OPTIONS = (
    Arg(
        name="--tail",
        short="n",
        type=ArgType.COUNT,
        maximum=MAX_LINES,
        help=f"show the newest COUNT lines (default {TAIL}; with --since: {SINCE_TAIL:,}; with --follow:"
        f" {FOLLOW_TAIL}; at most {MAX_LINES:,})",
    ),
    Arg(
        name="--follow",
        short="f",
        type=ArgType.FLAG,
        help=f"show new lines of at most {MAX_FOLLOWED} containers as they arrive, for at most ten minutes",
    ),
    Arg(
        name="--since",
        short="S",
        type=ArgType.MOMENT,
        help="only lines since TIME: 90s, 10m, 2h or 1d ago, or 14:05 or 2026-11-29T14:05",
    ),
    Arg(
        name="--until",
        type=ArgType.MOMENT,
        help="only lines until TIME, written like --since",
    ),
    Arg(
        name="--previous",
        short="p",
        type=ArgType.FLAG,
        help="only lines of the newest run that has ended",
    ),
    Arg(
        name="--errors",
        type=ArgType.FLAG,
        help=f"show only the lines that look like errors, and the lines that continue them, such as a traceback;"
        f" searches the newest {MAX_LINES:,} lines",
    ),
    Arg(name="--timestamps", short="t", type=ArgType.FLAG, help="show the time of each line"),
    Arg(name="--stderr", type=ArgType.FLAG, help="show only the lines from stderr"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """One line of the log of `target`. `at`: RFC 3339 with nanoseconds; `stream`: stdout or stderr."""

    target: Ref
    engine: EngineRef
    at: str
    stream: str
    text: str


SHOWS = (ShownLine, FollowResult)
_EPOCH = datetime.fromtimestamp(0, UTC)
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")


def plan(context: Context, command: str, refs: Sequence[Ref]) -> Sequence[Action[Any]]:
    """Returns the reads of these containers, of which there are at most MAX_TARGETS. Raises BadUsage."""
    args = context.args
    since_ns, until_ns = _limits(context)
    tail = args["tail"] or (SINCE_TAIL if since_ns else TAIL)
    follow = args["follow"]
    _check_together(command, context)
    if follow and len(refs) > MAX_FOLLOWED:
        raise errors.BadUsage(
            f"{command} -f follows at most {MAX_FOLLOWED} containers at once, but {len(refs)} are selected.",
            hint="Follow some of them by their names: logs NAME NAME -f",
        )
    if follow:
        tail = args["tail"] or FOLLOW_TAIL
    if args["errors"]:
        tail = MAX_LINES
    share = MAX_CHARACTERS // max(1, len(refs))
    return [
        ReadLogs(
            engine=ref.engine,
            target=ref,
            tail=tail,
            since_ns=since_ns,
            until_ns=until_ns,
            previous=args["previous"],
            follow=follow,
            over_restarts=follow,
            max_characters=share,
        )
        for ref in refs
    ]


def _limits(context: Context) -> tuple[int, int]:
    """Returns since when and until when lines are wanted, in nanoseconds; 0 for no limit. Raises BadUsage."""
    args, now = context.args, context.now
    since = args["since"].before(now) if args["since"] else None
    until = args["until"].before(now) if args["until"] else None
    if since is not None and until is not None and until <= since:
        raise errors.BadUsage(
            f"--until {formatting.moment(until)} is not later than --since {formatting.moment(since)}.",
            hint="Give an earlier --since, for example --since 2h --until 1h.",
        )
    since_ns = 0 if since is None else int(since.timestamp()) * 1_000_000_000
    return since_ns, 0 if until is None else int(until.timestamp() * 1_000_000) * 1_000


def _check_together(command: str, context: Context) -> None:
    """Raises BadUsage for --follow with an option that selects past lines."""
    given = [name for name in ("until", "previous", "errors") if context.args[name]]
    if context.args["follow"] and given:
        raise errors.BadUsage(
            f"{command}: --follow and --{given[0]} cannot be combined.", hint="Leave one of them out."
        )


def render(context: Context, results: Sequence[Result]) -> Reply:
    refs = [targets.target_of_result(result) for result in results]
    if any(isinstance(result.value, FollowResult) for result in results):
        return replace(follow_end_reply.render_follow_ends(results), buttons=next_steps.offer_next_steps(context, refs))
    pages = [result for result in results if isinstance(result.value, LogPage)]
    labels = targets.display_names(refs)
    label_of = {id(result): label for result, label in zip(results, labels, strict=True)}
    prefixed = len(results) > 1
    widest = max(map(len, labels), default=0)
    lines: list[tuple[datetime, str, ShownLine | None]] = []
    for result in pages:
        prefix = f"{label_of[id(result)]:<{widest}} | " if prefixed else ""
        page = _only_errors(result.value, context.args["tail"] or TAIL) if context.args["errors"] else result.value
        lines += _page(context, targets.target_of_result(result), page, prefix)
    if prefixed:
        # The sort is stable: lines of one container with equal times keep their order.
        lines.sort(key=lambda line: line[0])
    only_errors = context.args["errors"]
    notes = [
        Text(text=_dropped(label_of[id(result)], result))
        for result in pages
        if result.value.dropped and not only_errors
    ]
    notes += [
        Text(text=f"{label_of[id(result)]}: {note}", tone=Tone.WARN) for result in pages for note in result.value.notes
    ]
    notes += [
        Text(text=f"{label_of[id(result)]}: {result.error.full_message()}", tone=Tone.BAD)
        for result in results
        if result.error is not None
    ]
    if not pages:
        return Reply(blocks=notes, ending=formatting.failed_ending(results))
    buttons = next_steps.offer_next_steps(context, refs, *_more_steps(pages, context))
    if not lines:
        text = _no_lines(context, pages, [label_of[id(each)] for each in pages])
        return Reply(blocks=(Text(text=text), *notes), buttons=buttons, values=())
    shown = [line for _, _, line in lines if line is not None]
    block = Lines(lines=[text for _, text, _ in lines])
    return Reply(blocks=(block, *notes), buttons=buttons, ending=Ending.OK, values=shown)


def _page(context: Context, ref: Ref, page: LogPage, prefix: str) -> list[tuple[datetime, str, ShownLine | None]]:
    """The lines of one container, with the dividers of its runs, and the time of each."""
    args = context.args
    now_ns = int(context.now.timestamp() * 1e9)
    lines: list[tuple[datetime, str, ShownLine | None]] = []
    at = _EPOCH
    for part in log_parts.add_run_separators(page, now_ns):
        if isinstance(part, str):
            lines.append((at, f"{prefix}{part}", None))
            continue
        # The time never goes back within one container, so that its lines keep their order.
        at = max(at, _when(part) or at)
        if args["stderr"] and part.stream != "stderr":
            continue
        stamp = f"{part.at} " if args["timestamps"] else ""
        text = part.text if stamp or prefix else run_separator_lines.escaped(part.text)
        lines.append((at, f"{prefix}{stamp}{text}", shown_line(ref, part)))
    return lines


def shown_line(ref: Ref, line: LogLine) -> ShownLine:
    """Returns a line for a program."""
    return ShownLine(target=ref, engine=ref.engine, at=line.at, stream=line.stream, text=line.text)


def _more_steps(pages: Sequence[Result], context: Context) -> Sequence[tuple[str, str]]:
    """Offers only the errors, the run before, and the lines before the oldest one that is shown."""
    if len(pages) != 1:
        return ()
    args, action, page = context.args, pages[0].action, pages[0].value
    assert isinstance(action, ReadLogs)
    steps: list[tuple[str, str]] = []
    if not args["errors"]:
        steps.append(("Errors only", "logs {} --errors"))
    if not args["previous"] and page.runs and (len(page.runs) > 1 or page.runs[-1].number > 1):
        steps.append(("Previous run", "logs {} --previous"))
    if not args["errors"] and (len(page.lines) >= action.tail or page.dropped):
        # Times are compared with a resolution of microseconds.
        oldest = (next(filter(None, map(_ns, page.lines)), 0) - 1) // 1_000
        if oldest > 0:
            until = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=oldest)
            flags = f"{' --previous' if args['previous'] else ''}{' --stderr' if args['stderr'] else ''}"
            tail = f" --tail {args['tail']}" if args["tail"] else ""
            steps.append(("Older", f"logs {{}} --until {until:%Y-%m-%dT%H:%M:%S.%fZ}{tail}{flags}"))
    return steps


def _ns(line: LogLine) -> int:
    return log_parts.nanoseconds(line.at)


def _only_errors(page: LogPage, number: int) -> LogPage:
    """Returns the newest lines that look like errors."""
    found = error_lines.find_error_lines(page.lines)
    return msgspec.structs.replace(page, lines=tuple(found[-number:]), dropped=0)


def _when(line: LogLine) -> datetime | None:
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", line.at))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _dropped(label: str, result: Result) -> str:
    page, action = result.value, result.action
    assert isinstance(action, ReadLogs)
    left_out = f"{label}: {formatting.count(page.dropped, 'older line')} left out"
    if len(page.lines) < action.tail:
        limit = f"{action.max_characters / (1 << 20):.3g} MiB"
        return f"{left_out}, because a reply shows at most {limit} of this log. Name fewer containers, or give --since."
    return f"{left_out}; --tail 1000 shows more."


def _no_lines(context: Context, pages: Sequence[Result], labels: Sequence[str]) -> str:
    """Says what was read: a log may have been rotated, and a container may have been created a minute ago."""
    names, read = ", ".join(labels), sum(len(result.value.lines) for result in pages)
    when = _when_asked(context)
    if context.args["errors"]:
        return f"None of the newest {MAX_LINES:,} lines{when} of {names} looks like an error."
    if read:
        more = "; --tail reads more" if any(len(each.value.lines) >= _tail(each) for each in pages) else ""
        newest = "The only line" if read == 1 else f"None of the newest {read:,} lines"
        return f"{newest}{when} of {names} {'is not' if read == 1 else 'is'} from stderr{more}."
    return f"The log{'s' if len(labels) > 1 else ''} of {names} {'have' if len(labels) > 1 else 'has'} no lines{when}."


def _when_asked(context: Context) -> str:
    """The time that was asked for, such as ` of the last 10 min`; empty for any time."""
    since, until, now = context.args["since"], context.args["until"], context.now
    shown = formatting.moment(since.before(now)) if since else ""
    if until:
        end = formatting.moment(until.before(now))
        return f" from {shown} to {end}" if since else f" until {end}"
    if since and since.ago is not None:
        return f" of the last {formatting.span(since.ago.total_seconds())}"
    return f" since {shown}" if since else ""


def _tail(result: Result) -> int:
    assert isinstance(result.action, ReadLogs)
    return result.action.tail
