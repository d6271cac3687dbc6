"""response_url: answering without a token, five times within thirty minutes, in JSON.

Success is the word `ok`; a refusal is a status of 4xx. A slash command's url has no original message: asking it to
replace or delete one does nothing but post, so that counts as a mistake of the product.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.standins.slack import posting, state, web_api
from tests.standins.slack.records import Json, Message, Refused, ResponseUrl
from tests.standins.slack.wire import Args

NAME = "response_url"


async def handle(workspace: state.Workspace, request: web.Request) -> web.StreamResponse:
    url = workspace.response_urls.get(request.path)
    raw = await request.text()
    fault = workspace.take_fault(NAME, url.channel if url else "")
    if fault is not None:
        if fault.applied and url is not None:
            _take(workspace, request, url, raw)
        workspace.note(NAME, {"body": raw}, 0, f"fault: {fault.kind}")
        return await web_api.misbehave(request, fault)
    return _take(workspace, request, url, raw)


def _take(workspace: state.Workspace, request: web.Request, url: ResponseUrl | None, raw: str) -> web.Response:
    body: Any = {"body": raw}
    try:
        if url is None:
            raise Refused("no_service", rule="a response_url comes from Slack")
        if request.content_type != "application/json":
            raise Refused("invalid_payload", rule="JSON only")
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refused("invalid_payload", rule="the body is JSON") from None
        if not isinstance(body, dict):
            raise Refused("invalid_payload", rule="the body is a JSON object")
        if workspace.now() - url.at > workspace.settings.response_seconds:
            raise Refused("expired_url", rule="a response_url lives 30 minutes")
        if url.uses >= workspace.settings.response_uses:
            raise Refused("used_url", rule="a response_url is used at most 5 times")
        respond(workspace, url, body)
        url.uses += 1
    except Refused as refusal:
        values = body if isinstance(body, dict) else {"body": raw}
        if refusal.rule:
            said = "; ".join(refusal.messages) or raw
            workspace.break_rule(NAME, f"{refusal.error}: {refusal.rule}", said)
        status = 404 if refusal.error in ("no_service", "expired_url", "used_url") else 400
        workspace.note(NAME, values, status, refusal.error)
        return web.json_response(refusal.body(), status=status)
    workspace.note(NAME, body | {"channel": url.channel, "user": url.user}, 200)
    return web.Response(text="ok")


def respond(workspace: state.Workspace, url: ResponseUrl, body: Json) -> Message | None:
    """Posts, replaces or deletes as the body says; also used for what an ack carries."""
    args = Args(body)
    kind = args.text("response_type") or "ephemeral"
    if kind not in ("ephemeral", "in_channel"):
        raise Refused("invalid_payload", rule="response_type is ephemeral or in_channel")
    source = workspace.messages.get(url.source)
    replace, delete = args.flag("replace_original"), args.flag("delete_original")
    if (replace or delete) and not url.source:
        workspace.break_rule(NAME, "a slash command has no original to replace or delete", repr(body))
    if delete and url.source:
        if source is not None:
            posting.remove(workspace, source)
        return None
    said = posting.content(workspace, args)
    if replace and source is not None and not source.deleted:
        # Who may see a message never changes, whatever response_type says.
        whole = posting.Content(text=said.text or "", blocks=said.blocks or [], attachments=said.attachments or [])
        posting.change(workspace, source, whole)
        return source
    thread_ts = posting.thread(workspace, NAME, url.channel, args.text("thread_ts"))
    if not thread_ts and url.thread_ts and kind == "ephemeral":
        thread_ts = url.thread_ts
    return posting.post(
        workspace,
        said,
        channel=url.channel,
        author=state.BOT_USER,
        thread_ts=thread_ts,
        only_for=url.user if kind == "ephemeral" else "",
    )
