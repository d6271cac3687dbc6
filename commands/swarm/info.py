"""`swarm info`: shows the Swarms that are watched: their managers, nodes, services and faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from commands._shared import engine_details, formatting
from commands.spec import ENGINE_OF_KIND, HOST, Command, Context, Result
from core import errors
from core.model.actions import Action, DescribeEngine, ListServices
from core.model.engines import Engine
from core.model.refs import EngineRef
from core.model.replies import Block, Ending, Fields, Reply, Text
from core.model.services import Services
from core.model.swarm import ListNodes, Nodes
from core.ports import Query

NONE = "None of the watched engines manages a Swarm. List the engines with: engines"


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    try:
        found = context.find.engines(Query(host=args["host"] or "", engine=args["engine"] or ""))
    except errors.NotFound:
        found = ()
    swarms = [engine for engine in found if engine.kind == "swarm"]
    return [action(engine=engine) for engine in swarms for action in (DescribeEngine, ListNodes, ListServices)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    if not results:
        return Reply(blocks=(Text(text=NONE),), ending=Ending.NOTHING)
    texts: dict[EngineRef, dict[str, str]] = {}
    for result in results:
        about = texts.setdefault(result.action.engine, {})
        match result.value:
            case Engine():
                about |= engine_details.detail_texts(result.value, context.now)
            case Nodes():
                about |= _nodes(result.value)
            case Services():
                running = sum(row.running for row in result.value.rows)
                wanted = sum(row.desired or 0 for row in result.value.rows)
                about["Services"] = f"{len(result.value.rows)}, with {running} of {wanted} tasks running"
    blocks: list[Block] = [
        Fields(title=str(engine), fields={name: text for name, text in about.items() if text})
        for engine, about in texts.items()
        if about
    ]
    notes = formatting.engine_error_notes(results)
    return Reply(blocks=(*blocks, *notes), ending=Ending.OK if blocks else formatting.failed_ending(results))


def _nodes(nodes: Nodes) -> dict[str, str]:
    managers = [row for row in nodes.rows if row.role == "manager"]
    states = Counter(row.state for row in nodes.rows)
    counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return {
        "Nodes": f"{len(nodes.rows)} ({counted}), {len(managers)} of them managers",
        "Leader": ", ".join(row.ref.name for row in managers if row.leader),
    }


command = Command(
    name="swarm info",
    summary="show the managers, nodes and services of Swarms",
    examples=("swarm info", "swarm info --engine swarm"),
    plan=plan,
    render=render,
    verbs=(DescribeEngine.verb, ListNodes.verb, ListServices.verb),
    args=(HOST, ENGINE_OF_KIND["swarm"]),
)
