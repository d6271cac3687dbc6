"""What a reply about one container offers to do next, and that a reply about several offers nothing."""

from __future__ import annotations

import pytest

from core.model.actions import InspectContainer, ListContainers, ReadLogs, Restart
from core.model.rename_and_update import RenameContainer
from core.model.results import Document, LogLine, LogPage, Outcome
from tests.unit.commands.conftest import World

STEPS = ["logs web", "logs web -f", "restart web", "events web"]


def answer(world):
    def of(action):
        match action:
            case ReadLogs():
                return LogPage(lines=(LogLine(at="2026-11-24T02:59:50Z", stream="stdout", text="ready"),))
            case InspectContainer():
                return Document(ref=action.target, data={"State": {}}, summary={"State": "running"})
            case Restart() | RenameContainer():
                return Outcome(status="done")
            case ListContainers():
                return world.rows_of(action)

    return of


def offered(reply):
    assert all(button.offered for button in reply.buttons)
    return [button.line for button in reply.buttons]


@pytest.mark.parametrize("line", ["ps web", "logs web", "inspect web", "inspect web --raw", "restart web"])
async def test_a_reply_about_one_container_offers_the_next_step(world, line):
    reply = await world.say(line, answer(world))
    assert offered(reply)[:4] == (STEPS if "--raw" not in line else [])
    if offered(reply):
        assert [button.label for button in reply.buttons][:4] == ["Logs", "Follow", "Restart", "Events"]


async def test_nothing_is_offered_by_a_name_that_was_changed(world):
    assert offered(await world.say("rename web front", answer(world))) == []


@pytest.mark.parametrize("line", ["ps -a", "logs web web-2", "inspect web web-2", "restart web web-2"])
async def test_a_reply_about_several_offers_none(world, line):
    assert offered(await world.say(line, answer(world))) == []


async def test_among_several_engines_the_lines_name_the_engine(words, two_hosts):
    reply = await two_hosts.say("logs web-2", answer(two_hosts))
    assert offered(reply)[0] == "logs web-2@docker/host7"


async def test_an_empty_line_is_five_buttons_and_all_commands(world):
    reply = await world.say("")
    assert [button.line for button in reply.buttons] == ["ps", "incidents", "events", "stats", "engines", "help"]
    assert reply.buttons[-1].label == "All commands"


def test_a_name_alone_is_its_card_and_a_command_stays_a_command(words):
    world = World(words)
    for line in ("web", "shop/web", "web@docker", "/deck web", "card web"):
        assert world.context(line)[0].command.name == "card", line
    assert world.context("events")[0].command.name == "events"
