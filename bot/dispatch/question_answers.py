"""Checks whether a person may confirm a pending question, by the grants and guards at that moment. Collects approvals.

Permission is checked again for the requester and for the person who confirms. If several guards need an approval, each
guard must get one; one person may satisfy several guards. A rejected confirmation leaves the question open. New
commands are checked by the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.access import policy
from bot.dispatch import audit, decision, questions, reply_formatting, unattended_policy
from bot.dispatch.group_and_name_lookup import CurrentPeople
from bot.dispatch.pending_questions import PendingQuestions, Person, Question
from bot.dispatch.visible_fleet import VisibleFleet
from core import errors
from core.model.actions import Action
from core.model.invocation import Identity, Invocation
from core.model.policy import Decision, Verdict
from core.model.replies import Reply


def decide_permission(
    question: Question | None,
    people: Sequence[Person],
    plan: Sequence[Action[Any]],
    view: VisibleFleet,
    inv: Invocation,
    *,
    max_unconfirmed: int,
) -> Decision:
    """Returns the decision on a new command, or on the yes to a `question`: the strictest decision for the requester
    and for the person who answers. The `approvers` of the latter are the lists that are still not satisfied. `people`:
    as `people_of_question` returns them. Raises Expired if the plan would do more than was asked about, and
    NotPermitted if this person's approval would not help.
    """

    def decide_for(seen_by: VisibleFleet) -> Decision:
        return decision.decide(plan, seen_by, max_unconfirmed=max_unconfirmed)

    decided = decide_for(view)
    if question is None:
        return unattended_policy.final(decided, inv)
    questions.check_same_effects(question.actions(), plan)
    requester, *approved = people
    if requester.id != inv.who.id:
        decided = decision.strictest(decided, decide_for(view.as_seen_by(requester.identity(), requester.place())))
    if decided.verdict is Verdict.DENY or question.verdict is not Verdict.APPROVE:
        return decided
    earlier = [
        person.identity()
        for person in approved
        if decide_for(view.as_seen_by(person.identity(), person.place())).verdict is not Verdict.DENY
    ]
    needed = _unsatisfied(decided.approvers, earlier)
    missing = _unsatisfied(needed, [inv.who])
    if needed and missing == needed:
        raise errors.NotPermitted(
            "You are not an approver of this command. The question stays open.",
            rule=decided.rule,
            hint=reply_formatting.format_approvers(needed),
        )
    return replace(decided, approvers=missing)


async def people_of_question(question: Question | None, people: CurrentPeople) -> Sequence[Person]:
    """Returns the requester of a question and those who approved it, each with the groups of now. An approver who may
    not give commands any more is left out. Raises NotPermitted if that is the requester."""
    found = []
    for number, person in enumerate(question.people if question is not None else ()):
        try:
            found.append(Person.of(await people.current(person.identity()), person.place()))
        except errors.NotPermitted as error:
            if number:
                continue
            raise errors.NotPermitted(
                f"The command was not run: {person.name}, who gave it, may not give commands now: {error.message}",
                rule=error.rule,
                hint="Give the command yourself.",
            ) from error
    return found


async def add_approval(  # noqa: PLR0917 (who approved what, and where it is recorded)
    pending: PendingQuestions,
    rows: audit.Audit,
    inv: Invocation,
    question: Question,
    plan: Sequence[Action[Any]],
    decided: Decision,
) -> Reply:
    """Stores the approval of one person in the question, and returns the question to the others."""
    await pending.add_person(question, Person.of(inv.who, inv.place))
    await rows.question(inv, "approved", plan, question.token, decided)
    what = f"{question.command} {reply_formatting.shorten_targets(plan)}"
    text = f"{what}: {inv.who.name} approved. {reply_formatting.format_approvers(decided.approvers)}"
    return questions.question_reply(question.token, text, "Approve", everyone=True)


def _unsatisfied(lists: Sequence[tuple[str, ...]], people: Sequence[Identity]) -> tuple[tuple[str, ...], ...]:
    """Returns the lists of approvers that contain nobody of these people."""
    return tuple(
        one for one in lists if not any(policy.matches_subject(person, subject) for person in people for subject in one)
    )
