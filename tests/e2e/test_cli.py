"""The product as people start it: the real command line, a real dockerd, the real embedded store, real signals."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import time

from tests.helpers.bot_process import Bot, get, series, table_of
from tests.helpers.paths import ROOT
from tests.helpers.waiting import free_tcp_port, wait_for


def test_a_newcomers_first_minutes(bot, dockerd):
    dockerd.run("web", "echo hello from web; exec sleep 3600")
    assert "web" in bot.do("ps")
    assert "hello from web" in bot.do("logs web")
    before = dockerd.state("web")["StartedAt"]
    assert re.search(r"web.*restarted", bot.do("restart web -t 1"))
    assert dockerd.state("web")["StartedAt"] != before
    bot.do("stop web -t 1")
    assert dockerd.state("web")["Running"] is False
    asked = bot.do("rm web", code=4)
    assert "cannot be undone" in asked
    assert dockerd.state("web")
    bot.call("do", re.search(r'quarterdeck do "(confirm \w+)"', asked)[1])
    assert "web" not in bot.do("ps -a", code=0)
    audit = bot.do("audit --limit 50")
    for line in ("restart web -t 1", "stop web -t 1", "rm web"):
        assert line in audit
    assert "console:root" in audit


def test_do_speaks_json_and_exit_codes(bot, dockerd):
    dockerd.run("web")
    reply = json.loads(bot.do("ps", "--json"))
    assert reply["ending"] == "ok"
    assert reply["blocks"][1]["rows"][0]["NAME"] == "web"
    bot.do("logs nothing", code=1)
    bot.do("ps --nope", code=2)
    bot.do("restart '*'", code=2)
    bot.do("rm -f web", code=4)
    bot.do("rm -f web", "--yes")
    assert not dockerd.api.containers(all=True)


def test_words_may_come_as_the_shell_split_them(bot, dockerd):
    dockerd.run("web")
    assert "true" in bot.call("do", "--", "inspect", "web", "--format", "{{.State.Running}}")


def test_run_watches_and_the_page_moves(bot, dockerd):
    port = free_tcp_port()
    dockerd.run("web", labels={"com.docker.compose.project": "shop"})
    process = bot.start("run", port=port)
    wait_for("the metrics page", lambda: series(port, "quarterdeck_container_state", name="web", state="running") == 1)
    died = series(port, "quarterdeck_events_total", type="container", action="die") or 0
    bot.do("stop web -t 1")
    wait_for("the stop to show", lambda: series(port, "quarterdeck_container_state", name="web", state="exited") == 1)
    wait_for(
        "the event to count",
        lambda: (series(port, "quarterdeck_events_total", type="container", action="die") or 0) > died,
    )
    bot.do("rm web", "--yes")
    wait_for(
        "the series to go", lambda: series(port, "quarterdeck_container_state", name="web", state="exited") is None
    )
    assert get(port, "/healthz")[0] == 200
    status, body = get(port, "/readyz")
    assert status == 200, body
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not bot.store_servers()


def test_the_store_is_shared_and_kept_whoever_comes_first(bot, dockerd):
    dockerd.run("web")
    bot.do("grant console:alice operator --name web")
    process = bot.start("run")
    wait_for("the bot", lambda: bot.store_servers())
    assert "console:alice" in bot.do("grants")
    bot.do("grant console:bob viewer")
    process.kill()
    process.wait()
    wait_for("no orphan", lambda: not bot.store_servers())
    assert "console:bob" in bot.do("grants")
    assert not bot.store_servers()


def test_the_metrics_port_in_use_is_said_at_once(bot):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = bot.start("run", port=taken.getsockname()[1])
        assert process.wait(60) != 0
    assert "in use" in process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_an_engine_that_is_absent_at_start_may_come_later(short_tmp, own_dockerd):
    own_dockerd.end()
    bot, port = Bot(short_tmp, own_dockerd.url), free_tcp_port()
    try:
        bot.start("run", port=port)
        wait_for("the page", lambda: get(port)[0] == 200)
        assert get(port, "/readyz")[0] == 503
        assert "Start the engine" in bot.do("ps", code=5)
        own_dockerd.start()
        wait_for("the engine to be watched", lambda: get(port, "/readyz")[0] == 200)
        own_dockerd.run("web")
        wait_for("the container", lambda: series(port, "quarterdeck_container_state", name="web", state="running") == 1)
    finally:
        bot.stop()


def test_what_happened_while_the_daemon_was_dead_is_seen(short_tmp, own_dockerd):
    bot, port = Bot(short_tmp, own_dockerd.url), free_tcp_port()
    try:
        bot.start("run", port=port)
        own_dockerd.run("web")
        wait_for("the container", lambda: series(port, "quarterdeck_container_state", name="web", state="running") == 1)
        own_dockerd.kill()
        wait_for("the loss", lambda: series(port, "quarterdeck_stream_up") == 0)
        own_dockerd.start()
        wait_for("the return", lambda: series(port, "quarterdeck_stream_up") == 1)
        wait_for("the death", lambda: series(port, "quarterdeck_container_state", name="web", state="exited") == 1)
    finally:
        bot.stop()


def test_the_store_killed_under_a_running_bot_comes_back_with_its_data(bot, dockerd):
    dockerd.run("web")
    port = free_tcp_port()
    bot.start("run", port=port)
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
    bot.do("grant console:alice viewer")
    for pid in bot.store_servers():
        os.kill(pid, signal.SIGKILL)
    wait_for("readiness again", lambda: bot.store_servers() and get(port, "/readyz")[0] == 200)
    assert "console:alice" in bot.do("grants")


def test_killed_between_intent_and_outcome_is_said_and_audited_unknown(bot, dockerd):
    web = dockerd.run("web", "trap '' TERM; while :; do sleep 1; done", host={"init": False})
    time.sleep(0.3)
    process = bot.start("do", "restart web -t 20")
    wait_for(
        "the restart",
        lambda: [
            event
            for event in dockerd.api.events(since=0, until=time.time() + 0.1, decode=True)
            # The daemon remembers the kills of other tests too.
            if event.get("Action") == "kill" and event["Actor"]["ID"] == web
        ],
    )
    process.kill()
    process.wait()
    port = free_tcp_port()
    bot.start("run", port=port)
    wait_for("the truth", lambda: "not known" in bot.running[-1].log.read_text())
    audit = table_of(bot.do("audit --limit 5 --target web", "--json"))["rows"]
    assert [(row["LINE"], row["RESULT"]) for row in audit] == [("restart web -t 20", "unknown")]


def test_a_broken_configuration_tells_every_mistake_and_a_reload_keeps_the_old_one(bot, dockerd):
    path = bot.root / "quarterdeck.yaml"
    path.write_text(
        "limits: {read: fast}\ngrants:\n  - {who: nobody-in-particular, can: [container.restat]}\nsurprise: 1\n"
    )
    done = subprocess.run(
        bot.command("check"), env=bot.env, cwd=bot.root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78
    for word in ("limits.read", "grants.0.who", "container.restart", "surprise", "quarterdeck.yaml:"):
        assert word in done.stderr
    path.write_text("grants: [{who: 'console:alice', can: [viewer]}]\n")
    assert "is valid" in bot.call("check")
    port = free_tcp_port()
    process = bot.start("run", port=port)
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
    path.write_text("grants: [{who: 'console:alice', can: [viewr]}]\n")
    process.send_signal(signal.SIGHUP)
    wait_for("the failed reload", lambda: series(port, "quarterdeck_config_last_reload_successful") == 0)
    wait_for("its words", lambda: "viewr" in process.log.read_text())
    path.write_text("grants: [{who: 'console:alice', can: [viewer]}, {who: 'console:bob', can: [viewer]}]\n")
    process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: series(port, "quarterdeck_config_last_reload_successful") == 1)


def test_the_console_on_a_terminal(bot, dockerd):
    dockerd.run("web")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = bot.env | {"TERM": "xterm"}
    process = subprocess.Popen(
        bot.command("run"),
        env=env,
        cwd=bot.root,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    bot.running.append(process)
    seen = ""

    def read_until(text):
        nonlocal seen

        def more():
            nonlocal seen
            if select.select([leader], [], [], 0.05)[0]:
                seen += os.read(leader, 65536).decode("utf-8", "replace")
            return text in seen

        wait_for(f"“{text}” on the terminal, which shows {seen[-500:]!r}", more)
        seen = seen.split(text, 1)[1]

    try:
        read_until("No chat is configured")
        read_until("deck>")
        os.write(leader, b"ps\r")
        read_until("STATUS")
        read_until("web")
        read_until("deck>")
        os.write(leader, b"rm -f web\r")
        read_until("cannot be undone")
        read_until("2)")
        read_until("deck>")
        os.write(leader, b"1\r")
        read_until("removed")
        assert not dockerd.api.containers(all=True)
        read_until("deck>")
        os.write(leader, b"exit\r")
        wait_for("the end", lambda: process.poll() is not None)
        assert process.returncode == 0
    finally:
        os.close(leader)


def test_lines_may_be_piped_into_the_console(bot, dockerd):
    dockerd.run("web")
    out = bot.call("console", input="ps\nwhoami\n")
    assert "web" in out
    assert "console:root" in out


def test_version(bot):
    assert re.fullmatch(r"quarterdeck \d+\.\d+\.\d+\n", bot.call("--version"))


def test_a_program_is_run_and_files_come_out(bot, dockerd):
    dockerd.run("web", "printf 'a\\0b' > /data; echo 'PASSWORD=hunter2hunter2' > /.env; exec sleep 3600")
    wait_for("the files", lambda: "code 0" in bot.do("exec web sh -c 'cat /.env >/dev/null; echo \"code $?\"'"))
    assert "made of it" in bot.call("do", "--", "exec", "-e", "WHAT=made of it", "web", "sh", "-c", "echo $WHAT")
    bot.do("exec web false", code=5)
    bot.do("exec -it web sh", code=2)
    assert "hunter2" not in bot.do("cp web:/.env") and "it is not text" in bot.do("cp web:/data")
    assert "Saved as" in bot.do("cp web:/data data")
    assert (bot.root / "data").read_bytes() == b"a\0b"
    assert "PASSWORD=hunter2hunter2\n" in bot.do("cp web:/.env -o -"), "its own bytes, and nothing else"
    bot.do("export web -o whole.tar")
    with tarfile.open(bot.root / "whole.tar") as archive:
        assert "data" in archive.getnames()
    made = re.search(r"committed as ([0-9a-f]{12})", bot.do("commit web"))[1]
    assert "tagged" in bot.do(f"tag {made} localhost/made-by-commit:1")
    assert "made-by-commit" in bot.do("images localhost/made-by-commit")
    bot.do("rmi localhost/made-by-commit:1", "--yes")
    rows = bot.do("audit --limit 50")
    assert "hunter2" not in rows and "ended with code 1" in rows


HEAVY = ("docker", "podman", "grpc", "matplotlib", "slack_bolt", "slack_sdk", "slackblocks", "requests")
TELLS_WHAT_IT_LOADED = f"""
import sys, atexit
atexit.register(lambda: print('LOADED', [name for name in {HEAVY} if name in sys.modules], flush=True))
from bot.cli import main
main()
"""


def test_ps_logs_and_restart_load_nothing_heavy(bot, dockerd):
    """Engines' and chats' packages cost tens of megabytes; what is everyday on a local socket does without. So it does
    without what only a bot needs: alert rules, metrics and watching."""
    dockerd.run("web")
    unused = (*HEAVY, "aiohttp", "prometheus_client", "typer", "bot.builtin_runtime", "bot.rule_tests", "collectors")
    script = TELLS_WHAT_IT_LOADED.replace(repr(HEAVY), repr(unused))
    for line in ("ps", "logs web", "restart web -t 1", "events web", "images"):
        done = subprocess.run(
            [sys.executable, "-c", script, "do", line],
            env=bot.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "LOADED []" in done.stdout, done.stdout + done.stderr


def test_a_bot_that_watches_loads_nothing_heavy(bot, dockerd):
    dockerd.run("web")
    port = free_tcp_port()
    bot.command = lambda *words: [sys.executable, "-c", TELLS_WHAT_IT_LOADED, *words]
    process = bot.start("run", port=port, cwd=ROOT)
    wait_for("the container", lambda: series(port, "quarterdeck_container_state", name="web", state="running") == 1)
    # Beside it, a command is given to the bot by a process that loads next to nothing.
    beside = TELLS_WHAT_IT_LOADED.replace(repr(HEAVY), repr(("typer", "pydantic", "aiohttp", "redis", "asyncio")))
    for words in (("ps",), ("restart", "web"), ("logs", "web")):
        done = subprocess.run(
            [sys.executable, "-c", beside, "do", *words],
            env=bot.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "") and "web" in done.stdout, done.stdout + done.stderr
        assert "LOADED []" in done.stdout, done.stdout
    assert "console:root" in bot.do("audit --limit 5")
    # A console beside it answers from the bot's memory, too: nobody else has readings of the past.
    wait_for("a reading", lambda: bot.answers("stats --since 5m web"), pause=0.5)
    console = subprocess.run(
        [sys.executable, "-m", "bot.cli", "console"],
        env=bot.env,
        cwd=ROOT,
        input="stats --since 5m web\nrm -f web\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "There are no readings" not in console.stdout and "web" in console.stdout, console.stdout + console.stderr
    assert "cannot be undone" in console.stdout and "quarterdeck do" not in console.stdout
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "LOADED []" in process.log.read_text()
    assert not (bot.state / "commands.sock").exists()
