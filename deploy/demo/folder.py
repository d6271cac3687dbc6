"""Manages the demo's folder. Only one demo at a time may use it; a lock ensures that.

The folder records which engine has containers of the demo and which images were pulled. If a demo is killed, the next
demo removes these.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.demo_error import DemoError


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What a demo created outside of its folder: its engine, and the images that it pulled."""

    engine: str
    pulled_images: Sequence[str] = ()


class Folder:
    """`path` is for files of the demo, and is removed with everything in it at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Raises DemoError if another demo of this user runs."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                running = lock.read().strip()
                raise DemoError(
                    f"A demo is running already (process {running}). End it first: Ctrl-C, or kill {running}."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @property
    def leftovers(self) -> Leftovers | None:
        """What the last demo did not remove; None if there is nothing or if the file is damaged."""
        try:
            found = json.loads(self._file.read_text())
            return Leftovers(engine=str(found["engine"]), pulled_images=tuple(map(str, found["pulled"])))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, leftovers: Leftovers) -> None:
        """Records resources before they are created, so that they are known if the demo is killed."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"engine": leftovers.engine, "pulled": list(leftovers.pulled_images)}))
        new.replace(self._file)

    def empty(self) -> None:
        """Removes the files of an earlier demo, except the lock."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != "lock":
                entry.unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def _file(self) -> Path:
        return self.path / "traces.json"


def usual_folder() -> Path:
    """The folder of this user's demo."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck-demo"
