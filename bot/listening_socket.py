"""Opens the TCP socket of an HTTP server at a configured address, or explains why it cannot.

`bot.cli` opens the socket before it imports large modules. A scrape that arrives early then waits in the socket's
backlog instead of being refused.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from core import errors

if TYPE_CHECKING:
    from core.config.load import ListenAddress

BACKLOG = 128


def open_socket(listen: ListenAddress | None, setting: str = "metrics.listen") -> socket.socket | None:
    """Returns a listening socket, or None if the `setting` is off. Raises ConfigError with a hint."""
    if listen is None:
        return None
    try:
        if not listen.host:
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            sock = socket.create_server(("", listen.port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
        else:
            family, _, _, _, address = socket.getaddrinfo(
                listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise errors.ConfigError([_unusable(listen, error, setting)]) from error
    sock.setblocking(False)
    return sock


def _unusable(listen: ListenAddress, error: OSError, setting: str) -> errors.Problem:
    what, hint = f"cannot listen at {listen}: {error.strerror}", "Choose another address, or write off."
    if error.errno == errno.EADDRINUSE:
        what = f"{listen} is in use by another program"
        hint = f"Is Quarterdeck running already? Check with: ss -ltnp 'sport = :{listen.port}'. Or choose another port."
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = f"Quarterdeck's user may not listen at {listen}"
        hint = "Ports below 1024 need root. Choose a higher port."
    elif error.errno == errno.EADDRNOTAVAIL:
        what = f"{listen.host} is not an address of this machine"
        hint = f"Write :{listen.port} for all of its addresses, or 127.0.0.1:{listen.port}."
    elif isinstance(error, socket.gaierror):
        what = f"the host name {listen.host} cannot be resolved"
        hint = f"Write an address of this machine, or :{listen.port} for all of them."
    return errors.Problem(path=setting, what=what, hint=hint)
