"""A flood at the HTTP servers: unfinished requests and half-sent bodies keep neither Slack nor the probes out."""

import contextlib
import resource
import socket
from pathlib import Path

import pytest

from tests.helpers.bot_process import get
from tests.helpers.waiting import free_tcp_port, wait_for
from tests.standins.slack import state

HALF = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nX-Slow"
BODY = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + b"x" * 400_000


def peak_memory(pid):
    """The most memory the process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


@pytest.fixture
def door(deck, dockerd, slack):
    dockerd.run("web")
    port = free_tcp_port()
    del deck.env["SLACK_APP_TOKEN"]
    deck.env |= {
        "QUARTERDECK_SLACK__MODE": "http",
        "QUARTERDECK_SLACK__LISTEN": f"127.0.0.1:{port}",
        "SLACK_SIGNING_SECRET": state.SIGNING_SECRET,
    }
    deck.port = free_tcp_port()
    process = deck.start("run", port=deck.port)
    deck.until_ready()
    slack.use_http(f"http://127.0.0.1:{port}/slack/events")
    return process, port


@pytest.fixture
def descriptors():
    """This process needs one for each connection of the flood."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("raw", "count"), [(HALF, 1000), (BODY, 400)], ids=["unfinished requests", "half-sent bodies"])
def test_a_flood_takes_neither_slack_nor_the_probes_down(deck, slack, door, descriptors, raw, count):
    process, port = door
    deck.deck("ada", "ps")
    deck.last("ada", "localhost/busybox")
    before = peak_memory(process.pid)
    with contextlib.ExitStack() as stack:
        for target in (port, deck.port):
            for _ in range(count):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", target), timeout=60))
                client.setblocking(False)
                with contextlib.suppress(OSError):  # a full buffer or a closed connection
                    client.send(raw)
        refused = {"server": "slack", "reason": "crowded"}
        wait_for("the refusals", lambda: (deck.series("http_refused_total", **refused) or 0) > 100)
        assert get(deck.port, "/healthz")[0] == 200
        assert get(deck.port, "/readyz")[0] == 200
        answered = len(deck.said("ada"))
        deck.deck("ada", "whoami")
        wait_for("the answer", lambda: len(deck.said("ada")) == answered + 1)
    assert peak_memory(process.pid) - before < 150  # without limits, 400 half-sent bodies hold 577 MiB
    limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert limit[0] == min(limit[1], 1 << 20)
