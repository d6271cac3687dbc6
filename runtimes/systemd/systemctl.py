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

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import errors, processes

BOOTED = Path("/run/systemd/system")
"""There where systemd runs the machine (sd_booted(3))."""
IN_CONTAINER = (Path("/run/.containerenv"), Path("/.dockerenv"))
RUNTIME_FOLDERS = Path("/run/user")
MAX_OUTPUT = 8 << 20  # bytes; a machine with a thousand units writes 2 MiB
MOST_NAMES = 200  # of one call
PROPERTIES = (
    "Id LoadState ActiveState SubState UnitFileState FragmentPath SourcePath Description MainPID"
    " StateChangeTimestampMonotonic Result ExecMainCode ExecMainStatus ExecStart"
).replace(" ", ",")
_NAME = re.compile(r"[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\@-]{0,245}\.service")
_NO_BUS = re.compile(r"failed to connect to .*bus|system has not been booted", re.IGNORECASE)
_DENIED = re.compile(r"access denied|authentication (is )?required|permission denied|not permitted", re.IGNORECASE)


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
        return (await self._systemctl(("show", "--all", f"--property={PROPERTIES}", "--", "*.service"), seconds)).stdout

    async def files(self, seconds: float) -> str:
        """The service files there are, a line each: a name and whether it is enabled."""
        words = ("list-unit-files", "--type=service", "--no-legend", "--full")
        return (await self._systemctl(words, seconds)).stdout

    async def show(self, names: Sequence[str], seconds: float) -> str:
        """As `loaded`, of these services, also of such as are not there."""
        if not names:
            return ""
        asked = names[:MOST_NAMES]
        return (await self._systemctl(("show", "--all", f"--property={PROPERTIES}", "--", *asked), seconds)).stdout

    async def verify(self, file: Path, seconds: float) -> processes.Result:
        """What systemd-analyze has to say to a unit's file; also where systemd does not run. Unknown keys it only
        complains of."""
        user = ("--user",) if self.uid else ()
        # For a user it wants a runtime folder; any will do.
        extra = {"XDG_RUNTIME_DIR": str(file.parent)} if self.uid else {}
        words = ("systemd-analyze", *user, "--man=no", "--no-pager", "verify", "--", str(file))
        return await _run(words, seconds, env=_environ(extra))

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
        said = await _run(ask, seconds, env=_environ(), change=True)
        if said.code:
            raise self._error(said, hint=f"As root: loginctl enable-linger {who.name}")
        if os.geteuid() == 0:
            # Lingering starts it by and by; a start that is asked for is waited for.
            words = ("systemctl", *_QUIET, "start", "--", f"user@{who.uid}.service")
            said = await _run(words, seconds, env=_environ(), change=True)
            if said.code:
                raise self._error(said)

    # ── the one way to ask ───────────────────────────────────────────────────────────────────────────────────────

    async def _systemctl(self, words: Sequence[str], seconds: float, *, change: bool = False) -> processes.Result:
        self.refuse(change=change)
        if self.uid == 0:
            said = await _run(("systemctl", *_QUIET, *words), seconds, env=_environ(), change=change)
        else:
            user = person(self.uid)
            said = await _run(
                ("systemctl", "--user", *_QUIET, *words),
                seconds,
                env=_environ(_of_user(user)),
                become=user if os.geteuid() != self.uid else None,
                change=change,
            )
        if said.code:
            raise self._error(said)
        return said

    def _error(self, said: processes.Result, *, hint: str = "") -> errors.QuarterdeckError:
        if _NO_BUS.search(said.stderr):
            hint = f"Does that user linger? As root: loginctl enable-linger {self.uid}" if self.uid else ""
            return errors.Unreachable(f"systemd does not answer: {_complaint(said)}", hint=hint)
        if _DENIED.search(said.stderr):
            hint = hint or "Run Quarterdeck as root, or as the user whose units these are."
            return errors.NotPermitted(f"systemd refuses: {_complaint(said)}", rule="systemd", hint=hint)
        return errors.Rejected(said.code, _complaint(said) or f"systemctl ended with code {said.code}")


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


async def _run(
    command: Sequence[str],
    seconds: float,
    *,
    env: Mapping[str, str],
    become: Person | None = None,
    change: bool = False,
) -> processes.Result:
    """Raises Unreachable, TimedOut, and InvalidResponse if the program writes too much."""
    run_as = None
    if become is not None:
        groups = os.getgrouplist(become.name, become.gid)
        run_as = processes.RunAs(uid=become.uid, gid=become.gid, groups=groups)
    result = await processes.run(
        command,
        timeout=seconds,
        name=command[0],
        env=env,
        run_as=run_as,
        change=change,
        max_output=MAX_OUTPUT,
        hint="Install systemd's programs, or repair their installation.",
    )
    if result.dropped:
        raise errors.InvalidResponse(f"{command[0]} wrote more than {MAX_OUTPUT >> 20} MiB.")
    return result


def _complaint(result: processes.Result) -> str:
    """The first line that a program wrote about its failure."""
    lines = (line.strip() for line in (result.stderr or result.stdout).splitlines())
    return next((line for line in lines if line), "")[:256]
