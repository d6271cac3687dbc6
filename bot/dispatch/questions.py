"""Asks the requester for a confirmation, or another person for an approval, and checks who may answer or cancel a
question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.access import policy
from bot.dispatch import audit, reply_formatting
from bot.dispatch.pending_questions import PendingQuestions, Question
from bot.dispatch.question_text import QuestionText
from commands.spec import Command
from core import errors
from core.model import effects
from core.model.actions import Action
from core.model.invocation import Identity, Invocation
from core.model.policy import Decision, Verdict
from core.model.replies import Button, Ending, Lines, Reply, Text, Tone, text_reply


async def ask_question(  # noqa: PLR0917 (what is asked, and where it is recorded)
    pending: PendingQuestions,
    rows: audit.Audit,
    inv: Invocation,
    command: Command,
    plan: Sequence[Action[Any]],
    decision: Decision,
    described: QuestionText,
    *,
    answered: Question | None = None,
) -> Reply:
    """Stores the plan under a new code, and returns the question with its two buttons. `answered`: the question that it
    replaces."""
    if answered is not None:
        await pending.claim(answered.token)
    question = await pending.put(
        requester=inv.who,
        place=inv.place,
        command=command.name,
        line=inv.line,
        plan=plan,
        verdict=decision.verdict,
        reason=decision.reason,
        approvers=decision.approvers,
    )
    approval = decision.verdict is Verdict.APPROVE
    minutes = max(1, round(pending.ttl.total_seconds() / 60))
    if approval:
        text = f"{described.text} Somebody else has to approve it within {minutes} min."
        text += f" {reply_formatting.format_approvers(decision.approvers)}"
    else:
        text = f"{described.text} Please confirm within {minutes} min."
    yes = "Approve" if approval else f"Yes, {command.name} {reply_formatting.shorten_targets(plan)}"
    await rows.question(inv, "asked", plan, question.token, decision)
    asked = question_reply(question.token, text, yes, everyone=approval)  # those who may approve have to see it
    return replace(asked, blocks=(*described.preview, *asked.blocks))


async def ask_reading(rows: audit.Audit, inv: Invocation, readings: Sequence[str]) -> Reply:
    """Asks which of several command lines was meant, with a button for each, and records that it was asked."""
    await rows.reading(inv, readings)
    text = "Nothing was done: because of its formatting, your message can be read as several commands."
    hint = (
        "Choose the command that you mean. To avoid this question, put names and patterns into"
        " backticks, for example restart `web-*`."
    )
    return Reply(
        blocks=(Text(text=text, tone=Tone.WARN), Lines(lines=readings), Text(text=hint)),
        buttons=tuple(Button(label=line, line=line) for line in readings),
        ending=Ending.ASKED,
    )


def question_reply(token: str, text: str, yes: str, *, everyone: bool) -> Reply:
    """Returns a question with its two buttons."""
    return Reply(
        blocks=(Text(text=text, tone=Tone.WARN),),
        buttons=(
            Button(label=yes, line=f"confirm {token}", danger=True),
            Button(label="Cancel", line=f"cancel {token}"),
        ),
        ending=Ending.ASKED,
        everyone=everyone,
    )


async def cancel_question(pending: PendingQuestions, rows: audit.Audit, inv: Invocation, question: Question) -> Reply:
    """Removes the question if `inv` may cancel it, and records that."""
    check_may_cancel(question, inv.who)
    await pending.claim(question.token)
    decision = Decision(verdict=question.verdict, rule="cancel", reason=question.reason)
    inv = replace(inv, line=question.shown_line(inv.who))
    await rows.question(inv, "cancelled", question.actions(), question.token, decision)
    return text_reply(f"Cancelled, nothing was done: {question.line}")


def check_may_cancel(question: Question, who: Identity) -> None:
    """Raises NotPermitted unless `who` is the requester or one of the approvers."""
    if question.requester != who.id and not _is_approver(question, who):
        others = " or an approver" if question.verdict is Verdict.APPROVE else ""
        raise errors.NotPermitted(
            f"Only {question.requester_name}{others} can cancel this question.", hint="Ask them to cancel the question."
        )


def check_may_answer(question: Question, who: Identity) -> None:
    """Raises NotPermitted unless the requester confirms, or another person approves."""
    own = question.requester == who.id
    if question.verdict is Verdict.CONFIRM and not own:
        raise errors.NotPermitted(
            f"Only {question.requester_name} can confirm this command.", hint="Give the command yourself."
        )
    if question.verdict is Verdict.APPROVE and own:
        raise errors.NotPermitted(
            "You cannot approve your own command. Somebody else must approve it.",
            hint=reply_formatting.format_approvers(question.approvers),
        )


def check_same_effects(asked: Sequence[Action[Any]], plan: Sequence[Action[Any]]) -> None:
    """Raises Expired if the plan would now destroy something that the question did not name."""
    for before, now in zip(asked, plan, strict=True):
        if more := effects.new_removals(before, now):
            raise errors.Expired(
                f"{now.targets()[0].name} changed after you gave the command: the command would now also remove"
                f" {more[0].name}. Nothing was done.",
                hint="Give the command again.",
            )


def _is_approver(question: Question, who: Identity) -> bool:
    """Whether one of the guards names this person, which is enough to cancel."""
    return any(policy.matches_subject(who, subject) for one in question.approvers for subject in one)
