"""`confirm TOKEN`: yes to a question asked before a change. The road takes up the plan that was shown, ids pinned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands.spec import Arg, Command, Context, Result
from core.model import builtin
from core.model.actions import Action, Risk
from core.model.replies import Reply


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (builtin.AnswerQuestion(token=context.args["token"], yes=True),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    raise AssertionError("the road renders the plan that was confirmed")


command = Command(
    name="confirm",
    summary="say yes to a question, by the word it showed",
    examples=("confirm k7f3m2xq", "confirm 7hq2ncvw"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    args=(Arg(name="token", required=True, help="the word shown with the question"),),
)
