"""The health check of a container: a page that answers is good, everything else is bad and says why."""

import http.server
import threading

import pytest

from bot import health_check
from core.config.field_types import ListenAddress


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


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", "localhost"])
def test_the_page_is_asked_over_loopback_whatever_it_listens_at(page, host, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    found = health_check.check_health(ListenAddress(host, page.server_port))
    assert found.good, found.reason
    assert page.asked == ["/healthz"]


def test_another_answer_is_no_health(page):
    page.status = 500
    found = health_check.check_health(ListenAddress("", page.server_port))
    assert not found.good
    assert "status 500" in found.reason


def test_nobody_there_says_where_it_was_asked(page):
    port = page.server_port
    page.socket.close()
    found = health_check.check_health(ListenAddress("", port))
    assert not found.good
    assert f"No answer from 127.0.0.1:{port}" in found.reason


def test_a_page_that_is_off_cannot_be_asked():
    assert not health_check.check_health(None).good
