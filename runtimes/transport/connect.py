"""Connects to an engine's API over a unix socket or TCP, and explains why a connection failed.

This module sends nothing. Every failure becomes Unreachable, with `sent` False and a hint. If the backlog of a unix
socket is full, the connection is retried until the caller's deadline. TLS and ssh have modules of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import os
import pwd
import socket
import stat
import struct
from pathlib import Path

from core import errors
from runtimes.transport.endpoint import CHECK_ADDRESS, Endpoint

BACKLOG_PAUSE = 0.01  # seconds between attempts while the socket's backlog is full
RELAY_SOCKET = "/run/engine/docker.sock"  # in docker-compose.yml and deploy/swarm/stack.yml
RELAY_HINT = (
    "Restart the relay. With Compose: `docker compose up -d --force-recreate relay`. In the stack `quarterdeck` of a "
    "Swarm: `docker service update --force quarterdeck_relay`, and for the nodes that are workers "
    "`docker service update --force quarterdeck_watcher-relay`."
)
# What starts an engine, by a part of its socket's path.
_START_COMMANDS = {
    "podman": "systemctl start podman.socket",
    "containerd": "systemctl start containerd",
    "crio": "systemctl start crio",
}


async def connect_protocol(endpoint: Endpoint, protocol: asyncio.BaseProtocol) -> None:
    """Connects an asyncio protocol to `endpoint`. Has no deadline of its own. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    try:
        if endpoint.scheme == "unix":
            await loop.create_unix_connection(lambda: protocol, sock=await open_unix_socket(endpoint.path))
        else:
            await loop.create_connection(lambda: protocol, endpoint.host, endpoint.port)
    except OSError as error:
        raise unreachable(endpoint, error) from error


async def open_unix_socket(path: str) -> socket.socket:
    """Returns a connected unix socket. Raises OSError."""
    # asyncio takes EAGAIN for “in progress”. On a unix socket it means a full backlog: there is no connection.
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            try:
                connected.connect(path)
            except BlockingIOError:
                await asyncio.sleep(BACKLOG_PAUSE)
            else:
                return connected
    except BaseException:
        connected.close()
        raise


def peer_credentials(path: str) -> tuple[int, int | None]:
    """Returns the process id and the user id of the process that listens on a unix socket, as the kernel reports them
    (SO_PEERCRED); 0 and None if they are not visible here."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connected:
            connected.connect(path)
            pid, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return pid, uid
    except OSError:
        return 0, None


def unreachable(endpoint: Endpoint, error: OSError) -> errors.Unreachable:
    """Converts the system's error to a sentence and its cure."""
    if endpoint.scheme == "unix":
        return _unix_error(endpoint.path, error)
    if isinstance(error, socket.gaierror):
        return errors.Unreachable(
            f"The host name {endpoint.host} cannot be resolved.",
            hint=f"{CHECK_ADDRESS}, and the DNS of Quarterdeck's host.",
        )
    # If several addresses were tried, Python raises one error with all their texts and no number.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return errors.Unreachable(
            f"Nothing listens at {endpoint}.",
            hint=f"Check that the engine runs and listens at this address (dockerd -H). {CHECK_ADDRESS}.",
        )
    return errors.Unreachable(
        f"{endpoint} cannot be reached: {error.strerror or error}.",
        hint=f"{CHECK_ADDRESS}, and the network.",
    )


def lost_by_relay(endpoint: Endpoint, lost: errors.Unreachable) -> errors.Unreachable:
    """Adds the cure for the relay of our Compose file or stack, which closes connections if it does not reach the
    engine."""
    if endpoint.scheme != "unix" or endpoint.path != RELAY_SOCKET:
        return lost
    return errors.Unreachable(
        lost.message,
        sent=lost.sent,
        hint=f"{lost.hint.rstrip('.')}. If the engine runs, its relay may have failed. {RELAY_HINT}",
    )


def _unix_error(path: str, error: OSError) -> errors.Unreachable:
    if path == RELAY_SOCKET and isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return errors.Unreachable(f"No relay listens on {path}.", hint=RELAY_HINT)
    if _is_directory(path) and in_container():  # made by Docker for a mount of a path that does not exist
        return errors.Unreachable(
            f"{path} is a directory, not a socket. The host had no socket at the path that was mounted here.",
            hint="Start the engine on the host. If its socket has another path, mount that path. Then create this"
            " container again.",
        )
    start = next((command for part, command in _START_COMMANDS.items() if part in path), "systemctl start docker")
    if path.startswith("/run/user/"):
        start = f"{start.replace('systemctl', 'systemctl --user')}, as the user of this socket"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        mount = f" If it runs on the host of this container, mount its socket: docker run -v {path}:{path}."
        return errors.Unreachable(
            f"There is no engine socket at {path}.",
            hint=f"Start the engine ({start}). If it listens at another path, write its `url` in quarterdeck.yaml."
            f"{mount if in_container() else ''}",
        )
    if isinstance(error, PermissionError):
        return _permission_error(path)
    if isinstance(error, ConnectionRefusedError):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(Path(path).stat().st_mode):
                return errors.Unreachable(
                    f"{path} is not a socket.",
                    hint=f"{CHECK_ADDRESS}: it must be the path of the engine's socket.",
                )
        return errors.Unreachable(
            f"The socket {path} exists, but no engine listens on it.", hint=f"Start the engine ({start})."
        )
    if error.errno is None and "too long" in str(error):
        return errors.Unreachable(
            f"The socket path {path} is too long: the system allows 107 bytes.",
            hint="Make a link with a shorter path (ln -s), and write that path in quarterdeck.yaml.",
        )
    return errors.Unreachable(
        f"The engine socket {path} cannot be reached: {error.strerror or error}.",
        hint=f"Check that the engine runs. {CHECK_ADDRESS}.",
    )


def _is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except PermissionError:
        return False


def _permission_error(path: str) -> errors.Unreachable:
    try:
        found = Path(path).stat()
    except OSError:
        return errors.Unreachable(
            f"Quarterdeck has no access to the directory of the engine socket {path}.",
            hint="Run Quarterdeck as the engine's user, or as root.",
        )
    user, owner = _user_name(os.geteuid()), _user_name(found.st_uid)
    shared, contained = bool(found.st_mode & stat.S_IWGRP), in_container()
    if not shared or (found.st_gid == 0 and not contained):
        share = ", or share it with a group: set SocketGroup= and SocketMode=0660 with systemctl edit podman.socket"
        shareable = "podman" in path and found.st_uid == 0
        return errors.Unreachable(
            f"Only {owner} may use the engine socket {path}; Quarterdeck runs as {user}.",
            hint=f"Run Quarterdeck as {owner}{share if shareable else ''}.",
        )
    # The names of groups in a container are not those of its host.
    group = str(found.st_gid) if contained else _group_name(found.st_gid)
    return errors.Unreachable(
        f"Only {owner} and the group {group} may use the engine socket {path}; Quarterdeck runs as {user}.",
        hint=f"Start this container with that group: docker run --group-add {group}, `group_add` in Compose, "
        "`supplementalGroups` in Kubernetes."
        if contained
        else f"Join the group (sudo usermod -aG {group} {user}, then log in again) or run Quarterdeck as root.",
    )


def in_container() -> bool:
    """Whether Docker or Podman has started this process in a container, or Kubernetes in a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
