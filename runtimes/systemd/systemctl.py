"""The one place that speaks to systemd: systemctl, loginctl and systemd-analyze as processes, for the machine or for
one user.

Whose systemd it is decides how it is asked. The machine's: as who we are (reading is anybody's, changing is root's). A
user's: as that user, with the user's own runtime folder; root becomes the user for it, which needs neither a session
nor a bus, while `-M user@` would open a session for each question. Another ordinary user's is refused, and so is
everything where systemd does not run the machine or is out of sight, as in a container.

Arguments are lists, names follow `--`, the environment is made here (ours may hold secrets, and a user may read that of
processes of theirs), answers are bounded and every call has a deadline. A process that outlives it is killed; the job
that systemd made of it goes on, so such a change is UNKNOWN.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import errors

BOOTED = Path("/run/systemd/system")
"""There where systemd runs the machine (sd_booted(3))."""
IN_CONTAINER = (Path("/run/.containerenv"), Path("/.dockerenv"))
RUNTIME_FOLDERS = Path("/run/user")
LONGEST_ANSWER = 8 << 20  # bytes; a machine of a thousand units tells 2 MiB
MOST_NAMES = 200  # of one call
PROPERTIES = (
    "Id LoadState ActiveState SubState UnitFileState FragmentPath SourcePath Description MainPID"
    " StateChangeTimestampMonotonic Result ExecMainCode ExecMainStatus ExecStart"
).replace(" ", ",")
_NAME = re.compile(r"[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\@-]{0,245}\.service")
_NO_BUS = re.compile(r"failed to connect to .*bus|system has not been booted", re.IGNORECASE)
_DENIED = re.compile(r"access denied|authentication (is )?required|permission denied|not permitted", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a program said: `code` is 0 where all went well."""

    code: int
    out: str
    err: str

    @property
    def why(self) -> str:
        """The first line of its complaint."""
        return next((line.strip() for line in (self.err or self.out).splitlines() if line.strip()), "")[:256]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of this machine."""

    uid: int
    gid: int
    name: str
    home: Path


def person(uid: int) -> Person:
    try:
        row = pwd.getpwuid(uid)
    except KeyError:
        raise errors.UserError(f"This machine knows no user with the id {uid}.") from None
    return Person(uid=uid, gid=row.pw_gid, name=row.pw_name, home=Path(row.pw_dir))


def is_name(text: str) -> bool:
    """Whether it can be the name of a service, as this module passes them on."""
    return _NAME.fullmatch(text) is not None


class Systemd:
    """systemd of the user `uid`; 0: the machine's."""

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def refuse(self, *, change: bool) -> None:
        """Raises Unreachable or NotPermitted where it cannot be asked, before anything is begun."""
        if not BOOTED.is_dir():
            if any(sign.exists() for sign in IN_CONTAINER):
                raise errors.Unreachable(
                    "Quarterdeck runs in a container and does not see the machine's systemd.",
                    hint="For units, run it on the machine itself.",
                )
            raise errors.Unreachable("This machine was not booted with systemd, which runs the units.")
        us = os.geteuid()
        if self.uid not in (0, us) and us != 0:
            raise errors.NotPermitted(
                f"The systemd of {person(self.uid).name} takes orders from {person(self.uid).name} and root only.",
                rule="systemd",
                hint="Run Quarterdeck as one of them.",
            )
        if change and self.uid == 0 and us != 0:
            raise errors.NotPermitted(
                "Only root changes the machine's units.",
                rule="systemd",
                hint="Run Quarterdeck as root, or use a rootless engine of your own.",
            )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def loaded(self, seconds: float) -> str:
        """The properties of every service systemd holds in memory, a paragraph each."""
        # Without --all the inactive are left out where a pattern is given.
        return (await self._systemctl(("show", "--all", f"--property={PROPERTIES}", "--", "*.service"), seconds)).out

    async def files(self, seconds: float) -> str:
        """The service files there are, a line each: a name and whether it is enabled."""
        words = ("list-unit-files", "--type=service", "--no-legend", "--full")
        return (await self._systemctl(words, seconds)).out

    async def show(self, names: Sequence[str], seconds: float) -> str:
        """As `loaded`, of these services, also of such as are not there."""
        if not names:
            return ""
        asked = names[:MOST_NAMES]
        return (await self._systemctl(("show", "--all", f"--property={PROPERTIES}", "--", *asked), seconds)).out

    async def verify(self, file: Path, seconds: float) -> Said:
        """What systemd-analyze has to say to a unit's file; also where systemd does not run. Unknown keys it only
        complains of."""
        user = ("--user",) if self.uid else ()
        # For a user it wants a runtime folder; any will do.
        extra = {"XDG_RUNTIME_DIR": str(file.parent)} if self.uid else {}
        words = ("systemd-analyze", *user, "--man=no", "--no-pager", "verify", "--", str(file))
        return await run(words, seconds, environ=_environ(extra), about="systemd-analyze")

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def reload(self, seconds: float) -> None:
        await self._systemctl(("daemon-reload",), seconds, change=True)

    async def enable(self, name: str, seconds: float) -> None:
        await self._systemctl(("enable", "--quiet", "--", name), seconds, change=True)

    async def act(self, verb: str, name: str, seconds: float) -> None:
        """`start`, `stop` or `restart`, waited for. Raises Rejected with systemd's reason where it failed."""
        await self._systemctl((verb, "--", name), seconds, change=True)

    async def linger(self, seconds: float) -> None:
        """Lets the user's services run without the user being there, from now on and after a boot; once it is so this
        changes nothing. Returns when the user's systemd runs."""
        who = person(self.uid)
        ask = ("loginctl", "--no-ask-password", "enable-linger", "--", str(who.uid))
        said = await run(ask, seconds, environ=_environ(), about="loginctl", change=True)
        if said.code:
            raise self._error(said, hint=f"As root: loginctl enable-linger {who.name}")
        if os.geteuid() == 0:
            # Lingering starts it by and by; a start that is asked for is waited for.
            words = ("systemctl", *_QUIET, "start", "--", f"user@{who.uid}.service")
            said = await run(words, seconds, environ=_environ(), about="systemctl", change=True)
            if said.code:
                raise self._error(said)

    # ── the one way to ask ───────────────────────────────────────────────────────────────────────────────────────

    async def _systemctl(self, words: Sequence[str], seconds: float, *, change: bool = False) -> Said:
        self.refuse(change=change)
        if self.uid == 0:
            said = await run(
                ("systemctl", *_QUIET, *words), seconds, environ=_environ(), about="systemctl", change=change
            )
        else:
            said = await run(
                ("systemctl", "--user", *_QUIET, *words),
                seconds,
                environ=_environ(_of_user(person(self.uid))),
                become=person(self.uid) if os.geteuid() != self.uid else None,
                about="systemctl",
                change=change,
            )
        if said.code:
            raise self._error(said)
        return said

    def _error(self, said: Said, *, hint: str = "") -> errors.QuarterdeckError:
        if _NO_BUS.search(said.err):
            hint = f"Does that user linger? As root: loginctl enable-linger {self.uid}" if self.uid else ""
            return errors.Unreachable(f"systemd does not answer: {said.why}", hint=hint)
        if _DENIED.search(said.err):
            hint = hint or "Run Quarterdeck as root, or as the user whose units these are."
            return errors.NotPermitted(f"systemd refuses: {said.why}", rule="systemd", hint=hint)
        return errors.Rejected(said.code, said.why or f"systemctl ended with code {said.code}")


_QUIET = ("--no-pager", "--no-ask-password")


def _environ(more: Mapping[str, str] | None = None) -> dict[str, str]:
    # Its answers are read by us: in English, without colours.
    plain = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0", "SYSTEMD_LOG_LEVEL": "notice"}
    return {"PATH": os.environ.get("PATH", os.defpath), **plain, **(more or {})}


def _of_user(who: Person) -> dict[str, str]:
    usual = str(RUNTIME_FOLDERS / str(who.uid))
    ours = os.environ.get("XDG_RUNTIME_DIR", "") if os.geteuid() == who.uid else ""
    folder = ours or usual
    return {
        "HOME": str(who.home),
        "USER": who.name,
        "LOGNAME": who.name,
        "XDG_RUNTIME_DIR": folder,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus",
    }


async def run(
    words: Sequence[str],
    seconds: float,
    *,
    environ: Mapping[str, str],
    about: str,
    become: Person | None = None,
    change: bool = False,
) -> Said:
    """Runs a program to its end. Raises Unreachable where there is none, TimedOut where it does not end,
    InvalidResponse where
    it says too much."""
    other = {}
    if become is not None:
        groups = os.getgrouplist(become.name, become.gid)
        other = {"user": become.uid, "group": become.gid, "extra_groups": groups}
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environ),
            cwd="/",
            **other,  # type: ignore[arg-type]
        )
    except FileNotFoundError:
        raise errors.Unreachable(f"There is no {about} here.", hint="It is part of systemd.") from None
    except OSError as error:
        raise errors.Unreachable(f"{about} could not be run: {error.strerror or error}.") from error
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(seconds):
            # Both at once, or a program that fills the one while we wait for the other never ends.
            out, err = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            code = await process.wait()
    except TimeoutError as error:
        raise errors.TimedOut(f"{about} did not end within {seconds:.0f} s.", sent=change) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if len(out) > LONGEST_ANSWER or len(err) > LONGEST_ANSWER:
        raise errors.InvalidResponse(f"{about} said more than {LONGEST_ANSWER >> 20} MiB.")
    return Said(code=code, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace"))


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """What it says, up to a little more than we take; the rest is read and forgotten, so that it can end."""
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(1 << 16):
        if size <= LONGEST_ANSWER:
            parts.append(part)
            size += len(part)
    return b"".join(parts)
