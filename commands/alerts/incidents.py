"""`incidents`: lists the problems that alerts report, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core.model.actions import Action
from core.model.alert_actions import IncidentPage, ListIncidents
from core.model.incidents import RESOLVED_DAYS, Incident, IncidentState
from core.model.replies import Block, Ending, Reply, Table, Text, Tone

LIMIT = 50
MAX_ENGINES = 5  # that are named


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    action = ListIncidents(
        who=context.who,
        place=context.place,
        resolved=args["all"],
        name=args["name"] or "",
        limit=args["limit"],
    )
    return (action,)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    page: IncidentPage = result.value
    table = Table(
        columns=("ID", "WHAT", "STATE", "SEVERITY", "SINCE", "TIMES", "WHO", "WHY"),
        priority=("WHAT", "STATE", "WHY", "ID", "SINCE"),
        wrap=True,
        rows=[_row(incident, context.now) for incident in page.incidents],
        empty=_nothing(context, page),
    )
    blocks: list[Block] = [table]
    if page.unwatched:
        blocks.append(Text(text=_unwatched(page.unwatched), tone=Tone.WARN))
    if page.hidden:
        blocks.append(Text(text=f"{page.hidden:,} older incidents are left out; --limit shows more."))
    if not page.channel:
        blocks.append(
            Text(
                text="Alerts are not posted in any channel. Give the command `alerts here` in a channel, or name"
                " one in quarterdeck.yaml: alerts: {to: C0123ABCD}",
                tone=Tone.WARN,
            )
        )
    ending = Ending.NOTHING if context.args["name"] and not page.incidents else Ending.OK
    return Reply(blocks=blocks, ending=ending)


def _nothing(context: Context, page: IncidentPage) -> str:
    what = "incident" if context.args["all"] else "open incident"
    of = f" about {context.args['name']}" if context.args["name"] else ""
    kept = f" Incidents that are over are stored for {RESOLVED_DAYS} days." if context.args["all"] else ""
    return f"No {what}{of} is known.{kept}" if page.unwatched or kept else f"There is no {what}{of}."


def _unwatched(engines: Sequence[str]) -> str:
    shown = ", ".join(engines[:MAX_ENGINES])
    more = f" and {len(engines) - MAX_ENGINES} more engines" if len(engines) > MAX_ENGINES else ""
    return (
        f"Nobody watches {shown}{more} now, so new trouble there is not noticed. Start the bot with: quarterdeck run,"
        " or read why it does not watch with: engines"
    )


def _row(incident: Incident, now: datetime) -> Sequence[str | int]:
    main = incident.main
    since = formatting.moment(incident.began_ns / 1e9)
    state = str(incident.state) + (", found late" if main.late and incident.state is not IncidentState.RESOLVED else "")
    where = f"{main.owner}@{main.subject.engine}"
    who = incident.acknowledged_name or "-"
    return (incident.id, where, state, str(incident.severity), since, incident.count, who, main.problem)


command = Command(
    name="incidents",
    summary="list the incidents that alert rules have opened",
    examples=("incidents", "incidents --all", "incidents 'shop/*'"),
    plan=plan,
    render=render,
    verbs=(ListIncidents.verb,),
    args=(
        Arg(
            name="name",
            help="id of an incident, or name of what it is about, such as shop/web (globs allowed); without NAME: all",
        ),
        Arg(name="--all", short="a", type=ArgType.FLAG, help="also show resolved incidents"),
        Arg(
            name="--limit",
            short="n",
            type=ArgType.COUNT,
            default=LIMIT,
            maximum=500,
            help="show the newest COUNT incidents",
        ),
    ),
)
