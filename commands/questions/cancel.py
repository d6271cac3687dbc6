"""`cancel CODE`: answers “no” to the question that a change is waiting for. The change is then not made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands.spec import Arg, Command, Context, Result
from core.model import bot_actions
from core.model.actions import Action, Risk
from core.model.replies import Reply


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (bot_actions.AnswerQuestion(token=context.args["code"], yes=False),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    raise AssertionError("the dispatcher renders a cancelled question")


command = Command(
    name="cancel",
    summary="cancel a command that waits for a confirmation or an approval",
    examples=("cancel k7f3m2xq", "cancel 7hq2ncvw"),
    plan=plan,
    render=render,
    risk=Risk.READ,  # it changes nothing, so the rate limit of changes does not apply
    args=(Arg(name="code", required=True, help="code that Quarterdeck's question shows"),),
)
