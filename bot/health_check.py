"""Checks that the bot on this host answers. `quarterdeck health` runs it as the health check of a container.

The check sends one request, with a timeout, to the address of the metrics page, so the image does not need curl. The
request is for /healthz, which shows that the process is alive. It is not for /readyz, because an engine or a store that
cannot be reached is not a reason to restart the bot.

The image runs this file itself as a script, every 30 seconds: `python3 -I -S health_check.py`. So it imports nothing of
ours and almost nothing of the standard library. The script reads the address from the variable that the image sets. If
the variable is not set, or is not HOST:PORT, it runs `quarterdeck health`, which reads the whole configuration.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TIMEOUT_SECONDS = 3.0
MAX_BYTES = 4096  # of the answer's first line
VARIABLE = "QUARTERDECK_METRICS__LISTEN"
# The loopback address to ask where the page listens on all addresses.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing listens here)


def check_health(host: str, port: int) -> tuple[bool, str]:
    """Sends the request. Returns whether the bot answered, and a sentence that says what happened."""
    host = LOOPBACK.get(host, host)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        line = _first_line_of_answer(host, port)
    except OSError as error:
        return False, (
            f"{address} does not answer: {error.strerror or error or type(error).__name__}. Check that the bot runs."
        )
    version, _, status = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        return False, f"{address} does not answer as a web server does."
    if status[:3] != b"200":
        return False, f"{address} answers with status {status[:3].decode()}."
    return True, f"{address} answers."


def _first_line_of_answer(host: str, port: int) -> bytes:
    """Returns the first line of the response without its line end. Empty if the response is empty. Raises
    OSError, also if the line is not complete in time."""
    end = time.monotonic() + TIMEOUT_SECONDS
    # Not urllib: it would use a proxy of the environment. The name goes in as bytes, which is allowed: as text it
    # needs a codec that takes longer to load than the rest of the check takes.
    with socket.create_connection((host.encode(), port), TIMEOUT_SECONDS) as connection:  # type: ignore[arg-type]
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"\n" not in answer and len(answer) < MAX_BYTES:
            connection.settimeout(max(end - time.monotonic(), 0.001))
            if not (part := connection.recv(MAX_BYTES)):
                break
            answer += part
    line, end_of_line, _ = answer.partition(b"\n")
    return line if end_of_line else b""


def main() -> int:
    """The script: asks at the address of the variable."""
    host, colon, port = os.environ.get(VARIABLE, "").strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        os.execvp("quarterdeck", ["quarterdeck", "health"])  # noqa: S606, S607 (no shell; PATH is the image's own)
    good, reason = check_health(host.strip("[]"), int(port))
    print(reason, file=sys.stdout if good else sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
