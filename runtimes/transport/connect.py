"""A connection to an engine's API, or the sentence that says why none came about and what would help.

In: where the engine listens, and what proves who is who on the way. Nothing is sent here. Whatever keeps a connection
from coming about is Unreachable, with `sent` False; a full backlog is waited for, for as long as the caller's deadline
allows. A `Dialer` is one way to an engine: `DirectDialer` is here, TLS and ssh are modules of their own, loaded on
demand.
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
from runtimes.transport.endpoint import Endpoint

BACKLOG_PAUSE = 0.01
# By a word of a socket's path: what starts the engine behind it.
_STARTED_BY = {
    "podman": "systemctl start podman.socket",
    "containerd": "systemctl start containerd",
    "crio": "systemctl start crio",
}


async def connect(endpoint: Endpoint, protocol: asyncio.BaseProtocol) -> None:
    """Connects `protocol` to `endpoint`; has no deadline of its own. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    try:
        if endpoint.scheme == "unix":
            await loop.create_unix_connection(lambda: protocol, sock=await dial(endpoint.path))
        else:
            await loop.create_connection(lambda: protocol, endpoint.host, endpoint.port)
    except OSError as error:
        raise explain(endpoint, error) from error


async def dial(path: str) -> socket.socket:
    """A connected unix socket. Raises OSError."""
    # asyncio takes EAGAIN for “connecting”; on a unix socket it means a full backlog, and the connection is none.
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            try:
                dialled.connect(path)
            except BlockingIOError:
                await asyncio.sleep(BACKLOG_PAUSE)
            else:
                return dialled
    except BaseException:
        dialled.close()
        raise


def listener(path: str) -> tuple[int, int | None]:
    """The process that listens at a unix socket and its user, as the kernel tells them; 0 and None where they are not
    known here."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as dialled:
            dialled.connect(path)
            pid, uid, _ = struct.unpack("3i", dialled.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return pid, uid
    except OSError:
        return 0, None


def explain(endpoint: Endpoint, error: OSError) -> errors.Unreachable:
    """Why no connection came about, and what would help."""
    if endpoint.scheme == "unix":
        return _explain_unix(endpoint.path, error)
    if isinstance(error, socket.gaierror):
        return errors.Unreachable(
            f"The host name {endpoint.host} cannot be resolved.", hint="Check the engine's address in quarterdeck.yaml."
        )
    # Several addresses tried come back as one error with all their texts and no number.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return errors.Unreachable(
            f"Nothing listens at {endpoint}.", hint="Is the engine running, and told to listen there (dockerd -H)?"
        )
    return errors.Unreachable(f"{endpoint} cannot be reached: {error.strerror or error}.")


def _explain_unix(path: str, error: OSError) -> errors.Unreachable:
    start = next((cure for word, cure in _STARTED_BY.items() if word in path), "systemctl start docker")
    if path.startswith("/run/user/"):
        start = f"{start.replace('systemctl', 'systemctl --user')}, as that user"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return errors.Unreachable(
            f"There is no engine socket at {path}.",
            hint=f"Is the engine running ({start})? If it listens elsewhere, give its url in quarterdeck.yaml.",
        )
    if isinstance(error, PermissionError):
        return _explain_permission(path)
    if isinstance(error, ConnectionRefusedError):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(Path(path).stat().st_mode):
                return errors.Unreachable(f"{path} is not a socket.", hint="Give the path of the engine's own socket.")
        return errors.Unreachable(
            f"The socket {path} is there but nobody listens on it.", hint=f"Start the engine ({start})."
        )
    if error.errno is None and "too long" in str(error):
        return errors.Unreachable(
            f"The socket path {path} is too long for the system, which takes 107 bytes.",
            hint="Link a shorter path to it (ln -s) and give that.",
        )
    return errors.Unreachable(f"The engine socket {path} cannot be reached: {error.strerror or error}.")


def _explain_permission(path: str) -> errors.Unreachable:
    try:
        found = Path(path).stat()
    except OSError:
        return errors.Unreachable(
            f"You may not enter the folder of the engine socket {path}.",
            hint="Run as the user whose engine it is, or as root.",
        )
    me, owner = _user(os.geteuid()), _user(found.st_uid)
    if not (found.st_mode & stat.S_IWGRP) or found.st_gid == 0:
        shared = ", or give it a group: SocketGroup= and SocketMode=0660, by systemctl edit podman.socket"
        rooted = "podman" in path and found.st_uid == 0
        return errors.Unreachable(
            f"Only {owner} may use the engine socket {path}; you are {me}.",
            hint=f"Run as {owner}{shared if rooted else ''}.",
        )
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return errors.Unreachable(
        f"Only {owner} and the group {group} may use the engine socket {path}; you are {me}.",
        hint=f"Join the group (sudo usermod -aG {group} {me}, then log in again) or run as root.",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
