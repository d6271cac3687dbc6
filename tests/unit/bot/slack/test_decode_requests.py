"""What Slack delivers becomes a SlackRequest or nothing; whatever it is, it is acknowledged."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from structlog.testing import capture_logs

from bot.slack import decode_requests, listeners
from bot.slack.decode_requests import Ignored, SlackRequest, Source

COMMAND: dict[str, Any] = {
    "team_id": "T1",
    "channel_id": "C1",
    "user_id": "U1",
    "command": "/deck",
    "text": "logs web",
    "response_url": "https://hooks.example/1",
    "trigger_id": "1.2.3",
}
MENTION: dict[str, Any] = {
    "type": "event_callback",
    "team_id": "T1",
    "event": {
        "type": "app_mention",
        "user": "U1",
        "text": "<@UBOT> ps",
        "ts": "5.0001",
        "channel": "C1",
        "team": "T1",
        "thread_ts": "4.0001",
    },
}
DIRECT: dict[str, Any] = {
    "type": "event_callback",
    "team_id": "T1",
    "event": {"type": "message", "channel_type": "im", "user": "U1", "text": "ps", "ts": "5.0001", "channel": "D1"},
}
CLICK: dict[str, Any] = {
    "type": "block_actions",
    "team": {"id": "T1"},
    "user": {"id": "U1", "team_id": "T1"},
    "trigger_id": "1.2.3",
    "response_url": "https://hooks.example/1",
    "channel": {"id": "C1"},
    "container": {"type": "message", "message_ts": "5.0001", "channel_id": "C1", "is_ephemeral": False},
    "message": {"ts": "5.0001", "thread_ts": "4.0001"},
    "actions": [{"action_id": "deck:0", "type": "button", "value": "confirm abc", "block_id": "deck-1"}],
}


def event(**more: Any) -> dict[str, Any]:
    return MENTION | {"event": MENTION["event"] | more}


def without(payload: dict[str, Any], *path: str) -> dict[str, Any]:
    made = copy.deepcopy(payload)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return made


def test_a_slash_command_is_its_text_and_a_direct_one_begins_with_its_name() -> None:
    said = decode_requests.from_command(COMMAND, direct=False)
    assert (said.source, said.text, said.user, said.channel, said.dm, said.thread) == (
        Source.SLASH, "logs web", "U1", "C1", False, None,
    )  # fmt: skip
    assert (said.id, said.response_url, said.workspace) == ("slack-1.2.3", COMMAND["response_url"], "T1")
    assert decode_requests.from_command(COMMAND | {"command": "/logs", "text": "web"}, direct=True).text == "logs web"
    assert decode_requests.from_command(COMMAND | {"channel_id": "D9", "text": None}, direct=False).dm


def test_a_mention_and_a_direct_message_are_known_by_place_and_time() -> None:
    mention, direct = decode_requests.from_message(MENTION), decode_requests.from_message(DIRECT)
    assert isinstance(mention, SlackRequest)
    assert isinstance(direct, SlackRequest)
    assert (mention.source, mention.id, mention.thread, mention.dm) == (
        Source.MENTION,
        "slack-C1-5.0001",
        "4.0001",
        False,
    )
    assert (direct.source, direct.id, direct.thread, direct.dm) == (Source.DM, "slack-D1-5.0001", None, True)
    assert mention.sent_at == direct.sent_at == 5.0001
    odd = decode_requests.from_message(event(ts="yesterday"))
    assert isinstance(odd, SlackRequest)
    assert odd.sent_at is None


def test_a_mention_in_a_direct_message_told_as_two_events_is_one_line() -> None:
    twice = [decode_requests.from_message(event(channel="D1")), decode_requests.from_message(DIRECT)]
    assert len({said.id for said in twice if isinstance(said, SlackRequest)}) == 1


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ({"bot_id": "B1"}, "bot"),
        ({"bot_profile": {"id": "B1"}}, "bot"),
        ({"subtype": "bot_message"}, "bot"),
        ({"subtype": "thread_broadcast", "bot_id": "B1"}, "bot"),
        ({"subtype": "message_changed", "hidden": True}, "edited"),
        ({"subtype": "message_deleted", "hidden": True}, "edited"),
        ({"edited": {"user": "U1", "ts": "6.0"}}, "edited"),
        ({"subtype": "channel_join"}, "system"),
        ({"subtype": "group_topic"}, "system"),
        ({"subtype": "huddle_thread"}, "system"),
        ({"subtype": "of_next_year", "hidden": True}, "system"),
        ({"user": None}, "system"),
        ({"ts": ""}, "malformed"),
        ({"type": "message", "channel_type": "channel"}, "elsewhere"),
        ({"type": "message", "channel_type": "mpim", "channel": "G1"}, "elsewhere"),
        ({"type": "message", "channel_type": "channel", "subtype": "thread_broadcast"}, "elsewhere"),
    ],
)
def test_nobody_is_answered_for_what_was_not_said_to_us(inner: dict[str, Any], reason: str) -> None:
    assert decode_requests.from_message(event(**inner)) is Ignored(reason)


@pytest.mark.parametrize("subtype", ["thread_broadcast", "file_share", "me_message", "of_next_year", ""])
@pytest.mark.parametrize("payload", [MENTION, DIRECT])
def test_a_person_speaks_by_whatever_way_the_message_was_sent(payload: dict[str, Any], subtype: str) -> None:
    said = decode_requests.from_message(payload | {"event": payload["event"] | {"subtype": subtype}})
    assert isinstance(said, SlackRequest)
    assert said.text.endswith("ps")


def test_every_team_slack_names_for_the_speaker_is_told() -> None:
    said = decode_requests.from_message(event(user_team="T8", source_team="T9", team="T9"))
    assert isinstance(said, SlackRequest)
    assert (said.teams, said.workspace) == ({"T8", "T9"}, "T1")
    plain = decode_requests.from_message(without(MENTION, "event", "team"))
    assert isinstance(plain, SlackRequest)
    assert (plain.teams, plain.workspace) == (frozenset(), "T1")


@pytest.mark.parametrize(
    ("body", "workspace", "enterprise"),
    [
        ({"team_id": "T1", "authorizations": [{"team_id": "T1"}]}, "T1", ""),
        # Shared with another company: the outer team can be theirs.
        ({"team_id": "T9", "context_team_id": "T1", "authorizations": [{"team_id": "T1"}]}, "T1", ""),
        ({"team_id": "T2", "authorizations": [{"team_id": "T1", "enterprise_id": "E1"}]}, "T1", "E1"),
        ({"team_id": "T2", "authorizations": [{"team_id": "E1", "enterprise_id": "E1"}]}, "T2", "E1"),
        (
            {"team_id": "T2", "context_team_id": "E1", "authorizations": [{"team_id": None, "enterprise_id": "E1"}]},
            "T2",
            "E1",
        ),
        ({"team_id": "T1", "authorizations": []}, "T1", ""),
        ({"team_id": None, "authorizations": [None]}, "", ""),
    ],
)
def test_an_event_happens_in_the_workspace_that_receives_it(
    body: dict[str, Any], workspace: str, enterprise: str
) -> None:
    said = decode_requests.from_message(MENTION | body)
    assert isinstance(said, SlackRequest)
    assert (said.workspace, said.enterprise) == (workspace, enterprise)


def test_a_click_and_a_command_name_their_workspace_and_organization() -> None:
    click = decode_requests.from_click(CLICK | {"user": {"id": "U1", "team_id": "T2"}, "enterprise": {"id": "E1"}})
    assert isinstance(click, SlackRequest)
    assert (click.teams, click.workspace, click.enterprise) == ({"T2"}, "T1", "E1")
    wide = decode_requests.from_click(CLICK | {"team": None, "enterprise": {"id": "E1"}})
    assert isinstance(wide, SlackRequest)
    assert (wide.workspace, wide.enterprise) == ("", "E1")
    command = decode_requests.from_command(COMMAND | {"enterprise_id": "E1"}, direct=False)
    assert (command.teams, command.workspace, command.enterprise) == (frozenset(), "T1", "E1")


def test_a_click_knows_its_message_and_who_sees_it() -> None:
    said = decode_requests.from_click(CLICK)
    assert isinstance(said, SlackRequest)
    assert (said.source, said.text, said.message, said.private, said.thread) == (
        Source.CLICK, "confirm abc", "5.0001", False, "4.0001",
    )  # fmt: skip
    private = decode_requests.from_click(
        without(CLICK, "message") | {"container": {"message_ts": "5.1", "channel_id": "C1", "is_ephemeral": True}}
    )
    assert isinstance(private, SlackRequest)
    assert (private.message, private.private, private.thread) == ("5.1", True, None)


def test_a_button_without_a_line_or_in_no_channel_is_nothing() -> None:
    for payload in (
        CLICK | {"actions": [{"action_id": "deck:0"}]},
        without(CLICK, "channel") | {"container": {"type": "view"}},
    ):
        assert decode_requests.from_click(payload) is Ignored.NO_COMMAND


OPTIONAL = [
    (COMMAND, ["text"]), (COMMAND, ["response_url"]), (COMMAND, ["team_id"]), (COMMAND, ["channel_id"]),
    (MENTION, ["team_id"]), (MENTION, ["event", "team"]), (MENTION, ["event", "text"]), (MENTION, ["event", "user"]),
    (MENTION, ["event", "thread_ts"]), (MENTION, ["event", "ts"]), (DIRECT, ["event", "channel_type"]),
    (CLICK, ["message"]), (CLICK, ["channel"]), (CLICK, ["container"]), (CLICK, ["team"]), (CLICK, ["response_url"]),
    (CLICK, ["user", "team_id"]),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "path"), OPTIONAL)
def test_what_slack_leaves_out_at_times_may_be_missing(payload: dict[str, Any], path: list[str]) -> None:
    made = without(payload, *path)
    read = {
        id(COMMAND): lambda body: decode_requests.from_command(body, direct=False),
        id(CLICK): decode_requests.from_click,
    }
    said = read.get(id(payload), decode_requests.from_message)(made)
    assert isinstance(said, Ignored) or said.user == "U1"


ODD: list[Any] = [None, True, 0, -1, "", "x", [], [None], ["x"], [{}], {}, {"id": 1}, {"value": "x"}]


@given(data=st.data())
def test_a_delivery_of_any_shape_is_read_or_refused_cleanly(data: st.DataObject) -> None:
    payload = copy.deepcopy(data.draw(st.sampled_from([COMMAND, MENTION, DIRECT, CLICK])))
    for _ in range(data.draw(st.integers(1, 3))):
        inner: Any = payload
        while isinstance(inner, dict) and inner:
            key = data.draw(st.sampled_from(sorted(inner)))
            if not isinstance(inner[key], dict) or data.draw(st.booleans()):
                if data.draw(st.booleans()):
                    inner[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
                else:
                    del inner[key]
                break
            inner = inner[key]
    for read in (
        lambda body: decode_requests.from_command(body, direct=True),
        decode_requests.from_message,
        decode_requests.from_click,
    ):
        try:
            said = read(payload)
        except (LookupError, TypeError, AttributeError):
            continue
        assert isinstance(said, SlackRequest | Ignored)


# What bolt makes of it: always an acknowledgement.


def bolt(took: list[SlackRequest], ignored: list[Ignored]) -> AsyncApp:
    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="UBOT", bot_id="B1", bot_token="xoxb-1")

    app = AsyncApp(signing_secret="s", request_verification_enabled=False, authorize=authorize)
    listeners.register_listeners(app, took.append, ignored.append, command="/deck", direct=("ps",))
    return app


async def deliver(
    payload: dict[str, Any], took: list[SlackRequest], ignored: list[Ignored] | None = None
) -> tuple[int, str]:
    """Bolt's answer, once a listener has taken the payload, which for an event is after the acknowledgement."""
    ignored = [] if ignored is None else ignored
    known = len(took) + len(ignored)
    request = AsyncBoltRequest(body=payload, mode="socket_mode")  # type: ignore[arg-type]
    answer = await bolt(took, ignored).async_dispatch(request)
    if "/dekc" not in payload.values():
        async with asyncio.timeout(60):
            while len(took) + len(ignored) == known:
                await asyncio.sleep(0)
    return answer.status, answer.body


async def test_what_is_meant_for_us_is_acknowledged_and_heard() -> None:
    took: list[SlackRequest] = []
    for payload in (COMMAND, COMMAND | {"command": "/ps", "text": "-a"}, MENTION, DIRECT, CLICK):
        assert await deliver(payload, took) == (200, "")
    assert [said.text for said in took] == ["logs web", "ps -a", "<@UBOT> ps", "ps", "confirm abc"]


@pytest.mark.parametrize(
    "payload",
    [
        without(COMMAND, "trigger_id"),
        without(MENTION, "event", "channel"),
        CLICK | {"user": {}},
        DIRECT | {"event": DIRECT["event"] | {"channel": None}},
    ],
)
async def test_a_malformed_delivery_is_acknowledged_and_said_in_the_log(payload: dict[str, Any]) -> None:
    took: list[SlackRequest] = []
    ignored: list[Ignored] = []
    with capture_logs() as lines:
        assert await deliver(payload, took, ignored) == (200, "")
    assert len(took) + len(ignored) == 1
    assert len(lines) == ignored.count(Ignored.MALFORMED)
    assert not [line for line in lines if line["log_level"] != "warning"]


@pytest.mark.parametrize(
    "payload",
    [
        event(type="reaction_added"),
        event(type="app_home_opened"),
        CLICK | {"actions": [{"action_id": "other", "type": "button", "value": "x", "block_id": "b"}]},
        {
            "type": "view_submission",
            "view": {"type": "modal", "callback_id": "x"},
            "user": {"id": "U1"},
            "team": {"id": "T1"},
        },
        {
            "type": "view_closed",
            "view": {"type": "modal", "callback_id": "x"},
            "user": {"id": "U1"},
            "team": {"id": "T1"},
        },
        {"type": "shortcut", "callback_id": "x", "user": {"id": "U1"}, "team": {"id": "T1"}, "trigger_id": "1"},
        {"type": "block_suggestion", "action_id": "x", "user": {"id": "U1"}, "team": {"id": "T1"}, "value": ""},
    ],
)
async def test_what_we_do_not_use_is_acknowledged_and_counted(payload: dict[str, Any]) -> None:
    took: list[SlackRequest] = []
    ignored: list[Ignored] = []
    assert (await deliver(payload, took, ignored))[0] == 200
    assert took == []
    assert ignored == [Ignored.UNUSED]


async def test_a_command_that_is_not_ours_says_which_is() -> None:
    took: list[SlackRequest] = []
    status, body = await deliver(COMMAND | {"command": "/dekc"}, took)
    assert status == 200
    assert "Use /deck" in (json.loads(body)["text"] if body.startswith("{") else body)
    assert took == []
