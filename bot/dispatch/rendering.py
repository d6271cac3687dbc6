"""Renders the results of a command for people and, if a program reads the reply, as records.

If a result cannot be rendered because of a bug, only that result is missing in the reply, and the log has the reason.
The outcome of a change is always reported.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.dispatch import json_records, reply_formatting
from commands.spec import Command, Context, Result
from core import errors, unexpected_errors
from core.model.actions import Risk
from core.model.invocation import Invocation
from core.model.replies import Ending, Reply, Table, Text, Tone


def render(
    command: Command,
    context: Context,
    results: Sequence[Result],
    bugs: unexpected_errors.BugReporter,
    inv: Invocation | None = None,
) -> Reply:
    """Returns the command's reply, and how to make its records if a program reads it. Does not raise if the command
    cannot render some or all results. A reply with a secret has no records."""
    reply = _render(command, context, results, bugs)
    make = None
    if inv is not None and inv.as_records and not reply.secret:
        make = functools.partial(json_records.records_of, command, reply.values, results)
    return replace(reply, values=None, make_records=make)


def _render(
    command: Command, context: Context, results: Sequence[Result], bugs: unexpected_errors.BugReporter
) -> Reply:
    try:
        return command.render(context, results)
    except errors.QuarterdeckError:
        raise
    except Exception as error:
        reference = bugs.report(error, "render", command=command.name)
    if all(result.action.risk is Risk.READ for result in results):
        shown = [result if _can_render(command, context, result) else _failed(result, reference) for result in results]
        try:
            return command.render(context, shown)
        except Exception as error:
            reference = bugs.report(error, "render", command=command.name)
    return _plain(results, reference)


def _can_render(command: Command, context: Context, result: Result) -> bool:
    try:
        command.render(context, [result])
    except Exception:  # it was logged where all results were rendered
        return False
    return True


def _failed(result: Result, reference: str) -> Result:
    message = f"{result.action.verb} on {result.action.engine} cannot be shown because of a bug in Quarterdeck"
    error = errors.InvalidResponse(f"{message}, reference {reference}.", sent=False, hint=unexpected_errors.HINT)
    return Result(action=result.action, error=error)


def _plain(results: Sequence[Result], reference: str) -> Reply:
    """Lists the status of each action, without the command's own words."""
    rows: list[tuple[Any, ...]] = []
    for result in results:
        status, detail = reply_formatting.format_ending(result)
        rows.append((reply_formatting.format_targets([result.action]), status, detail))
    note = f"Quarterdeck cannot format this reply because of a bug, reference {reference}. {unexpected_errors.HINT}"
    return Reply(
        blocks=(Text(text=note, tone=Tone.BAD), Table(columns=("TARGET", "RESULT", "DETAIL"), rows=rows, wrap=True)),
        ending=Ending.ERROR,
    )
