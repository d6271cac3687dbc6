"""`search`: searches for images in the catalogue of the engine's registries, Docker Hub by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result
from core.model.actions import Action
from core.model.registry_reads import MAX_FOUND, FoundImages, SearchImages
from core.model.replies import Reply, Table, Text
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    wanted = Query(engine=args["engine"] or "", host=args["host"] or "", verb=SearchImages.verb)
    # All engines search the same catalogues, so one of them is enough.
    engines = context.find.engines(wanted)[:1]
    return [SearchImages(engine=engine, term=args["term"], limit=args["limit"]) for engine in engines]


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
    if result.error is not None:
        return formatting.error_reply(result.error)
    found: FoundImages = result.value
    stars = any(row.stars is not None for row in found.rows)
    rows = [
        (
            row.name,
            row.description,
            *((row.stars if row.stars is not None else "",) if stars else ()),
            "yes" if row.official else "",
        )
        for row in found.rows
    ]
    columns = ("NAME", "DESCRIPTION", *(("STARS",) if stars else ()), "OFFICIAL")
    table = Table(
        columns=columns,
        rows=rows,
        wrapped=("DESCRIPTION",),
        empty=f"The catalogue has no image that matches {context.args['term']}.",
    )
    return Reply(blocks=(table, *_limited(found, context)))


def _limited(found: FoundImages, context: Context) -> Sequence[Text]:
    limit = context.args["limit"]
    return (Text(text=f"These are the first {limit}. See more with --limit."),) if len(found.rows) == limit else ()


command = Command(
    name="image search",
    summary="search the catalogue of a registry for images",
    examples=("search nginx", "search registry.example/web --limit 5 --engine podman"),
    plan=plan,
    render=render,
    verbs=(SearchImages.verb,),
    aliases=("search",),
    args=(
        Arg(name="term", required=True, help="part of an image's name; write REGISTRY/TERM to search another registry"),
        Arg(name="--limit", type=ArgType.COUNT, default=25, maximum=MAX_FOUND, help="largest number of results"),
        HOST,
        ENGINE,
    ),
)
