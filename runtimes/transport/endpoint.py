"""Parses the address of an engine's API, and defines the paths of the key files for TLS and ssh, and the hints that
several errors of connections share."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from core import errors
from core.lazy_dataclass import dataclass

CHECK_CHANGE = (
    "Before you repeat a change, list its target again (such as with ps -a, images or network ls) to see whether the"
    " change was done."
)
CHECK_ADDRESS = "Check the engine's address (`url` in quarterdeck.yaml, DOCKER_HOST or CONTAINER_HOST)"
LOST_HINT = f"{CHECK_CHANGE} To see whether the engine answers, give: engines"
SCHEMES = frozenset({"unix", "file", "tcp", "http", "https", "ssh"})
# Parts of it become arguments of ssh: none may begin with a dash or hold a character that separates the parts of -L.
_SSH = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][\w.@+-]*)@)?(?P<host>[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+(?:%\w+)?\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[\w./@+-]*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Holds the parsed address of an engine's API.

    unix: `path` is the socket. file: `path` is a directory. tcp: `host` and `port`. ssh: `path` is the socket on
    `host`; an empty `user` or `port` means that ssh's own configuration decides.
    """

    scheme: str
    path: str = ""
    host: str = ""
    port: int = 0
    user: str = ""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Parses `unix:///path`, `file:///path`, `tcp://host:port`, `http://host:port` or
        `ssh://[user@]host[:port][/path]`. Raises BadUsage."""
        shown = _shown(url)
        if not url.isprintable():
            raise errors.BadUsage(
                f"{shown} contains an invisible character, which is written with a backslash here.",
                hint="Type this address again by hand, instead of pasting it.",
            )
        scheme, _, rest = url.partition("://")
        if scheme in {"unix", "file"}:
            if not rest.startswith("/") or rest == "/":
                raise errors.BadUsage(
                    f"{shown} has no absolute path.", hint=f"Write {scheme}:///PATH, with three slashes."
                )
            return cls(scheme=scheme, path=rest)
        if scheme in {"tcp", "http"}:
            return cls._parse_tcp(url, shown)
        if scheme == "ssh":
            return cls._parse_ssh(rest, shown)
        if scheme == "https":
            raise errors.BadUsage(
                f"{shown} uses https, which is not supported.",
                hint="For TLS write tcp://HOST:2376, and add `tls:` to this engine.",
            )
        raise errors.BadUsage(
            f"{shown} is not valid.",
            hint="Write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, such as unix:///var/run/docker.sock.",
        )

    @classmethod
    def _parse_tcp(cls, url: str, shown: str) -> Endpoint:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if not host or not port or " " in url:
            raise errors.BadUsage(
                f"{shown} has no valid host or no valid port.",
                hint="Write the host and its port, such as tcp://HOST:2375, or tcp://HOST:2376 with TLS.",
            )
        if "@" in parts.netloc or parts.path not in {"", "/"} or parts.query or parts.fragment:
            written = cls(scheme="tcp", host=host, port=port)
            raise errors.BadUsage(f"{shown} contains more than a host and a port.", hint=f"Write {written}.")
        return cls(scheme="tcp", host=host, port=port)

    @classmethod
    def _parse_ssh(cls, rest: str, shown: str) -> Endpoint:
        if ":" in rest.partition("/")[0].rpartition("@")[0]:
            raise errors.BadUsage(
                f"{_shown(f'ssh://{rest}')} contains a password, which the ssh client does not accept.",
                hint="Use a key: add it to ~/.ssh/authorized_keys on that host, and write ssh://USER@HOST.",
            )
        found = _SSH.fullmatch(rest)
        if found is None or not int(found["port"] or 22) < 65536:
            raise errors.BadUsage(
                f"{shown} is not a valid ssh address.",
                hint="Write ssh://USER@HOST, or ssh://USER@HOST:22/var/run/docker.sock.",
            )
        path = found["path"] or ""
        return cls(
            scheme="ssh",
            user=found["user"] or "",
            host=found["host"].strip("[]"),
            port=int(found["port"] or 0),
            path=path if path.strip("/") else "/var/run/docker.sock",
        )

    def __str__(self) -> str:
        if self.scheme in {"unix", "file"}:
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.scheme == "ssh":
            user, port = f"{self.user}@" if self.user else "", f":{self.port}" if self.port else ""
            return f"ssh://{user}{host}{port}{self.path}"
        return f"tcp://{host}:{self.port}"


def _shown(url: str) -> str:
    """Returns an address as the beginning of a sentence. It may hold a password before its last @, which no message may
    show."""
    before, at, after = url.rpartition("@")
    scheme = before.partition("://")[0]
    text = f"{f'{scheme}://' if scheme in SCHEMES else ''}…@{after}" if at else url
    return f"The engine address “{''.join(map(_visible, text[:200]))}”"


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Holds the paths of files in PEM form. `ca` holds the authorities to trust; empty: those of the system. `cert`
    and `key` identify Quarterdeck to the engine; both or neither are set."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """Holds the paths of files for the system's ssh client. Empty: the client's own configuration decides."""

    identity: str = ""
    known_hosts: str = ""
    config: str = ""
