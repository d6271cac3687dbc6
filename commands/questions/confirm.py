"""`confirm CODE`: answers “yes” to the question that a change is waiting for. The dispatcher then runs the plan that
the question showed, on the same resources by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands.spec import Arg, Command, Context, Result
from core.model import bot_actions
from core.model.actions import Action, Risk
from core.model.replies import Reply


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (bot_actions.AnswerQuestion(token=context.args["code"], yes=True),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    raise AssertionError("the dispatcher renders the confirmed plan")


command = Command(
    name="confirm",
    summary="confirm or approve a command that waits for an answer",
    examples=("confirm k7f3m2xq", "confirm 7hq2ncvw"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    args=(Arg(name="code", required=True, help="code that Quarterdeck's question shows"),),
)
