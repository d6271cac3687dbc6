"""`export NAME -o FILE`: saves the whole file system of a container as a tar archive. Works only at a console: the
archive is large and holds every secret of the container, so it is not sent through a chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, output_file, targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, Arg, Command, Context, Result, timeout_option
from core import errors
from core.model.actions import Action
from core.model.inside_containers import ExportContainer, ExportedFiles
from core.model.replies import Download, Reply, Text

DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 1_800, 7_200


async def plan(context: Context) -> Sequence[Action[Any]]:
    if context.place.kind != "console":
        raise errors.BadUsage(
            "The command `export` works only at a console: Slack cannot receive the whole file system of a container.",
            hint="Give it at a console, or create an image with `commit` and push it. To see one file: cp NAME:/PATH",
        )
    if not context.args["output"]:
        raise errors.BadUsage(
            "The command `export` needs a file to write.", hint="Write `export NAME -o FILE.tar`, or `-o -` for a pipe."
        )
    (ref,) = await targets.select_targets(context, "export", 1)
    return [ExportContainer(engine=ref.engine, target=ref, timeout=context.args["timeout"])]


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
    if result.error is not None:
        return formatting.error_reply(result.error)
    exported: ExportedFiles = result.value
    to, name = output_file.choose_output_path(context, context.args["output"]), targets.target_of_result(result).name
    text = f"{name} exported: {formatting.size(exported.size)}, SHA-256 {exported.sha256}."
    return Reply(blocks=(Text(text=text),), download=Download(content=exported.content, to=to, name=f"{name}.tar"))


command = Command(
    name="export",
    summary="save the file system of a container as a tar file (only at a console)",
    examples=("export web -o web.tar", "export shop-front -o - --engine docker"),
    plan=plan,
    render=render,
    verbs=(ExportContainer.verb,),
    console_only=True,
    args=(
        ONE_CONTAINER,
        Arg(
            name="--output",
            short="o",
            placeholder="FILE",
            help="file to write on the machine of the console, always needed; with -, write to standard output",
        ),
        timeout_option(DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "longest time for the export"),
        HOST,
        ENGINE,
    ),
)
