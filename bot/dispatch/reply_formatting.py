"""Formats the texts that replies and audit rows contain: errors, names, targets, approvers, and how each action ended.
Does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands.spec import Context, Result
from core import errors, unexpected_errors
from core.model.actions import Action
from core.model.refs import Ref
from core.model.replies import Ending, Reply, Status, Tone, text_reply
from core.model.results import ExecResult, Outcome

ENDINGS: tuple[tuple[type[errors.QuarterdeckError], Ending], ...] = (
    (errors.NotFound, Ending.NOTHING),
    (errors.UserError, Ending.USAGE),
    (errors.Refused, Ending.REFUSED),
)


def make_error_reply(error: errors.QuarterdeckError) -> Reply:
    """Returns the reply for an error, with its ending and tone."""
    ending = next((ending for kind, ending in ENDINGS if isinstance(error, kind)), Ending.FAILED)
    tone = Tone.WARN if ending in (Ending.NOTHING, Ending.USAGE) else Tone.BAD
    return text_reply(error.full_message(), tone, ending=ending)


def make_internal_error_reply(reference: str) -> Reply:
    """Returns the reply for a bug. `reference`: under which the log has the details."""
    return text_reply(f"Internal error, reference {reference}. {unexpected_errors.HINT}", Tone.BAD, ending=Ending.ERROR)


def make_store_failure_error(error: errors.StoreError) -> errors.StoreDown:
    """Returns the refusal of a change that the store cannot record."""
    return errors.StoreDown(
        f"Nothing was done: changes are refused while they cannot be recorded. {error.message}", hint=error.hint
    )


def make_public(context: Context, reply: Reply) -> Reply:
    """Returns the reply, visible to the whole channel if the requester wants that and the command succeeded."""
    return replace(reply, everyone=True) if context.args.get("share") and reply.ending is Ending.OK else reply


def list_target_names(plan: Sequence[Action[Any]]) -> list[str]:
    return [ref.name for action in plan for ref in action.targets()]


def format_targets(plan: Sequence[Action[Any]]) -> str:
    refs: list[Ref] = [ref for action in plan for ref in action.targets()]
    return ", ".join(str(ref) for ref in refs[:20])


def format_endings(results: Sequence[Result]) -> Sequence[tuple[Action[Any], str, str]]:
    """Returns for each result its action, status and detail."""
    return [(result.action, *format_ending(result)) for result in results]


def format_ending(result: Result) -> tuple[str, str]:
    """Returns the status and detail of one result, as the audit records them."""
    if result.error is not None:
        return str(Status.FAILED), result.error.message
    if isinstance(result.value, Outcome):
        return result.value.status, result.value.detail
    if isinstance(result.value, ExecResult):
        return str(Status.DONE), f"ended with code {result.value.exit_code}"
    if result.action.listing and hasattr(result.value, "rows"):
        return str(Status.DONE), f"{len(result.value.rows)} rows"
    return str(Status.DONE), ""


def format_approvers(lists: Sequence[Sequence[str]]) -> str:
    """Says who may approve: somebody of each of these lists, who may be one person or several."""
    if not lists:
        return "Anybody with the permission for this command can approve it."
    return f"It can be approved by {', and also by '.join(' or '.join(one) for one in lists)}."


def shorten_targets(plan: Sequence[Action[Any]]) -> str:
    """Returns the name of the only target, or the number of targets, such as `3 containers`."""
    found = list_target_names(plan)
    if len(found) == 1:
        return found[0][:40]
    kinds = {ref.kind for action in plan for ref in action.targets()}
    return f"{len(found)} {next(iter(kinds)) if len(kinds) == 1 else 'resource'}s"
