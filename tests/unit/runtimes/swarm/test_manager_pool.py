"""Several ways into one Swarm: which is asked, when the next one is, and when that would be one change too many."""

import asyncio
import time

import pytest

from core import errors
from core.model.refs import EngineRef
from runtimes.swarm import manager_pool
from runtimes.transport.http_client import Response

ENGINE = EngineRef(host="k1", kind="swarm")
LEADERLESS = errors.Rejected(500, "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible …")
LOST = errors.Rejected(
    500, "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status"
)
LATE = errors.Rejected(500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded")
NO_MANAGER = errors.Rejected(503, "This node is not a swarm manager. Worker nodes can't be used to view …")
REFUSED = errors.Unreachable("Nothing listens there.")


def lost(sent):
    return errors.Unreachable("The connection was lost.", sent=sent)


def silent(sent=True):
    return errors.TimedOut("It did not answer.", sent=sent)


class Manager:
    """Answers with what it was given, one after the other; the last stays."""

    api = "1.41"

    def __init__(self, name, *answers, allow=("*",)):
        self.ref = EngineRef(host=name, kind="docker")
        self.address = f"unix:///{name}"
        self.answers = list(answers) or [b"{}"]
        self.asked, self.given, self.allow = [], [], allow

    def permits(self, verb):
        return "*" in self.allow or verb in self.allow

    async def ask(self, method, target, seconds, *, body=None, image=""):
        self.asked.append(f"{method} {target}")
        self.given.append(seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Response(status=200, headers={}, body=answer)

    async def stream(self, target, seconds):
        return await self.ask("GET", target, seconds)


def managers_of(*given):
    refused = []
    made = manager_pool.ManagerPool(lambda: ENGINE, refused.append)
    for manager in given:
        made.add(manager)
    made.refused = refused
    return made


async def read(made, verb="node.list", seconds=9.0):
    return (await made.ask(verb, "GET", "/nodes", seconds)).body


async def change(made, verb="node.drain", seconds=9.0):
    return (await made.ask(verb, "POST", "/nodes/n1/update", seconds, body={})).body


@pytest.mark.parametrize(
    "trouble", [REFUSED, lost(True), silent(), LEADERLESS, LATE, NO_MANAGER, errors.InvalidResponse("?")]
)
async def test_a_read_goes_on_to_the_next_manager_which_is_the_first_from_then_on(trouble):
    first, second, third = Manager("a", trouble), Manager("b", b"[]"), Manager("c")
    made = managers_of(first, second, third)
    assert await read(made) == b"[]"
    assert await read(made) == b"[]"
    assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 2, 0)
    assert [manager.ref.host for manager in made.all] == ["b", "a", "c"]
    assert made.refused == ([first] if trouble is NO_MANAGER else [])


@pytest.mark.parametrize("trouble", [REFUSED, silent(sent=False), LEADERLESS, NO_MANAGER])
async def test_a_change_goes_on_only_where_it_surely_did_nothing(trouble):
    first, second = Manager("a", trouble), Manager("b", b"done")
    assert await change(managers_of(first, second)) == b"done"
    assert len(first.asked) == len(second.asked) == 1


@pytest.mark.parametrize(
    "words",
    [
        "code = Unavailable==x",
        "context deadline exceeded",
        "The swarm does not have a leader",
        "This node is not a swarm manager",
        "node lost leader status",
        "rpc error: code = Unavailable desc = x",
    ],
)
async def test_the_words_of_the_requester_in_a_refusal_mean_nothing(words):
    refusal = errors.Rejected(400, f"rpc error: code = InvalidArgument desc = invalid expression '{words}'")
    first, second = Manager("a", refusal), Manager("b")
    made = managers_of(first, second)
    for ask in (read, change):
        with pytest.raises(errors.Rejected) as caught:
            await ask(made)
        # Without the codes of the manager's own protocol.
        assert caught.value.message == f"invalid expression '{words}'"
    assert not second.asked and not made.refused


@pytest.mark.parametrize(
    "text",
    [
        "context deadline exceeded",
        "rpc error: code = Unavailable desc = transport is closing",
        "rpc error: code = Unknown desc = rpc error: code = Canceled desc = context canceled",
        "rpc error: code = Unknown desc = context deadline exceeded",
    ],
)
async def test_a_change_that_the_manager_passed_on_and_lost_is_unknown(text):
    with pytest.raises(errors.TimedOut) as caught:
        await change(managers_of(Manager("a", errors.Rejected(500, text)), Manager("b")))
    assert caught.value.sent


@pytest.mark.parametrize("trouble", [lost(True), silent(), LOST, LATE])
async def test_a_change_that_may_have_happened_is_unknown_and_is_not_sent_again(trouble):
    first, second = Manager("a", trouble), Manager("b")
    with pytest.raises(errors.EngineError) as caught:
        await change(managers_of(first, second))
    assert caught.value.sent
    assert len(first.asked) == 1 and second.asked == []


@pytest.mark.parametrize("ask", [read, change])
@pytest.mark.parametrize("answer", [errors.NotFound("no such node"), errors.Rejected(409, "name conflicts")])
async def test_what_a_manager_says_of_the_thing_itself_is_the_answer(ask, answer):
    second = Manager("b")
    with pytest.raises(type(answer)):
        await ask(managers_of(Manager("a", answer), second))
    assert second.asked == []


@pytest.mark.parametrize("ask", [read, change])
async def test_without_a_leader_the_cure_is_said(ask):
    with pytest.raises(errors.EngineError, match="swarm/k1 has no leader") as caught:
        await ask(managers_of(Manager("a", LEADERLESS), Manager("b", LEADERLESS)))
    assert "more than half" in caught.value.hint
    assert not getattr(caught.value, "sent", False)


async def test_a_silent_manager_gets_its_share_of_the_time_and_a_second_chance():
    """A manager whose leader died swallows one question and answers the next."""
    alone = Manager("a", silent(), b"[]")
    assert await read(managers_of(alone), seconds=800.0) == b"[]"
    assert alone.given[0] == pytest.approx(400.0, abs=60)
    first, second = Manager("a", silent(), b"[]"), Manager("b", silent())
    assert await read(managers_of(first, second), seconds=900.0) == b"[]"
    assert first.given[0] == pytest.approx(300.0, abs=60)
    # One that is gone is not asked again, and a change has all the time there is.
    gone = Manager("a", REFUSED)
    with pytest.raises(errors.Unreachable):
        await read(managers_of(gone))
    assert len(gone.asked) == 1
    manager = Manager("a")
    await change(managers_of(manager), seconds=800.0)
    assert manager.given[0] == pytest.approx(800.0, abs=60)


async def test_a_verb_goes_only_to_managers_whose_owner_allows_it():
    tight, free = Manager("a", allow=("node.list",)), Manager("b")
    made = managers_of(tight, free)
    await change(made)
    assert tight.asked == [] and len(free.asked) == 1
    assert made.permit("node.drain") and made.permit("node.list")
    made = managers_of(tight, Manager("c", REFUSED))
    with pytest.raises(errors.Unreachable):
        await change(made)
    made = managers_of(tight)
    with pytest.raises(errors.Disallowed, match="docker/a does not allow node.drain"):
        await change(made)
    assert tight.asked == []
    with pytest.raises(errors.Unreachable, match="has no connection to a manager of swarm/k1"):
        await read(managers_of())


async def test_time_that_is_over_ends_the_tour():
    async def slow(method, target, seconds, *, body=None, image=""):
        await asyncio.sleep(seconds)
        raise silent()

    first, second = Manager("a"), Manager("b")
    first.ask = second.ask = slow
    began = time.monotonic()
    with pytest.raises(errors.TimedOut):
        await read(managers_of(first, second), seconds=0.3)
    assert time.monotonic() - began < 30
