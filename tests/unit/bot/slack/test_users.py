"""Who speaks, and what is known of them for how long; on fake loop time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.slack import users
from bot.slack.decode_requests import Source
from bot.slack.users import AppInstallation, SlackUsers
from core import errors
from tests.unit.bot.slack.scripted import FakeSlackApi, slack_request

pytestmark = pytest.mark.looptime


HERE = AppInstallation(team="T1")
GRID = AppInstallation(team="T1", enterprise="E1")
ORGANIZATION = AppInstallation(team="E1", enterprise="E1")


def directory(calls: FakeSlackApi, *, guests: bool = False, installed: AppInstallation = HERE) -> SlackUsers:
    return SlackUsers(calls, installed=installed, guests=guests, clock=asyncio.get_running_loop().time)


def said_by(user: str = "U1", *teams: str) -> Any:
    return slack_request(Source.MENTION, user=user, teams=frozenset(teams or ("T1",)))


def asked(calls: FakeSlackApi, how: str) -> int:
    return sum(one.how == how for one in calls.said)


async def test_a_person_is_team_and_user_with_the_groups_they_are_in() -> None:
    calls = FakeSlackApi()
    calls.users["U1"] = {"id": "U1", "team_id": "T1", "name": "ann", "profile": {"display_name": "Ann"}}
    calls.groups = [
        {"id": "S1", "handle": "sre", "users": ["U1", "U2"]},
        {"id": "S2", "handle": "dev", "users": ["U2"]},
        {"id": "S3", "handle": "old", "users": ["U1"], "date_delete": 1700000000},
        {"id": "S4", "handle": "empty"},
    ]
    who = await directory(calls).identify(said_by())
    assert (who.id, who.name, who.groups, who.admin) == ("slack:T1/U1", "Ann", {"sre", "S1"}, False)


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"team_id": "T9"}, "stranger"),
        ({"is_stranger": True}, "stranger"),
        ({"is_bot": True}, "bot"),
        ({"is_workflow_bot": True}, "bot"),
        ({"deleted": True}, "bot"),
        ({"id": "USLACKBOT"}, "bot"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True, "is_restricted": True}, "guest"),
    ],
)
async def test_who_may_not_speak_to_us(told: dict[str, Any], rule: str) -> None:
    calls = FakeSlackApi()
    calls.users["U1"] = {"id": "U1", "team_id": "T1", "name": "x"} | told
    with pytest.raises(errors.NotPermitted) as refused:
        await directory(calls).identify(said_by())
    assert refused.value.rule == rule
    assert asked(calls, "groups") == 0
    if rule == "guest":
        assert "slack.guests" in refused.value.hint
        assert (await directory(calls, guests=True).identify(said_by())).id == "slack:T1/U1"


async def test_a_stranger_by_the_event_is_refused_without_asking_and_named_by_their_own_team() -> None:
    calls = FakeSlackApi()
    known = directory(calls)
    with pytest.raises(errors.NotPermitted):
        await known.identify(said_by("U9", "T1", "T9"))
    assert calls.said == []
    assert known.identity_of_rejected(said_by("U9", "T1", "T9")).id == "slack:T9/U9"


async def test_a_person_known_already_has_the_groups_of_now_after_a_minute_at_most() -> None:
    calls = FakeSlackApi()
    known = directory(calls)
    calls.users["U1"] = {"id": "U1", "team_id": "T1", "name": "ann"}
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U1"]}]
    who = await known.identify(said_by())
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U2"]}]
    await asyncio.sleep(users.CACHE_SECONDS + 0.1)
    now = await known.current(who)
    assert (now.id, now.name, now.groups) == (who.id, who.name, frozenset())
    assert (await known.current(now)).groups == frozenset()
    calls.users["U1"]["deleted"] = True
    await asyncio.sleep(users.CACHE_SECONDS + 0.1)
    with pytest.raises(errors.NotPermitted):
        await known.current(who)


async def test_a_person_keeps_the_groups_of_before_while_slack_does_not_answer() -> None:
    calls = FakeSlackApi()
    known = directory(calls)
    calls.users["U1"] = {"id": "U1", "team_id": "T1", "name": "ann"}
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U1"]}]
    who = await known.identify(said_by())
    for method in ("groups", "user"):
        await asyncio.sleep(users.CACHE_SECONDS + 0.1)
        calls.broken[method] = errors.Undeliverable("Slack did not answer.", code="unreachable")
        assert await known.current(who) == who
    for other in ("slack:T9/U1", "slack:T1/", "console:root"):
        stranger = type(who)(id=other, name="x", groups=frozenset({"sre"}))
        assert await known.current(stranger) == stranger


async def test_what_slack_says_is_kept_for_a_minute_and_no_longer() -> None:
    calls = FakeSlackApi()
    known = directory(calls)
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U1"]}]
    await known.identify(said_by())
    calls.users["U1"] = {"id": "U1", "team_id": "T1", "name": "x", "deleted": True}
    calls.groups = []
    await asyncio.sleep(users.CACHE_SECONDS - 1)
    assert (await known.identify(said_by())).groups == {"sre", "S1"}
    assert (asked(calls, "user"), asked(calls, "groups")) == (1, 1)
    await asyncio.sleep(1)
    with pytest.raises(errors.NotPermitted):
        await known.identify(said_by())
    assert (await known.identify(said_by("U2"))).groups == frozenset()
    assert asked(calls, "groups") == 2


async def test_the_minute_counts_from_the_question_not_the_answer() -> None:
    calls = FakeSlackApi()
    calls.slow = {"user": 20.0}
    known = directory(calls)
    await known.identify(said_by())
    await asyncio.sleep(users.CACHE_SECONDS - 19)
    await known.identify(said_by())
    assert asked(calls, "user") == 2


async def test_many_at_once_ask_slack_once_for_each_person_and_once_for_the_groups() -> None:
    calls = FakeSlackApi()
    calls.slow = {"user": 0.3, "groups": 0.3}
    known = directory(calls)
    await asyncio.gather(*(known.identify(said_by(f"U{number % 3}")) for number in range(300)))
    assert (asked(calls, "user"), asked(calls, "groups")) == (3, 1)
    assert not known._user_locks  # nothing is kept of who waited


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    calls = FakeSlackApi()
    calls.slow = {"user": 1.0}
    known = directory(calls)
    first = asyncio.create_task(known.identify(said_by()))
    second = asyncio.create_task(known.identify(said_by()))
    await asyncio.sleep(0.5)
    first.cancel()
    assert (await second).id == "slack:T1/U1"
    assert first.cancelled()


async def test_without_an_answer_about_a_person_nobody_is_let_in() -> None:
    calls = FakeSlackApi()
    calls.refuse["user"] = ["user_not_found"]
    with pytest.raises(errors.Undeliverable, match="user_not_found"):
        await directory(calls).identify(said_by())


async def test_an_answer_about_a_person_that_does_not_come_is_waited_for_a_minute() -> None:
    calls = FakeSlackApi()
    calls.slow = {"user": 9999.0}
    began = asyncio.get_running_loop().time()
    told = await asyncio.gather(*(directory(calls).identify(said_by()) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(one, errors.Undeliverable) for one in told)
    assert asyncio.get_running_loop().time() - began == users.LOOKUP_TIMEOUT_SECONDS


async def test_unknown_groups_are_no_groups_and_a_refusal_is_kept_for_a_minute_and_said_once() -> None:
    calls = FakeSlackApi()
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U1"]}]
    known = directory(calls)
    assert (await known.identify(said_by())).groups
    await asyncio.sleep(users.CACHE_SECONDS)
    calls.refuse["groups"] = ["missing_scope"]
    with capture_logs() as lines:
        for _ in range(3):
            for user in range(20):
                assert (await known.identify(said_by(f"U{user}"))).groups == frozenset()
            calls.refuse["groups"] = ["missing_scope"]
            await asyncio.sleep(users.CACHE_SECONDS)
        calls.refuse["groups"] = []
        assert (await known.identify(said_by())).groups == {"sre", "S1"}
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "Slack did not list its user groups. Until it does, no grant to a user group is in force."),
        ("info", "Slack listed its user groups again."),
    ]


async def test_an_error_of_a_moment_is_asked_about_again_soon() -> None:
    calls = FakeSlackApi()
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U1"]}]
    known = directory(calls)
    calls.refuse["groups"] = ["internal_error"]
    assert (await known.identify(said_by())).groups == frozenset()
    await asyncio.sleep(users.GROUPS_RETRY_SECONDS)
    assert (await known.identify(said_by())).groups == {"sre", "S1"}


async def test_groups_that_do_not_come_hold_everybody_up_once_and_briefly() -> None:
    calls = FakeSlackApi()
    calls.slow = {"groups": 9999.0}
    known = directory(calls)
    began = asyncio.get_running_loop().time()
    found = await asyncio.gather(*(known.identify(said_by(f"U{number}")) for number in range(100)))
    assert {one.groups for one in found} == {frozenset()}
    assert asyncio.get_running_loop().time() - began == users.GROUPS_TIMEOUT_SECONDS
    calls.slow, calls.groups = {}, [{"id": "S1", "users": ["U1"]}]
    await asyncio.sleep(users.GROUPS_RETRY_SECONDS - 1)
    assert (await known.identify(said_by("U1"))).groups == frozenset()
    await asyncio.sleep(1)
    assert (await known.identify(said_by("U1"))).groups == {"S1"}


async def test_the_number_of_people_remembered_is_bounded_the_least_recent_go() -> None:
    calls = FakeSlackApi()
    known = directory(calls)
    for number in range(users.MAX_CACHED_USERS + 10):
        await known.identify(said_by(f"U{number}"))
    assert len(known._users) == users.MAX_CACHED_USERS
    assert "U0" not in known._users
    assert f"U{users.MAX_CACHED_USERS + 9}" in known._users


# Enterprise organizations.


def grid_user(team: str, *teams: str, enterprise: str = "E1", **more: Any) -> dict[str, Any]:
    known = {"id": "U1", "enterprise_id": enterprise, "teams": list(teams)}
    return {"id": "U1", "team_id": team, "name": "ann", "enterprise_user": known} | more


@pytest.mark.parametrize("home", ["T1", "T2", "E1", ""])
@pytest.mark.parametrize(
    "named",
    [
        {"teams": frozenset({"T1"}), "workspace": "T1"},
        {"teams": frozenset({"T2"}), "workspace": "T1", "enterprise": "E1"},  # a click, a mention in a shared channel
        {"teams": frozenset(), "workspace": "T1", "enterprise": "E1"},  # a slash command
        {"teams": frozenset({"E1", "T2"}), "workspace": "T2", "enterprise": "E1"},
        {"teams": frozenset({"T2"}), "workspace": ""},
    ],
)
async def test_a_member_of_the_workspace_is_known_whatever_team_slack_names(home: str, named: dict[str, Any]) -> None:
    calls = FakeSlackApi()
    calls.users["U1"] = grid_user(home, "T1", "T2")
    calls.groups = [{"id": "S1", "handle": "sre", "users": ["U1"]}]
    who = await directory(calls, installed=GRID).identify(slack_request(Source.CLICK, **named))
    assert (who.id, who.groups) == ("slack:T1/U1", {"sre", "S1"})


@pytest.mark.parametrize(
    ("user", "named"),
    [
        (grid_user("T2", "T2", "T3"), {}),  # of the organization, but not of this workspace
        (grid_user("E1"), {}),
        (grid_user("T9", "T9", enterprise="E9"), {}),
        (grid_user("T1", "T1", enterprise="E9"), {}),
        (grid_user("T1", "T1", is_stranger=True), {}),
        (grid_user("T1", "T1"), {"enterprise": "E9"}),
        (grid_user("T1", "T1"), {"workspace": "T9"}),
        ({"id": "U1", "team_id": "T9"}, {}),
        ({"id": "U1", "team_id": "T9", "enterprise_user": None}, {}),
        ({"id": "U1", "team_id": "T9", "enterprise_user": {"teams": "T1", "enterprise_id": "E1"}}, {}),
        ({"id": "U1"}, {}),
    ],
)
async def test_who_is_no_member_of_the_workspace_stays_out(user: dict[str, Any], named: dict[str, Any]) -> None:
    calls = FakeSlackApi()
    calls.users["U1"] = user
    given: dict[str, Any] = {"teams": frozenset({"T1"}), "workspace": "T1", "enterprise": "E1"} | named
    with pytest.raises(errors.NotPermitted) as refused:
        await directory(calls, installed=GRID).identify(slack_request(Source.CLICK, **given))
    assert refused.value.rule == "stranger"


@pytest.mark.parametrize("named", [{"workspace": "T3", "enterprise": "E1"}, {"teams": frozenset({"T2"})}, {}])
async def test_an_organization_wide_app_serves_all_members_of_the_organization(named: dict[str, Any]) -> None:
    calls = FakeSlackApi()
    known = directory(calls, installed=ORGANIZATION)
    given = {"teams": frozenset()} | named
    calls.users["U1"] = grid_user("T2", "T2", "T3")
    assert (await known.identify(slack_request(Source.CLICK, **given))).id == "slack:E1/U1"
    for number, stranger in enumerate((grid_user("T9", "T9", enterprise="E9"), {"team_id": "T9"}, {"team_id": "T2"})):
        calls.users[f"U9{number}"] = stranger
        with pytest.raises(errors.NotPermitted, match="member of this organization"):
            await known.identify(slack_request(Source.CLICK, user=f"U9{number}", **given))


async def test_in_an_organization_a_group_counts_by_its_id_and_only_the_organizations_own_by_handle() -> None:
    calls = FakeSlackApi()
    calls.users["U1"] = grid_user("T2", "T2", "T3")
    calls.groups = [
        {"id": "S1", "handle": "sre", "team_id": "T3", "users": ["U1"]},
        {"id": "S2", "handle": "oncall", "team_id": "T3", "enterprise_subteam_id": "S2", "users": ["U1"]},
    ]
    known = directory(calls, installed=ORGANIZATION)
    said = slack_request(Source.MENTION, teams=frozenset({"T2"}), workspace="T3", enterprise="E1")
    assert (await known.identify(said)).groups == {"S1", "S2", "oncall"}
    assert (await known.identify(slack_request(Source.CLICK, teams=frozenset({"T2"})))).groups == {"S1", "S2", "oncall"}
    assert [one.where for one in calls.said if one.how == "groups"] == ["T3", "T2"]  # each is asked once a minute


async def test_the_number_of_workspaces_remembered_is_bounded() -> None:
    calls = FakeSlackApi()
    calls.users["U1"] = grid_user("T2", "T2")
    known = directory(calls, installed=ORGANIZATION)
    for number in range(users.MAX_CACHED_WORKSPACES + 10):
        await known.identify(slack_request(workspace=f"T{number}x", teams=frozenset()))
    assert len(known._groups) == users.MAX_CACHED_WORKSPACES


@pytest.mark.parametrize(
    ("identity", "installed"),
    [
        ({"team_id": "T1"}, HERE),
        ({"team_id": "T1", "enterprise_id": None, "is_enterprise_install": False}, HERE),
        ({"team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": False}, GRID),
        ({"team_id": "E1", "enterprise_id": "E1", "is_enterprise_install": True}, ORGANIZATION),
        ({"enterprise_id": "E1", "is_enterprise_install": True}, ORGANIZATION),
        ({}, AppInstallation(team="")),
    ],
)
def test_where_the_app_is_installed(identity: dict[str, Any], installed: AppInstallation) -> None:
    assert users.installation(identity) == installed
    assert installed.org_wide == (installed is ORGANIZATION)
