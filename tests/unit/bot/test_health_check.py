"""The health check of a container: a page that answers is good, everything else is bad and says why."""

import http.server
import os
import socket
import subprocess
import sys
import threading

import pytest

from bot import health_check
from tests.helpers.paths import ROOT


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def page():
    server = http.server.HTTPServer(("127.0.0.1", 0), _Page)
    server.asked, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def script(**variables):
    """As the image runs it: without site-packages and without this working directory."""
    return subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "bot/health_check.py"],
        env=variables, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", "localhost"])
def test_the_page_is_asked_over_loopback_whatever_it_listens_at(page, host, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    good, reason = health_check.check_health(host, page.server_port)
    assert good, reason
    assert page.asked == ["/healthz"]


def test_another_answer_is_no_health(page):
    page.status = 500
    good, reason = health_check.check_health("", page.server_port)
    assert not good
    assert "status 500" in reason


def test_nobody_there_says_where_it_was_asked(page):
    port = page.server_port
    page.socket.close()
    good, reason = health_check.check_health("", port)
    assert not good
    assert f"127.0.0.1:{port} does not answer: Connection re" in reason  # refused, or reset


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200", b"200 200 200\n", b"x" * 10_000])
def test_something_else_at_the_address_is_no_health(said):
    """Also a status line without its end, which another program may have cut off."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer():
            connection, _ = door.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        good, reason = health_check.check_health("127.0.0.1", door.getsockname()[1])
        thread.join()
    assert not good
    assert "does not answer as a web server does" in reason


def test_a_page_that_takes_the_request_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(health_check, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as door:
        good, reason = health_check.check_health("127.0.0.1", door.getsockname()[1])
    assert not good
    assert "timed out" in reason


def test_the_script_of_the_image_asks_at_the_address_of_the_variable(page):
    done = script(QUARTERDECK_METRICS__LISTEN=f":{page.server_port}")
    assert (done.returncode, done.stdout) == (0, f"127.0.0.1:{page.server_port} answers.\n")
    page.status = 503
    done = script(QUARTERDECK_METRICS__LISTEN=f"0.0.0.0:{page.server_port}")
    assert (done.returncode, done.stderr) == (1, f"127.0.0.1:{page.server_port} answers with status 503.\n")


@pytest.mark.parametrize("listen", [{}, {"QUARTERDECK_METRICS__LISTEN": "off"}, {"QUARTERDECK_METRICS__LISTEN": " "}])
def test_without_an_address_the_script_leaves_it_to_the_program_that_reads_the_configuration(listen, tmp_path):
    program = tmp_path / "quarterdeck"
    program.write_text('#!/bin/sh\necho "read: $*"\nexit 7\n')
    program.chmod(0o755)
    done = script(PATH=f"{tmp_path}:{os.environ['PATH']}", **listen)
    assert (done.returncode, done.stdout) == (7, "read: health\n")


def test_the_script_loads_nothing_large():
    """Its start is nearly all that it costs, and it is paid every 30 seconds."""
    code = f"import sys; sys.path[0:0] = [{str(ROOT / 'bot')!r}]; import health_check; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()
    assert not {"asyncio", "dataclasses", "http", "json", "logging", "pydantic", "ssl", "typing"} & set(loaded)
