"""Types into a real terminal and reads what it shows: a shell in tmux, which is the terminal.

What is read is the screen with everything that has scrolled away, as a person would copy it. Needs tmux.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SHELL, CONSOLE = "$", "deck>"
PATIENCE = 90.0  # seconds for one command
PAUSE = 0.1
SETTINGS = """
set -g default-terminal screen-256color
set -g history-limit 20000
set -g status off
"""


class Terminal:
    """One terminal. `folder`: for the socket of tmux; `columns`: its width; `at`: where its shell starts."""

    def __init__(self, folder: Path, columns: int, environment: Mapping[str, str], at: Path) -> None:
        self.at = at
        self._folder = folder
        settings = folder / "tmux.conf"
        settings.write_text(SETTINGS)
        shell = ["bash", "--norc", "--noprofile"]
        size = ["-x", str(columns), "-y", "40"]
        subprocess.run(
            [*self._tmux(), "-f", str(settings), "new-session", "-d", *size, "-c", str(at), *shell],
            env={**environment, "PS1": f"{SHELL} "},
            check=True,
        )
        self._until(SHELL, 0, PATIENCE)

    def type(self, line: str, then: str = CONSOLE, seconds: float = PATIENCE) -> None:
        """Types a line, presses Enter, and waits for the next prompt. Raises AssertionError if there is none."""
        before = self._prompts(then)
        self.send(line)
        self._until(then, before, seconds)

    def send(self, line: str) -> None:
        """Types a line and presses Enter."""
        self._run("send-keys", "-l", line)
        self._run("send-keys", "Enter")

    def wait_for(self, text: str, seconds: float = PATIENCE) -> None:
        """Waits until this text is shown. Raises AssertionError if it is not."""
        ends = time.monotonic() + seconds
        while not any(text in line for line in self.lines()):
            self._check(ends, f"“{text}”")

    def lines(self, *, coloured: bool = False) -> Sequence[str]:
        """All lines that the terminal has shown; with ANSI colours if `coloured`. A line that the terminal wrapped is
        one line."""
        shown = self._run("capture-pane", "-p", "-J", *(["-e"] if coloured else []), "-S", "-")
        lines = [line.rstrip() for line in shown.splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def since(self, typed: str, *, coloured: bool = False) -> Sequence[str]:
        """The lines from the last one at which this was typed, without the prompt that waits for the next line."""
        lines = self.lines()
        start = max(at for at, line in enumerate(lines) if line in (f"{SHELL} {typed}", f"{CONSOLE} {typed}"))
        end = len(lines) - 1 if lines[-1] in (SHELL, CONSOLE) else len(lines)
        return self.lines(coloured=coloured)[start:end]

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("kill-server")

    def _prompts(self, prompt: str) -> int:
        return sum(line == prompt or line.startswith(f"{prompt} ") for line in self.lines())

    def _until(self, prompt: str, before: int, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not ((lines := self.lines()) and lines[-1] == prompt and self._prompts(prompt) > before):
            self._check(ends, f"the prompt {prompt}")

    def _check(self, ends: float, what: str) -> None:
        if time.monotonic() > ends:
            raise AssertionError(f"the terminal did not show {what}:\n" + "\n".join(self.lines()))
        time.sleep(PAUSE)

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux(), *words], check=True, capture_output=True, text=True).stdout

    def _tmux(self) -> Sequence[str]:
        return ["tmux", "-u", "-S", str(self._folder / "tmux")]


@contextlib.contextmanager
def open_terminal(folder: Path, columns: int, environment: Mapping[str, str], at: Path) -> Iterator[Terminal]:
    made = Terminal(folder, columns, environment, at)
    try:
        yield made
    finally:
        made.close()
