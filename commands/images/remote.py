"""`image remote`: shows what a registry has under a name, without pulling it, like `skopeo inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import ENGINE, HOST, Arg, Command, Context, Result
from core.model import image_names
from core.model.actions import Action
from core.model.registry_reads import InspectRemoteImage, RemoteImage
from core.model.replies import Block, Fields, Reply, Table
from core.ports import Query

MAX_TAGS = 30  # shown
MAX_LABELS = 20


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    wanted = Query(engine=args["engine"] or "", host=args["host"] or "", verb=InspectRemoteImage.verb)
    # Quarterdeck itself asks the registry, so the answer is the same for every engine.
    engines = context.find.engines(wanted)[:1]
    name = image_names.with_default_tag(args["image"])
    return [InspectRemoteImage(engine=engine, image=name, platform=args["platform"] or "") for engine in engines]


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
    if result.error is not None:
        return formatting.error_reply(result.error)
    image: RemoteImage = result.value
    total = sum(size for _, size in image.layers)
    fields = {
        "Name": image.name,
        "Digest": image.digest,
        "Platforms": ", ".join(image.platforms),
        "Shown platform": f"{image.platform}, {image.platform_digest}" if len(image.platforms) > 1 else "",
        "Created": formatting.moment(image.created_at) if image.created_at else "",
        "Size": f"{formatting.size(total)} compressed, {formatting.count(len(image.layers), 'layer')}",
        "Entrypoint": " ".join(image.entrypoint),
        "Command": " ".join(image.command),
        "Ports": ", ".join(image.ports),
        "Labels": "\n".join(f"{key}={value}" for key, value in image.labels[:MAX_LABELS]),
        "Tags": _tags(image),
    }
    blocks: list[Block] = [Fields(fields={name: text for name, text in fields.items() if text})]
    if image.layers:
        rows = [(digest, formatting.size(size)) for digest, size in image.layers]
        blocks.append(Table(title="Layers", columns=("DIGEST", "SIZE"), rows=rows))
    return Reply(blocks=blocks)


def _tags(image: RemoteImage) -> str:
    left = len(image.tags) - MAX_TAGS
    more = f" and {'at least ' if image.more_tags else ''}{left} more" if left > 0 else ""
    return ", ".join(image.tags[:MAX_TAGS]) + (more or (" and more" if image.more_tags else ""))


command = Command(
    name="image remote",
    summary="show an image of a registry without pulling it",
    examples=("image remote nginx:1.27", "image remote registry.example/shop/web:2 --platform linux/arm64"),
    plan=plan,
    render=render,
    verbs=(InspectRemoteImage.verb,),
    args=(
        Arg(name="image", required=True, help="repository, repository:tag (default tag: latest) or repository@digest"),
        Arg(
            name="--platform",
            placeholder="OS/ARCHITECTURE",
            help="platform to show, if the image has several (default: that of Quarterdeck's own machine, otherwise the"
            " first)",
        ),
        HOST,
        ENGINE,
    ),
)
