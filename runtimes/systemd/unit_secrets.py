"""Hides the values of environment variables in the text of a unit file."""

from __future__ import annotations

import re
import shlex

from core.text.redact import MASK

# `Environment=A=1 "B=2 3"`, in [Service] and in the [Container] of a Quadlet file, with its continued lines.
_ENVIRONMENT = re.compile(r"^([ \t]*Environment[ \t]*=[ \t]*)((?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE)
_SUFFIXES = (".service", ".conf", ".container", ".pod", ".kube")
_NAME = r"[A-Za-z_][\w.-]*="
# `--env A=1`, `-eA=1`, `--env="A=1"` and `"--env=A=1"` of a command line, also with the value on the next line.
_OPTION = re.compile(
    rf"((?:^|(?<=[\s=]))(?P<outer>[\"'])?(?:--env|-e)(?:=|[ \t]*(?:\\\n)?[ \t]*)(?P<inner>[\"'])?{_NAME})"
    r"(?(outer)(?:(?!(?P=outer))[^\n\\]|\\.)*|(?(inner)(?:(?!(?P=inner))[^\n\\]|\\.)*"
    r"|(?:\"[^\"\n]*\"|'[^'\n]*'|\\.|[^\s\"'\\])*))",
    re.MULTILINE,
)


def hide_values(text: str) -> str:
    """Returns the text with the value of each environment variable masked."""
    return _OPTION.sub(lambda found: found[1] + MASK, _ENVIRONMENT.sub(_masked, text))


def _masked(found: re.Match[str]) -> str:
    try:
        words = shlex.split(found[2].replace("\\\n", " "))
    except ValueError:  # a quote that does not end
        words = []
    pairs = [word.partition("=") for word in words] or [("", "", "")]
    return found[1] + " ".join(f"{name}={MASK}" if equals else MASK for name, equals, _ in pairs)


def split_files(text: str) -> list[tuple[str, str]]:
    """Splits the output of `systemctl cat` into the path and the text of each file. Text before the first path belongs
    to a file without a path."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("# /") and line.endswith(_SUFFIXES):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
        elif line.strip():
            found.append(("", [line]))
    return [(path, "\n".join(lines).strip("\n") + "\n") for path, lines in found]
