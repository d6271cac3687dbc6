"""The ways to speak to it: slash command, mention, thread, direct message, a slash command of its own."""

from tests.helpers.bot_process import ADA
from tests.helpers.waiting import wait_for
from tests.standins.slack.records import SCOPES


def test_a_slash_command_is_answered_to_the_asker_and_a_change_to_the_channel(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    deck.up()
    deck.deck("ada", "ps")
    shown = deck.last("ada", "web")
    assert shown["ephemeral"]
    assert "localhost/busybox:1" in shown["text"]
    deck.deck("ada", "logs web")
    assert deck.last("ada", "hello from web")["ephemeral"]
    assert deck.said("bob") == []  # reads are nobody else's business

    before = dockerd.state("web")["StartedAt"]
    deck.deck("ada", "restart web -t 1")
    done = deck.last("bob", "web restarted")
    assert not done["ephemeral"]
    assert done["text"].startswith("ada · restart web -t 1\n")
    assert "restarting web…" in done["before"][0]  # one message, edited in place
    assert len(deck.said("bob")) == 1
    assert dockerd.state("web")["StartedAt"] != before
    assert deck.audit("--reads", "--who", ADA) == [
        (ADA, "ps", "done"),
        (ADA, "logs web", "done"),
        (ADA, "restart web -t 1", "done"),
    ]
    for method in ("chat.postMessage", "chat.update", "response_url"):
        assert deck.series("slack_calls_total", method=method, outcome="ok") >= 1
    assert deck.series("slack_received_total", way="slash") == 3
    assert deck.series("slack_undelivered_total") == 0


def test_what_is_shared_is_seen_by_all(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    deck.up()
    deck.deck("ada", "logs web --share")
    shown = deck.last("bob", "hello from web")
    assert not shown["ephemeral"]
    assert shown["text"].startswith("ada · logs web --share\n")
    deck.deck("ada", "logs nothing --share")
    assert deck.last("ada", "no container")["ephemeral"]


def test_a_mention_is_answered_where_it_was_said(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    deck.up()
    slack.say("ada", "ops", "@quarterdeck ps")
    assert deck.last("ada", "localhost/busybox:1")["ephemeral"]
    topic = slack.say("bob", "ops", "web is slow")["ts"]
    slack.say("ada", "ops", "@quarterdeck: logs web", topic)
    assert deck.last("ada", "hello from web", thread_ts=topic)["ephemeral"]
    slack.say("ada", "ops", "@quarterdeck `restart web -t 1`", topic)
    done = deck.last("bob", "web restarted", thread_ts=topic)
    assert done["thread_ts"] == topic
    assert not done["ephemeral"]
    # Two lines at once: half of what was said is not done.
    slack.say("ada", "ops", "@quarterdeck ps\nrestart web")
    assert deck.last("ada", "one command at a time")["ephemeral"]
    assert [row[1:] for row in deck.audit("--reads", "--who", ADA)] == [
        ("ps", "done"),
        ("logs web", "done"),
        ("restart web -t 1", "done"),
    ]


def test_direct_messages_need_no_name_and_are_not_answered_to_ourselves(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    deck.up()
    slack.say("ada", "dm:ada", "logs web")
    deck.last("ada", "hello from web", "dm:ada")
    slack.say("ada", "dm:ada", "stop web -t 1")
    deck.last("ada", "web stopped", "dm:ada")
    slack.say("ada", "dm:ada", "/deck PS -a")
    deck.last("ada", "exited (143)", "dm:ada")
    deck.deck("ada", "whoami", "dm:ada")
    deck.last("ada", ADA, "dm:ada")
    # What the bot posts there comes back to it as events; answering them would never end.
    assert len(deck.said("ada", "dm:ada")) == 4
    assert dockerd.state("web")["Running"] is False


def test_commands_with_a_slash_of_their_own(deck, dockerd, slack):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    slack.install(list(SCOPES), {"/deck": True, "/ps": True, "/logs": True})
    deck.env["QUARTERDECK_SLACK__DIRECT"] = '["ps", "logs"]'
    deck.up()
    slack.slash("ada", "ops", "/ps", "-a")
    deck.last("ada", "web")
    slack.slash("ada", "ops", "/logs", "web")
    deck.last("ada", "hello from web")
    assert [row[1] for row in deck.audit("--reads", "--who", ADA)] == ["ps -a", "logs web"]


def test_silence_is_never_the_answer_to_words(deck, dockerd, slack):
    deck.up()
    answers = {
        "": "Choose what to show",
        "pss": "Did you mean ps",
        "restart": "restart needs a target. For example",
        "logs nope": "no container “nope”",
        "ps --wat": "--wat",
    }
    for said, answer in answers.items():
        deck.deck("ada", said)
        deck.last("ada", answer)
    slack.say("ada", "ops", "@quarterdeck")
    wait_for("help once more", lambda: len(deck.said("ada")) == len(answers) + 1)
    assert deck.said("bob") == []
