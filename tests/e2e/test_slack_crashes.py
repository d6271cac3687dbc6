"""Killed with SIGKILL at each step of a command's way: whoever asked is told the truth by the next process, where it
was asked, and nothing is done twice.

The leases of the dead are ended by hand, as time would.
"""

import pytest

from tests.helpers import held_container
from tests.helpers.bot_process import ADA, asleep, happened
from tests.helpers.waiting import wait_for


@pytest.fixture
def deck(deck, valkey):
    deck.keep_in(valkey)
    return deck


def begin_anew(deck, process):
    deck.kill(process)
    deck.expire("replica:*")
    return deck.up()


def entered(deck, number):
    wait_for("the line to enter", lambda: len(deck.store.keys("*:inv:*")) == number)


def test_killed_before_a_line_entered_nothing_is_done_and_nothing_promised(deck, dockerd, slack):
    """Acknowledged, and the process dies while it asks Slack who speaks: the one gap in which words are lost. The asker
    sees no answer, or a “Working on it…” without an end, and nothing was done."""
    web = dockerd.run("web")
    process = deck.up()
    slack.fault("users.info", "timeout")
    sent = deck.deck("ada", "restart web")
    assert slack.settled(sent["envelope_id"])["acked"]
    wait_for("the question who that is", lambda: slack.calls("users.info"))
    assert deck.store.keys("*:inv:*") == []
    begin_anew(deck, process)
    deck.deck("ada", "whoami")
    deck.last("ada", ADA)
    assert happened(dockerd, web, "restart") == 0
    assert [row[1] for row in deck.audit("--reads", "--who", ADA)] == ["whoami"]


def test_killed_while_planning_it_is_said_that_nothing_was_done(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    dockerd.run("db")
    process = deck.up()
    deck.deck("ada", "rm -f db", "secret")
    question = deck.last("ada", "cannot be undone", "secret")
    with asleep(dockerd):
        deck.deck("ada", "logs web")
        slack.say("ada", "dm:ada", "logs web")
        slack.click("ada", question, "Yes, rm db")
        entered(deck, 3)
        deck.kill(process)
    deck.expire("replica:*")
    deck.up()
    told = deck.last("ada", "restarted before this command ran. Nothing was done")
    assert told["ephemeral"]
    assert told["text"].startswith(":warning: logs web: ")
    again = deck.last("ada", "Nothing was done", "dm:ada")
    slack.click("ada", again, "Run again")
    deck.last("ada", "hello from web", "dm:ada")
    slack.click("ada", told, "Run again")
    deck.last("ada", "hello from web")
    # A yes is not repeated by a button; the question it answered is still open.
    answer = deck.last("ada", "Nothing was done", "secret")
    assert "Run again" not in answer["buttons"]
    assert dockerd.state("db")["Running"]
    slack.click("ada", question, "Yes, rm db")
    deck.last("bob", "db removed", "secret")


def test_killed_while_the_engine_works_it_is_said_as_not_known(deck, dockerd, slack):
    web, db = [held_container.run(dockerd, name) for name in ("web", "db")]
    started_at = {container: dockerd.started(container) for container in (web, db)}
    process = deck.up()
    deck.deck("ada", "restart web -t 200")
    started = deck.last("bob", "restarting web…")
    # The bot is not in #dev: what began there was said to nobody.
    deck.deck("ada", "restart db -t 200", "dev")
    for container in (web, db):
        wait_for("the engine to begin", lambda: happened(dockerd, container, "kill"))  # noqa: B023
    begin_anew(deck, process)
    told = deck.last("bob", "not known whether the change was made")
    assert told["ts"] == started["ts"]  # the same message, not another
    assert told["text"].startswith("ada · restart web -t 200\n")
    private = deck.last("ada", "not known whether the change was made", "dev")
    assert private["ephemeral"]
    slack.click("bob", told, "Look")
    deck.last("bob", "does not have the permission")
    slack.click("ada", told, "Look")
    deck.last("ada", "localhost/busybox")
    assert sorted(deck.audit("--who", ADA))[-2:] == [
        (ADA, "restart db -t 200", "unknown"),
        (ADA, "restart web -t 200", "unknown"),
    ]
    for container in (web, db):
        held_container.let_end(dockerd, container)
        wait_for("the engine to end", lambda: dockerd.started(container) != started_at[container])  # noqa: B023
        assert happened(dockerd, container, "restart") <= 1
    deck.expire("hold:*")  # until then they are taken to be at work
    deck.deck("ada", "restart web -t 1")
    deck.last("bob", "web restarted")


def test_killed_before_the_outcome_was_told_it_is_told(deck, dockerd, slack):
    web = dockerd.run("web")
    process = deck.up()
    slack.fault("chat.update", "timeout", count=50)
    deck.deck("ada", "restart web -t 1")
    started = deck.last("bob", "restarting web…")
    wait_for("the edit to hang", lambda: slack.calls("chat.update"))
    # On a busy machine that edit may be one that only shows how far the restart is.
    wait_for("the outcome", lambda: (ADA, "restart web -t 1", "done") in deck.audit("--target", "web"), pause=0.2)
    slack.clear_faults()
    slack.fault("response_url", "timeout")
    deck.deck("ada", "restart nothing")
    wait_for("the answer to hang", lambda: slack.calls("response_url"))
    # What was private is told privately even when its own way has closed meanwhile.
    slack.configure(response_uses=0)
    deck.forgiven.append("response_url used_url")
    begin_anew(deck, process)
    told = deck.last("bob", "restarted before it could reply. web restarted in")
    assert told["ts"] == started["ts"]
    assert told["buttons"] == []
    private = deck.last("ada", "restart nothing: Quarterdeck was restarted")
    assert private["ephemeral"]
    assert happened(dockerd, web, "restart") == 1
    assert deck.audit("--target", "web") == [(ADA, "restart web -t 1", "done")]


def test_the_other_replica_tells_what_the_dead_one_left(deck, dockerd, slack):
    web = held_container.run(dockerd, "web")
    process = deck.up()
    (lease,) = deck.store.keys("*:replica:*")
    deck.deck("ada", "restart web -t 200")
    started = deck.last("bob", "restarting web…")
    deck.up(sockets=2)
    deck.kill(process)
    deck.store.delete(lease)
    told = deck.last("bob", "not known whether the change was made")
    assert told["ts"] == started["ts"]
    assert deck.audit("--target", "web") == [(ADA, "restart web -t 200", "unknown")]
    # The dead one's hold on it is told to whoever comes meanwhile.
    deck.deck("ada", "stop web -t 1")
    deck.last("ada", "ada started container.restart on web")
    assert happened(dockerd, web, "stop") <= 1
