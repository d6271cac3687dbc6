"""Returns the name of this machine, for engines that do not report the name of their host.

In a container, the host name is that of the container. So the person who starts the container can set the machine's
name in QUARTERDECK_HOST.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

from core import errors

VARIABLE = "QUARTERDECK_HOST"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def machine_name(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the name in QUARTERDECK_HOST; if it is empty or not set, the host name. Raises BadUsage for a value that
    is not a name."""
    given = environ.get(VARIABLE, "").strip()
    if not given:
        return socket.gethostname()
    if _NAME.fullmatch(given) is None:
        raise errors.BadUsage(
            f"{VARIABLE} is “{given[:300]}”, which is not the name of a machine.",
            hint="Write letters, digits, dots and hyphens, such as node7 or node7.example.com. The first and the last"
            " must be a letter or a digit.",
        )
    return given
