"""Users, conversations, user groups, and files."""

from __future__ import annotations

import aiohttp
import pytest


async def test_who_is_who(slack, web, refused):
    ada = (await web.users_info(user="U0ADA"))["user"]
    assert (ada["team_id"], ada["is_restricted"], ada["is_admin"]) == ("T0001", False, True)
    assert (await web.users_info(user="U0GIL"))["user"]["is_restricted"]
    uma = (await web.users_info(user="U0UMA"))["user"]
    assert uma["is_restricted"]
    assert uma["is_ultra_restricted"]
    stan = (await web.users_info(user="U0STAN"))["user"]
    assert (stan["team_id"], stan["is_stranger"]) == ("T0999", True)
    assert "is_admin" not in stan
    assert (await web.users_info(user="U0DECK"))["user"]["is_bot"]
    await refused(web.users_info(user="U0NOBODY"), "user_not_found")
    await refused(web.api_call("users.info"), "invalid_arguments", "required")


async def test_opening_a_dm(slack, web, refused):
    assert (await web.conversations_open(users="U0ADA"))["channel"]["id"] == "D0ADA"
    assert (await web.conversations_open(channel="D0ADA"))["already_open"]
    await refused(web.conversations_open(users="U0NOBODY"), "user_not_found")
    await refused(web.conversations_open(users="U0ROB"), "cannot_dm_bot")
    await refused(web.api_call("conversations.open"), "users_list_not_supplied", "required")


async def test_conversations_by_kind_and_membership(slack, web, refused):
    ops = (await web.conversations_info(channel="C0OPS", include_num_members=True))["channel"]
    assert (ops["name"], ops["is_member"], ops["is_private"], ops["num_members"]) == ("ops", True, False, 6)
    assert not (await web.conversations_info(channel="C0DEV"))["channel"]["is_member"]
    assert (await web.conversations_info(channel="C0SEC"))["channel"]["is_private"]
    assert (await web.conversations_info(channel="C0EXT"))["channel"]["is_ext_shared"]
    await refused(web.conversations_info(channel="C0HID"), "channel_not_found")
    await refused(web.conversations_info(channel="D0ADA"), "missing_scope", "installed scopes")


async def test_members_come_in_pages(slack, web, refused):
    got, cursor = [], None
    while cursor != "":
        page = await web.conversations_members(channel="C0OPS", limit=4, cursor=cursor)
        got, cursor = got + page["members"], page["response_metadata"]["next_cursor"]
    assert got == sorted({"U0ADA", "U0BOB", "U0GIL", "U0ROB", "U0UMA", "U0DECK"})
    await refused(web.conversations_members(channel="C0OPS", cursor="next"), "invalid_cursor", "comes from Slack")
    await refused(web.conversations_members(channel="C0HID"), "channel_not_found")


async def test_user_groups(slack, web, refused):
    groups = (await web.usergroups_list(include_users=True))["usergroups"]
    assert {one["handle"]: one["users"] for one in groups} == {"oncall": ["U0ADA"], "developers": ["U0ADA", "U0BOB"]}
    assert "users" not in (await web.usergroups_list())["usergroups"][0]
    assert (await web.usergroups_users_list(usergroup="S0DEVS"))["users"] == ["U0ADA", "U0BOB"]
    await refused(web.usergroups_users_list(usergroup="S0NIL"), "no_such_subteam")


async def test_a_file_is_uploaded_and_read_on_the_screen(slack, web):
    await web.files_upload_v2(
        channel="C0OPS", filename="web.log", content="line one\nline two", title="Logs", initial_comment="the *logs*"
    )
    (shown,) = slack.screen("ada", "ops")
    assert shown["text"] == "the logs"
    assert [(one["name"], one["title"], one["content"]) for one in shown["files"]] == [
        ("web.log", "Logs", "line one\nline two")
    ]
    assert slack.violations() == []


async def test_an_upload_has_the_length_it_said_and_is_completed_once(slack, web, refused):
    asked = await web.files_getUploadURLExternal(filename="a", length=3)
    async with aiohttp.ClientSession() as session:
        async with session.post(asked["upload_url"], data=b"four") as answer:
            assert answer.status == 400
        assert "as many bytes" in slack.violations()[-1]["rule"]
        await refused(web.files_completeUploadExternal(files=[{"id": asked["file_id"]}]), "file_not_found", "uploaded")
        form = aiohttp.FormData()
        form.add_field("filename", b"abc", filename="a")
        async with session.post(asked["upload_url"], data=form) as answer:
            assert answer.status == 200
    await web.files_completeUploadExternal(files=[{"id": asked["file_id"], "title": "t"}], channel_id="C0OPS")
    await refused(web.files_completeUploadExternal(files=[{"id": asked["file_id"]}]), "file_not_found", "once")


async def test_files_go_only_where_the_bot_is(slack, web, refused):
    await refused(web.files_getUploadURLExternal(filename="a", length=0), "invalid_arguments", "at least 1")
    asked = await web.files_getUploadURLExternal(filename="a", length=1)
    async with aiohttp.ClientSession() as session, session.post(asked["upload_url"], data=b"x") as answer:
        assert answer.status == 200
    done = web.files_completeUploadExternal(files=[{"id": asked["file_id"]}], channel_id="C0DEV")
    await refused(done, "not_in_channel")
    await web.files_completeUploadExternal(files=[{"id": asked["file_id"]}], channel_id="U0ADA")
    assert slack.screen("ada", "dm:ada")[0]["files"][0]["content"] == "x"


async def test_blocks_beside_a_file_are_checked_too(slack, web, refused):
    asked = await web.files_getUploadURLExternal(filename="a", length=1)
    async with aiohttp.ClientSession() as session, session.post(asked["upload_url"], data=b"x") as answer:
        assert answer.status == 200
    call = {"files": [{"id": asked["file_id"]}], "channel_id": "C0OPS"}
    bad = web.api_call("files.completeUploadExternal", json=call | {"blocks": [{"type": "section"}]})
    await refused(bad, "invalid_blocks", "block kit")
    await web.api_call("files.completeUploadExternal", json=call | {"blocks": [{"type": "divider"}]})
    assert slack.screen("ada", "ops")[0]["text"] == "────"


async def test_the_upload_url_can_fail(slack, web):
    slack.fault("upload", "500")
    with pytest.raises(Exception, match="Failed to upload"):
        await web.files_upload_v2(channel="C0OPS", filename="a", content="x")
    assert slack.violations() == []
