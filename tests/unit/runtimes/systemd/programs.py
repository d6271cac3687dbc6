"""systemctl, loginctl and systemd-analyze as scripts that write down how they were called and answer from files: what
they say here is written as systemd 252 writes it, for this project, and was not recorded from a running one."""

from __future__ import annotations

import pwd
from pathlib import Path

from runtimes.systemd import systemctl

SCRIPT = """#!/bin/sh
cd {root}
name=${{0##*/}}
echo "$name $* | $(id -u) $XDG_RUNTIME_DIR" >>calls
[ -f env ] && env >>env
for last; do :; done
[ -f "fail.$name" ] && {{ cat "fail.$name" >&2; exit 1; }}
[ -f hang ] && exec sleep 60
case "$*" in
*" -- *.service") cat loaded 2>/dev/null; true ;;
"--no-ask-password enable-linger"*) [ -f lingers ] && echo Linger=yes >"$(cat lingers)"; true ;;
"--no-ask-password disable-linger"*) [ -f no-longer ] && echo Linger=no >"$(cat no-longer)"; true ;;
*" cat "*) cat "unit.$last" ;;
*list-unit-files*) cat files 2>/dev/null; true ;;
*show*)
    shift $(($# - $(printf '%s\\n' "$@" | sed '1,/^--$/d' | grep -c .)))
    for one; do
        [ -f "show.$one" ] && cat "show.$one" || printf 'Id=%s\\nLoadState=not-found\\n' "$one"
        echo
    done ;;
*daemon-reload*) for f in reloaded.*; do [ -f "$f" ] && mv "$f" "show.${{f#reloaded.}}"; done; true ;;
*start*|*stop*)
    [ -f fail.act ] && {{ [ -f "failed.$last" ] && mv "failed.$last" "show.$last"; cat fail.act >&2; exit 1; }}
    [ -f "started.$last" ] && mv "started.$last" "show.$last"; true ;;
*verify*) cat verdict >&2 2>/dev/null; [ ! -f verdict.bad ] ;;
esac
"""
RUN = "/usr/bin/podman run --cidfile=/run/web.cid --replace --rm -d --name web localhost/busybox:1 sleep 9"


def paragraph(name: str, command: str = RUN, **more: str) -> str:
    """One service as `systemctl show` tells of it."""
    told = {
        "Id": name,
        "Description": name,
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "FragmentPath": f"/run/systemd/generator/{name}",
        "SourcePath": f"/etc/containers/systemd/{name.removesuffix('.service')}.container",
        "UnitFileState": "generated",
        "StateChangeTimestampMonotonic": "5000000",
        "MainPID": "4711",
        "Result": "success",
        "ExecMainCode": "0",
        "ExecMainStatus": "0",
        "ExecStart": f"{{ path={command.partition(' ')[0]} ; argv[]={command} ; ignore_errors=no ; start_time=[n/a] ;"
        " stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }",
    } | more
    return "".join(f"{key}={value}\n" for key, value in told.items() if value)


class Programs:
    """`root` holds what they answer and, in `calls`, how they were called."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("systemctl", "loginctl", "systemd-analyze"):
            path = root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(SCRIPT.format(root=root))
            path.chmod(0o755)
        (root / "calls").touch()
        (root / "calls").chmod(0o666)

    def say(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    @property
    def calls(self) -> list[str]:
        """Without the options that all have in common, and without who called."""
        lines = [line.partition(" | ")[0] for line in (self.root / "calls").read_text().splitlines()]
        common = ("--no-pager ", "--no-ask-password ", "--man=no ", f"--property={systemctl.PROPERTIES} ", "--all ")
        for word in common:
            lines = [line.replace(word, "") for line in lines]
        return lines

    @property
    def callers(self) -> list[str]:
        return [line.partition(" | ")[2] for line in (self.root / "calls").read_text().splitlines()]


def somebody() -> int:
    """An ordinary user of this machine."""
    return pwd.getpwnam("nobody").pw_uid
