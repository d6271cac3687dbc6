"""`project restart NAME`: restarts the containers of Compose projects, each after the ones that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, run_verdicts
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result, timeout_option
from core import errors
from core.model.actions import Action, Risk
from core.model.project_actions import PROJECT_SECONDS, RestartProject
from core.model.replies import Block, Ending, Reply, Status, Text, Tone
from core.model.results import Outcome
from core.ports import Query
from core.text import command_line

NOT_OF_COMPOSE = ("containerd", "cri", "oci", "swarm")  # engines that have no restart of a project
MAX_PROJECTS, MAX_CONTAINERS, MAX_TIMEOUT_SECONDS = 5, 500, 3_600


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if len(args["target"]) > MAX_PROJECTS:
        raise errors.BadUsage(
            f"The command `project restart` takes at most {MAX_PROJECTS} projects, but {len(args['target'])} are"
            " given.",
            hint="Name fewer projects.",
        )
    return [await _restart(context, typed) for typed in dict.fromkeys(args["target"])]


async def _restart(context: Context, typed: str) -> RestartProject:
    args = context.args
    name, at, engine = typed.partition("@")
    name = name.rstrip("/")
    if not name or set(name) & set("*?[/"):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(typed)}” is not the whole name of a project.",
            hint="Write the whole name. List the projects with: project ls",
        )
    query = Query(names=(f"{name}/{at}{engine}",), host=args["host"] or "", engine=args["engine"] or "")
    try:
        found = await context.find.find(query)
    except errors.NotFound as error:
        raise errors.NotFound(
            f"There is no project “{command_line.abbreviate(typed)}” with a container.",
            hint="List the projects with `project ls`. If the project has no container, start it on its host with:"
            " docker compose up",
        ) from error
    if found[0].engine.kind in NOT_OF_COMPOSE:
        cure = f"Restart all its containers, in any order, with: restart {name}/"
        if found[0].engine.kind != "containerd":  # which is the only one of them with a restart of a container
            cure = f"Only Docker and Podman have that. List the containers of the project with: ps {name}/"
        raise errors.Unsupported(RestartProject.verb, str(found[0].engine), cure)
    if len(found) > MAX_CONTAINERS:
        raise errors.BadUsage(
            f"The project {name} has {len(found)} containers; `project restart` takes at most {MAX_CONTAINERS}.",
            hint=f"Restart its services one by one with: restart {name}/SERVICE",
        )
    return RestartProject(engine=found[0].engine, project=name, containers=tuple(found), timeout=args["timeout"])


def render(context: Context, results: Sequence[Result]) -> Reply:
    blocks: list[Block] = []
    endings = []
    runs = [run for result in results for run in result.runs]
    for result in results:
        name = result.action.project  # type: ignore[attr-defined]
        if result.error is not None:
            endings.append(formatting.reply_ending_for(result.error))
            blocks.append(Text(text=f"{name} was not restarted: {result.error.full_message()}", tone=Tone.BAD))
            continue
        text, tone, ending = _sentence(name, result.value)
        if (seen := run_verdicts.summarize(result.runs, None)) is not None:
            text, tone, ending = f"{text.removesuffix('.')}; {seen.phrase}.", seen.tone, seen.ending
        blocks.append(Text(text=text, tone=tone))
        endings.append(ending)
    worst = next((ending for ending in (Ending.UNKNOWN, Ending.FAILED) if ending in endings), None)
    others = [ending for ending in endings if ending is not Ending.OK]
    if waiting := run_verdicts.waiting_sentence(runs):
        blocks.append(Text(text=waiting))
    blocks += run_verdicts.log_lines(runs)
    ending = worst or (others[0] if others else Ending.OK)
    return Reply(blocks=blocks, buttons=run_verdicts.buttons_for(context, runs), ending=ending, everyone=True)


def _sentence(name: str, outcome: Outcome) -> tuple[str, Tone, Ending]:
    match Status(outcome.status):
        case Status.DONE:
            return f"{name} restarted in {outcome.took:.1f} s, {outcome.detail}.", Tone.GOOD, Ending.OK
        case Status.NOOP:
            return f"{name} {outcome.detail}", Tone.WARN, Ending.OK
        case Status.UNKNOWN:
            text = f"It is not known whether all of {name} was restarted: {outcome.detail} It is not repeated."
            return f"{text} Check with: ps {name}/", Tone.WARN, Ending.UNKNOWN
    return f"{name} was not restarted as asked: {outcome.detail}", Tone.BAD, Ending.FAILED


command = Command(
    name="project restart",
    summary="restart Compose projects in the order of their dependencies",
    examples=("project restart shop", "project restart shop --timeout 900"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="restarting",
    starts=True,
    verbs=(RestartProject.verb,),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="the whole name of a project; needs the permission container.restart for each of its containers",
        ),
        timeout_option(PROJECT_SECONDS, MAX_TIMEOUT_SECONDS, "time to wait until all its containers run"),
        HOST,
        ENGINE,
    ),
)
