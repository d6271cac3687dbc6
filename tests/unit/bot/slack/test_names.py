"""What people, groups and channels are called: asked for once, for a few at a time, and not while Slack refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bot.slack.names import CACHE_SECONDS, MAX_CACHED, MAX_QUESTIONS, REFUSED_SECONDS, SlackNames
from core import errors

pytestmark = pytest.mark.looptime


class Slack:
    """The methods, and the store of names. `refuse` holds the code of the refusal of a kind of id."""

    def __init__(self) -> None:
        self.people: dict[str, str] = {}
        self.channels: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.refuse: dict[str, str] = {}
        self.asked: list[str] = []
        self.stored: dict[str, str] = {}
        self.running = self.most = 0

    async def _ask(self, kind: str, id_: str) -> None:
        self.asked.append(id_)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.1)
        self.running -= 1
        if code := self.refuse.get(kind):
            raise errors.Undeliverable(f"Slack refused: {code}", code=code)

    async def user(self, user: str, /) -> Mapping[str, Any]:
        await self._ask("person", user)
        return {"id": user, "profile": {"display_name": self.people.get(user, "")}, "real_name": "", "name": ""}

    async def channel(self, channel: str, /) -> Mapping[str, Any]:
        await self._ask("channel", channel)
        return {"id": channel, "name": self.channels.get(channel, "")}

    async def group_names(self) -> Mapping[str, str]:
        return self.groups

    async def remember_names(self, names: Mapping[str, str], /) -> None:
        self.stored |= names


def names(slack: Slack, **requested: str) -> SlackNames:
    clock = asyncio.get_running_loop().time
    return SlackNames(slack, slack, team="T1", group_names=slack.group_names, channel_names=requested, clock=clock)


async def test_slack_is_asked_once_and_the_answer_is_stored() -> None:
    slack = Slack()
    slack.people["U2"], slack.channels["C0OPS1234"], slack.groups["S0SRE1"] = "Bob", "ops", "sre"
    found = names(slack)
    wanted = ["slack:T1/U2", "C0OPS1234", "group:S0SRE1", "slack:T9/U9"]
    expected = {"slack:T1/U2": "Bob", "C0OPS1234": "ops", "group:S0SRE1": "sre"}
    assert await found.find(wanted, {}) == expected == slack.stored
    assert await found.find(wanted, expected) == expected
    assert slack.asked == ["U2", "C0OPS1234"]  # and nobody of another workspace
    slack.people["U2"] = "Robert"
    await asyncio.sleep(CACHE_SECONDS + 1)
    assert (await found.find(["slack:T1/U2"], expected))["slack:T1/U2"] == "Robert" == slack.stored["slack:T1/U2"]


async def test_a_request_names_its_channel_without_any_call() -> None:
    slack = Slack()
    slack.refuse["channel"] = "missing_scope"
    found = names(slack, C0OPS1234="ops")
    assert await found.find(["C0OPS1234", "C0DEV1234"], {}) == {"C0OPS1234": "ops"} == slack.stored
    assert await found.find(["C0NEW1234"], {}) == {}
    assert slack.asked == ["C0DEV1234"]  # the refusal of the method is remembered
    await asyncio.sleep(REFUSED_SECONDS + 1)
    await found.find(["C0NEW1234"], {})
    assert slack.asked[-1] == "C0NEW1234"


@pytest.mark.parametrize("code", ["ratelimited", "unreachable"])
async def test_what_was_stored_is_shown_while_slack_wants_a_pause(code: str) -> None:
    slack = Slack()
    slack.refuse["person"] = code
    found = names(slack)
    await found.find(["slack:T1/U1"], {})
    await found.find(["slack:T1/U1", "slack:T1/U2"], {"slack:T1/U2": "Bob"})
    assert slack.asked == ["U1"] and not slack.stored


async def test_ten_thousand_people_are_asked_for_a_few_at_a_time_and_those_without_a_name_first() -> None:
    slack = Slack()
    slack.people = {f"U{number:05}": f"p{number}" for number in range(10_000)}
    ids = [f"slack:T1/{user}" for user in slack.people]
    found = names(slack)
    known = dict.fromkeys(ids[:-5], "old")
    first = await found.find(ids, known)
    assert len(slack.asked) == len(first) == MAX_QUESTIONS and slack.most <= 4
    assert set(ids[-5:]) <= first.keys()
    for start in range(0, 10_000, MAX_QUESTIONS):
        await found.find(ids[start : start + MAX_QUESTIONS], known)
    assert len(found._cache) == MAX_CACHED


async def test_an_unknown_person_is_not_asked_for_again() -> None:
    slack = Slack()
    slack.refuse["person"] = "user_not_found"
    found = names(slack)
    assert await found.find(["slack:T1/U1"], {}) == {} == await found.find(["slack:T1/U1"], {})
    assert slack.asked == ["U1"]
