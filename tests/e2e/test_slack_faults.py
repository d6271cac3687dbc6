"""Slack itself goes wrong: whoever asked is answered all the same, somewhere, and what went wrong is counted."""

import pytest

from tests.helpers import held_container
from tests.helpers.bot_process import ADA
from tests.helpers.waiting import wait_for
from tests.standins.slack.records import SCOPES

VERDICT = 90  # seconds: a message that cannot be edited waits until it is known whether the container stays up


@pytest.fixture
def web(deck, dockerd):
    made = dockerd.run("web")
    deck.up()
    return made


def test_slack_asks_to_wait(deck, slack, web):
    slack.fault("chat.postMessage", "429", retry_after=1)
    slack.fault("chat.update", "429", retry_after=1)
    slack.fault("response_url", "429", retry_after=1)
    deck.deck("ada", "restart web -t 1")
    deck.last("bob", "web restarted")
    deck.deck("ada", "ps")
    deck.last("ada", "localhost/busybox")
    assert len(deck.said("bob")) == 1
    for method in ("chat.postMessage", "chat.update", "response_url"):
        assert deck.series("slack_throttled_total", method=method) == 1


def test_slack_fails_for_a_moment(deck, slack, web):
    for number, kind in enumerate(("500", "reset"), start=1):
        for method in ("chat.postMessage", "chat.update", "response_url"):
            slack.fault(method, kind)
        deck.deck("ada", "restart web -t 1")
        wait_for("its end", lambda: sum("web restarted" in one["text"] for one in deck.said("bob")) == number)  # noqa: B023
        deck.deck("ada", "logs web")
        wait_for("its answer", lambda: sum("web has no lines" in one["text"] for one in deck.said("ada")) == number)  # noqa: B023
    assert len(deck.said("bob")) == 2
    changed, read = [(ADA, "restart web -t 1", "done")], [(ADA, "logs web", "done")]
    assert sorted(deck.audit("--reads", "--who", ADA)) == sorted(changed * 2 + read), "equal reads are one row"


def test_a_response_url_that_does_not_work_is_not_the_only_way(deck, slack, web):
    slack.fault("response_url", "500", count=50)
    deck.deck("ada", "ps")
    assert deck.last("ada", "localhost/busybox")["ephemeral"]
    slack.clear_faults()
    slack.configure(response_seconds=-1)
    deck.forgiven.append("response_url expired_url")
    deck.deck("ada", "whoami")
    assert deck.last("ada", "Your grants here")["ephemeral"]
    slack.configure(response_seconds=1800, response_uses=0)
    deck.forgiven.append("response_url used_url")
    deck.deck("ada", "logs web")
    assert deck.last("ada", "The log of web has no lines")["ephemeral"]
    # More than three if a busy machine took so long that "Working on it…" was sent, too.
    assert deck.series("slack_calls_total", method="response_url", outcome="failed") >= 3
    assert deck.series("slack_undelivered_total") == 0


def test_not_in_the_channel(deck, dockerd, slack, web):
    before = dockerd.state(web)["StartedAt"]
    deck.deck("ada", "ps", "dev")
    deck.last("ada", "localhost/busybox", "dev")
    deck.deck("ada", "restart web -t 1", "dev")
    told = deck.last("ada", "web restarted", "dev", seconds=VERDICT)
    assert told["ephemeral"]
    assert "Invite me with /invite" in told["text"]
    assert deck.said("bob", "dev") == []
    assert dockerd.state(web)["StartedAt"] != before
    # A mention there is not even delivered to us.
    assert slack.say("ada", "dev", "@quarterdeck ps")["envelope_id"] == ""
    slack.invite("ada", "dev")
    deck.deck("ada", "restart web -t 1", "dev")
    deck.last("bob", "web restarted", "dev", seconds=VERDICT)


def test_not_in_the_channel_and_the_response_url_closed(deck, slack, web):
    slack.fault("response_url", "500", count=50)
    deck.deck("ada", "restart web -t 1", "hidden")
    deck.last("ada", "web restarted", "dm:ada", seconds=VERDICT)


def test_a_scope_that_was_taken_away(deck, dockerd, slack):
    dockerd.run("web")
    deck.configure("grants: [{who: everyone, can: viewer}, {who: 'group:oncall', can: operator}]")
    slack.withhold("usergroups:read")
    deck.up()
    deck.deck("bob", "ps")
    deck.last("bob", "localhost/busybox")
    deck.deck("bob", "restart web")
    deck.last("bob", "does not have the permission")
    assert "usergroups:read" in deck.log()
    slack.install(list(SCOPES))
    slack.add_group("S0ONCALL", "oncall", ["bob"])
    deck.stop()  # within a minute, a refusal is not asked about again
    deck.up()
    deck.deck("bob", "restart web -t 1")
    deck.last("ada", "web restarted")


def test_nobody_is_let_in_unseen(deck, dockerd, slack, web):
    before = dockerd.state(web)["StartedAt"]
    slack.fault("users.info", "user_not_found", count=1)
    deck.deck("ada", "restart web")
    assert "nothing was done" in deck.last("ada", "Slack did not identify you")["text"]
    assert dockerd.state(web)["StartedAt"] == before
    deck.deck("ada", "restart web -t 1")
    deck.last("bob", "web restarted")


def test_a_message_that_an_administrator_deleted(deck, dockerd, slack):
    web = held_container.run(dockerd, "web")
    deck.up()
    deck.deck("ada", "restart web -t 200")
    slack.delete(deck.last("bob", "restarting web…")["ts"])
    held_container.let_end(dockerd, web)
    told = deck.last("ada", "web restarted", seconds=VERDICT)
    assert told["ephemeral"]
    assert dockerd.state(web)["Running"]
    assert deck.series("slack_calls_total", method="chat.update", outcome="failed") == 1
    assert deck.series("slack_undelivered_total") == 0


def test_when_every_way_is_closed_it_is_counted_and_logged(deck, slack, web):
    for method in ("response_url", "chat.postEphemeral", "chat.postMessage", "conversations.open"):
        slack.fault(method, "fatal_error", count=50)
    deck.deck("ada", "ps")
    wait_for("the count", lambda: (deck.series("slack_undelivered_total") or 0) >= 1)
    assert "A reply was not delivered." in deck.log()
    slack.clear_faults()
    deck.deck("ada", "ps")
    deck.last("ada", "localhost/busybox")


def test_blocks_the_workspace_does_not_know_yet(deck, dockerd, slack, web):
    """The next simpler table is sent, and the lesson is kept for the next start."""
    for rollout, kind in ((["table"], "table"), ([], "rich_text")):
        slack.configure(rollout=rollout)
        tables(deck, kind, 1)
        tried = refused(slack)
        tables(deck, kind, 2)
        assert refused(slack) == tried
    assert tried == 2
    deck.stop()
    deck.up()
    tables(deck, "rich_text", 3)
    assert refused(slack) == tried


def tables(deck, kind, number):
    """Asks for one more; waits until so many of this kind have come."""
    deck.deck("ada", "ps -a")
    wait_for(
        f"{number} times {kind}",
        lambda: sum(any(block["type"] == kind for block in one["blocks"]) for one in deck.said("ada")) == number,
    )


def refused(slack):
    return sum(one["error"] == "invalid_blocks" for one in slack.calls())
