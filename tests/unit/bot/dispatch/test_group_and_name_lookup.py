"""A person who leaves a group loses its rights in everything that is decided later, not only in their next command."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from core import errors
from core.model.policy import Ask, Grant, Guard
from core.model.replies import Ending
from tests.unit.bot.dispatch.test_execution import Puller
from tests.unit.bot.dispatch.world import ANN, BOB, EVE, VIEWER, World, now, words

SRE = Grant(id="sre", who="group:sre", can=("operator", "image.pull"))
SUE = dataclasses.replace(ANN, id="slack:T1/SUE", name="sue", groups=frozenset({"sre", "security"}))
CAL = dataclasses.replace(SUE, id="slack:T1/CAL", name="cal")
LEAD = Guard(id="lead", can=("container.stop",), ask=Ask.APPROVE, approvers=("group:lead",))
SECURITY = Guard(id="security", can=("container.stop",), ask=Ask.APPROVE, approvers=("group:security",))


class Slack:
    """Says in which groups people are now; those in `gone` may not give commands any more."""

    def __init__(self):
        self.groups = {}
        self.gone = set()

    async def current(self, who):
        if who.id in self.gone:
            raise errors.NotPermitted("Bots and deactivated accounts cannot give commands.", rule="bot")
        return dataclasses.replace(who, groups=frozenset(self.groups.get(who.id, who.groups)))


@pytest.fixture
async def made(valkey):
    worlds = []

    async def make(*guards, grants=(VIEWER, SRE)):
        worlds.append(World(valkey, grants=grants, guards=guards))
        dispatcher, slack = await worlds[-1].replica(), Slack()
        dispatcher.people.sources["slack"] = slack.current
        return worlds[-1], dispatcher, slack

    yield make
    for world in worlds:
        await world.aclose()


@pytest.mark.parametrize("how", ["group", "account"])
async def test_the_requester_of_a_question_who_lost_the_right_gets_nothing_done(made, how):
    lea = dataclasses.replace(SUE, id="slack:T1/LEA", name="lea", groups=frozenset({"sre", "lead"}))
    world, dispatcher, slack = await made(LEAD)
    yes = (await dispatcher.answer(world.line("stop web", ANN))).buttons[0].line
    if how == "group":
        slack.groups[ANN.id] = ()
    else:
        slack.gone.add(ANN.id)
    refused = await dispatcher.answer(world.line(yes, lea))
    assert refused.ending is Ending.REFUSED and not world.engine.done, words(refused)
    # Back in the group, the same question can be approved.
    slack.groups.clear()
    slack.gone.clear()
    assert (await dispatcher.answer(world.line(yes, lea))).ending is Ending.OK


async def test_an_earlier_approval_of_somebody_who_left_the_group_does_not_count(made):
    world, dispatcher, slack = await made(LEAD, SECURITY)
    lea = dataclasses.replace(SUE, id="slack:T1/LEA", name="lea", groups=frozenset({"sre", "lead"}))
    yes = (await dispatcher.answer(world.line("stop web", ANN))).buttons[0].line
    assert (await dispatcher.answer(world.line(yes, SUE))).ending is Ending.ASKED
    slack.groups[SUE.id] = ("sre",)
    assert (await dispatcher.answer(world.line(yes, lea))).ending is Ending.ASKED
    assert not world.engine.done
    slack.gone.add(lea.id)
    assert (await dispatcher.answer(world.line(yes, CAL))).ending is Ending.ASKED
    slack.gone.clear()
    assert (await dispatcher.answer(world.line(yes, dataclasses.replace(CAL, id="slack:T1/DEE")))).ending is Ending.OK


@pytest.mark.parametrize("how", ["group", "account"])
async def test_a_job_ends_when_its_requester_leaves_the_group(made, how):
    world, dispatcher, slack = await made()
    puller = Puller()
    dispatcher._fleet.remove(world.engine)
    dispatcher._fleet.add(puller)
    puller.until = now() + timedelta(hours=1)
    pulling = asyncio.create_task(dispatcher.answer(world.line("pull nginx:1.27", ANN)))
    await world.until("intent")
    if how == "group":
        slack.groups[ANN.id] = ("dev",)
    else:
        slack.gone.add(ANN.id)
    reply = await asyncio.wait_for(pulling, 60)
    assert reply.ending is Ending.UNKNOWN
    assert "permission for it was taken away" in words(reply)
    await puller.aclose()


async def test_people_of_another_source_stay_as_they_were(made):
    world, dispatcher, slack = await made(LEAD)
    slack.groups[BOB.id] = ("lead", "sre")
    del dispatcher.people.sources["slack"]
    assert await dispatcher.people.current(EVE) == EVE
    assert await dispatcher.people.current(ANN) == ANN
    assert world.engine.done == []
