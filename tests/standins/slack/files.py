"""Uploads in Slack's three steps: ask for a url, send the bytes there, complete and share.

A file exists once its bytes have come in the announced number, and is on a screen once it was completed with a channel.
"""

from __future__ import annotations

from aiohttp import web

from tests.standins.slack import blocks, chat, posting, state
from tests.standins.slack.records import File, Json, Refused
from tests.standins.slack.wire import Args, Method

MOST_BYTES = 1_000_000_000


def ask(workspace: state.Workspace, args: Args) -> Json:
    length = args.number("length")
    if "length" not in args or length <= 0:
        raise Refused(
            "invalid_arguments", rule="length in bytes, at least 1", messages=["missing required field: length"]
        )
    if length > MOST_BYTES:
        raise Refused("file_upload_size_restricted", rule="at most 1 GB")
    made = File(id=workspace.id("F"), name=args.need("filename"), length=length, snippet_type=args.text("snippet_type"))
    workspace.files[made.id] = made
    return {"upload_url": f"{workspace.base}/upload/v1/{made.id}", "file_id": made.id}


def receive(workspace: state.Workspace, name: str, content: bytes) -> web.Response:
    """The bytes, sent without a token to the url that was given."""
    found = workspace.files.get(name)
    if found is None:
        workspace.break_rule("upload", "an upload url comes from files.getUploadURLExternal", name)
        return web.Response(status=404, text="not found")
    if len(content) != found.length:
        workspace.break_rule("upload", "as many bytes as announced", f"{len(content)} instead of {found.length}")
        return web.Response(status=400, text="length mismatch")
    found.content = content
    workspace.touch()
    return web.Response(text=f"OK - {len(content)}")


async def body_of(request: web.Request) -> bytes:
    """The file's bytes, raw or as the one file of a multipart form."""
    if request.content_type != "multipart/form-data":
        return await request.read()
    for part in (await request.post()).values():
        if isinstance(part, web.FileField):
            return part.file.read()
    return b""


def complete(workspace: state.Workspace, args: Args) -> Json:
    wanted = args.json("files", list)
    if not wanted:
        raise Refused("invalid_arguments", rule="required argument", messages=["missing required field: files"])
    chosen = []
    for one in wanted:
        found = workspace.files.get(one.get("id", "")) if isinstance(one, dict) else None
        if found is None or found.content is None or found.shared:
            raise Refused("file_not_found", rule="complete what was uploaded, once")
        chosen.append((found, one.get("title") or found.name))
    given = args.json("blocks", list, "invalid_blocks_format") or []
    blocks.refuse(workspace, given)
    words = [word for word in (args.text("channels") or args.text("channel_id")).split(",") if word]
    channels = [chat.speakable(workspace, word) for word in words]
    for channel in channels:
        if state.BOT_USER not in channel.members:
            raise Refused("not_in_channel")
    if "thread_ts" in args and len(channels) != 1:
        raise Refused("invalid_arguments", rule="a thread is in one channel")
    for found, title in chosen:
        found.title, found.shared = title, True
    for channel in channels:
        comment = args.text("initial_comment")
        said = posting.Content(text=comment, blocks=blocks.fill_ids(workspace, given), attachments=None)
        posting.post(
            workspace,
            said,
            channel=channel.id,
            author=state.BOT_USER,
            thread_ts=posting.thread(workspace, "files.completeUploadExternal", channel.id, args.text("thread_ts")),
            files=tuple(found.id for found, _ in chosen),
        )
    return {"files": [{"id": found.id, "title": title, "name": found.name} for found, title in chosen]}


METHODS = (
    Method(name="files.getUploadURLExternal", run=ask, scope="files:write", get=True, json=False),
    Method(name="files.completeUploadExternal", run=complete, scope="files:write"),
)
