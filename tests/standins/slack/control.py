"""Every verb of a test, in one class: the same in the test's own process and over `POST /_control/<verb>`.

Arguments are JSON values by name; results are JSON values. A test's mistake (`Impossible`) is answered with 400 and its
sentence, never taken for a mistake of the product.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import Any

from aiohttp import web

from tests.standins.slack import delivery, mentions, payloads, people, screen, signed_http, state
from tests.standins.slack.records import Fault, Impossible, Json, Message


class Controls(people.People):
    def __init__(self, workspace: state.Workspace) -> None:
        self.workspace = workspace
        self.deliveries_ = delivery.Deliveries(workspace)
        super().__init__(workspace, self.deliveries_)
        self._tasks: set[asyncio.Task[None]] = set()
        workspace.listeners.append(self._echo)

    # what a person sees

    def screen(self, user: str, channel: str, thread_ts: str = "") -> list[Json]:
        return screen.screen(self.workspace, self.workspace.user(user), self.workspace.channel(channel), thread_ts)

    def text(self, user: str, channel: str, thread_ts: str = "") -> str:
        """The screen as one text, `author: words`, messages parted by an empty line."""
        return "\n\n".join(f"{one['author']}: {one['text']}" for one in self.screen(user, channel, thread_ts))

    async def until(self, user: str, channel: str, text: str, seconds: float = 90, thread_ts: str = "") -> list[Json]:
        """Waits until `text` stands in a message or file that the bot (or Slack) put on that screen."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    shown = self.screen(user, channel, thread_ts)
                    said = [one for one in shown if one["author"] in ("slackbot", "quarterdeck")]
                    if any(text in one["text"] or any(text in f["content"] for f in one["files"]) for one in said):
                        return shown
                    await self.workspace.changed()
        except TimeoutError:
            raise Impossible(f"“{text}” did not come; there is:\n{self.text(user, channel, thread_ts)}") from None

    def buttons(self, message: str | Json) -> list[Json]:
        name = message if isinstance(message, str) else str(message.get("ts") or message["id"])
        found = self.workspace.views.get(name) or self.workspace.messages.get(name)
        if found is None:
            raise Impossible(f"there is no message or view {name!r}")
        return [
            {key: value for key, value in one.items() if key != "part"} for one in screen.buttons(self.workspace, found)
        ]

    def modal(self, user: str) -> Json | None:
        """The topmost modal on that person's screen."""
        stack = self.workspace.stacks.get(self.workspace.user(user).id, [])
        return screen.shown_view(self.workspace, self.workspace.views[stack[-1]]) if stack else None

    async def until_modal(self, user: str, text: str = "", seconds: float = 90) -> Json:
        try:
            async with asyncio.timeout(seconds):
                while (shown := self.modal(user)) is None or text not in shown["text"]:
                    await self.workspace.changed()
                return shown
        except TimeoutError:
            raise Impossible(f"no modal with “{text}” came; there is {self.modal(user)}") from None

    def home(self, user: str) -> Json | None:
        view = self.workspace.views.get(self.workspace.homes.get(self.workspace.user(user).id, ""))
        return screen.shown_view(self.workspace, view) if view else None

    # what the product did

    def violations(self, ignore: list[str] | None = None) -> list[Json]:
        """Broken rules, except those whose `method rule` holds one of the words of `ignore`."""
        return [
            dataclasses.asdict(one)
            for one in self.workspace.violations
            if not any(word in f"{one.method} {one.rule}" for word in ignore or ())
        ]

    def calls(self, method: str = "") -> list[Json]:
        return [dataclasses.asdict(one) for one in self.workspace.calls if method in ("", one.method)]

    def alarms(self) -> list[Json]:
        """Every message of the bot that would notify somebody, or might; also deleted ones and what an edit hid."""
        found = [one for one in self.workspace.messages.values() if one.author == state.BOT_USER]
        told = [(one, mentions.fires(one) + one.fired, mentions.dangers(one)) for one in found]
        return [
            {"ts": one.ts, "channel": one.channel, "text": one.text[:200], "fires": fires, "dangers": dangers}
            for one, fires, dangers in told
            if fires or dangers
        ]

    def deliveries(self, kind: str = "") -> list[Json]:
        return [dataclasses.asdict(one) for one in self.workspace.deliveries.values() if kind in ("", one.kind)]

    async def settled(self, envelope_id: str, seconds: float = 90) -> Json:
        """Waits for that envelope's ack, or the end of waiting for it."""
        try:
            return dataclasses.asdict(await self.deliveries_.settled(envelope_id, seconds))
        except TimeoutError:
            raise Impossible(f"{envelope_id} is still open after {seconds} s") from None

    # the sockets

    def sockets(self) -> list[Json]:
        return [
            {"name": one.name, "silent": one.silent, "retiring": one.retiring, "pings": one.pings, "pongs": one.pongs}
            for one in self.deliveries_.sockets.open.values()
        ]

    async def until_sockets(self, count: int = 1, seconds: float = 90) -> list[Json]:
        """Waits until exactly so many sockets are open and in use."""
        try:
            async with asyncio.timeout(seconds):
                while sum(not one["retiring"] for one in self.sockets()) != count:
                    await self.workspace.changed()
                return self.sockets()
        except TimeoutError:
            raise Impossible(f"not {count} sockets but {self.sockets()}") from None

    async def disconnect(
        self, reason: str = "refresh_requested", only: int | None = None, close_after: float = 0.2
    ) -> int:
        return await self.deliveries_.sockets.disconnect(reason, only=only, close_after=close_after)

    def kill_sockets(self, only: int | None = None) -> int:
        return self.deliveries_.sockets.kill(only)

    def silence_sockets(self, only: int | None = None) -> int:
        return self.deliveries_.sockets.silence(only)

    def refuse_sockets(self, error: str = "internal_error") -> None:
        """apps.connections.open answers this error from now on; with an empty one it works again."""
        self.workspace.no_sockets = error

    async def redeliver(self, envelope_id: str, fresh: bool = True) -> str:
        return (await self.deliveries_.again(envelope_id, fresh=fresh)).envelope_id

    async def send(self, kind: str, payload: Json) -> str:
        """A payload of the test's own making; for events only the inner event is needed."""
        if kind == "events_api" and "event" not in payload:
            payload = payloads.event(self.workspace, payload)
        return (await self.deliveries_.send(kind, payload)).envelope_id

    def use_http(
        self, url: str = "", secret: str = state.SIGNING_SECRET, signature: str = "good", skew: int = 0
    ) -> None:
        """Signed requests to that url instead of sockets; an empty url goes back to sockets."""
        made = signed_http.Target(url=url, secret=secret, signature=signature, skew=skew)
        self.deliveries_.http = made if url else None

    async def verify_url(self) -> bool:
        return await self.deliveries_.verify_url()

    # the world

    def fault(
        self, method: str, kind: str, count: int = 1, retry_after: int = 1, seconds: float = 60, applied: bool = False,
        channel: str = "",
    ) -> None:  # fmt: skip
        """The next `count` calls of `method` go wrong; see `records.Fault`. Hooks are `response_url`, `upload`."""
        made = Fault(method=method, kind=kind, count=count, retry_after=retry_after, seconds=seconds, applied=applied)
        made.channel = self.workspace.channel(channel).id if channel else ""
        self.workspace.faults.append(made)

    def clear_faults(self) -> None:
        self.workspace.faults.clear()

    def advance(self, seconds: float) -> None:
        self.workspace.advance(seconds)

    def configure(self, **settings: Any) -> None:
        """Changes fields of `records.Settings`."""
        for name, value in settings.items():
            if name not in {field.name for field in dataclasses.fields(self.workspace.settings)}:
                raise Impossible(f"there is no setting {name!r}")
            setattr(self.workspace.settings, name, set(value) if name == "rollout" else value)
            if name == "seed":
                self.workspace.random.seed(value)

    def install(self, scopes: list[str], commands: dict[str, bool] | None = None) -> None:
        """The app as its manifest asks: scopes, and the slash commands with their `should_escape`."""
        self.workspace.scopes, self.workspace.withheld = set(scopes), set()
        if commands is not None:
            self.workspace.command_escapes = dict(commands)

    def withhold(self, scope: str) -> None:
        """An administrator takes a scope away; missing it is then nobody's mistake."""
        self.workspace.scopes.discard(scope)
        self.workspace.withheld.add(scope)

    def revoke(self) -> None:
        """All tokens stop working."""
        self.workspace.bot_tokens.clear()
        self.workspace.app_tokens.clear()

    def add_user(self, user: str, name: str, **more: Any) -> None:
        self.workspace.add_user(user, name, **more)

    def add_channel(self, channel: str, name: str, members: list[str], **more: Any) -> None:
        self.workspace.add_channel(channel, name, members=[self.workspace.user(one).id for one in members], **more)

    def add_group(self, group: str, handle: str, users: list[str], **more: Any) -> None:
        self.workspace.add_group(group, handle, [self.workspace.user(one).id for one in users], **more)

    def remove_bot(self, channel: str) -> None:
        self.workspace.channel(channel).members.discard(state.BOT_USER)

    def archive(self, channel: str) -> None:
        self.workspace.channel(channel).archived = True

    def delete(self, ts: str) -> None:
        """An administrator deletes a message."""
        if ts not in self.workspace.messages:
            raise Impossible(f"there is no message {ts}")
        self.workspace.messages[ts].deleted = True
        self.workspace.touch()

    # inside

    def _echo(self, what: str, message: Message) -> None:
        where = self.workspace.channels[message.channel]
        if not self.workspace.settings.echo or where.kind != "im" or message.only_for or what == "removed":
            return
        if message.author != state.BOT_USER or "im:history" not in self.workspace.scopes:
            return
        task = asyncio.get_running_loop().create_task(self.echo(what, message), name=f"echo {message.ts}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.deliveries_.stop()


INSIDE = frozenset({"stop", "echo"})
VERBS = (
    frozenset(name for name, _ in inspect.getmembers(Controls, inspect.isfunction) if not name.startswith("_")) - INSIDE
)


async def handle(controls: Controls, request: web.Request) -> web.Response:
    verb = request.match_info["verb"]
    if verb not in VERBS:
        return web.json_response({"error": f"there is no verb {verb!r}"}, status=404)
    try:
        given = await request.json() if request.can_read_body else {}
        made = getattr(controls, verb)(**given)
        return web.json_response({"result": await made if inspect.isawaitable(made) else made})
    except (Impossible, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)
