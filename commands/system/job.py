"""`job stop ID…`: ends what goes on, such as a followed log. The id stands where it was begun; its button holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import show
from commands.spec import Arg, Command, Context, Result, Take
from core import errors
from core.model.actions import Action, Risk
from core.model.jobs import StopAnyJob, StopJob
from core.model.replies import Ending, Reply, Status, Text, Tone
from core.model.results import Outcome
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    actions: list[Action[Any]] = []
    for word in context.args["id"]:
        job, at, engine = word.partition("@")
        if not job or not at or not engine:
            raise errors.BadUsage(
                f"“{word}” is no job's id.", hint="It looks like 4f0c5d2e9b7a@docker/host7, as it was shown."
            )
        for ref in context.find.engines(Query(engine=engine)):
            if context.args["force"]:
                actions.append(StopAnyJob(engine=ref, job=job))
            else:
                actions.append(StopJob(engine=ref, job=job, who=context.who.id))
    return actions


def render(_: Context, results: Sequence[Result]) -> Reply:
    outcomes: list[Outcome] = [result.value for result in results if result.error is None]
    failed = [result.error for result in results if result.error is not None]
    if outcomes:
        # Of several that one button stops, some may be gone.
        failed = [error for error in failed if not isinstance(error, errors.NotFound)]
    said = [Text(text=error.full_message(), tone=Tone.WARN) for error in failed]
    if unknown := [outcome.detail for outcome in outcomes if outcome.status == Status.UNKNOWN]:
        said.append(Text(text=f"It {unknown[0]}.", tone=Tone.WARN))
    elif outcomes:
        done = any(outcome.status == Status.DONE for outcome in outcomes)
        said.insert(0, Text(text="Stopped." if done else "It had ended already."))
    ending = show.failed_ending(results) if failed else Ending.UNKNOWN if unknown else Ending.OK
    return Reply(blocks=said, ending=ending)


command = Command(
    name="job",
    summary="stop what goes on, such as a followed log",
    examples=("job stop 4f0c5d2e9b7a@docker/prod-1", "job stop 4f0c5d2e9b7a@docker/prod-1 --force"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(StopJob.verb, StopAnyJob.verb),
    args=(
        Arg(name="what", required=True, choices=("stop",), help="stop"),
        Arg(name="id", take=Take.WORD, many=True, required=True, help="the job's id, as it was shown"),
        Arg(name="--force", short="f", take=Take.FLAG, help="also when somebody else began it"),
    ),
)
