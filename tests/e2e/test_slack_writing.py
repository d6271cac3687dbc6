"""Commands as people write them in Slack: formatted, in lists and quotes, with the mention anywhere, with a file."""

import pytest

from tests.helpers.bot_process import ADA
from tests.helpers.waiting import wait_for


@pytest.fixture
def fleet(deck, dockerd):
    for name in ("web", "web-1", "web-2"):
        dockerd.run(name)
    deck.up()
    return lambda: {name: dockerd.state(name)["StartedAt"] for name in ("web", "web-1", "web-2")}


def test_a_bold_name_is_one_container_and_not_a_pattern(deck, fleet, slack):
    before = fleet()
    slack.say("ada", "ops", "@quarterdeck restart *web* -t 1")
    deck.last("bob", "web restarted")
    after = fleet()
    assert [name for name in before if before[name] != after[name]] == ["web"]
    assert deck.audit("--who", ADA) == [(ADA, "restart web -t 1", "done")]


@pytest.mark.parametrize(
    "typed",
    [
        "*restart web -t 1*", "_restart_ `web` ~-t~ 1", "`restart web -t 1`", "```\nrestart web -t 1\n```",
        "- restart web -t 1", "1. restart web -t 1", "> restart web -t 1", "restart web -t 1 @quarterdeck",
        "restart @quarterdeck web -t 1",
    ],
)  # fmt: skip
def test_formatting_and_the_place_of_the_mention_change_nothing(deck, fleet, slack, typed):
    before = fleet()
    slack.say("ada", "ops", typed if "@quarterdeck" in typed else f"@quarterdeck\n{typed}")
    if "~" in typed:  # struck through: perhaps it is not wanted
        question = deck.last("ada", "can be read as several commands")
        assert question["buttons"] == ["restart web -t 1", "restart web 1"]
        assert fleet() == before
        slack.click("ada", question, "restart web -t 1")
    deck.last("bob", "web restarted")
    after = fleet()
    assert [name for name in before if before[name] != after[name]] == ["web"]


def test_what_can_be_a_pattern_or_formatting_is_asked_and_nothing_is_done(deck, fleet, slack):
    before = fleet()
    deck.deck("ada", "restart *web* -t 1")  # a slash command has no rich text
    question = deck.last("ada", "can be read as several commands")
    assert question["ephemeral"]
    assert question["buttons"] == ["restart *web* -t 1", "restart web -t 1"]
    slack.say("ada", "ops", "@quarterdeck restart w*e*b -t 1", blocks=[
        {"type": "rich_text", "block_id": "x", "elements": [{"type": "rich_text_section", "elements": [
            {"type": "user", "user_id": "U0DECK"}, {"type": "text", "text": " restart w"},
            {"type": "text", "text": "e", "style": {"bold": True}}, {"type": "text", "text": "b -t 1"},
        ]}]},
    ])  # fmt: skip
    wait_for("the second question", lambda: len(deck.said("ada")) == 2)
    assert fleet() == before
    assert deck.said("bob") == []
    assert [row[2] for row in deck.audit("--who", "ada")] == ["asked", "asked"]
    slack.click("ada", question, "restart web -t 1")
    deck.last("bob", "web restarted")
    assert {name for name in before if before[name] != fleet()[name]} == {"web"}
    # A read is not asked about.
    deck.deck("ada", "ps *web*")
    deck.last("ada", "web-2")


def test_a_direct_message_with_a_file_by_me_or_sent_to_a_thread_too_is_a_command(deck, fleet, slack):
    topic = slack.say("ada", "dm:ada", "whoami")["ts"]
    deck.last("ada", ADA, "dm:ada")
    for number, subtype in enumerate(("file_share", "me_message", "thread_broadcast"), start=2):
        slack.say("ada", "dm:ada", "whoami", topic if subtype == "thread_broadcast" else None, subtype)
        wait_for(subtype, lambda: len(deck.said("ada", "dm:ada")) == number)  # noqa: B023
    slack.edit("ada", topic, "restart web")
    wait_for("the edit", lambda: deck.series("slack_ignored_total", reason="edited") == 1)
    assert [row[1:] for row in deck.audit("--reads", "--who", ADA)] == [("whoami", "done")]
