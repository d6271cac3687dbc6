"""`cp NAME:/PATH`: copies one file out of a container. A chat shows a text file; a console can also save any file."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import formatting, output_file, targets
from commands.spec import ENGINE, HOST, Arg, Command, Context, Result, query
from core import errors
from core.model.actions import Action
from core.model.inside_containers import MAX_FILE, MAX_SHOWN_FILE, CopiedFile, CopyFile
from core.model.replies import Block, Download, Lines, Reply, Text
from core.text import command_line

USE = "Write the container and the path of the file: cp NAME:/PATH/TO/FILE"


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    name, colon, path = args["source"].partition(":")
    if not colon or not path:
        into = ":" in (args["destination"] or "")
        raise errors.BadUsage(
            "Quarterdeck copies files out of containers, not into them."
            if into
            else f"“{command_line.abbreviate(args['source'])}” names no file in a container.",
            hint="Put the file into the image or into a volume on the engine's host." if into else USE,
        )
    if not name:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(args['source'])}” has no name of a container before the colon.", hint=USE
        )
    to = output_file.choose_output_path(context, args["destination"], args["output"])
    found = await context.find.find(replace(query(context, "source"), names=(name,)))
    if len(found) != 1:
        raise errors.Ambiguous(name, targets.display_names(found))
    (ref,) = found
    limit = MAX_FILE if to else MAX_SHOWN_FILE
    return [CopyFile(engine=ref.engine, target=ref, path=posixpath.join("/", path), max_bytes=limit)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
    if result.error is not None:
        return formatting.error_reply(result.error)
    copied: CopiedFile = result.value
    to = output_file.choose_output_path(context, context.args["destination"], context.args["output"])
    about = f"{targets.target_of_result(result).name}:{copied.path}: {formatting.size(copied.size)}"
    if copied.modified_at:
        about += f", changed {formatting.moment(copied.modified_at)}"
    about = f"{about}, SHA-256 {copied.sha256}."
    if to:
        name = posixpath.basename(copied.path)
        return Reply(blocks=(Text(text=about),), download=Download(content=copied.content, to=to, name=name))
    blocks: list[Block] = [Text(text=about)]
    if copied.text is None:
        blocks.append(
            Text(text="The file is not shown, because it is not text. At a console, the option -o FILE saves it.")
        )
    elif copied.text:
        blocks.append(Lines(lines=copied.text.removesuffix("\n").split("\n")))
    return Reply(blocks=blocks)


command = Command(
    name="cp",
    summary="copy one file out of a container",
    examples=("cp web:/etc/hosts", "cp shop-front:/etc/nginx/nginx.conf --engine docker"),
    plan=plan,
    render=render,
    verbs=(CopyFile.verb,),
    args=(
        Arg(
            name="source",
            required=True,
            placeholder="NAME:/PATH",
            help="name of the container, and path of the file in it; if the container can access its host, this also"
            " needs the permission host.reach",
        ),
        Arg(
            name="destination",
            placeholder="FILE",
            help="at a console: file to save the copy in; in Slack, leave FILE out, and the reply shows a text file",
        ),
        Arg(
            name="--output",
            short="o",
            placeholder="FILE",
            help="at a console: save the copy in FILE; with -, write it to standard output",
        ),
        HOST,
        ENGINE,
    ),
)
