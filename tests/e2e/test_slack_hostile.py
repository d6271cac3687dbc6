"""Names, labels, log lines and words written by strangers: shown as they are, waking nobody, hiding nothing.

Whether anybody would have been notified is asked of the stand-in at the end of each test.
"""

from tests.helpers.bot_process import ADA
from tests.helpers.waiting import wait_for

LINES = (
    "<!channel> <!here> <!everyone> @channel",
    "<@U0BOB> <@U0BOB|bob> <!subteam^S0ONCALL>",
    "<https://evil.example|https://good.example> https://evil.example",
    "``` `code` ``` *bold* _it_ ~no~ :tada: > quote",
    "&lt;!channel&gt; &amp;",
    "deck:0 confirm abcdefgh",
)
STRANGE = "Aa0__zZ.9-_.-_x_"


def logger(lines):
    return "; ".join(f"printf '%b\\n' '{line}'" for line in lines) + "; exec sleep 3600"


def test_names_and_labels(deck, dockerd, slack):
    labels = {f"l{number}": line for number, line in enumerate(LINES)}
    dockerd.run(
        STRANGE, labels=labels | {"com.docker.compose.project": "<!channel>", "com.docker.compose.service": LINES[1]}
    )
    deck.up()
    deck.deck("ada", "ps --share")
    assert STRANGE in deck.last("bob", "localhost/busybox")["text"]
    deck.deck("ada", f"inspect {STRANGE} --share")
    shown = deck.last("bob", f"inspect {STRANGE}")
    everything = shown["text"] + "".join(file["content"] for one in deck.said("bob") for file in one["files"])
    for line in LINES:
        assert line in everything
    deck.deck("ada", f"restart {STRANGE} -t 1")
    done = deck.last("bob", "restarted in")
    assert f"ada · restart {STRANGE} -t 1" in done["text"]
    assert f"{STRANGE} restarted" in done["text"]
    assert f"restarting {STRANGE}…" in done["before"][0]
    deck.deck("ada", f"rm -f {STRANGE}")
    question = deck.last("ada", "cannot be undone")
    slack.click("ada", question, f"Yes, rm {STRANGE}")
    deck.last("bob", f"{STRANGE} removed")


def test_log_lines(deck, dockerd, slack):
    dockerd.run("web", logger((*LINES, "\\033[31mred\\033[0m \\033]0;title\\007done\\r", "\\0200\\0377end")))
    deck.up()
    deck.deck("ada", "logs web --share")
    shown = deck.last("bob", "deck:0 confirm")
    for line in LINES:
        assert line in shown["text"].split("\n")
    assert "red done" in shown["text"]
    assert "\x1b" not in shown["text"]
    assert shown["links"] == []
    assert shown["buttons"] == ["Logs", "Follow", "Restart", "Events", "Errors only"]


def test_words_of_people_are_not_passed_on_as_markup(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    for words in ("restart @channel", "logs <!channel>", "<!here>", "grant @everyone operator", "ps -l 'x=<@U0BOB>'"):
        before = len(deck.said("ada"))
        deck.deck("ada", words)
        wait_for("an answer", lambda: len(deck.said("ada")) == before + 1)  # noqa: B023
        slack.say("ada", "ops", f"@quarterdeck {words}")
        wait_for("another", lambda: len(deck.said("ada")) == before + 2)  # noqa: B023
    assert [one for one in deck.said("bob") if "operator" not in one["text"]] == []


def test_long_logs_are_a_file_for_the_asker_alone(deck, dockerd, slack):
    dockerd.run("web", "seq 1 10000; echo '<!channel>'; exec sleep 3600")
    deck.up()
    deck.deck("ada", "logs web --tail 10000")
    shown = deck.last("ada", "all are in the file")
    assert shown["ephemeral"]
    assert "The last 30 of 10,000 lines" in shown["text"]
    lines = shown["text"].split("\n")
    assert lines[0] == str(10000 - 28)
    assert "<!channel>" in lines
    with_file = wait_for("the file", lambda: [one for one in deck.said("ada", "dm:ada") if one["files"]])[0]
    content = with_file["files"][0]["content"].splitlines()
    assert content == [*map(str, range(2, 10001)), "<!channel>"]
    assert deck.said("bob") == []
    # Shared, it is where everybody is.
    deck.deck("ada", "logs web --tail 5000 --share")
    deck.last("bob", "The last 30 of 5,000 lines")
    (file,) = wait_for("the shared file", lambda: [file for one in deck.said("bob") for file in one["files"]])
    assert len(file["content"].splitlines()) == 5000


def test_a_file_that_cannot_be_uploaded_is_counted(deck, dockerd, slack):
    dockerd.run("web", "seq 1 3000; exec sleep 3600")
    deck.up()
    slack.withhold("files:write")
    deck.deck("ada", "logs web --tail 3000")
    deck.last("ada", "The last 30 of 3,000 lines")
    wait_for("the count", lambda: deck.series("slack_undelivered_total") == 1)
    assert "files:write" in deck.log()
    assert deck.audit("--reads", "--who", ADA) == [(ADA, "logs web --tail 3000", "done")]


def test_a_crowd_of_containers(deck, dockerd, slack):
    for number in range(220):
        dockerd.run(f"web-{number:03}-{'x' * 60}", start=False)
    deck.up()
    deck.deck("ada", "ps -a")
    shown = deck.last("ada", "more rows")
    assert "web-000" in shown["text"]
    (one,) = wait_for("the whole table", lambda: [one for one in deck.said("ada", "dm:ada") if one["files"]])
    assert sum("web-" in line for line in one["files"][0]["content"].splitlines()) == 220
