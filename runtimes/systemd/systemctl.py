"""Runs systemctl, loginctl and systemd-analyze, for the machine's systemd or for a user's systemd.

The machine's systemd is called as the current user: everybody may read, only root may change. A user's systemd is
called as that user, with the user's own runtime directory. For this, root switches to the user, which needs neither a
session nor a bus (`-M user@` would open a session for each call). An ordinary user may not call the systemd of another
user. Every call is refused if systemd does not run the machine or is not visible, as in a container.

Names are passed after `--`. The programs get a new environment, because Quarterdeck's own environment may contain
secrets, and users can read the environment of their processes. Output and time are limited. If a change is killed at
its deadline, the job inside systemd continues, so the outcome of the change is UNKNOWN.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from core import errors, processes
from core.lazy_dataclass import dataclass

BOOTED = Path("/run/systemd/system")
"""Exists if systemd runs the machine (sd_booted(3))."""
IN_CONTAINER = (Path("/run/.containerenv"), Path("/.dockerenv"))
RUNTIME_DIRS = Path("/run/user")
MAX_OUTPUT = 8 << 20  # bytes; a machine with a thousand units writes 2 MiB
MAX_NAMES = 200  # in one call
PROPERTIES = (
    "Id LoadState ActiveState SubState UnitFileState FragmentPath SourcePath Description MainPID"
    " StateChangeTimestampMonotonic Result ExecMainCode ExecMainStatus ExecStart"
    " TimeoutStartUSec TimeoutStopUSec"
).replace(" ", ",")
_OPTIONS = ("--no-pager", "--no-ask-password")
_NAME = re.compile(r"[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\@-]{0,245}\.service")
_NO_BUS = re.compile(r"failed to connect to .*bus|system has not been booted", re.IGNORECASE)
_NOT_LOGGED_IN = re.compile(r"not logged in or lingering|no such user|unknown object", re.IGNORECASE)
_DENIED = re.compile(r"access denied|authentication (is )?required|permission denied|not permitted", re.IGNORECASE)


class Systemd:
    """Calls the systemd of the user `uid`; 0: the machine's systemd."""

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def check_access(self, *, change: bool) -> None:
        """Raises Unreachable or NotPermitted if this process cannot call this systemd."""
        if not BOOTED.is_dir():
            if any(path.exists() for path in IN_CONTAINER):
                raise errors.Unreachable(
                    "Quarterdeck runs in a container, where the machine's systemd is not visible.",
                    hint="To use units, run Quarterdeck on the machine itself.",
                )
            raise errors.Unreachable(
                "This machine does not run systemd.", hint="Run Quarterdeck on a machine that was booted with systemd."
            )
        current = os.geteuid()
        if self.uid not in (0, current) and current != 0:
            owner = unix_user(self.uid).name
            raise errors.NotPermitted(
                f"Only {owner} and root may use the systemd of {owner}.",
                rule="systemd",
                hint=f"Run Quarterdeck as {owner} or as root.",
            )
        if change and self.uid == 0 and current != 0:
            raise errors.NotPermitted(
                "Only root may change the machine's units.",
                rule="systemd",
                hint="Run Quarterdeck as root, or use a rootless engine of your own.",
            )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def show_loaded(self, seconds: float) -> str:
        """Returns the properties of every service that systemd has loaded, one paragraph for each."""
        # Without --all, a pattern leaves out inactive services.
        return await self._show(["*.service"], seconds)

    async def list_unit_files(self, seconds: float) -> str:
        """Returns the existing service files, one line for each: its name and whether it is enabled."""
        arguments = ("list-unit-files", "--type=service", "--no-legend", "--full")
        return (await self._systemctl(arguments, seconds)).stdout

    async def show(self, names: Sequence[str], seconds: float) -> str:
        """Returns the properties of these services (the first MAX_NAMES), also of services that do not exist."""
        return await self._show(names[:MAX_NAMES], seconds) if names else ""

    async def cat(self, name: str, seconds: float) -> str:
        """Returns the files of a service, each after a line `# PATH`. For a user's systemd they are read as that user,
        so no link in the user's home leads to a file that the user may not read."""
        return (await self._systemctl(("cat", "--", name), seconds)).stdout

    async def lingers(self, seconds: float) -> bool:
        """Returns whether the user's services run without a login. systemd does not know a user who neither lingers nor
        is logged in."""
        command = ("loginctl", "--no-ask-password", "show-user", "--property=Linger", "--", str(self.uid))
        result = await _run(command, seconds, env=_env())
        if result.code and not _NOT_LOGGED_IN.search(result.stderr):
            raise self._error(result)
        return "Linger=yes" in result.stdout.split()

    async def verify(self, file: Path, seconds: float) -> processes.Result:
        """Returns the result of `systemd-analyze verify` for a unit file; works without a running systemd. An unknown
        key is only a warning."""
        user = ("--user",) if self.uid else ()
        # For a user it needs a runtime directory; any will do.
        extra = {"XDG_RUNTIME_DIR": str(file.parent)} if self.uid else {}
        command = ("systemd-analyze", *user, "--man=no", "--no-pager", "verify", "--", str(file))
        return await _run(command, seconds, env=_env(extra))

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def daemon_reload(self, seconds: float) -> None:
        await self._systemctl(("daemon-reload",), seconds, change=True)

    async def enable(self, name: str, seconds: float) -> None:
        await self._systemctl(("enable", "--quiet", "--", name), seconds, change=True)

    async def disable(self, name: str, seconds: float) -> None:
        """Removes the links by which a service is started at boot. A service that runs continues to run."""
        await self._systemctl(("disable", "--quiet", "--", name), seconds, change=True)

    async def change_state(self, verb: str, name: str, seconds: float) -> None:
        """Runs `start`, `stop` or `restart`, and waits for the end of it. Raises Rejected with systemd's reason if it
        failed."""
        await self._systemctl((verb, "--", name), seconds, change=True)

    async def enable_linger(self, seconds: float) -> None:
        """Allows the user's services to run without a login, now and after a boot. Changes nothing if this is set
        already. Returns when the user's systemd runs."""
        user = unix_user(self.uid)
        command = ("loginctl", "--no-ask-password", "enable-linger", "--", str(user.uid))
        result = await _run(command, seconds, env=_env(), change=True)
        if result.code:
            raise self._error(result, hint=f"Run as root: loginctl enable-linger {user.name}")
        if os.geteuid() == 0:
            # Lingering starts the user's systemd some time later. An explicit start waits for it.
            start = ("systemctl", *_OPTIONS, "start", "--", f"user@{user.uid}.service")
            result = await _run(start, seconds, env=_env(), change=True)
            if result.code:
                raise self._error(result)

    async def disable_linger(self, seconds: float) -> None:
        """Lets the user's services run only while the user is logged in. Changes nothing if this is so already."""
        user = unix_user(self.uid)
        command = ("loginctl", "--no-ask-password", "disable-linger", "--", str(user.uid))
        result = await _run(command, seconds, env=_env(), change=True)
        if result.code:
            raise self._error(result, hint=f"Run as root: loginctl disable-linger {user.name}")

    # ── calling ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show(self, names: Sequence[str], seconds: float) -> str:
        return (await self._systemctl(("show", "--all", f"--property={PROPERTIES}", "--", *names), seconds)).stdout

    async def _systemctl(self, arguments: Sequence[str], seconds: float, *, change: bool = False) -> processes.Result:
        self.check_access(change=change)
        if self.uid == 0:
            result = await _run(("systemctl", *_OPTIONS, *arguments), seconds, env=_env(), change=change)
        else:
            user = unix_user(self.uid)
            result = await _run(
                ("systemctl", "--user", *_OPTIONS, *arguments),
                seconds,
                env=_env(_user_env(user)),
                run_as=user if os.geteuid() != self.uid else None,
                change=change,
            )
        if result.code:
            raise self._error(result)
        return result

    def _error(self, result: processes.Result, *, hint: str = "") -> errors.QuarterdeckError:
        reason = _reason(result)
        if _NO_BUS.search(result.stderr):
            hint = f"Run as root: loginctl enable-linger {self.uid}" if self.uid else ""
            return errors.Unreachable(f"systemd does not answer: {reason}", hint=hint)
        if _DENIED.search(result.stderr):
            hint = hint or "Run Quarterdeck as root, or as the owner of these units."
            return errors.NotPermitted(f"systemd refused the request: {reason}", rule="systemd", hint=hint)
        return errors.Rejected(
            result.code, reason or f"systemctl ended with exit code {result.code} and no message.", hint=hint
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixUser:
    """Describes a user of this machine."""

    uid: int
    gid: int
    name: str
    home: Path


def unix_user(uid: int) -> UnixUser:
    """Returns the user with a uid. Raises UserError if there is no such user."""
    try:
        row = pwd.getpwuid(uid)
    except KeyError:
        raise errors.UserError(
            f"This machine has no user with the id {uid}.", hint="Run Quarterdeck on the machine of the engine's user."
        ) from None
    return UnixUser(uid=uid, gid=row.pw_gid, name=row.pw_name, home=Path(row.pw_dir))


def is_service_name(text: str) -> bool:
    """Returns whether this module accepts a text as the name of a service."""
    return _NAME.fullmatch(text) is not None


def _env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    # The output is parsed: it has to be English and without colours.
    fixed = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0", "SYSTEMD_LOG_LEVEL": "notice"}
    return processes.minimal_environment(**fixed, **(extra or {}))


def _user_env(user: UnixUser) -> dict[str, str]:
    own = os.environ.get("XDG_RUNTIME_DIR", "") if os.geteuid() == user.uid else ""
    directory = own or str(RUNTIME_DIRS / str(user.uid))
    return {
        "HOME": str(user.home),
        "USER": user.name,
        "LOGNAME": user.name,
        "XDG_RUNTIME_DIR": directory,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={directory}/bus",
    }


async def _run(
    command: Sequence[str],
    seconds: float,
    *,
    env: Mapping[str, str],
    run_as: UnixUser | None = None,
    change: bool = False,
) -> processes.Result:
    """Runs a program. Raises Unreachable, TimedOut, and InvalidResponse if the program writes too much."""
    other = None
    if run_as is not None:
        groups = os.getgrouplist(run_as.name, run_as.gid)
        other = processes.RunAs(uid=run_as.uid, gid=run_as.gid, groups=groups)
    result = await processes.run(
        command,
        timeout=seconds,
        name=command[0],
        env=env,
        run_as=other,
        change=change,
        max_output=MAX_OUTPUT,
        hint="Install systemd's programs, or repair their installation.",
    )
    if result.dropped:
        raise errors.InvalidResponse(
            f"{command[0]} wrote more than {MAX_OUTPUT >> 20} MiB, which Quarterdeck does not read.",
            sent=change,
            hint="Run the program by hand to see its output.",
        )
    return result


def _reason(result: processes.Result) -> str:
    """Returns the first line that a program wrote about its failure."""
    lines = (line.strip() for line in (result.stderr or result.stdout).splitlines())
    return next((line for line in lines if line), "")[:256]
