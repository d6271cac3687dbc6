"""Finds the configuration file and the default state directory.

Paths are plain text and few modules are imported: if a bot runs already, `quarterdeck do` needs nothing else of the
configuration, and must start fast.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "QUARTERDECK_"  # of the environment variables that are settings
FILE_NAME = "quarterdeck.yaml"
DOTENV = ".env"
DEFAULT_FILES = (FILE_NAME, f"/etc/quarterdeck/{FILE_NAME}")


def find_config_file(named: str, environ: Mapping[str, str]) -> str:
    """Returns the file to read: the `named` one, that of the environment, or the first default that exists. Returns an
    empty string if there is none."""
    if file := named or environ.get(f"{PREFIX}CONFIG", "").strip():
        return os.path.expanduser(file)
    return next((file for file in DEFAULT_FILES if may_exist(file)), "")


def may_exist(file: str) -> bool:
    """Returns whether a file exists, or may exist in a folder that cannot be read: opening it reports the reason."""
    try:
        os.stat(file)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return os.path.isfile(file)


def default_state(environ: Mapping[str, str]) -> str:
    """Returns the default state directory of this user."""
    if base := environ.get("XDG_STATE_HOME", ""):
        return os.path.join(base, "quarterdeck")
    if os.geteuid() == 0:
        return "/var/lib/quarterdeck"
    return os.path.join(os.path.expanduser(environ.get("HOME") or "~"), ".local/state/quarterdeck")
