"""Following a log as people do: at a console with its Ctrl-C, in a pipe, in Slack, from another process."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
import redis

from tests.helpers import held_container
from tests.helpers.waiting import wait_for

CHATTY = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.2; done'


class Terminal:
    """A process on a terminal of its own: what it shows, what is typed."""

    def __init__(self, bot, *words):
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.seen = ""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that a key typed is a signal sent, as at a real one

        self.process = subprocess.Popen(
            bot.command(*words),
            env=bot.env | {"TERM": "xterm"},
            cwd=bot.root,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            preexec_fn=own_terminal,
        )
        os.close(follower)
        bot.running.append(self.process)

    def type(self, keys):
        os.write(self.leader, keys)

    def read_until(self, text):
        def more():
            if select.select([self.leader], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):  # its other side is closed
                    self.seen += os.read(self.leader, 65536).decode("utf-8", "replace")
            return text in self.seen

        try:
            wait_for(f"“{text}” on the terminal", more)
        except AssertionError as error:
            raise AssertionError(f"{error}, which shows {self.seen[-500:]!r}") from None
        self.seen = self.seen.split(text, 1)[1]

    def close(self):
        os.close(self.leader)


@pytest.mark.parametrize("words", ["run", "console"])
def test_ctrl_c_ends_the_following_and_not_the_console(bot, dockerd, words):
    dockerd.run("web", CHATTY)
    terminal = Terminal(bot, words)
    try:
        terminal.read_until("deck>")
        for _ in range(2):
            terminal.type(b"logs web -f\r")
            terminal.read_until("line ")
            terminal.type(b"\x03")
            terminal.read_until("deck>")
        # At the prompt it clears what was typed.
        terminal.type(b"rm -f web")
        terminal.read_until("rm -f web")
        terminal.type(b"\x03")
        terminal.read_until("deck>")
        terminal.type(b"whoami\r")
        terminal.read_until("console:root")
        terminal.read_until("deck>")
        assert terminal.process.poll() is None
        terminal.type(b"exit\r")
        wait_for("the end", lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode == 0
    finally:
        terminal.close()
    assert dockerd.state("web")["Running"]


def _signalled(dockerd, since):
    """Whether the present `web` was signalled. In the same second, the one of the test before may have been killed."""
    of = {"container": dockerd.api.inspect_container("web")["Id"], "event": "kill"}
    return list(dockerd.api.events(since=since, until=time.time() + 0.1, decode=True, filters=of))


@pytest.mark.parametrize("words", ["run", "console"])
def test_ctrl_c_during_a_change_says_that_it_is_waited_for_and_the_second_leaves(bot, dockerd, words):
    web = held_container.run(dockerd, "web")
    terminal = Terminal(bot, words)
    try:
        terminal.read_until("deck>")
        began = int(time.time())
        terminal.type(b"stop web -t 200\r")
        wait_for("the stop", lambda: _signalled(dockerd, began))
        terminal.type(b"\x03")
        terminal.read_until("waited for")
        held_container.let_end(dockerd, web)
        terminal.read_until("web stopped")
        terminal.read_until("deck>")
        dockerd.api.start("web")
        time.sleep(1.1)  # events are asked for by whole seconds
        began = int(time.time())
        terminal.type(b"stop web -t 200\r")
        wait_for("the stop", lambda: _signalled(dockerd, began))
        terminal.type(b"\x03")
        terminal.read_until("waited for")
        terminal.type(b"\x03")
        time.sleep(0.3)
        terminal.type(b"\x03")
        wait_for("the end", lambda: terminal.process.poll() is not None)
        assert "Traceback" not in terminal.seen
    finally:
        terminal.close()


def test_sigterm_ends_a_console_with_a_word_about_what_it_followed(bot, dockerd):
    dockerd.run("web", CHATTY)
    terminal = Terminal(bot, "console")
    try:
        terminal.read_until("deck>")
        terminal.type(b"logs web -f\r")
        terminal.read_until("line ")
        terminal.process.terminate()
        terminal.read_until("Quarterdeck is stopping")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()


def test_do_follows_until_the_container_ends(bot, dockerd):
    dockerd.run("web", "sleep 1; for i in $(seq 5); do echo line $i; done; exit 3")
    out = bot.do("logs web -f")
    assert out.startswith("line 1\nline 2\n")
    assert "5 lines; web has ended with code 3" in out


def test_several_logs_are_told_apart(bot, dockerd):
    for name in ("web", "api"):
        dockerd.run(name, f"sleep 1; echo hello from {name}")
    out = bot.do("logs web api -f")
    assert "web | hello from web\n" in out
    assert "api | hello from api\n" in out
    assert "Followed api" in out


def test_ctrl_c_ends_do_with_130_and_nothing_is_told_later(bot, dockerd, valkey):
    bot.env["QUARTERDECK_STORE__URL"] = valkey.url
    dockerd.run("web", CHATTY)
    process = bot.start("do", "logs web -f")
    wait_for("lines", lambda: "line 3" in process.log.read_text())
    with redis.Redis(unix_socket_path=str(valkey.socket)) as store:
        assert store.keys("*:inv:*")
        assert store.keys("*:job:*")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert store.keys("*:inv:*") == []
        assert store.keys("*:job:*") == []
    said = process.log.read_text()
    assert "Traceback" not in said
    assert "did not end in time" not in said
    assert "logs web -f" in bot.do("audit --reads --limit 5")


def test_a_pipe_that_saw_enough_ends_it_quietly(bot, dockerd):
    dockerd.run("web", CHATTY)
    command = " ".join(bot.command("do", "'logs web -f'"))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} | head -1"],
        env=bot.env,
        cwd=bot.root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert re.fullmatch(r"line \d+\n", done.stdout)
    assert done.stderr == ""


def test_a_mention_in_a_thread_is_followed_there_until_the_container_ends(deck, dockerd, slack):
    dockerd.run("web", f"trap 'exit 0' TERM; {CHATTY}")
    deck.up()
    topic = slack.say("bob", "ops", "web is slow")["ts"]
    slack.say("ada", "ops", "@quarterdeck logs web -f", topic)
    wait_for("edits", lambda: len(slack.calls("chat.update")) >= 4)
    shown = deck.last("bob", "line", thread_ts=topic)
    assert shown["buttons"] == ["Stop"]
    assert not shown["ephemeral"]
    dockerd.api.stop("web", timeout=5)
    ended = deck.last("bob", "web has ended with code 0", thread_ts=topic)
    assert ended["ts"] == shown["ts"]
    assert "Stop" not in ended["buttons"]
    assert len([one for one in deck.said("bob", thread_ts=topic) if one["author"] == "quarterdeck"]) == 1
    assert len(slack.calls("chat.postMessage")) == 1
    # About one edit a second, however fast lines come, five of them a second; a busy machine may hold one back.
    times = [call["at"] for call in slack.calls("chat.update")]
    assert len(times) <= 2 + 2 * (times[-1] - times[0]), times


def test_a_log_that_is_silent_can_be_stopped_too(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    slack.say("ada", "dm:ada", "logs web -f")
    shown = deck.last("ada", "Following web. No lines yet", "dm:ada")
    slack.click("ada", shown, "Stop")
    ended = deck.last("ada", "0 lines; was stopped", "dm:ada")
    assert ended["ts"] == shown["ts"] and "Stop" not in ended["buttons"]
    assert "No lines yet" not in ended["text"]


def test_a_slash_command_says_where_it_is_followed(deck, dockerd, slack):
    dockerd.run("web", CHATTY)
    deck.up()
    deck.deck("ada", "logs web -f")
    deck.last("ada", "line 2", "dm:ada")
    assert deck.last("ada", "in your direct messages with me")["ephemeral"]


def test_another_process_with_the_same_store_stops_it(deck, dockerd, slack, valkey):
    dockerd.run("web", CHATTY)
    deck.keep_in(valkey)
    deck.up()
    slack.say("ada", "ops", "@quarterdeck logs web -f")
    shown = deck.last("ada", "line 2")
    (key,) = wait_for("the job's owner", lambda: deck.store.keys("*:job:*"))
    engine, _, job = key.decode().partition(":job:")[2].rpartition("/")
    # It is none of the jobs of this process, nor its user's.
    assert f"You may not stop the job {job}: somebody else started it" in deck.do(f"job stop {job}@{engine}", code=3)
    assert "Stopped" in deck.do(f"job stop {job}@{engine} --force")
    ended = deck.last("ada", "was stopped")
    assert ended["ts"] == shown["ts"] and "Stop" not in ended["buttons"]
    assert "no job" in deck.do(f"job stop {'0' * 12}@{engine}", code=1)
