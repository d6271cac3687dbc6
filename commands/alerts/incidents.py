"""`incidents`: lists the trouble that alerts report, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core.model.actions import Action
from core.model.alert_actions import IncidentPage, ListIncidents
from core.model.incidents import Incident, IncidentState
from core.model.replies import Block, Ending, Reply, Table, Text, Tone

LIMIT = 50


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
        columns=("ID", "STATE", "SEVERITY", "WHAT", "SINCE", "TIMES", "WHY", "WHO"),
        rows=[_row(incident, context.now) for incident in page.incidents],
        empty="There is no open incident." if not context.args["all"] else "There is no incident.",
    )
    blocks: list[Block] = [table]
    if page.hidden:
        blocks.append(Text(text=f"{page.hidden:,} older incidents are left out; --limit shows more."))
    if not page.channel:
        blocks.append(
            Text(
                text="Alerts are posted nowhere. Give the command `alerts here` in a channel, or name one in"
                " quarterdeck.yaml: alerts: {to: C0123ABCD}",
                tone=Tone.WARN,
            )
        )
    ending = Ending.NOTHING if context.args["name"] and not page.incidents else Ending.OK
    return Reply(blocks=blocks, ending=ending)


def _row(incident: Incident, now: datetime) -> Sequence[str | int]:
    main = incident.main
    since = formatting.clock(datetime.fromtimestamp(incident.began_ns / 1e9, UTC), now)
    state = str(incident.state) + (", found late" if main.late and incident.state is not IncidentState.RESOLVED else "")
    where = f"{main.owner}@{main.subject.engine}"
    who = incident.acknowledged_name or "-"
    return (incident.id, state, str(incident.severity), where, since, incident.count, main.text, who)


command = Command(
    name="incidents",
    summary="list the incidents that alert rules have opened",
    examples=("incidents", "incidents --all", "incidents 'shop/*'"),
    plan=plan,
    render=render,
    verbs=(ListIncidents.verb,),
    args=(
        Arg(name="name", help="id, or name of what the incident is about (globs allowed); without it: all"),
        Arg(name="--all", short="a", type=ArgType.FLAG, help="also show incidents that are over"),
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
