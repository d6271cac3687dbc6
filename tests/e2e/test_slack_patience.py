"""What takes longer than a moment says once that it is being worked on; the answer then takes that place."""

import functools

from tests.helpers.bot_process import ADA, Deck, asleep, happened
from tests.helpers.waiting import wait_for


def test_a_read_that_takes_long(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    deck.up()
    topic = slack.say("bob", "ops", "web is slow")["ts"]
    with asleep(dockerd):
        deck.deck("ada", "logs web")
        slack.say("ada", "dm:ada", "logs web")
        slack.say("ada", "secret", "@quarterdeck logs web")
        slack.say("ada", "ops", "@quarterdeck logs web", topic)
        for channel in ("ops", "dm:ada", "secret"):
            deck.last("ada", "Working on it…", channel)
        deck.last("ada", "Working on it…", thread_ts=topic)
    for channel in ("ops", "dm:ada", "secret"):
        deck.last("ada", "hello from web", channel)
    deck.last("ada", "hello from web", thread_ts=topic)
    assert [one["text"].partition("\n")[0] for one in deck.said("ada", "dm:ada")] == ["hello from web"]
    assert deck.said("bob") == []


def test_a_change_is_shown_from_its_beginning(deck, dockerd, slack):
    web = dockerd.run("web", "trap '' TERM; while :; do sleep 1; done", host={"init": False})
    deck.up()
    deck.deck("ada", "restart web -t 15")
    deck.last("bob", "restarting web…")
    slack.say("ada", "dm:ada", "stop web")
    deck.last("ada", "started container.restart on web", "dm:ada")
    shown = deck.last("bob", "restarting web… waiting for it to stop, ")
    assert " of 15 s" in shown["text"]
    done = deck.last("bob", "did not end within 15 s and was killed")
    assert done["ts"] == shown["ts"]
    # The same message says at once what was done, and later what became of it.
    assert deck.last("bob", "was killed; still running after 10 s")["ts"] == shown["ts"]
    # A message of its own in the channel says it; nothing private remains beside it.
    assert len(deck.said("ada")) == 1
    assert happened(dockerd, web, "restart") == 1
    assert (ADA, "restart web -t 15", "done") in deck.audit()


def test_a_question_that_takes_long_to_answer(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    deck.deck("ada", "rm -f web")
    question = deck.last("ada", "cannot be undone")
    with asleep(dockerd):
        slack.click("ada", question, "Yes, rm web")
        wait_for("the click", lambda: deck.series("slack_received_total", way="click") == 1)
    deck.last("bob", "web removed")


def test_an_engine_that_is_away_is_said(short_tmp, own_dockerd, slack):
    deck = Deck(short_tmp, own_dockerd.url, slack)
    own_dockerd.run("web")
    deck.up()
    own_dockerd.kill()
    wait_for("the loss", lambda: deck.series("stream_up") == 0)

    def answered(number, channel="ops"):
        return len(deck.said("ada", channel)) == number

    # Until the watcher knows that the engine does not answer, a change would be announced before it fails.
    for number in range(1, 20):
        slack.say("ada", "dm:ada", "ps")
        wait_for("the list", functools.partial(answered, number, "dm:ada"))
        if "what it reported last" in deck.said("ada", "dm:ada")[-1]["text"]:
            break
    assert "what it reported last" in deck.said("ada", "dm:ada")[-1]["text"]
    for number, line in enumerate(("restart web -t 1", "logs web", "ps"), start=1):
        deck.deck("ada", line)
        wait_for("the answer", functools.partial(answered, number))
        assert "Start the engine" in deck.said("ada")[-1]["text"], line
    assert all(one["ephemeral"] for one in deck.said("ada"))
    assert deck.said("bob") == []  # nothing was done, so nobody else is told
    own_dockerd.start()
    wait_for("the return", lambda: deck.series("stream_up") == 1)
    deck.deck("ada", "start web")
    deck.last("bob", "web started")
    deck.close()
