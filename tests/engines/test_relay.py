"""The relay of the Compose file in front of a real engine: what passes, what does not, and that streams stay open."""

import asyncio
import http.client
import json
import socket
import subprocess

import pytest

from core.model.events import EventKind
from runtimes import engine_registry
from tests.helpers.bot_process import Bot
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for
from tests.helpers.watched_engine import WatchedEngine

FILTERS = ("read-only", "start-stop-restart")
READS = (
    *("/_ping", "/version", "/v1.41/info", "/v1.41/containers/json?all=1", "/containers/{id}/json", "/system/df"),
    *("/containers/{id}/logs?stdout=1&tail=5", "/containers/{id}/stats?stream=false&one-shot=true"),
    *("/containers/{id}/top", "/containers/{id}/changes", "/images/json", "/images/{image}/json", "/volumes"),
    *("/networks", "/events?since=1&until=2", "/services", "/tasks", "/nodes"),
)
FORBIDDEN = (
    *(("POST", "/containers/create?name=evil"), ("POST", "/v1.41/containers/{id}/exec"), ("POST", "/exec/1/start")),
    *(("GET", "/containers/{id}/archive?path=/etc/passwd"), ("PUT", "/containers/{id}/archive?path=/")),
    *(("GET", "/containers/{id}/export"), ("GET", "/containers/{id}/attach/ws"), ("POST", "/containers/{id}/attach")),
    *(("POST", "/containers/{id}/kill"), ("POST", "/containers/{id}/update"), ("DELETE", "/containers/{id}")),
    *(("POST", "/images/create?fromImage=x"), ("GET", "/images/{image}/get"), ("POST", "/build"), ("POST", "/session")),
    *(("GET", "/swarm"), ("POST", "/swarm/init"), ("GET", "/secrets"), ("GET", "/configs"), ("POST", "/grpc")),
    *(("POST", "/volumes/create"), ("POST", "/networks/create"), ("POST", "/plugins/pull"), ("GET", "/plugins")),
    # Other spellings.
    *(("GET", "/containers/{id}/json/../export"), ("GET", "/images/x/../../containers/{id}/export/json")),
    *(("GET", "//containers/{id}/export"), ("GET", "/containers/{id}%2fexport"), ("GET", "/containers/%2e%2e/swarm")),
    *(("GET", "/containers/{id}/json;/../export"), ("GET", "/v1.41/v1.41/swarm"), ("GET", "/images/%2E%2E/swarm/json")),
    *(("POST", "/containers/{id}/start/../exec"), ("GET", "http://x/containers/{id}/export"), ("TRACE", "/info")),
)


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Relay:
    def __init__(self, name, daemon, folder):
        self.daemon, self.socket = daemon, folder / "relay.sock"
        text = (ROOT / f"deploy/compose/relay-{name}.cfg").read_text()
        assert text.count("/run/engine/docker.sock") == text.count("/var/run/docker.sock") == 1
        text = text.replace("/run/engine/docker.sock", str(self.socket))
        self.config = folder / "relay.cfg"
        self.config.write_text(text.replace("/var/run/docker.sock", str(daemon.socket)))
        self.start()

    def start(self):
        self.process = subprocess.Popen(["haproxy", "-db", "-f", self.config])
        wait_for("the relay", self.socket.exists)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def lose_engine(self):
        """What it finds is a socket's path without a socket, as of an engine that is down."""
        self.stop()
        self.socket.unlink(missing_ok=True)
        self.config.write_text(self.config.read_text().replace(str(self.daemon.socket), f"{self.socket}.gone"))
        self.start()

    @property
    def url(self):
        return f"unix://{self.socket}"

    def ask(self, method, path, body=None, headers=None):
        """The status of the answer, and whether the relay itself gave it."""
        connection = Connection(self.socket)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, b"relay in front of the socket" in text

    def docker(self, *words):
        command = ["docker", "--host", self.url, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def relay(request, dockerd, short_tmp):
    need("haproxy", "haproxy")
    made = Relay(request.param, dockerd, short_tmp)
    yield made
    made.stop()


@pytest.fixture
def web(dockerd):
    return dockerd.run("relayed", "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done")


@pytest.mark.parametrize("relay", FILTERS, indirect=True)
def test_a_filter_lets_every_read_through_and_nothing_else(relay, web):
    about = {"id": web, "image": relay.daemon.api.inspect_container(web)["Image"].replace(":", "%3A")}
    for path in READS:
        status, refused = relay.ask("GET", path.format(**about))
        # Without a Swarm, the engine answers 503 about one.
        assert (status in (200, 503), refused) == (True, False), path
    assert relay.ask("HEAD", "/_ping") == (200, False)
    for method, path in FORBIDDEN:
        assert relay.ask(method, path.format(**about)) == (403, True), f"{method} {path}"
    assert relay.docker("ps").stdout.count("relayed") == 1
    for words in (
        ("run", "-d", "busybox"),
        ("exec", "relayed", "true"),
        ("cp", "relayed:/etc/passwd", "-"),
        ("rm", "-f", "relayed"),
        ("commit", "relayed"),
    ):
        done = relay.docker(*words)
        assert done.returncode != 0, words
        assert "The relay in front of the socket" in done.stderr
    assert relay.daemon.state("relayed")["Running"] is True


@pytest.mark.parametrize("relay", FILTERS, indirect=True)
def test_only_one_filter_starts_and_stops_and_none_starts_with_what_a_body_says(relay, web):
    may = "acl changes" in relay.config.read_text()
    for verb in ("stop?t=1", "start", "restart?t=1"):
        assert relay.ask("POST", f"/v1.41/containers/{web}/{verb}") == ((204, False) if may else (403, True))
    relay.daemon.api.stop(web, timeout=1)
    body = json.dumps({"Binds": ["/:/host"], "Privileged": True})
    # Docker 20.10 still obeys this in its oldest API.
    start = f"POST /v1.20/containers/{web}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for rest in (
        f"Content-Length: {len(body)}\r\n\r\n{body}",
        f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n\r\n",
    ):
        # Not by http.client: the relay answers before it has the body, and closes.
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(60)
            raw.connect(str(relay.socket))
            raw.sendall(f"{start}{rest}".encode())
            assert raw.recv(4096).startswith(b"HTTP/1.1 403 ")
    assert relay.daemon.state("relayed")["Running"] is False
    assert relay.daemon.api.inspect_container(web)["HostConfig"]["Privileged"] is False


@pytest.mark.parametrize("relay", ["everything", *FILTERS], indirect=True)
async def test_events_and_followed_logs_pass_while_they_happen(relay, web):
    follow = await asyncio.create_subprocess_exec(
        *("docker", "--host", relay.url, "logs", "-f", "--tail", "0", "relayed"), stdout=asyncio.subprocess.PIPE
    )
    try:
        first, second = [int((await asyncio.wait_for(follow.stdout.readline(), 60)).split()[1]) for _ in range(2)]
        assert second == first + 1
        async with WatchedEngine(engine_registry.EngineAddress(kind="docker", url=relay.url), None) as eye:
            await eye.until(lambda: (row := eye.row("relayed")) is not None and row.state == "running")
            await asyncio.to_thread(relay.daemon.stop, "relayed")
            await eye.until(lambda: EventKind.DIED in eye.kinds("relayed"))
            await eye.until(lambda: eye.row("relayed").state == "exited")
        assert await asyncio.wait_for(follow.wait(), 60) == 0
    finally:
        if follow.returncode is None:
            follow.kill()
            await follow.wait()


@pytest.mark.parametrize("relay", ["read-only"], indirect=True)
def test_quarterdeck_shows_what_it_may_and_says_who_refused_the_rest(relay, web, short_tmp):
    bot = Bot(short_tmp, relay.url)
    assert "relayed" in bot.do("ps")
    assert "line 1" in bot.do("logs relayed --tail 1000")
    for line in ("stop relayed", "restart relayed", "exec relayed true"):
        assert "allows only requests that read" in bot.do(line, "--yes", code=5), line
    assert relay.daemon.state("relayed")["Running"] is True
    relay.lose_engine()
    assert "A proxy in front of" in bot.do("ps", code=5)
    assert "does not reach the engine" in bot.do("ps", code=5)


@pytest.mark.parametrize("relay", ["everything"], indirect=True)
def test_everything_includes_programs_in_containers(relay, web, short_tmp):
    assert relay.docker("exec", "relayed", "echo", "inside").stdout == "inside\n"
    relay.lose_engine()
    assert "closed the connection" in Bot(short_tmp, relay.url).do("ps", code=5)
