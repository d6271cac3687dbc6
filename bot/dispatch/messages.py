"""What the road says and writes of a plan: refusals, questions, who and what, how each action ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands.spec import Context, Result
from core import errors
from core.model.actions import Action
from core.model.policy import Decision, Verdict
from core.model.refs import Ref
from core.model.replies import Ending, Reply, Status, Tone, text_reply
from core.model.results import Outcome

ENDINGS: tuple[tuple[type[errors.QuarterdeckError], Ending], ...] = (
    (errors.NotFound, Ending.NOTHING),
    (errors.UserError, Ending.USAGE),
    (errors.Refused, Ending.REFUSED),
)


def sorry(error: errors.QuarterdeckError) -> Reply:
    ending = next((ending for kind, ending in ENDINGS if isinstance(error, kind)), Ending.FAILED)
    tone = Tone.WARN if ending in (Ending.NOTHING, Ending.USAGE) else Tone.BAD
    return text_reply(error.full_message(), tone, ending=ending)


def brake(rule: str, reason: str) -> Decision:
    return Decision(verdict=Verdict.CONFIRM, rule=rule, reason=reason)


def shared(context: Context, reply: Reply) -> Reply:
    """What was read, for everybody in the channel where the asker wanted that and there is something to show."""
    return replace(reply, everyone=True) if context.args.get("share") and reply.ending is Ending.OK else reply


def names(plan: Sequence[Action[Any]]) -> list[str]:
    return [ref.name for action in plan for ref in action.targets()]


def targets(plan: Sequence[Action[Any]]) -> str:
    refs: list[Ref] = [ref for action in plan for ref in action.targets()]
    return ", ".join(str(ref) for ref in refs[:20])


def ends(results: Sequence[Result]) -> Sequence[tuple[Action[Any], str, str]]:
    ends = []
    for result in results:
        if result.error is not None:
            ends.append((result.action, str(Status.FAILED), result.error.message))
        elif isinstance(result.value, Outcome):
            ends.append((result.action, result.value.status, result.value.detail))
        elif result.action.listing and hasattr(result.value, "rows"):
            ends.append((result.action, str(Status.DONE), f"{len(result.value.rows)} rows"))
        else:
            ends.append((result.action, str(Status.DONE), ""))
    return ends


def approvers(who: Sequence[str]) -> str:
    return (
        f"It can be approved by {', '.join(who)}." if who else "It can be approved by anybody who may do it themselves."
    )


def few(names: Sequence[str]) -> str:
    return names[0][:40] if len(names) == 1 else f"{len(names)} things"
