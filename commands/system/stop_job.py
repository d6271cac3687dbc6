"""`job stop ID…`: stops jobs that still run, such as followed logs. The message of a job shows its id and a Stop
button."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.background_jobs import StopAnyJob, StopJob
from core.model.replies import Ending, Reply, Status, Text, Tone
from core.model.results import Outcome
from core.ports import Query
from core.text import command_line


async def plan(context: Context) -> Sequence[Action[Any]]:
    actions: list[Action[Any]] = []
    for job_id in context.args["id"]:
        job, at, engine = job_id.partition("@")
        if not job or not at or not engine:
            raise errors.BadUsage(
                f"“{command_line.abbreviate(job_id)}” is not a job id.",
                hint="Copy the id from the message of the job, such as 4f0c5d2e9b7a@docker/host7.",
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
        # One button may stop several jobs, and some of them may have ended.
        failed = [error for error in failed if not isinstance(error, errors.NotFound)]
    blocks = [Text(text=error.full_message(), tone=Tone.WARN) for error in failed]
    if unknown := [outcome.detail for outcome in outcomes if outcome.status == Status.UNKNOWN]:
        blocks.append(Text(text=f"It {unknown[0]}.", tone=Tone.WARN))
    elif outcomes:
        done = any(outcome.status == Status.DONE for outcome in outcomes)
        blocks.insert(0, Text(text="Stopped." if done else "The job had already ended."))
    ending = formatting.failed_ending(results) if failed else Ending.UNKNOWN if unknown else Ending.OK
    return Reply(blocks=blocks, ending=ending)


command = Command(
    name="job",
    summary="stop a running job, such as a followed log",
    examples=("job stop 4f0c5d2e9b7a@docker/prod-1", "job stop 4f0c5d2e9b7a@docker/prod-1 --force"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(StopJob.verb, StopAnyJob.verb),
    verb_conditions=(("with --force", StopAnyJob.verb),),
    args=(
        Arg(name="what", required=True, choices=("stop",), help="write this word; `job` has no other action"),
        Arg(name="id", type=ArgType.TEXT, many=True, required=True, help="id of the job, as shown in its message"),
        Arg(name="--force", short="f", type=ArgType.FLAG, help="also stop a job that somebody else started"),
    ),
)
