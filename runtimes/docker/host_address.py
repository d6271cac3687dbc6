"""Reads the address of an engine as the docker command does, from DOCKER_HOST or a docker context.

The docker command accepts more than a complete URL: `127.0.0.1:2375`, `tcp://host` with the usual port, and `unix://`
for the usual socket.
"""

from __future__ import annotations

from core import errors

USUAL_SOCKET = "/var/run/docker.sock"
USUAL_PORT, USUAL_TLS_PORT = 2375, 2376


def complete_address(text: str, *, source: str, tls: bool) -> str:
    """Returns a complete URL. `source`: where the address comes from, such as `DOCKER_HOST`. `tls`: whether it is used
    with TLS, which has another usual port. Raises BadUsage for a Windows pipe and for an inherited socket."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "tcp", scheme
    if scheme == "npipe":
        raise errors.BadUsage(
            f"{source} is {text}, a named pipe of Windows, which Quarterdeck cannot use.",
            hint="Write unix:///PATH, tcp://HOST:2376 or ssh://USER@HOST.",
        )
    if scheme == "fd":
        raise errors.BadUsage(
            f"{source} is {text}, which only dockerd itself can use.",
            hint="Write the address of dockerd's socket, such as unix:///var/run/docker.sock.",
        )
    if scheme == "unix" and not rest:
        return f"unix://{USUAL_SOCKET}"
    if scheme != "tcp" or "/" in rest.rstrip("/") or "@" in rest:
        return text.strip()  # complete, or refused with its reason when it is used
    host = rest.rstrip("/")
    name, _, port = host.rpartition(":")
    if (host.startswith("[") and host.endswith("]")) or (not name and ":" not in host):
        name, port = host, ""
    return f"tcp://{name or 'localhost'}:{port or (USUAL_TLS_PORT if tls else USUAL_PORT)}"
