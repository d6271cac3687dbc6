"""What happened, as people ask for it: with its cause, after a restart of the bot, from another process, and live."""

import re
import subprocess

import pytest

from tests.helpers import hungry_container
from tests.helpers.bot_process import BOB, get, table_of
from tests.helpers.waiting import free_tcp_port, wait_for


def rows(bot, line, *flags):
    """(what, name, detail) of each event, oldest first."""
    table = table_of(bot.do(line, "--json", *flags))
    return [(row["WHAT"], row["NAME"], row["DETAIL"]) for row in table.get("rows", ())]


def shows(bot, line, *wanted):
    """Waits until the command shows all of these."""
    try:
        wait_for(f"{line} with {wanted}", lambda: set(wanted) <= set(rows(bot, line)))
    except AssertionError as error:
        raise AssertionError(f"{error}: {rows(bot, line)}") from None


def watching(bot):
    port = free_tcp_port()
    process = bot.start("run", port=port)
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
    return process


def test_causes_outlive_the_bot_and_are_the_same_in_every_process(bot, dockerd):
    process = watching(bot)
    dockerd.run("web")
    dockerd.run("crash", "sleep 1; exit 3", init=False)
    hungry_container.run(dockerd, "hog", init=False, host={"mem_limit": "16m", "memswap_limit": "16m"})
    bot.do("stop web -t 1")
    shows(
        bot,
        "events --since 10m",
        ("died", "web", "stop through Quarterdeck (console:root)"),
        ("died", "crash", "crashed: it failed (exit code 3)"),
        ("died", "hog", "out of memory (exit code 137)"),
    )
    process.terminate()
    assert process.wait(60) == 0
    dockerd.kill()  # its own memory of 256 events is gone with it
    dockerd.start()
    known = rows(bot, "events --since 10m --action died")
    assert ("died", "crash", "crashed: it failed (exit code 3)") in known
    assert ("died", "hog", "out of memory (exit code 137)") in known
    assert rows(bot, "events hog --since 10m --action died") == [("died", "hog", "out of memory (exit code 137)")]
    assert "oom" not in [what for what, *_ in rows(bot, "events hog --since 10m")]


def test_followed_in_a_pipe_of_a_process_that_does_not_watch(bot, dockerd):
    dockerd.run("piped", start=False)
    command = bot.command("do", "events piped -f --since 10m")
    with subprocess.Popen(command, env=bot.env, cwd=bot.root, stdout=subprocess.PIPE, text=True) as follower:
        bot.running.append(follower)

        def line():
            return follower.stdout.readline().split(" ", 1)[1].strip()

        assert line() == "created piped: localhost/busybox:1"
        dockerd.api.start("piped")
        assert line() == "started piped: localhost/busybox:1"
        dockerd.api.kill("piped")
        assert {line(), line()} == {"killed piped: signal KILL", "died piped: exit code 137"}
        assert line().startswith("cause of the end of piped: killed by a client of its engine")
        follower.terminate()


@pytest.mark.parametrize("share", ["", " --share"])
def test_followed_events_are_one_message_with_a_stop_button(deck, slack, dockerd, share):
    dockerd.run("web")
    deck.up()
    deck.deck("ada", f"events -f{share}")
    where = () if share else ("dm:ada",)
    shown = deck.last("ada", "Following docker/", *where)
    dockerd.run("crash", "exit 3")
    shown = deck.last("ada", "died crash: exit code 3", *where)
    assert shown["buttons"] == ["Stop"]
    deck.last("ada", "crashed: it failed (exit code 3)", *where)
    if share:
        slack.click("bob", shown, "Stop")
        deck.last("bob", "somebody else started it")
    slack.click("ada", shown, "Stop")
    ended = deck.last("ada", "was stopped", *where)
    assert ended["ts"] == shown["ts"] and "Stop" not in ended["buttons"]
    assert "Followed the events of docker/" in ended["text"]


def test_followed_events_end_with_the_right_to_see_them(deck, slack, dockerd):
    dockerd.run("web")
    deck.up()
    given = re.search(r"g-[0-9a-f]{6}", deck.do(f"grant {BOB} viewer"))[0]
    deck.deck("bob", "events -f")
    deck.last("bob", "Following docker/", "dm:bob")
    deck.do(f"revoke {given}")
    ended = deck.last("bob", "the permission for it was taken away", "dm:bob")
    assert "Stop" not in ended["buttons"]
