"""`service logs`: shows the newest log lines of all tasks of Swarm services, or follows them. Each line begins with its
task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import follow_end_reply, formatting, next_steps, targets
from commands.spec import SELECTION, Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action
from core.model.background_jobs import FollowResult
from core.model.refs import Kind
from core.model.replies import Block, Button, Lines, Reply, Text, Tone
from core.model.results import LogLine, LogPage
from core.model.swarm import ReadServiceLogs

TAIL, FOLLOW_TAIL, MAX_LINES = 100, 10, 10_000
MAX_TARGETS = 5


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    refs = await targets.select_targets(context, "service logs", MAX_TARGETS, Kind.SERVICE)
    if args["follow"] and len(refs) > 1:
        raise errors.BadUsage(
            f"The command `service logs -f` follows only one service, but {len(refs)} are selected:"
            f" {', '.join(targets.display_names(refs))}.",
            hint="Write the name of one service.",
        )
    since = int(args["since"].before(context.now).timestamp()) * 1_000_000_000 if args["since"] else 0
    tail = args["tail"] or (FOLLOW_TAIL if args["follow"] else TAIL)
    return [
        ReadServiceLogs(engine=ref.engine, target=ref, tail=tail, since_ns=since, follow=args["follow"]) for ref in refs
    ]


def render(context: Context, results: Sequence[Result]) -> Reply:
    if any(isinstance(result.value, FollowResult) for result in results):
        return replace(follow_end_reply.render_follow_ends(results), buttons=_buttons(context, results))
    blocks: list[Block] = []
    since = context.args["since"]
    when = f" of the last {formatting.span(since.total_seconds())}" if since else ""
    for label, result in zip(
        targets.display_names([targets.target_of_result(one) for one in results]), results, strict=True
    ):
        if result.error is not None:
            blocks.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
            continue
        page: LogPage = result.value
        lines = [f"{line.at} {line.text}" if context.args["timestamps"] else line.text for line in page.lines]
        blocks.append(Lines(lines=lines) if lines else Text(text=f"The logs of {label} have no lines{when}."))
        if page.dropped:
            left_out = formatting.count(page.dropped, "older line")
            blocks.append(Text(text=f"{label}: {left_out} left out; --tail {MAX_LINES} shows more."))
    failed = all(result.error is not None for result in results)
    if failed:
        return Reply(blocks=blocks, ending=formatting.failed_ending(results))
    return Reply(blocks=blocks, buttons=_buttons(context, results))


def _buttons(context: Context, results: Sequence[Result]) -> Sequence[Button]:
    return next_steps.offer_next_steps(context, [targets.target_of_result(result) for result in results])


command = Command(
    name="service logs",
    summary="show the newest log lines of Swarm services",
    examples=("service logs shop_front", "service logs shop_front --tail 500 -t"),
    plan=plan,
    render=render,
    verbs=(ReadServiceLogs.verb,),
    shows=(LogLine, FollowResult),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="Swarm service (shop_web, web), or a glob like 'shop_*'",
        ),
        Arg(
            name="--tail",
            short="n",
            type=ArgType.COUNT,
            maximum=MAX_LINES,
            help=f"show the newest COUNT lines (default {TAIL}; with --follow: {FOLLOW_TAIL}; at most {MAX_LINES:,})",
        ),
        Arg(
            name="--follow",
            short="f",
            type=ArgType.FLAG,
            help="show new lines of one service as they arrive, for at most ten minutes",
        ),
        Arg(
            name="--since",
            short="S",
            type=ArgType.MOMENT,
            help="only lines since TIME: 90s, 10m, 2h or 1d ago, or 14:05 or 2026-11-29T14:05",
        ),
        Arg(name="--timestamps", short="t", type=ArgType.FLAG, help="show the time of each line"),
        *SELECTION,
    ),
)
