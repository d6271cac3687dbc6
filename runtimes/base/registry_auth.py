"""Finds the login for a registry in the files of this host, as `docker login` and `podman login` write them.

An adapter asks for the login of one image right before the request that needs it. `find` takes the image's name and
returns a `Lookup`: the login, if there is one, and a sentence about what to do if the registry still refuses. The files
are read again each time, so nothing is stored here. A file that another user could change is not read, and no
credential helper that it names is started.

`docker.auth` interprets the entries of the files. It is imported in a thread when the first login is looked up, because
it loads the whole `docker` package. It is not used for keys with a path, as Podman writes them: it would take
`quay.io/team` for all of quay.io.

A login is sent only to an engine that belongs to root or to Quarterdeck's own user, or to a host that is reached over
ssh, TLS or loopback. An engine of another local user gets no login, because that user could read it.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import structlog

from core import errors, trusted_files, untrusted_files
from core.file_thread import FileThread
from core.lazy_dataclass import dataclass
from core.text import known_secrets
from runtimes.base import credential_helper, registry_login_files
from runtimes.base.registry_login_files import LoginFile
from runtimes.formats import image_reference
from runtimes.transport.endpoint import Endpoint

log = structlog.get_logger(__name__)
HUB = "docker.io"
FILES_SECONDS = 10.0  # for reading all files, and for the first import of docker.auth
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Holds the login for one registry. `registry`: as in an image's name, such as `docker.io`. Either the identity
    token is set, or the user name and the password. `source`: the file or the program that it comes from."""

    registry: str
    source: str
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def secret(self) -> str:
        return self.identity_token or self.password

    def docker_header(self) -> str:
        """Returns the value of `X-Registry-Auth` for one registry."""
        return _encoded({"serveraddress": self.registry, **self._fields()})

    def podman_header(self) -> str:
        """Returns the value of `X-Registry-Auth` as a map by registry. Podman sends each login only to its registry,
        also when it looks for a short name in several. Podman takes no identity token from a map."""
        return self.docker_header() if self.identity_token else _encoded({self.registry: self._fields()})

    def _fields(self) -> dict[str, str]:
        if self.identity_token:
            return {"identitytoken": self.identity_token}
        return {"username": self.username, "password": self.password}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Holds what was found for one registry. `login`: None if there is none; `hint`: what to do if the registry refuses
    the request."""

    login: Login | None
    hint: str


class RegistryLogins:
    """Looks up logins for the requests of one engine. `kind`: of the engine; `url`: its address."""

    def __init__(self, kind: str, url: str, *, has_tls: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        self._kind, self._url, self._has_tls, self._environ = kind, url, has_tls, environ
        self._thread = FileThread(f"registry logins {kind}")

    def close(self) -> None:
        self._thread.close()

    async def find(self, image: str, *, to_engine: bool = True) -> Lookup:
        """Returns the login for the registry of this image. Never raises an EngineError: without a usable login, the
        request is sent without one, because the image may be public. `to_engine`: whether the login is for the engine;
        False: Quarterdeck itself sends it to the registry."""
        wanted = image_reference.parse_image_reference(image)
        registry, path = wanted.registry or HUB, wanted.repository.removeprefix(f"{wanted.registry}/")
        user = untrusted_files.user_name(os.geteuid())
        tool = "podman" if self._kind == "podman" else "docker"
        cure = f"Log in on Quarterdeck's host, as the user {user}: {tool} login {registry}"
        try:
            reason = await self._thread.run(self._why_not_sent, FILES_SECONDS) if to_engine else ""
            if reason:
                by_hand = (
                    f"On the engine's host, as the engine's user, run: podman login {registry}"
                    if tool == "podman"
                    else "Pull or push the image on the engine's host, with the docker command."
                )
                return Lookup(login=None, hint=f"Quarterdeck sends this engine no login, because {reason}. {by_hand}")
            files = await self._thread.run(self._read_files, FILES_SECONDS)
        except TimeoutError:
            return Lookup(
                login=None,
                hint=f"Quarterdeck looked for no login, because it could not read its files with logins within"
                f" {FILES_SECONDS:.0f} s. Check the disk of Quarterdeck's host.",
            )
        login, problems = await self._first_login(files, registry, path)
        if login is not None:
            known_secrets.remember_recent(login.secret)
            whose = "identity token" if login.identity_token else f"login of {login.username}"
            hint = f"The registry refused the {whose} from {login.source}. {cure}"
            return Lookup(login=login, hint=hint)
        for problem in problems:
            log.warning(
                "A stored login for a registry could not be used.", registry=registry, address=self._url, reason=problem
            )
        return Lookup(login=None, hint=" ".join([*(f"{each.rstrip('.')}." for each in problems[:2]), cure]))

    async def _first_login(
        self, files: Sequence[LoginFile], registry: str, path: str
    ) -> tuple[Login | None, Sequence[str]]:
        problems: list[str] = []
        for file in files:
            if file.problem:
                problems.append(f"{file.path} is not read: it {file.problem}.")
                continue
            try:
                if (found := await _login_of_helper(file, registry)) is not None:
                    return found, problems
            except errors.EngineError as error:
                problems.append(error.full_message())
            if (found := login_in_file(file, registry, path, problems)) is not None:
                return found, problems
        return None, problems

    def _read_files(self) -> Sequence[LoginFile]:
        _auth()  # the import takes about 100 ms
        return registry_login_files.read_all(registry_login_files.candidates(self._kind, self._environ))

    def _why_not_sent(self) -> str:
        """Returns why this engine gets no login, as the end of a sentence after “because”; empty if it may have one."""
        endpoint = Endpoint.parse(self._url)
        if endpoint.scheme == "tcp" and not self._has_tls and endpoint.host not in LOOPBACK:
            return f"the connection to {endpoint} has no TLS"
        if endpoint.scheme != "unix":
            return ""
        try:
            found = Path(endpoint.path).stat()
        except OSError:
            return ""  # the request itself reports that
        if not stat.S_ISSOCK(found.st_mode):
            return ""
        if found.st_uid not in (0, os.geteuid()):
            return f"its socket belongs to {untrusted_files.user_name(found.st_uid)}"
        # Whoever can replace the socket could put one of their own in its place after this check.
        folder = Path(os.path.realpath(endpoint.path)).parent
        reason = trusted_files.find_reason_for_distrust(folder)
        return f"the folder {folder} of its socket {reason}" if reason else ""


async def _login_of_helper(file: LoginFile, registry: str) -> Login | None:
    """Returns the login of the credential helper that a file names for a registry. Raises EngineError."""
    auth = _auth()
    registry = str(auth.resolve_index_name(registry))
    config = auth.AuthConfig({"credHelpers": file.helpers, "credsStore": file.store})
    # docker writes Docker Hub as a URL, podman as a name.
    helper = file.helpers.get(registry) or config.get_credential_store(registry)
    if not helper:
        return None
    program = credential_helper.program_name(str(helper), str(file.path))
    for name in (auth.INDEX_URL, HUB) if registry == HUB else (registry,):
        if (found := await credential_helper.get(program, name, str(file.path))) is not None:
            username, secret = found
            if username == credential_helper.TOKEN_USER:
                return Login(registry=registry, source=program, identity_token=secret)
            return Login(registry=registry, source=program, username=username, password=secret)
    return None


def login_in_file(file: LoginFile, registry: str, path: str, problems: list[str]) -> Login | None:
    """Returns the login that a file itself holds. An entry for a namespace (`quay.io/team`) comes before one for the
    registry, the longest first. Adds to `problems` each entry that cannot be decoded."""
    auth = _auth()
    registry = str(auth.resolve_index_name(registry))
    parts = path.split("/")
    names = ["/".join([registry, *parts[:end]]) for end in range(len(parts), 0, -1)]
    keys = [name for name in names if name in file.logins]
    keys += [key for key in file.logins if key == registry]
    keys += [
        key
        for key in file.logins
        if key != registry and _is_whole_registry(key) and auth.resolve_index_name(key) == registry
    ]
    for key in keys:
        try:
            entry = _decoded(key, file.logins[key])
        except Exception as error:  # docker.auth raises whatever base64 and UTF-8 raise; the entry is not repeated
            problems.append(
                f"The entry {key} of {file.path} cannot be decoded ({type(error).__name__}), so it is not used."
            )
            continue
        if entry is not None:
            username, password, token = entry
            return Login(
                registry=registry, source=str(file.path), username=username, password=password, identity_token=token
            )
    return None


def _decoded(key: str, entry: Any) -> tuple[str, str, str] | None:
    """Returns the user name, the password and the identity token of an entry; None if it holds no login."""
    plain = entry if isinstance(entry, dict) else {}
    found = _auth().parse_auth({key: entry}, raise_on_error=True)[key]
    if token := found.get("IdentityToken"):
        return "", "", str(token)
    username, password = found.get("username", ""), found.get("password", "")
    if not username and isinstance(plain.get("username"), str) and isinstance(plain.get("password"), str):
        username, password = plain["username"], plain["password"]  # docker reads these too, docker.auth does not
    return (str(username), str(password).rstrip("\0"), "") if username and password else None


def _is_whole_registry(key: str) -> bool:
    """Whether a key means a registry and not a namespace: `r.example`, `https://r.example/v1/`."""
    scheme, separator, rest = key.rpartition("://")
    path = rest.partition("/")[2].strip("/")
    return not path or (bool(separator) and scheme in ("http", "https")) or path in ("v1", "v2")


def _auth() -> Any:
    from docker import auth  # noqa: PLC0415 (it loads the whole package)

    return auth


def _encoded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
