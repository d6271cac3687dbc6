"""Asks a credential helper, such as docker-credential-pass, for the login of one registry.

The helper receives the registry's name on its standard input and prints the login as JSON, as docker-credential-helpers
defines it. Only a configuration file that is trusted can name a helper. The helper is started without a shell, only if
nobody else can change its program, with a few variables of the environment. It is killed after SECONDS, and no more
than MAX_OUTPUT bytes of its output are stored. Its output is never part of an error, because it may hold the login.
"""

from __future__ import annotations

import re

import msgspec

from core import errors, processes
from runtimes.formats import json_decoder

SECONDS = 10.0
MAX_OUTPUT = 64 << 10  # bytes
TOKEN_USER = "<token>"  # noqa: S105 (the user name with which a helper returns an identity token)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_NOT_FOUND = "credentials not found"
# Where helpers find their keyring, their cloud's configuration and a proxy. Variables that hold secrets are left out.
_PASSED = (
    *("GNUPGHOME", "PASSWORD_STORE_DIR", "DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"),
    *("AZURE_CONFIG_DIR", "NO_PROXY", "no_proxy"),
)


class _Answer(msgspec.Struct):
    username: str = msgspec.field(name="Username", default="")
    secret: str = msgspec.field(name="Secret", default="")


def program_name(helper: str, source: str) -> str:
    """Returns the program of a helper. `source`: the file that names it. Raises EngineError for a name with a path."""
    if not _NAME.fullmatch(helper):
        raise errors.EngineError(
            f"The credential helper {helper[:40]!r} in {source} is not the name of a program.",
            hint="Write only the part after docker-credential-, such as pass.",
        )
    return f"docker-credential-{helper}"


async def get(program: str, registry: str, source: str) -> tuple[str, str] | None:
    """Asks a credential helper for the login of a registry. Returns the user name and the secret, or None if the helper
    does not know the registry. `source`: the file that names the helper. Raises EngineError if the helper cannot be
    started, fails, hangs, or prints something else.
    """
    done = await processes.run(
        [program, "get"],
        timeout=SECONDS,
        name=f"The credential helper {program}",
        env=processes.minimal_environment(*_PASSED),
        stdin=registry.encode(),
        max_output=MAX_OUTPUT,
        hint=f"Install the program, or remove it from {source}.",
    )
    if done.code != 0:
        if _NOT_FOUND in f"{done.stdout}{done.stderr}".lower():
            return None
        raise errors.EngineError(
            f"The credential helper {program} failed with status {done.code}.",
            hint=f"Try the credential helper on Quarterdeck's host, as Quarterdeck's user: echo {registry} | {program}"
            " get",
        )
    try:
        answer = json_decoder.decode_json(_Answer, done.stdout.encode())
    except errors.InvalidResponse:
        raise errors.EngineError(
            f"The credential helper {program} printed something that is not a login.",
            hint=f"Try the credential helper on Quarterdeck's host, as Quarterdeck's user: echo {registry} | {program}"
            " get",
        ) from None
    return (answer.username, answer.secret) if answer.username and answer.secret else None
