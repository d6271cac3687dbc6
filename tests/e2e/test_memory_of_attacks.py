"""How much memory the product holds when a log or an engine sends far more than anybody can read: the processes' own
peaks, as the kernel counts them. What is sent would be three times the limit if it was held."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import servers
from tests.helpers.bot_process import Bot, get, series
from tests.helpers.waiting import free_tcp_port

MEGABYTE = 1 << 20
ALLOWED = 50 * MEGABYTE  # above what the same process needs without the attack
CONTAINERS, LINES, LINE = 20, 520, 16_000  # of logs: 166 MB, which a busy machine reads in the time of a command
EVENTS, IMAGE = 520, 320_000  # of events: 166 MB
HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ID = "{:064x}".format
# Runs a command, and prints the greatest resident memory of it and of its children in kilobytes.
MEASURE = (
    "import resource,subprocess,sys; code=subprocess.run(sys.argv[1:]).returncode;"
    " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


def row(number):
    return {
        "Id": ID(number), "Names": [f"/c{number}"], "Image": "busybox", "State": "running", "Status": "Up 2 hours",
        "Created": 1_700_000_000, "Labels": {},
    }  # fmt: skip


class Daemon:
    """A Docker daemon whose containers have logs without end, and which sends `EVENTS` large events when told to."""

    def __init__(self):
        self.sent = 0
        self.attack = asyncio.Event()
        self.streams = asyncio.Event()

    async def __call__(self, reader, writer):
        while True:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            if "/logs" in target:
                await self._log(writer)
            elif "/events" in target and "until=" not in target:
                await self._events(writer)
            else:
                body = self._body(target)
                writer.write(HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    def _body(self, target):
        if target.endswith("/info"):
            return json.dumps({"ID": "d1", "Name": "h", "Swarm": {"LocalNodeState": "inactive"}}).encode()
        if "/containers/json" in target:
            return json.dumps([row(number) for number in range(CONTAINERS)]).encode()
        if "/containers/" in target and target.endswith("/json"):
            state = {"Status": "running", "Running": True, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"}
            name = int(target.split("/containers/")[1].split("/")[0], 16)
            return json.dumps(
                {"Id": ID(name), "Name": f"/c{name}", "State": state, "Config": {"Labels": {}, "Tty": False}}
            ).encode()
        return b"{}"

    async def _log(self, writer):
        writer.write(CHUNKED)
        for number in range(LINES):
            text = b"2026-01-02T03:04:05.%09dZ %b\n" % (number, b"x" * LINE)
            frame = b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text
            await self._chunk(writer, frame)
        writer.write(b"0\r\n\r\n")

    async def _events(self, writer):
        writer.write(CHUNKED)
        await writer.drain()
        self.streams.set()
        await self.attack.wait()
        for number in range(EVENTS):
            actor = {"ID": ID(1_000 + number), "Attributes": {"name": f"n{number}", "image": "y" * IMAGE}}
            event = {"Type": "container", "Action": "create", "Actor": actor, "timeNano": time.time_ns()}
            await self._chunk(writer, json.dumps(event).encode() + b"\n")
        await asyncio.Event().wait()

    async def _chunk(self, writer, data):
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.sent += len(data)
        await writer.drain()


@pytest.fixture
async def daemon(short_tmp):
    daemon = Daemon()
    async with servers.serving(daemon, short_tmp / "d.sock"):
        yield daemon


@pytest.fixture
def bot(short_tmp, daemon):
    made = Bot(short_tmp, f"unix://{short_tmp}/d.sock")
    yield made
    made.stop()


async def peak_of(bot, line):
    """The greatest resident memory of `quarterdeck do`, in bytes, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEASURE, *bot.command("do", line),
        env=bot.env, cwd=bot.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err[-2_000:]
    *shown, peak = out.decode().splitlines()
    return int(peak) * 1024, shown


async def test_logs_of_many_containers_are_never_held_whole(bot, daemon):
    without, shown = await peak_of(bot, "ps")
    assert sum("busybox" in line for line in shown) == CONTAINERS
    with_logs, shown = await peak_of(bot, "logs 'c*' --tail 10000")
    assert daemon.sent > 3 * ALLOWED
    assert sum("older lines left out" in line for line in shown) == CONTAINERS
    assert any("xxxx" in line for line in shown)
    assert with_logs - without < ALLOWED, f"{(with_logs - without) / MEGABYTE:.0f} MB more"


def resident_peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def test_the_events_of_a_hostile_daemon_are_never_held_whole(bot, daemon):
    port = free_tcp_port()
    process = await asyncio.to_thread(bot.start, "run", port=port)
    async with asyncio.timeout(240):
        await daemon.streams.wait()
        while (await asyncio.to_thread(get, port, "/readyz"))[0] != 200:
            await asyncio.sleep(0.1)
        before = resident_peak(process.pid)
        daemon.attack.set()
        while (await asyncio.to_thread(received, port)) < EVENTS:
            await asyncio.sleep(0.2)
    assert daemon.sent > 3 * ALLOWED
    more = resident_peak(process.pid) - before
    assert more < ALLOWED, f"{more / MEGABYTE:.0f} MB more"
    assert process.poll() is None


def received(port):
    """How many events were counted or dropped."""
    counted = series(port, "quarterdeck_events_total", type="container", action="create") or 0
    return counted + (series(port, "quarterdeck_stream_overflows_total") or 0)


def test_the_measure_counts_what_a_process_holds():
    """The limit would be exceeded if the process held what is sent."""
    held = f"x = b'1' * {2 * ALLOWED}"
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-c", held], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 > 2 * ALLOWED
