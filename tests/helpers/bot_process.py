"""The product as processes: `Bot` is the command line with its own state directory, `Deck` a bot that speaks Slack.

What a test asserts is what people see: the stand-in's screens, the engine's own word (docker-py), the audit as
`quarterdeck do` prints it, the metrics page. At a deck's end nothing may have broken one of Slack's rules, woken
anybody, or ended in a traceback.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import redis

from tests.helpers.waiting import free_tcp_port, hang, wait_for

ADA, BOB = "slack:T0001/U0ADA", "slack:T0001/U0BOB"

EXECUTABLE = Path(sys.executable).with_name("quarterdeck")


class Bot:
    """`quarterdeck` with a state directory and an engine of its own."""

    def __init__(self, root, engine_url, **env):
        self.root = root
        self.state = root / "state"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("QUARTERDECK_")},
            "DOCKER_HOST": engine_url,
            # This engine alone, whatever else is found on the machine.
            "QUARTERDECK_ENGINES": json.dumps([{"url": engine_url}]),
            "QUARTERDECK_STATE": str(self.state),
            "QUARTERDECK_METRICS__LISTEN": "127.0.0.1:0",
            "NO_COLOR": "1",
            "TERM": "dumb",
            **env,
        }
        self.running = []

    def command(self, *words):
        return [str(EXECUTABLE), *words] if EXECUTABLE.exists() else [sys.executable, "-m", "bot.cli", *words]

    def watch(self, *engines):
        """These engines, as `engines` of a configuration file has them; none: what is found."""
        self.env.pop("QUARTERDECK_ENGINES", None)
        if engines:
            (self.root / "quarterdeck.yaml").write_text(json.dumps({"engines": list(engines)}))

    def call(self, *words, code=0, **more):
        done = subprocess.run(
            self.command(*words),
            env=self.env,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **more,
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def do(self, line, *flags, code=0):
        return self.call("do", *flags, line, code=code)

    def answers(self, line):
        """Whether the line finds something now."""
        done = subprocess.run(
            self.command("do", line), env=self.env, cwd=self.root, capture_output=True, timeout=120, check=False
        )
        return done.returncode == 0

    def start(self, *words, port=None, **more):
        env = self.env | ({"QUARTERDECK_METRICS__LISTEN": f"127.0.0.1:{port}"} if port else {})
        log = (self.root / f"out-{len(self.running)}").open("w+")
        process = subprocess.Popen(
            self.command(*words),
            env=env,
            cwd=more.pop("cwd", self.root),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **more,
        )
        process.log = Path(log.name)
        log.close()
        self.running.append(process)
        return process

    def stop(self):
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def store_servers(self):
        """The pids of store servers whose data is in our state directory."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.state) in str((entry / "cwd").readlink()):
                    if b"valkey" in (entry / "cmdline").read_bytes() or b"redis" in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found


def get(port, path="/metrics"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def series(port, name, /, **labels):
    """The value of one series on the page, None when it is not there."""
    for line in get(port)[1].splitlines():
        match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
            return float(match[2])
    return None


class Deck(Bot):
    """A bot with the stand-in for Slack. Ada is its admin unless `admins` says otherwise.

    `forgiven`: words of rules that the test itself makes the product break; `woken`: whether somebody may be notified.
    """

    def __init__(self, root, engine_url, slack, *, admins=(ADA,), **env):
        super().__init__(
            root,
            engine_url,
            SLACK_BOT_TOKEN=slack.bot_token,
            SLACK_APP_TOKEN=slack.app_token,
            QUARTERDECK_SLACK__API_URL=slack.api,
            QUARTERDECK_ADMINS=json.dumps(list(admins)),
            **env,
        )
        self.slack = slack
        self.store = None
        self.forgiven = []
        self.woken = False
        self.port = 0

    def configure(self, text):
        (self.root / "quarterdeck.yaml").write_text(text)

    def up(self, *, sockets=1, port=0):
        """A running process that Slack and its engine are connected to; so many sockets are open then in all."""
        process = self.start("run", port=(port := port or free_tcp_port()))
        process.port = self.port = port
        self.slack.until_sockets(sockets)
        self.until_ready(port)
        return process

    def until_ready(self, port=None):
        wait_for("readiness", lambda: get(port or self.port, "/readyz")[0] == 200)

    def keep_in(self, valkey):
        """Uses that store, whose time this test may let pass with `expire`."""
        self.env["QUARTERDECK_STORE__URL"] = valkey.url
        self.store = redis.Redis(unix_socket_path=str(valkey.socket))

    def expire(self, pattern):
        """What the store would do once the time of these keys is over."""
        keys = self.store.keys(f"*:{pattern}")
        assert keys, self.store.keys()
        self.store.delete(*keys)

    def kill(self, process):
        process.kill()
        process.wait()

    def log(self):
        return "".join(process.log.read_text() for process in self.running)

    def deck(self, user, text, channel="ops"):
        return self.slack.slash(user, channel, "/deck", text)

    def said(self, user, channel="ops", thread_ts=""):
        """The bot's own messages on that screen."""
        return [one for one in self.slack.screen(user, channel, thread_ts) if one["author"] == "quarterdeck"]

    def last(self, user, text, channel="ops", *, seconds=90, thread_ts=""):
        """The newest message of the bot that holds `text`, once there is one."""
        shown = self.slack.until(user, channel, text, seconds, thread_ts)
        return [one for one in shown if one["author"] == "quarterdeck" and text in one["text"]][-1]

    def audit(self, *flags):
        """(who, line, result) of each row, oldest first."""
        reply = json.loads(self.do(f"audit --limit 100 {' '.join(flags)}".strip(), "--json"))
        return [(row["WHO"], row["LINE"], row["RESULT"]) for row in reply["blocks"][0].get("rows", ())]

    def series(self, name, /, **labels):
        return series(self.port, f"quarterdeck_{name}", **labels)

    def close(self):
        """Ends everything; then nothing may have been wrong."""
        self.stop()
        if self.store is not None:
            self.store.close()
        alarms = [] if self.woken else self.slack.alarms()
        for wrong in (self.slack.violations(self.forgiven), alarms):
            assert not wrong, json.dumps(wrong, indent=1)
        for word in ("Traceback", "Internal error", "was never awaited", "A task did not end in time"):
            assert word not in self.log(), self.log()


def table_of(reply):
    """The first table of a reply as JSON, given as text."""
    return next(block for block in json.loads(reply)["blocks"] if "rows" in block)


def happened(daemon, container, action):
    """How often the engine says that this happened to that container."""
    events = daemon.api.events(since=0, until=time.time() + 0.1, decode=True)
    # `exec_die: …` and the like end in words of their own.
    return sum(one.get("Action") == action and one["Actor"]["ID"] == container for one in events)


@contextlib.contextmanager
def asleep(daemon):
    """An engine that takes requests and does not answer them."""
    hang(daemon.process.pid)
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)
