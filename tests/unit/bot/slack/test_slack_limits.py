"""What the outbox sends obeys Slack as it is: the stand-in takes it over HTTP, with today's limits and older ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bot.slack import outbox as module
from bot.slack import render
from bot.slack.api import SlackApi
from bot.slack.outbox import Outbox, OutgoingMessage
from bot.slack.render import TableFormat
from core import errors
from core.metrics import Metrics
from core.model.replies import Lines, Reply, Table, Text
from tests.standins.slack import state
from tests.standins.slack.standin import Standin
from tests.unit.bot.slack.scripted import FakeStore

OPS = "C0OPS"
LONG = Table(
    columns=("NAME", "IMAGE"), rows=tuple((f"web-{at:03}", "registry.example/shop/web" * 3) for at in range(180))
)


class Scene:
    def __init__(self, slack: Standin) -> None:
        self.slack = slack
        self.api = SlackApi(state.BOT_TOKEN, slack.api, Metrics())
        self.memory = FakeStore()
        self.outbox = Outbox(self.api, self.memory, Metrics())

    def shown(self) -> dict:
        return next(one for one in self.slack.screen("ada", "ops") if one["blocks"])

    def refusals(self) -> list[str]:
        return [call["error"] for call in self.slack.calls() if call["error"]]


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(module, "POST_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(module, "EDIT_INTERVAL_SECONDS", 0.0)
    async with Standin(seed=1) as slack:
        made = Scene(slack)
        await made.api.open()
        await made.outbox.load_table_format("T1")
        yield made
        await made.api.aclose()


def outgoing(*blocks: object) -> OutgoingMessage:
    reply = Reply(blocks=blocks)  # type: ignore[arg-type]
    return lambda table_format: render.render_message(reply, table_format=table_format, head="ada · ps")


async def test_a_long_table_is_one_table_and_further_ones_are_in_the_file(scene: Scene) -> None:
    await scene.outbox.post(OPS, outgoing(LONG, LONG, Table(columns=("A",), rows=(("b",),))))
    kinds = [block["type"] for block in scene.shown()["blocks"]]
    assert kinds == ["context", "data_table", "context", "rich_text"]
    assert len(scene.shown()["blocks"][1]["rows"]) == 181
    assert scene.slack.violations() == [] and scene.refusals() == []
    (file,) = [one for message in scene.slack.screen("ada", "ops") for one in message["files"]]
    assert "web-179" in file["content"]


async def test_a_workspace_with_the_older_limits_refuses_once_and_is_remembered(scene: Scene) -> None:
    scene.slack.configure(long_tables=False)
    with capture_logs() as lines:
        ts = await scene.outbox.post(OPS, outgoing(LONG))
        await scene.outbox.edit(OPS, ts, outgoing(LONG, Text(text="again")))
    assert scene.refusals() == ["invalid_blocks"] and scene.slack.violations() == []
    assert scene.memory.shapes == {"T1": TableFormat.CHART}
    (line,) = (each for each in lines if each["log_level"] == "warning")
    assert any("no more than 101 items allowed [json-pointer:/blocks/1/rows]" in reason for reason in line["reasons"])


async def test_japanese_lines_fit_a_message_and_its_edits_with_new_block_ids(scene: Scene) -> None:
    lines = Lines(lines=["接続が切断されました。再接続します。" * 5] * 60)
    said = Text(text="コンテナは終了コード一で停止しました。" * 300)
    ts = await scene.outbox.post(OPS, outgoing(said, lines))
    before = {block["block_id"] for block in scene.slack.workspace.messages[ts].blocks}
    for _ in range(2):
        await scene.outbox.edit(OPS, ts, outgoing(said, lines))
    after = {block["block_id"] for block in scene.slack.workspace.messages[ts].blocks}
    assert not before & after and before
    assert scene.slack.violations() == [] and scene.refusals() == []


@pytest.mark.parametrize("code", ["invalid_attachments", "msg_blocks_too_long", "msg_too_long"])
async def test_other_refusals_of_slack_cost_the_form_and_not_the_answer(scene: Scene, code: str) -> None:
    scene.slack.fault("chat.postMessage", code, count=1)
    await scene.outbox.post(OPS, outgoing(Text(text="Two containers."), LONG))
    text = "\n".join(one["text"] + "".join(file["content"] for file in one["files"]) for one in
                     scene.slack.screen("ada", "ops"))  # fmt: skip
    assert "Two containers." in text and "web-000" in text


async def test_what_slack_never_takes_is_an_error_with_its_code(scene: Scene) -> None:
    scene.slack.fault("chat.postMessage", "msg_too_long", count=9)
    with pytest.raises(errors.Undeliverable) as refused:
        await scene.outbox.post(OPS, outgoing(Text(text="x")))
    assert refused.value.code == "msg_too_long" and refused.value.hint
