"""The Web API's door: every call passes here in one order.

    arguments → fault → method → token → scope → limits → run → answer → books

A refusal is answered by Slack's own error name with HTTP 200; a 429 carries Retry-After. What breaks a rule is also
written into the books as a violation, and every call is noted, whatever came of it.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from aiohttp import web

from tests.standins.slack import chat, directory, files, sockets, state, views
from tests.standins.slack.records import Fault, Json, Refused
from tests.standins.slack.wire import Args, Method

METHODS: dict[str, Method] = {
    method.name: method
    for module in (chat, directory, files, sockets, views)
    for method in module.METHODS
}  # fmt: skip


class WebApi:
    def __init__(self, workspace: state.Workspace) -> None:
        self._workspace = workspace
        self._buckets: dict[str, tuple[float, float]] = {}
        self._penalties: dict[tuple[str, str], tuple[float, float]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        workspace, name = self._workspace, request.match_info["method"]
        try:
            args, token = await _read(request)
        except Refused as refusal:
            return self._refuse(name, {}, refusal)
        channel = args.text("channel") or args.text("channel_id")
        fault = workspace.take_fault(name, channel)
        if fault is not None:
            if fault.applied:
                self._run(request, name, args, token)
            workspace.note(name, args.values, 0, f"fault: {fault.kind}")
            if fault.kind == "429":
                self._punish(name, channel, fault.retry_after)
            return await misbehave(request, fault)
        answer = self._run(request, name, args, token)
        return answer if isinstance(answer, web.Response) else self._answer(request, name, args, answer)

    def _run(self, request: web.Request, name: str, args: Args, token: str) -> Json | web.Response:
        workspace = self._workspace
        try:
            method = METHODS.get(name)
            if method is None:
                raise Refused("unknown_method", rule="a method the stand-in knows", req_method=name)
            _check_transport(request, method)
            self._check_token(method, token)
            scope = method.scope if isinstance(method.scope, str) else method.scope(workspace, args)
            self._check_scope(scope)
            self._check_patience(name, args)
            if (pause := self._too_fast(name, args)) > 0:
                self._punish(name, args.text("channel"), pause)
                workspace.note(name, args.values, 429, "ratelimited")
                return _throttled(pause)
            return method.run(workspace, args)
        except Refused as refusal:
            return self._refuse(name, args.values, refusal)

    def _answer(self, request: web.Request, name: str, args: Args, answer: Json) -> web.Response:
        self._workspace.note(name, args.values, 200)
        body: Json = {"ok": True, **answer}
        if request.content_type == "application/json" and not request.charset:
            body["warning"] = "missing_charset"
            body.setdefault("response_metadata", {})["warnings"] = ["missing_charset"]
        return web.json_response(body, headers={"x-oauth-scopes": ",".join(sorted(self._workspace.scopes))})

    def _refuse(self, name: str, values: Json, refusal: Refused) -> web.Response:
        if refusal.rule:
            said = "; ".join(refusal.messages) or repr(values)
            self._workspace.break_rule(name, f"{refusal.error}: {refusal.rule}", said)
        self._workspace.note(name, values, 200, refusal.error)
        return web.json_response(refusal.body())

    def _check_token(self, method: Method, token: str) -> None:
        if method.token == "none":
            return
        workspace = self._workspace
        if not token:
            raise Refused("not_authed", rule="every call carries a token")
        known = {"bot": workspace.bot_tokens, "app": workspace.app_tokens}
        if method.token == "any":
            if token not in workspace.bot_tokens | workspace.app_tokens:
                raise Refused("invalid_auth")
        elif token not in known[method.token]:
            other = known["app" if method.token == "bot" else "bot"]
            if token in other:
                raise Refused("not_allowed_token_type", rule=f"{method.name} takes the {method.token} token")
            raise Refused("invalid_auth")

    def _check_scope(self, scope: str) -> None:
        workspace = self._workspace
        if scope and scope not in workspace.scopes:
            # Taking a scope away is the administrator's doing; never having asked for it is the product's.
            rule = "" if scope in workspace.withheld else "only what the installed scopes allow"
            raise Refused("missing_scope", rule=rule, needed=scope, provided=",".join(sorted(workspace.scopes)))

    def _check_patience(self, name: str, args: Args) -> None:
        """A call between a 429 and the end of its Retry-After. The first moments are forgiven: it may be on its way."""
        now = self._workspace.now()
        for key in {(name, ""), (name, args.text("channel"))}:
            told, until = self._penalties.get(key, (0.0, 0.0))
            if told + self._workspace.settings.retry_grace < now < until - 0.05:
                self._workspace.break_rule(name, "wait for Retry-After", f"{until - now:.2f} s too early")

    def _punish(self, name: str, channel: str, seconds: float) -> None:
        key = (name, channel if name == "chat.postMessage" else "")
        self._penalties[key] = (self._workspace.now(), self._workspace.now() + seconds)

    def _too_fast(self, name: str, args: Args) -> int:
        """Whole seconds to wait, 0 when the call may pass."""
        settings = self._workspace.settings
        tier = settings.tiers.get(name)
        if name == "chat.postMessage" and settings.post_rate > 0:
            return self._take(f"{name} {args.text('channel')}", settings.post_rate, settings.post_burst)
        return self._take(name, tier / 60, tier) if tier else 0

    def _take(self, key: str, rate: float, burst: float) -> int:
        now = self._workspace.now()
        tokens, at = self._buckets.get(key, (float(burst), now))
        tokens = min(float(burst), tokens + (now - at) * rate)
        if tokens < 1:
            self._buckets[key] = (tokens, now)
            return max(1, math.ceil((1 - tokens) / rate))
        self._buckets[key] = (tokens - 1, now)
        return 0


async def misbehave(request: web.Request, fault: Fault) -> web.StreamResponse:
    """The answer that a fault makes of a call."""
    match fault.kind:
        case "429":
            return _throttled(fault.retry_after)
        case "500":
            return web.Response(status=500, text="internal error")
        case "timeout":
            await asyncio.sleep(fault.seconds)
            return web.Response(status=504, text="timeout")
        case "reset":
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
    return web.json_response({"ok": False, "error": fault.kind})


def _throttled(seconds: int) -> web.Response:
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(seconds)})


async def _read(request: web.Request) -> tuple[Args, str]:
    """Arguments of query and body together, and the token."""
    values: Json = dict(request.query)
    if "token" in values:
        raise Refused("invalid_auth", rule="no token in a query string: it ends in logs")
    if request.method == "POST" and request.body_exists:
        if request.content_type == "application/json":
            values |= await _json(request)
        elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            values |= dict(await request.post())
        else:
            raise Refused("invalid_post_type", rule="form or JSON")
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind and kind != "Bearer":
        raise Refused("invalid_auth", rule="Authorization: Bearer …")
    posted = values.pop("token", "")
    if posted and str(posted).startswith("xapp-"):
        raise Refused("invalid_auth", rule="an app token stands in the Authorization header only")
    return Args(values), token.strip() or str(posted)


async def _json(request: web.Request) -> Json:
    try:
        body: Any = json.loads(await request.text())
    except ValueError:
        raise Refused("invalid_json", rule="the body is JSON") from None
    if not isinstance(body, dict):
        raise Refused("json_not_object", rule="the body is a JSON object")
    return body


def _check_transport(request: web.Request, method: Method) -> None:
    if request.method == "GET" and not method.get:
        raise Refused("insecure_request", rule="POST what changes something")
    if request.content_type == "application/json" and request.body_exists and not method.json:
        raise Refused("invalid_arguments", rule=f"{method.name} reads no JSON body; send a form")
