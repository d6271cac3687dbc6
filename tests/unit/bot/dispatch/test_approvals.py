"""Confirmations and approvals are decided when they are given, by everything that is in force then, and used up only by
a change that begins."""

import asyncio
import dataclasses

import msgspec
import pytest

from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import EVERYTHING, Selector
from core.model.replies import Ending
from tests.unit.bot.dispatch.world import ANN, BOB, EVE, VIEWER, World, words

ALL = Grant(id="all", who="everyone", can=("operator", "audit.read"))
SUE = Identity(id="slack:T1/SUE", name="sue", groups=frozenset({"security"}))
LEA = Identity(id="slack:T1/LEA", name="lea", groups=frozenset({"security", "sre"}))
SRE = Guard(id="sre", can=("container.stop",), ask=Ask.APPROVE, approvers=("group:sre",))
SECURITY = Guard(id="security", can=("ends",), ask=Ask.APPROVE, approvers=("group:security", "slack:T1/BOSS"))


@pytest.fixture
async def made(valkey):
    worlds = []

    def make(*guards, grants=(VIEWER, ALL)):
        worlds.append(World(valkey, grants=grants, guards=guards))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.aclose()


async def endings(world, dispatcher, line, *people):
    return [(await dispatcher.answer(world.line(line, who))).ending for who in people]


@pytest.mark.parametrize("guards", [(SRE, SECURITY), (SECURITY, SRE)])
async def test_all_guards_that_ask_for_an_approval_must_be_satisfied_in_whatever_order(made, guards):
    world = made(*guards)
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("stop web", EVE))
    for word in ("group:sre", "group:security or slack:T1/BOSS", "and also by"):
        assert word in words(asked)
    yes = asked.buttons[0].line
    assert await endings(world, dispatcher, yes, EVE, BOB) == [Ending.REFUSED] * 2
    # One person who is in both lists is enough.
    assert (await dispatcher.answer(world.line(yes, LEA))).ending is Ending.OK
    assert world.engine.done == [("container.stop", "web")]


@pytest.mark.parametrize("order", [(ANN, SUE), (SUE, ANN)], ids=["sre first", "security first"])
async def test_two_people_satisfy_two_guards_one_after_the_other(made, order):
    world = made(SRE, SECURITY)
    first, second = await world.replica("r1"), await world.replica("r2")
    question = await first.answer(world.line("stop web", EVE))
    yes = question.buttons[0].line
    begun = await first.answer(world.line(yes, order[0]))
    assert begun.ending is Ending.ASKED and begun.everyone and begun.buttons == question.buttons
    assert f"{order[0].name} approved" in words(begun) and not world.engine.done
    # The same person again, a stranger and the requester do not help.
    assert await endings(world, first, yes, order[0], BOB, EVE) == [Ending.REFUSED] * 3
    assert (await second.answer(world.line(yes, order[1]))).ending is Ending.OK
    assert world.engine.done == [("container.stop", "web")]
    phases = [(row["phase"], row["who"]) for row in await world.rows() if row["phase"] != "refused"]
    assert phases == [
        ("asked", EVE.id),
        ("approved", order[0].id),
        ("intent", order[1].id),
        ("outcome", order[1].id),
    ]


async def test_an_approval_of_somebody_who_may_not_any_more_does_not_count(made):
    grants = [Grant(id=who.id, who=who.id, can=("operator",)) for who in (EVE, ANN, SUE)]
    world = made(SRE, SECURITY, grants=(VIEWER, *grants))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    assert await endings(world, dispatcher, yes, ANN) == [Ending.ASKED]
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER, grants[0], grants[2]), guards=(SRE, SECURITY)))
    assert await endings(world, dispatcher, yes, SUE) == [Ending.ASKED]
    assert not world.engine.done
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER, *grants), guards=(SRE, SECURITY)))
    # Both have approved by now, so anybody else who may do it starts it.
    assert await endings(world, dispatcher, yes, ANN) == [Ending.OK]


async def test_two_approvals_at_the_same_moment_are_not_lost(made):
    world = made(SRE, SECURITY, Guard(id="third", can=("ends",), ask=Ask.APPROVE, approvers=(BOB.id,)))
    first, second = await world.replica("r1"), await world.replica("r2")
    yes = (await first.answer(world.line("stop web", EVE))).buttons[0].line
    await asyncio.gather(first.answer(world.line(yes, ANN)), second.answer(world.line(yes, SUE)))
    for who in (ANN, SUE, BOB):
        await first.answer(world.line(yes, who))
    assert world.engine.done == [("container.stop", "web")]


async def test_guards_of_several_targets_must_all_be_satisfied(made):
    first = dataclasses.replace(SRE, on=Selector(name="web"))
    second = dataclasses.replace(SECURITY, on=Selector(name="db"))
    world = made(first, second)
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web db", EVE))).buttons[0].line
    assert await endings(world, dispatcher, yes, ANN, BOB, SUE) == [Ending.ASKED, Ending.REFUSED, Ending.OK]


async def test_a_guard_without_approvers_adds_none_and_takes_none_away(made):
    world = made(SRE, Guard(id="any", can=("*",), ask=Ask.APPROVE))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    assert await endings(world, dispatcher, yes, BOB, ANN) == [Ending.REFUSED, Ending.OK]


async def test_who_may_not_approve_leaves_the_question_as_it_is(made):
    narrow = Grant(id="narrow", who=SUE.id, can=("operator",), on=Selector(name="db"))
    few = [Grant(id=who.id, who=who.id, can=("operator",)) for who in (EVE, ANN)]
    world = made(dataclasses.replace(SRE, approvers=()), grants=(VIEWER, narrow, *few))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    # Neither may stop it: one has no grant, the other a grant for another container.
    assert await endings(world, dispatcher, yes, BOB, SUE, BOB) == [Ending.REFUSED] * 3
    assert (await dispatcher.answer(world.line(yes, ANN))).ending is Ending.OK
    refused = [row for row in await world.rows() if row["phase"] == "refused"]
    assert [(row["who"], row["count"]) for row in refused] == [(BOB.id, 2), (SUE.id, 1)]


async def test_the_guards_in_force_at_the_click_decide(made):
    world = made(SRE)
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    other = dataclasses.replace(SRE, approvers=("group:security",))
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER, ALL), guards=(other,)))
    refused = await dispatcher.answer(world.line(yes, ANN))
    assert refused.ending is Ending.REFUSED and "group:security" in words(refused)
    assert (await dispatcher.answer(world.line(yes, SUE))).ending is Ending.OK


async def test_a_container_that_was_renamed_under_a_stricter_guard_needs_its_approvers(made):
    world = made(SRE, dataclasses.replace(SECURITY, on=Selector(name="prod-*")))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    row = world.engine.rows[world.engine.id("web")]
    renamed = msgspec.structs.replace(row.ref, name="prod-web")
    world.engine.rows[row.ref.id] = msgspec.structs.replace(row, ref=renamed)
    assert await endings(world, dispatcher, yes, ANN, SUE) == [Ending.ASKED, Ending.OK]


@pytest.mark.parametrize(
    "stricter",
    [
        dataclasses.replace(SRE, on=Selector(name="prod-*"), ask=Ask.DENY, approvers=()),
        dataclasses.replace(SRE, on=Selector(labels=(("env", "live"),)), ask=Ask.DENY, approvers=()),
    ],
    ids=["name", "label"],
)
async def test_a_confirmed_change_of_what_became_forbidden_is_refused(made, stricter):
    world = made(dataclasses.replace(SRE, ask=Ask.CONFIRM, approvers=()), stricter)
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    row = world.engine.rows[world.engine.id("web")]
    renamed = msgspec.structs.replace(row.ref, name="prod-web")
    world.engine.rows[row.ref.id] = msgspec.structs.replace(row, ref=renamed, labels={"env": "live"})
    assert (await dispatcher.answer(world.line(yes, EVE))).ending is Ending.REFUSED
    assert not world.engine.done


async def test_a_confirmation_that_came_to_need_an_approval_is_asked_anew(made):
    world = made(dataclasses.replace(SRE, ask=Ask.CONFIRM, approvers=()))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER, ALL), guards=(SRE,)))
    again = await dispatcher.answer(world.line(yes, EVE))
    assert again.ending is Ending.ASKED and "group:sre" in words(again)
    assert (await dispatcher.answer(world.line(yes, EVE))).ending is Ending.USAGE
    assert (await dispatcher.answer(world.line(again.buttons[0].line, ANN))).ending is Ending.OK


async def test_an_approval_does_not_help_a_requester_who_may_not_any_more(made):
    mine = Grant(id="mine", who=EVE.id, can=("operator",))
    theirs = Grant(id="theirs", who=ANN.id, can=("operator",))
    world = made(SRE, grants=(VIEWER, mine, theirs))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER, theirs), guards=(SRE,)))
    refused = await dispatcher.answer(world.line(yes, ANN))
    assert refused.ending is Ending.REFUSED and "eve does not have the permission container.stop on web" in words(
        refused
    )
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER, mine, theirs), guards=(SRE,)))
    assert (await dispatcher.answer(world.line(yes, ANN))).ending is Ending.OK


async def test_a_guard_on_the_requester_alone_holds_at_the_click_too(made):
    juniors = dataclasses.replace(SRE, who="group:junior")
    world = made(juniors)
    dispatcher = await world.replica()
    jim = Identity(id="slack:T1/JIM", name="jim", groups=frozenset({"junior"}))
    yes = (await dispatcher.answer(world.line("stop web", jim))).buttons[0].line
    assert await endings(world, dispatcher, yes, jim, BOB, ANN) == [Ending.REFUSED, Ending.REFUSED, Ending.OK]


@pytest.mark.parametrize("line", ["rm -f web", "stop web"])
async def test_a_yes_that_meets_another_change_is_asked_for_again(made, line):
    confirm = Guard(id="c", can=("container.stop",), ask=Ask.CONFIRM)
    remove = Grant(id="rm", who="everyone", can=("container.remove",))
    world = made(confirm, grants=(VIEWER, ALL, remove))
    first, second = await world.replica("r1"), await world.replica("r2")
    yes = (await first.answer(world.line(line, EVE))).buttons[0].line
    world.engine.gate = asyncio.Event()
    running = asyncio.create_task(second.answer(world.line("restart web", BOB)))
    await world.until("intent")
    for _ in range(2):
        busy = await first.answer(world.line(yes, EVE))
        assert busy.ending is Ending.REFUSED and "has not finished" in words(busy)
    world.engine.gate.set()
    assert (await running).ending is Ending.OK
    assert (await first.answer(world.line(yes, EVE))).ending is Ending.OK
    assert (await first.answer(world.line(yes, EVE))).ending is Ending.USAGE
    assert len(world.engine.done) == 2


async def test_two_approvers_who_click_at_once_start_it_once(made):
    world = made(SRE)
    first, second = await world.replica("r1"), await world.replica("r2")
    yes = (await first.answer(world.line("stop web", EVE))).buttons[0].line
    replies = await asyncio.gather(first.answer(world.line(yes, ANN)), second.answer(world.line(yes, LEA)))
    assert sorted(reply.ending for reply in replies) == [Ending.OK, Ending.USAGE]
    assert world.engine.done == [("container.stop", "web")]


async def test_a_question_about_a_read_is_used_up_once(made):
    world = made(Guard(id="logs", can=("container.logs",), ask=Ask.CONFIRM))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("logs web", EVE))).buttons[0].line
    assert await endings(world, dispatcher, yes, BOB, EVE, EVE) == [Ending.REFUSED, Ending.OK, Ending.USAGE]


async def test_a_cancel_is_in_the_audit_and_who_may_not_cancel_does_not(made):
    world = made(SRE)
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("stop web", EVE))
    yes, no = (button.line for button in asked.buttons)
    assert (await dispatcher.answer(world.line(no, BOB))).ending is Ending.REFUSED
    assert "nothing was done" in words(await dispatcher.answer(world.line(no, ANN)))
    assert await endings(world, dispatcher, yes, ANN) == [Ending.USAGE]
    rows = [row for row in await world.rows() if row["phase"] == "cancelled"]
    shown = [(row["who"], row["line"], row["verb"], row["target"].partition("@")[0], row["rule"]) for row in rows]
    assert shown == [(ANN.id, f"stop web (asked by {EVE.id})", "container.stop", "web", "cancel")]
    assert rows[0]["detail"] == f"question {yes.split()[1]}"
    assert "cancelled" in words(await dispatcher.answer(world.line("audit", EVE)))


async def test_an_approval_does_not_widen_what_the_approver_may(made):
    mine = Grant(id="mine", who=EVE.id, can=("operator",), on=EVERYTHING)
    world = made(SRE, grants=(VIEWER, mine))
    dispatcher = await world.replica()
    yes = (await dispatcher.answer(world.line("stop web", EVE))).buttons[0].line
    refused = await dispatcher.answer(world.line(yes, ANN))
    assert refused.ending is Ending.REFUSED and "ann does not have the permission container.stop" in words(refused)
