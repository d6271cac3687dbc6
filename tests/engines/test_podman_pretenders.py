"""Whoever listens at a socket of this machine may say what they like of whose engine it is; the kernel knows better."""

import contextlib
import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions, units
from core.ports import Call
from runtimes import engine_registry
from runtimes.transport import endpoint, http_client
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

pytestmark = pytest.mark.engine
NOBODY = "65534"
SERVE = """
import json, socketserver, sys
from http.server import BaseHTTPRequestHandler
body = sys.stdin.buffer.read()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Libpod-API-Version", "4.3.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return ""

    def log_message(self, *words):
        pass

socketserver.ThreadingUnixStreamServer(sys.argv[1], Handler).serve_forever()
"""


@contextlib.contextmanager
def served(folder, info, uid):
    """A service that answers everything with this, run by that user."""
    need("podman", "setpriv", root=True)
    folder.chmod(0o777)
    path = folder / f"{uid}.sock"
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", sys.executable, "-c", SERVE, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.stdin.write(json.dumps(info).encode())
        process.stdin.close()
        wait_for("the pretender to listen", lambda: listens(path))
        yield f"unix://{path}"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def listens(path):
    with socket.socket(socket.AF_UNIX) as door:
        return door.connect_ex(str(path)) == 0


async def info_of(podmand):
    client = http_client.HttpClient(endpoint.Endpoint.parse(podmand.url))
    try:
        return json.loads((await client.request("GET", "/v4.0.0/libpod/info", deadline=60.0)).body)
    finally:
        await client.aclose()


async def described(url):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="podman", url=url))
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=60), invocation="t")
    try:
        told = await runtime.run(actions.DescribeEngine(engine=runtime.ref), call)
        try:
            await runtime.run(units.ListUnits(engine=runtime.ref), call)
            refused = None
        except errors.QuarterdeckError as error:
            refused = error
        return told, refused
    finally:
        await runtime.aclose()


async def test_a_users_service_that_says_it_is_roots_is_not_believed(podmand, short_tmp):
    info = await info_of(podmand)
    with served(short_tmp, info, NOBODY) as url:
        told, refused = await described(url)
    assert "served by the user 65534" in told.fault and "not trusted" in told.fault
    assert isinstance(refused, errors.InvalidResponse)


async def test_a_service_of_root_is_believed(podmand, short_tmp):
    # Root may forward another machine's, whosever that is.
    info = await info_of(podmand)
    with served(short_tmp, info, "0") as url:
        told, _ = await described(url)
    assert told.fault == ""
    assert told.containers == 0
