"""Plans that wait: kept as they were decided, answered once, gone in time."""

import asyncio
from datetime import timedelta

import pytest

from bot.dispatch import pending_questions
from core import errors
from core.model import actions
from core.model.invocation import Identity, Place
from core.model.policy import Verdict
from core.model.refs import EngineRef, Kind, Ref
from core.store.client import Store

ANN = Identity(id="slack:T1/ANN", name="ann")
ENGINE = EngineRef(host="h1", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="4f" * 32, name="web")
PLAN = (
    actions.Remove(engine=ENGINE, target=WEB, force=True, volumes=True),
    actions.Stop(engine=ENGINE, target=WEB, timeout=30),
)


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


async def put(waiting, **more):
    given = {
        "requester": ANN,
        "place": Place(channel="#ops"),
        "command": "rm",
        "line": "rm -f web",
        "plan": PLAN,
        "verdict": Verdict.APPROVE,
        "reason": "guards.0 asks",
        "approvers": [["group:lead"]],
    }
    return await waiting.put(**(given | more))


async def test_a_question_comes_back_as_it_was_asked_with_the_very_plan(store):
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5))
    question = await put(waiting)
    assert await waiting.peek(question.token) == await waiting.peek(question.token) == question
    claimed = await pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5)).claim(question.token)
    assert claimed == question
    assert claimed.actions() == PLAN
    assert (claimed.verdict, claimed.approvers) == (Verdict.APPROVE, (("group:lead",),))


async def test_a_code_in_capitals_is_the_same_code(store):
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5))
    question = await put(waiting)
    assert await waiting.peek(question.token.upper()) == question
    assert await waiting.claim(question.token.title()) == question
    with pytest.raises(errors.Expired):
        await waiting.claim(question.token)


async def test_of_all_who_answer_one_wins(store):
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5))
    question = await put(waiting)
    answers = await asyncio.gather(*(waiting.claim(question.token) for _ in range(8)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, errors.Expired)] == [question]
    with pytest.raises(errors.Expired) as late:
        await waiting.peek(question.token)
    assert "give the command again" in late.value.hint


async def test_an_unanswered_question_expires(store):
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(milliseconds=30))
    question = await put(waiting)
    async with asyncio.timeout(60):
        while await store.peek_question(question.token) is not None:
            await asyncio.sleep(0.01)
    with pytest.raises(errors.Expired):
        await waiting.claim(question.token)


@pytest.mark.parametrize("token", ["nosuchone", "", "*", "../x", "x" * 3_000])
async def test_a_token_nobody_was_given_is_expired(store, token):
    with pytest.raises(errors.Expired):
        await pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5)).peek(token)


@pytest.mark.parametrize("data", [b"", b"{", b'{"token": "t"}', b'{"v": 9}', b"[]"])
async def test_a_question_of_another_version_is_said_and_nothing_is_guessed(store, data):
    await store.put_question("abc", data, 60)
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5))
    for answer in (waiting.peek, waiting.claim):
        with pytest.raises(errors.InvalidResponse, match="another version") as caught:
            await answer("abc")
        assert "Nothing was done" in caught.value.message


async def test_an_action_of_another_version_is_not_guessed_at(store):
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5))
    question = await put(waiting)
    newer = pending_questions.Question(
        **{name: getattr(question, name) for name in question.__struct_fields__}
        | {"plan": (b'{"v":99,"verb":"x","body":{}}',)}
    )
    with pytest.raises(errors.InvalidResponse):
        newer.actions()


async def test_without_the_store_nothing_is_asked_or_answered(store, valkey):
    waiting = pending_questions.PendingQuestions(store, ttl=timedelta(minutes=5))
    question = await put(waiting)
    valkey.stop()
    for attempt in (put(waiting), waiting.peek(question.token), waiting.claim(question.token)):
        with pytest.raises(errors.StoreDown):
            await attempt
    valkey.start()


def test_a_token_can_be_told_over_the_telephone():
    tokens = {pending_questions.new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(len(token) == 8 and token.isalnum() and not set(token) & set("il1o0") for token in tokens)
