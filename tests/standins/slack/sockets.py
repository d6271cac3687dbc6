"""Socket Mode: tickets, at most ten sockets, one random socket per envelope, acks.

A socket reads acks and pings and writes envelopes. `send` picks one; what happens to the envelope afterwards is written
in its `Delivery`. Sockets can be warned, refreshed, cut without a word, or fall silent: open, yet deaf and mute.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from tests.standins.slack import state
from tests.standins.slack.records import Delivery, Json, Refused
from tests.standins.slack.wire import Args, Method

Acked = Callable[[Delivery, Any], None]


class Socket:
    """One WebSocket of the product."""

    def __init__(self, name: str, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.name, self.ws, self.request = name, ws, request
        self.silent = self.retiring = False
        self.pings = self.pongs = 0

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


class Sockets:
    def __init__(self, workspace: state.Workspace, acked: Acked) -> None:
        self._workspace, self._acked = workspace, acked
        self.open: dict[str, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # the socket's life

    async def handle(self, request: web.Request) -> web.StreamResponse:
        workspace, ticket = self._workspace, request.query.get("ticket", "")
        if not workspace.tickets.pop(ticket, False):
            workspace.break_rule("socket", "a ticket opens one socket, once", ticket)
            return web.Response(status=401, text="invalid ticket")
        ws = web.WebSocketResponse(autoping=False, max_msg_size=1 << 20)
        await ws.prepare(request)
        if len(self.open) >= workspace.settings.max_sockets:
            workspace.break_rule("socket", f"at most {workspace.settings.max_sockets} sockets", "")
            await ws.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": _debug()})
            await ws.close()
            return ws
        socket = Socket(workspace.id("WS"), ws, request)
        self.open[socket.name] = socket
        pinging = self._start(self._ping(socket), f"ping {socket.name}")
        try:
            await ws.send_json(
                {
                    "type": "hello",
                    "num_connections": len(self.open),
                    "connection_info": {"app_id": state.APP},
                    "debug_info": _debug() | {"build_number": 1, "approximate_connection_time": 18060},
                }
            )
            workspace.touch()
            await self._listen(socket)
        finally:
            pinging.cancel()
            self.open.pop(socket.name, None)
            for delivery in workspace.deliveries.values():
                if delivery.via == socket.name and not delivery.acked:
                    delivery.lost = True
            workspace.touch()
        return ws

    async def _listen(self, socket: Socket) -> None:
        while True:
            message = await socket.ws.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            if socket.silent:
                continue
            if message.type is WSMsgType.PING:
                socket.pings += 1
                await socket.ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                socket.pongs += 1
            elif message.type is WSMsgType.TEXT:
                self._ack(socket, message.data)

    async def _ping(self, socket: Socket) -> None:
        while True:
            await asyncio.sleep(self._workspace.settings.ping_seconds)
            if not socket.silent and not socket.ws.closed:
                with contextlib.suppress(ConnectionError):
                    await socket.ws.ping(f"Ping from {_debug()['host']}".encode())

    def _ack(self, socket: Socket, text: str) -> None:
        workspace = self._workspace
        try:
            said: Any = json.loads(text)
        except ValueError:
            said = None
        if not isinstance(said, dict) or set(said) - {"envelope_id", "payload"} or "envelope_id" not in said:
            workspace.break_rule("socket", "only {envelope_id, payload} is sent on a socket", text)
            return
        delivery = workspace.deliveries.get(str(said["envelope_id"]))
        if delivery is None or (delivery.via != socket.name and delivery.via in self.open):
            workspace.break_rule("ack", "an envelope is acked on the socket it came by", text)
        elif delivery.via != socket.name:
            # slack_sdk answers on its new socket after a reconnect: nobody's mistake, and it comes to nothing.
            return
        elif delivery.acked:
            workspace.break_rule("ack", "an envelope is acked once", text)
        elif said.get("payload") not in (None, {}) and delivery.kind == "events_api":
            workspace.break_rule("ack", "events take no response payload", text)
        else:
            self._acked(delivery, said.get("payload"))

    # sending

    async def send(self, delivery: Delivery) -> bool:
        """Hands the envelope to one random socket; False when there is none. A silent socket swallows it."""
        ready = [socket for socket in self.open.values() if not socket.retiring and not socket.ws.closed]
        if not ready:
            return False
        socket = self._workspace.random.choice(ready)
        delivery.via = socket.name
        if socket.silent:
            return True
        envelope: Json = {
            "envelope_id": delivery.envelope_id,
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": delivery.attempt, "retry_reason": delivery.reason}
        try:
            await socket.ws.send_json(envelope)
        except ConnectionError:
            delivery.lost = True
        return True

    # trouble

    async def disconnect(self, reason: str, *, close_after: float = 0.2, only: int | None = None) -> int:
        """Slack asks the product to connect anew, sends no more by that socket, and closes it a little later."""
        chosen = list(self.open.values())[:only]
        for socket in chosen:
            socket.retiring = True
            with contextlib.suppress(ConnectionError):
                await socket.ws.send_json({"type": "disconnect", "reason": reason, "debug_info": _debug()})
            self._start(self._close(socket, close_after), f"close {socket.name}")
        return len(chosen)

    async def _close(self, socket: Socket, after: float) -> None:
        await asyncio.sleep(after)
        await socket.ws.close()

    def kill(self, only: int | None = None) -> int:
        chosen = list(self.open.values())[:only]
        for socket in chosen:
            socket.abort()
        return len(chosen)

    def silence(self, only: int | None = None) -> int:
        chosen = list(self.open.values())[:only]
        for socket in chosen:
            socket.silent = True
        return len(chosen)

    def _start(self, work: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in list(self.open.values()):
            socket.abort()


def _debug() -> Json:
    return {"host": "applink-standin"}


def connections_open(workspace: state.Workspace, args: Args) -> Json:
    if workspace.no_sockets:
        raise Refused(workspace.no_sockets)
    ticket = workspace.id("T") + f"-{workspace.random.getrandbits(64):016x}"
    workspace.tickets[ticket] = True
    return {"url": f"{workspace.base.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={state.APP}"}


METHODS = (Method(name="apps.connections.open", run=connections_open, token="app"),)
