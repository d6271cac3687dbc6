"""Records the README's terminal sessions and pictures in a real run: `make pictures`.

Real engines are started for it, and the real console and bot run on them. Everything runs in namespaces of its own, on
a machine that is called HOST there, so nothing of this machine is used or shown. Names of sessions and pictures may be
given: then only these are renewed. As root; needs what `make test` needs, and Chromium and tmux.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import draw
import transcripts

from charts.pictures.browser import find_chromium

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOST = "host7"
INSIDE = "QUARTERDECK_RECORDS_INSIDE"  # set once the namespaces are there
NAMESPACES = f'hostname {HOST} && ip link set lo up && exec "$@"'
SLACK = "slack"


def main(names: Collection[str]) -> None:
    if INSIDE not in os.environ:
        _enter_namespaces()
    del os.environ[INSIDE]
    import sessions  # noqa: PLC0415 (after the namespaces)
    import slack_scenes  # noqa: PLC0415

    if unknown := set(names) - {SLACK, *sessions.SESSIONS}:
        sys.exit(
            f"There is no session {', '.join(sorted(unknown))}. There are: {', '.join([SLACK, *sessions.SESSIONS])}"
        )
    chromium = find_chromium()
    recorded = {}
    for name, record in sessions.SESSIONS.items():
        if names and name not in names:
            continue
        with _empty_run():
            recording = record()
        recorded[name] = recording.lines
        if recording.coloured:
            draw.draw_screen(chromium, recording.coloured, HERE / f"{name}.png")
        _say(f"session {name}")
        _write(recorded)
    if not names or SLACK in names:
        with _empty_run():
            for name, messages in slack_scenes.record_slack_messages():
                for picture in draw.draw_messages(chromium, name, messages, HERE):
                    _say(f"docs/pictures/{picture}")


def _write(recorded: dict[str, list[str]]) -> None:
    for document in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))):
        before = document.read_text()
        after = transcripts.replace(before, recorded)
        if after != before:
            document.write_text(after)


@contextlib.contextmanager
def _empty_run() -> Iterator[None]:
    """A /run without the engines of this machine, and of earlier sessions."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", "/run"], check=True)


def _enter_namespaces() -> None:
    missing = [name for name in ("unshare", "ip", "tmux", "make") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        sys.exit(f"Recording needs root, and {', '.join(missing or ['nothing else'])}. On Debian: apt-get install tmux")
    command = ["unshare", "--uts", "--net", "--mount", "sh", "-c", NAMESPACES, "sh", sys.executable, *sys.argv]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1", "TZ": "UTC", "PYTHONPATH": str(ROOT)})


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
