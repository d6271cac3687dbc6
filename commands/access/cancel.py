"""`cancel TOKEN`: no to a question asked before a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands.spec import Arg, Command, Context, Result
from core.model import builtin
from core.model.actions import Action, Risk
from core.model.replies import Reply


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (builtin.AnswerQuestion(token=context.args["token"], yes=False),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    raise AssertionError("the road renders a cancelled question")


command = Command(
    name="cancel",
    summary="say no to a question, by the word it showed",
    examples=("cancel k7f3m2xq", "cancel 7hq2ncvw"),
    plan=plan,
    render=render,
    risk=Risk.READ,  # it changes nothing, and saying no is not rationed as a change is
    args=(Arg(name="token", required=True, help="the word shown with the question"),),
)
