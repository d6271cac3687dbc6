"""Makes the Python package `requests`, which docker-py and podman-py use, send everything to one engine.

For every address in a request or a redirection, the connection comes from `ThreadSockets`. Nothing is sent again,
redirections are refused, and no proxy and no `.netrc` is used. Compressed answers are not used either: a small
compressed answer could fill the memory. Importing this module loads `requests`; import it in a thread.
"""

from __future__ import annotations

import http.client
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.exceptions

from core import errors
from runtimes.transport.thread_sockets import ThreadSockets

# What a package raises if an exchange with the engine fails.
FAILURES: tuple[type[Exception], ...] = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.ProxySchemeUnsupported,
    http.client.HTTPException,
    OSError,
)


def connect_session(session: requests.Session, sockets: ThreadSockets) -> None:
    """Makes a package's session send all its requests through these sockets."""
    adapter = SocketAdapter(sockets)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False
    session.max_redirects = 0


class SocketAdapter(requests.adapters.HTTPAdapter):
    """Sends requests over connections from `ThreadSockets`."""

    def __init__(self, sockets: ThreadSockets) -> None:
        super().__init__(max_retries=0)
        self._address = sockets.address
        self._pool = _ConnectionPool(sockets)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        return str(request.path_url)

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        if (coding := resp.headers.get("content-encoding", "identity")) != "identity":
            resp.close()
            raise errors.InvalidResponse(
                f"The answer of {self._address} has the Content-Encoding “{coding[:20]}”, which is not supported.",
                hint="Check that no proxy between Quarterdeck and the engine changes the answers.",
            )
        return super().build_response(req, resp)

    def close(self) -> None:
        super().close()
        self._pool.close()


class _ConnectionPool(urllib3.HTTPConnectionPool):
    def __init__(self, sockets: ThreadSockets) -> None:
        super().__init__("engine", maxsize=1)
        self._sockets = sockets

    def _new_conn(self) -> Any:
        return _Connection(self._sockets)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, sockets: ThreadSockets) -> None:
        super().__init__("engine")
        self._sockets = sockets

    def connect(self) -> None:
        self.sock = self._sockets.connect()
