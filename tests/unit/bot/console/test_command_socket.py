"""Tests the command socket: who is answered, what the caller sees, and what happens when either side goes away.

The server runs in a thread with an event loop of its own; the client runs in the main thread, as it does in the
program, because it handles signals.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot import cli, plain_text
from bot.console import (
    caller_settings,
    client_exchange,
    command_client,
    command_frames,
    command_server,
    command_socket,
    received_file,
)
from bot.console.command_client import Request
from commands.catalogue import load_catalogue
from core import supervise
from core.model.invocation import Invocation
from core.model.replies import Button, Download, Ending, Lines, Reply, Text, Tone, text_reply
from core.ports import Progress, Responder, Watched
from tests.helpers.paths import ROOT

Answer = Callable[[Invocation, Responder], Coroutine[Any, Any, Reply]]
CATALOGUE = load_catalogue()


class RunningBot:
    """A command server in a thread. `answers`: what its dispatcher does; `asked`: the invocations it received."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.env = {"QUARTERDECK_STATE": str(state)}
        self.asked: list[Invocation] = []
        self.forgotten: list[str] = []
        self.ended: list[str] = []
        self.answers: Answer = _hello
        self.sources = caller_settings.read("", {}).sources
        self.ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="bot", daemon=True)

    async def answer(self, inv: Invocation, responder: Responder) -> Reply:
        self.asked.append(inv)
        try:
            reply = await self.answers(inv, responder)
            await responder.finish(reply)
            return reply
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self.ended.append(inv.line)

    async def forget(self, inv: Invocation) -> None:
        self.forgotten.append(inv.line)

    def _run(self) -> None:
        self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self.stop = asyncio.Event()
        async with supervise.Supervisor() as supervisor:
            app = SimpleNamespace(
                supervisor=supervisor,
                catalogue=CATALOGUE,
                dispatcher=self,
                config=SimpleNamespace(state=self.state),
            )
            server = command_server.CommandServer(app, self.sources)  # type: ignore[arg-type]
            supervisor.start_background("command socket", server.run)
            while not (self.state / command_frames.SOCKET).exists():
                await asyncio.sleep(0.001)
            self.ready.set()
            await self.stop.wait()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(30)
        self.loop.close()


async def _hello(inv: Invocation, responder: Responder) -> Reply:
    return Reply(blocks=(Text(text=f"hello {inv.line}", tone=Tone.GOOD),), took=timedelta(seconds=0.5))


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningBot]:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    running = RunningBot(state)
    running.thread.start()
    assert running.ready.wait(30)
    yield running
    running.close()


def do(bot: RunningBot, *words: str, **options: Any) -> int | None:
    return command_client.send(Request(list(words), **options), bot.env)


def test_a_reply_is_printed_as_the_direct_way_prints_it(bot: RunningBot, capfd: pytest.CaptureFixture[str]) -> None:
    assert do(bot, "ps") == 0
    assert capfd.readouterr() == ("hello ps\n", "")
    assert do(bot, "restart", "my web", as_json=True) == 0
    reply = Reply(blocks=(Text(text='hello restart "my web"', tone=Tone.GOOD),), took=timedelta(seconds=0.5))
    assert capfd.readouterr().out == plain_text.to_json(reply) + "\n"
    (first, _) = bot.asked
    assert first.who.id.startswith("console:") and first.who.admin and first.place.kind == "console"
    assert first.deadline - first.at == timedelta(minutes=10)


def test_a_change_is_watched_on_request_and_ctrl_c_ends_the_watching(
    bot: RunningBot, capfd: pytest.CaptureFixture[str]
) -> None:
    watching = threading.Event()

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        ended = asyncio.Event()
        watched = text_reply("web restarted in 0.3 s. Watching web…")
        responder.watching(Watched(reply=watched, stop="job stop 1@docker/h", end=ended.set))
        assert responder.is_private()
        watching.set()
        await ended.wait()
        return text_reply("web restarted in 0.3 s, not watched any further.")

    bot.answers = answers
    press_ctrl_c(watching)
    assert do(bot, "restart web", verify=True) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "web restarted in 0.3 s, not watched any further."
    assert not err, "the change itself has ended"
    bot.answers = _hello
    assert do(bot, "restart web") == 0
    assert [inv.verify for inv in bot.asked] == [True, False]
    for words in (["--verify", "restart web"], ["restart", "--verify", "web"]):
        request = cli.do_request(words)
        assert request is not None and request.verify


@pytest.mark.parametrize("ending", list(Ending))
def test_the_exit_code_is_that_of_the_ending(bot: RunningBot, ending: Ending) -> None:
    async def answers(inv: Invocation, responder: Responder) -> Reply:
        button = Button(label="Confirm", line="confirm k7")
        return Reply(blocks=(Text(text="x"),), ending=ending, buttons=(button,) if ending is Ending.ASKED else ())

    bot.answers = answers
    assert do(bot, "ps") == plain_text.EXIT[ending]


def test_a_question_is_shown_or_answered_with_yes(bot: RunningBot, capfd: pytest.CaptureFixture[str]) -> None:
    async def answers(inv: Invocation, responder: Responder) -> Reply:
        if inv.line == "rm web":
            button = Button(label="Remove", line="confirm k7", danger=True)
            return Reply(blocks=(Text(text="Remove web?"),), ending=Ending.ASKED, buttons=(button,))
        return text_reply("web removed")

    bot.answers = answers
    assert do(bot, "rm web") == 4
    assert capfd.readouterr().out == (
        'Remove web?\n1) Remove\nTo confirm: quarterdeck do "confirm k7"  (or pass --yes next time)\n'
    )
    assert do(bot, "rm web", yes=True) == 0
    assert capfd.readouterr().out == "web removed\n"
    assert [inv.line for inv in bot.asked] == ["rm web", "rm web", "confirm k7"]


def test_times_are_those_of_the_callers_clock(
    bot: RunningBot, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers(inv: Invocation, responder: Responder) -> Reply:
        return text_reply(f"{inv.who.zone}: started at 2026-11-30T14:05:07Z")

    bot.answers = answers
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert do(bot, "ps") == 0
    assert capfd.readouterr().out == "Asia/Tokyo: started at 2026-11-30 23:05:07 JST\n"
    assert do(bot, "ps", as_json=True) == 0
    assert "2026-11-30T14:05:07Z" in capfd.readouterr().out


def test_progress_is_streamed_before_the_reply(bot: RunningBot, capfd: pytest.CaptureFixture[str]) -> None:
    long = Reply(blocks=(Lines(lines=("é" * 999, "三") * 400),))  # more than one frame

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        assert responder.progress(Progress(name="web", lines=("one", "two\x1b[2J"), read_only=True))
        return long

    bot.answers = answers
    assert do(bot, "logs -f web") == 0
    assert capfd.readouterr().out == f"one\ntwo\n{plain_text.render(long)}\n"
    assert do(bot, "logs -f web", as_json=True) == 0
    assert json.loads(capfd.readouterr().out)["blocks"][0]["lines"][1] == "三"


def test_a_file_is_saved_on_the_callers_side(bot: RunningBot, capfd: pytest.CaptureFixture[str]) -> None:
    content = os.urandom(700_000)

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        to = inv.line.split()[-1]
        return Reply(blocks=(Text(text="1 file"),), download=Download(content=io.BytesIO(content), to=to, name="data"))

    bot.answers = answers
    assert do(bot, "cp web:/data out") == 0
    assert Path("out").read_bytes() == content
    assert capfd.readouterr().out == "1 file\nSaved as out.\n"
    assert do(bot, "cp web:/data /nowhere/out") == 5
    assert "/nowhere/out was not written: No such file or directory." in capfd.readouterr().out
    assert do(bot, "cp web:/data -") == 0
    printed = capfd.readouterr()
    assert printed.err == "1 file\nPrinted.\n"


def test_ctrl_c_ends_a_read_at_once_and_is_not_answered_later(bot: RunningBot) -> None:
    began = threading.Event()

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    bot.answers = answers
    press_ctrl_c(began)
    assert do(bot, "logs -f web") == 130
    wait_until(lambda: bot.forgotten == ["logs -f web"])
    assert bot.ended == ["cancelled", "logs -f web"]


def test_ctrl_c_leaves_a_change_running_and_a_second_one_its_outcome(
    bot: RunningBot, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, warned, finish = threading.Event(), threading.Event(), asyncio.Event()

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        began.set()
        await finish.wait()
        return text_reply("web restarted")

    def write(conversation: Any) -> None:
        written(conversation)
        warned.set()

    written = client_exchange.ClientExchange._write
    monkeypatch.setattr(client_exchange.ClientExchange, "_write", write)
    bot.answers = answers
    press_ctrl_c(began, warned)
    assert do(bot, "restart web") == 130
    assert "The change is running and is waited for." in capfd.readouterr().err
    assert bot.ended == []
    bot.loop.call_soon_threadsafe(finish.set)
    wait_until(lambda: bot.ended == ["restart web"])
    assert bot.forgotten == []


@pytest.mark.parametrize(
    ("frames", "code", "said"),
    [
        ((command_frames.encode(command_frames.ACCEPTED, {"read_only": True}),), 5, "give it again"),
        ((command_frames.encode(command_frames.ACCEPTED, {"read_only": False}),), 6, "not known whether"),
        ((), 6, "not known whether"),
        ((b"o\xff\xff\xff\xff",), 6, "not known whether"),
        ((b"?",), 6, "not known whether"),
        ((b"x\0\0\0\1[",), 6, "not known whether"),
    ],
)
def test_a_bot_that_dies_after_the_request_is_not_asked_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], frames: tuple[bytes, ...], code: int, said: str
) -> None:
    path = tmp_path / command_frames.SOCKET
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        found = tmp_path.stat()
        greeting = {"v": command_frames.PROTOCOL, "version": command_client.installed_version()}
        greeting |= {"state": [found.st_dev, found.st_ino], "sources": caller_settings.NONE_AGREES}

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.sendall(command_frames.encode(command_frames.GREETING, greeting))
                caller.recv(65536)
                caller.sendall(b"".join(frames))

        thread = threading.Thread(target=serve)
        thread.start()
        assert command_client.send(Request(["restart", "web"]), {"QUARTERDECK_STATE": str(tmp_path)}) == code
        thread.join(30)
    assert said in capfd.readouterr().err


def test_a_reader_that_leaves_ends_what_it_follows(bot: RunningBot, monkeypatch: pytest.MonkeyPatch) -> None:
    going: list[bool] = []

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        while responder.progress(Progress(name="web", lines=("line",))):
            await asyncio.sleep(0.001)
        going.append(False)
        return text_reply("The log was followed.")

    bot.answers = answers
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(1)
    os.dup2(writer, 1)
    try:
        assert do(bot, "logs -f web") == 0
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writer)
    assert going == [False]


def refused(bot: RunningBot) -> bool:
    return do(bot, "ps") is None and not bot.asked


def test_other_settings_another_version_and_another_protocol_are_not_answered(
    bot: RunningBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot.env["QUARTERDECK_ENGINES"] = '[{"url": "tcp://other:1"}]'
    assert refused(bot)
    del bot.env["QUARTERDECK_ENGINES"]
    monkeypatch.setattr(command_client, "installed_version", lambda: "quarterdeck-9.dist-info")
    assert refused(bot)
    monkeypatch.undo()
    monkeypatch.setattr(command_client, "PROTOCOL", command_frames.PROTOCOL + 1)
    assert refused(bot)


def test_the_socket_of_another_bot_is_not_used(bot: RunningBot, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / command_frames.SOCKET).hardlink_to(bot.state / command_frames.SOCKET)
    bot.env["QUARTERDECK_STATE"] = str(other)
    assert refused(bot)
    (other / command_frames.SOCKET).unlink()
    (other / command_frames.SOCKET).symlink_to(bot.state / command_frames.SOCKET)
    assert refused(bot)


def test_a_server_of_another_user_is_not_asked(bot: RunningBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_client, "peer_uid", lambda connection: os.geteuid() + 1)
    assert command_client.send(Request(["ps"]), bot.env) is None
    assert not bot.asked


@pytest.mark.parametrize("sent", [b"", b"x" * 100, b"r\xff\xff\xff\xff", b"r\0\0\0\2[]", b"r\0\0\0\2{}", b"b\0\0\0\0"])
def test_hostile_requests_cost_their_connection_only(bot: RunningBot, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(bot.state / command_frames.SOCKET))
        caller.sendall(sent)
        caller.shutdown(socket.SHUT_WR)
        while caller.recv(65536):
            pass
    assert not bot.asked
    assert do(bot, "ps") == 0


def test_more_callers_than_there_is_room_for_run_their_commands_themselves(
    bot: RunningBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_server, "MAX_CONNECTIONS", 1)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(bot.state / command_frames.SOCKET))
        assert caller.recv(1) == command_frames.GREETING
        assert refused(bot)


def test_a_bot_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_client, "GREETING_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / command_frames.SOCKET))
        silent.listen()
        assert command_client.send(Request(["ps"]), {"QUARTERDECK_STATE": str(tmp_path)}) is None


@pytest.mark.parametrize("kind", ["nothing", "stale", "file", "folder"])
def test_without_a_bot_nothing_is_sent(tmp_path: Path, kind: str) -> None:
    path = tmp_path / command_frames.SOCKET
    if kind == "stale":
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))
    elif kind == "file":
        path.write_text("")
    elif kind == "folder":
        path.mkdir()
    assert command_client.send(Request(["ps"]), {"QUARTERDECK_STATE": str(tmp_path)}) is None


def test_the_socket_is_private_replaces_a_stale_one_and_is_removed(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 30)
    state.mkdir(mode=0o700)
    path = state / command_frames.SOCKET
    (state / "stale").touch()
    with command_socket.opened(state) as first:
        assert first is not None and first.present
        assert path.stat().st_mode & 0o777 == 0o600
        with command_socket.opened(state) as second:
            assert second is None, "one process of a state directory listens"
        assert path.exists()
        path.rename(state / "kept")  # as a killed process leaves it
    (state / "kept").rename(path)
    with command_socket.opened(state) as again:
        assert again is not None and again.present
        path.unlink()
        assert not again.present
    with command_socket.opened(state) as last:
        assert last is not None
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "link", "folder", "lock"])
def test_what_is_no_socket_is_never_removed(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    path = state / (command_socket.LOCK if kind == "lock" else command_frames.SOCKET)
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(victim)
    with pytest.raises(OSError), command_socket.opened(state):
        pytest.fail("it was opened")
    assert os.path.lexists(path)
    assert victim.read_text() == "precious"


def test_a_state_directory_that_others_can_write_to_has_no_socket(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(OSError, match="everyone"), command_socket.opened(state):
        pytest.fail("it was opened")


def test_a_caller_who_is_another_user_is_not_answered(bot: RunningBot, monkeypatch: pytest.MonkeyPatch) -> None:
    peer_uid = command_client.peer_uid
    here = threading.get_ident()
    # The bot sees another user; the client sees the bot as it is.
    monkeypatch.setattr(
        command_client,
        "peer_uid",
        lambda found: peer_uid(found) if threading.get_ident() == here else os.geteuid() + 1,
    )
    assert refused(bot)


def test_another_users_bot_writes_for_root_only_where_root_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for to, words, saved in (
        ("out", ["cp web:/x out"], True),
        ("out", ["cp", "web:/x", "--to=out"], True),
        ("/etc/cron.d/evil", ["cp web:/x out"], False),
        ("out", ["confirm 'k7"], False),
    ):
        received = received_file.ReceivedFile({"to": to, "name": "x"}, words, foreign=True)
        received.write(b"content")
        said = received.save()
        assert (said["tone"] == "good") is saved, said
    assert Path("out").read_bytes() == b"content"


def test_another_users_bot_sends_root_text_and_colours_only() -> None:
    near, far = socket.socketpair()
    with near, far:
        shown = client_exchange.ClientExchange(near, command_frames.Decoder(b""), [], foreign=True)
        sent = "ok \x1b[31mred\x1b[0m\n\x1b]0;title\x07\x1b[2J\x9b5n\ttab 三"
        assert shown._printable(sent.encode()).decode() == "ok \x1b[31mred\x1b[0m\n]0;title[2J5n\ttab 三"


FORBIDDEN = ("typer", "pydantic", "aiohttp", "redis", "asyncio", "structlog", "yaml", "msgspec", "typing", "pathlib")
LISTS_IMPORTS = f"""
import atexit, sys
atexit.register(lambda: print([name for name in {FORBIDDEN} if name in sys.modules], file=sys.stderr, flush=True))
sys.argv = ["quarterdeck", "do", "ps"]
from bot.cli import main
main()
"""


def test_the_client_imports_nothing_large(bot: RunningBot) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **bot.env}
    done = subprocess.run(
        [sys.executable, "-c", LISTS_IMPORTS], env=env, cwd=bot.state, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello ps\n", "[]\n")


def press_ctrl_c(*after: threading.Event) -> None:
    """Presses Ctrl-C after each of these facts."""

    def press() -> None:
        for fact in after:
            fact.wait(30)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def wait_until(fact: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(3000):
        if fact():
            return
        done.wait(0.01)
    raise AssertionError("it did not happen within 30 s")
