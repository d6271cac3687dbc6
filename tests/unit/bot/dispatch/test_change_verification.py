"""What follows a change through the whole dispatcher: its containers are watched, and the reply says what became of
them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from bot import plain_text
from bot.dispatch import change_verification
from core.model import verification
from core.model.events import EventKind
from core.model.invocation import Identity, Place
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending, Reply
from core.ports import ActionStarted, Progress, Watched
from runtimes.base import run_verification
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/BOB", name="bob")
DIRECT = Place(channel="D1", kind="dm")


class Talk:
    """What the requester is shown. `then` is called as soon as the containers are watched."""

    def __init__(self, then: Callable[[Watched], object] = lambda watched: None, *, private: bool = False) -> None:
        self.then, self.private = then, private
        self.shown: list[str] = []
        self.watched = asyncio.Event()
        self.last: Watched | None = None
        self.final: Reply | None = None

    def started(self, action: ActionStarted) -> None:
        """What is shown then is tested elsewhere."""

    def progress(self, progress: Progress) -> bool:
        return True

    def watching(self, watched: Watched) -> None:
        first, self.last = self.last is None, watched
        self.shown.append(plain_text.render(watched.reply))
        self.watched.set()
        if first:
            self.then(watched)

    def is_private(self) -> bool:
        return self.private

    async def finish(self, reply: Reply) -> None:
        self.final = reply

    @property
    def end(self) -> str:
        assert self.final is not None
        return plain_text.render(self.final)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_verification, "POLL_SECONDS", 0.01)


@pytest.fixture
async def engine() -> AsyncIterator[FakeRuntime]:
    made = FakeRuntime("h1", kind="docker")
    for name in ("web", "api"):
        made.add(name, labels={"app": name}, log=["starting", f"{name}: password=hunter2 no such table"])
    yield made
    await made.aclose()


def ref(engine: FakeRuntime, name: str):
    return next(row.ref for row in engine.containers.values() if row.ref.name == name)


def dies(engine: FakeRuntime, name: str) -> Callable[[Watched], object]:
    return lambda watched: engine.happen(EventKind.DIED, ref(engine, name), exit_code="2")


async def test_one_message_is_shown_at_once_and_completed_by_the_verdict(valkey, engine, monkeypatch):
    monkeypatch.setattr(verification, "SETTLE_SECONDS", 0.05)
    async with Deck(valkey.url, [engine]) as deck:
        talk = Talk()
        reply = await deck.say("restart web", responder=talk, verify=True)
        assert talk.shown == ["web restarted.\nWatching web…"]
        assert talk.final == reply and re.fullmatch(r"web restarted, still running after [\d.]+ s\.", talk.end)
        assert reply.ending is Ending.OK
        # Without the wish, nothing is watched.
        talk = Talk()
        assert plain_text.render(await deck.say("restart web", responder=talk)) == "web restarted."
        assert not talk.shown


async def test_each_verdict_is_shown_and_a_death_decides_how_the_command_ended(valkey, engine):
    class Leaving(Talk):
        def watching(self, watched: Watched) -> None:
            super().watching(watched)
            if "died" in self.shown[-1]:
                watched.end()

    async with Deck(valkey.url, [engine]) as deck:
        talk = Leaving(dies(engine, "web"))
        reply = await deck.say("restart web api", responder=talk, verify=True)
        assert reply.ending is Ending.FAILED
        assert set(talk.shown[-1].splitlines()[0].removesuffix(".").split(", ")) == {"1 died", "1 restarted"}
        assert talk.shown[-1].splitlines()[-1] == "Watching api…"
        assert "api   restarted, not watched any further: the watching was ended" in talk.end
        assert [button.line for button in reply.buttons] == ["logs web", "start web"]


async def test_a_program_reads_the_verdict_as_a_record(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        talk = Talk(dies(engine, "web"))
        reply = await deck.say("restart web", responder=talk, verify=True, as_records=True)
        ((run,),) = [record["runs"] for record in reply.records.records]
        assert (run["name"], run["engine"], run["state"], run["exit_code"]) == ("web", "docker/h1", "ended", 2)
        unwatched = await deck.say("restart api", as_records=True)
        assert "runs" not in unwatched.records.records[0]


async def test_whoever_needs_the_container_is_not_held_up(valkey, engine):
    """The leases are released before the watching, and the change is recorded."""
    async with Deck(valkey.url, [engine]) as deck:
        talk = Talk()
        restarting = asyncio.create_task(deck.say("restart web", responder=talk, verify=True))
        await talk.watched.wait()
        outcomes = [row.fields["status"] for row in await deck.store.read_audit(count=9)]
        assert outcomes == ["done", ""], "the outcome is recorded after the intent"
        web = ref(engine, "web")
        engine.containers[web.id] = msgspec.structs.replace(engine.containers[web.id], stopped_by_client=True)
        assert (await deck.say("stop web")).ending is Ending.OK
        assert "stopped by somebody" in plain_text.render(await restarting)


async def test_the_stop_button_the_requester_and_the_end_of_the_bot_end_it(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:

        async def interrupted(by: Callable[[Talk], object]) -> str:
            talk = Talk()
            restarting = asyncio.create_task(deck.say("restart web api", responder=talk, verify=True))
            await talk.watched.wait()
            if asyncio.iscoroutine(done := by(talk)):
                await done
            assert (await restarting).ending is Ending.OK
            return talk.end

        ended = "not watched any further: the watching was ended"
        assert ended in await interrupted(lambda talk: talk.last.end())
        assert ended in await interrupted(lambda talk: deck.say(talk.last.stop))
        assert "Quarterdeck is stopping" in await interrupted(lambda talk: deck.stopping.set())


async def test_the_last_log_line_is_for_those_alone_who_may_read_logs(valkey, engine):
    may = ("container.restart", "container.list")
    cases = (("container.logs",), True, True), (("container.logs",), False, False), ((), True, False)
    for more, private, shown in cases:
        policy = Policy(grants=(Grant(id="g", who=BOB.id, can=(*may, *more)),))
        async with Deck(valkey.url, [engine], policy=policy) as deck:
            talk = Talk(dies(engine, "web"), private=private)
            await deck.say("restart web", BOB, DIRECT, responder=talk, verify=True)
            assert "web restarted, died after" in talk.end
            assert ("no such table" in talk.end) is shown, (more, private)
            assert "hunter2" not in talk.end


async def test_a_part_of_a_service_that_one_may_not_list_is_not_named(valkey, engine, monkeypatch):
    monkeypatch.setattr(verification, "SETTLE_SECONDS", 0.3)
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "front"}
    for number, team in ((1, "a"), (2, "b")):
        more = {"com.docker.compose.container-number": str(number), "team": team}
        engine.add(f"shop-front-{number}", labels=labels | more)
    grants = (
        Grant(id="g", who=BOB.id, can=("service.scale", "service.list", "container.start")),
        Grant(id="h", who=BOB.id, can=("container.list",), on=Selector(labels=(("team", "a"),))),
    )
    async with Deck(valkey.url, [engine], policy=Policy(grants=grants)) as deck:
        talk = Talk(dies(engine, "shop-front-2"))
        await deck.say("scale shop/front=3", BOB, DIRECT, responder=talk, verify=True)
        assert "shop/front scaled from 2 to 3" in talk.end and "2 containers still running" in talk.end
        assert "shop-front-2" not in talk.end


async def test_a_bug_in_the_watching_costs_only_the_verdict(valkey, engine, monkeypatch):
    async def broken(self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(change_verification.ChangeVerification, "_find_runs", broken)
    async with Deck(valkey.url, [engine]) as deck:
        assert plain_text.render(await deck.say("restart web", responder=Talk(), verify=True)) == "web restarted."


async def test_a_permission_that_is_taken_away_ends_it(valkey, engine):
    grant = Grant(id="g", who=BOB.id, can=("container.restart", "container.list"))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(grant,))) as deck:
        talk = Talk(lambda watched: deck.policies.replace_configured(Policy()))
        await deck.say("restart web", BOB, DIRECT, responder=talk, verify=True)
        assert "not watched any further: the permission for it was taken away" in talk.end
