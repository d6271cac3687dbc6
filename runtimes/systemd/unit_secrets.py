"""Hides the values of environment variables and credentials in the text of a unit file.

systemd continues a line that ends with a backslash, and skips comments and empty lines before the rest of it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from core.text.redact import MASK

_BREAK = r"\\\n(?:[ \t]*(?:[#;][^\n]*)?\n)*"
_WHOLE_LINE = rf"(?:[^\n]*{_BREAK})*[^\n]*"
# `Environment=A=1 "B=2 3"`, in [Service] and in the [Container] of a Quadlet file. Also as a comment: people keep
# earlier settings there.
_ENVIRONMENT = re.compile(rf"^([ \t#;]*Environment[ \t]*=[ \t]*)({_WHOLE_LINE})$", re.MULTILINE)
_CREDENTIAL = re.compile(rf"^([ \t#;]*SetCredential(?:Encrypted)?[ \t]*=[^:\n]*:){_WHOLE_LINE}$", re.MULTILINE)
_SETTING = re.compile(rf"^([ \t#;]*(?:[A-Za-z]+[ \t]*=)?)({_WHOLE_LINE})$", re.MULTILINE)
_SUFFIXES = (".service", ".conf", ".container", ".pod", ".kube")
# A word of a command line, or what is between two words.
_ESCAPED = rf"{_BREAK}|\\[\s\S]"
_WORD = re.compile(
    rf"(?P<space>(?:[ \t\n]|{_BREAK})+)"
    rf"|(?:\"(?:{_ESCAPED}|[^\"\\])*\"?|'(?:{_ESCAPED}|[^'\\])*'?|\\[^\n]|\\\Z|[^ \t\n\"'\\])+"
)
_FLAG = r"(?:--env|--env-merge|-[A-Za-z]{0,20}e)"  # -ite is -i -t -e
_VALUE = r"[\"']*[A-Za-z_][\w.-]*[\"']*="
_QUOTE = re.compile(r"[\"']")
_OPTION = re.compile(rf"[\"']*{_FLAG}[\"']*")
_JOINED = re.compile(rf"[\"']*{_FLAG}[\"']*=?{_VALUE}")
_ASSIGNMENT = re.compile(_VALUE)
_ASSIGNING = ("env", "export")  # programs with assignments as arguments
_NEW_COMMAND = (";", "&", "|", "(")
MAX_DEPTH = 4  # of quoted command lines in command lines


def hide_values(text: str) -> str:
    """Returns the text with each of these values masked."""
    text = re.sub(r"\r\n?|\0", "\n", text)  # each ends a line for systemd
    text = _CREDENTIAL.sub(lambda found: found[1] + MASK, _ENVIRONMENT.sub(_environment, text))
    return _SETTING.sub(lambda found: found[1] + "".join(_command(found[2])), text)


def _environment(found: re.Match[str]) -> str:
    try:
        words = shlex.split(re.sub(_BREAK, " ", found[2]))
    except ValueError:  # a quote that does not end
        words = []
    pairs = [word.partition("=") for word in words] or [("", "", "")]
    return found[1] + " ".join(f"{name}={MASK}" if equals else MASK for name, equals, _ in pairs)


def _command(text: str, depth: int = 0) -> Iterator[str]:
    """Yields the words of a command line, and what is between them. A shell's command line may begin with
    assignments."""
    option, assigning = False, depth > 0
    for found in _WORD.finditer(text):
        word = found[0]
        if found["space"]:
            yield word
            continue
        value = _JOINED.match(word) or (_ASSIGNMENT.match(word) if option or assigning else None)
        yield f"{value[0]}{MASK}{_closing(word)}" if value is not None else _nested(word, depth)
        option = _OPTION.fullmatch(word) is not None
        assigning = (
            (assigning and (value is not None or word.startswith("-")))
            or word.strip("\"'").rpartition("/")[2] in _ASSIGNING
            or (depth > 0 and word.endswith(_NEW_COMMAND))
        )


def _nested(word: str, depth: int) -> str:
    """Hides the values in a word that may hold a command line itself: `sh -c "podman run -e A=1"`."""
    if (start := _QUOTE.search(word)) is None or not re.search(r"\s", word):
        return word
    if depth == MAX_DEPTH:
        return MASK
    before, quoted = word[: start.start()], word[start.start() :]
    plain = re.sub(r"\\([\"'\\])", r"\1", quoted[1:].removesuffix(quoted[0]))
    shown = "".join(_command(plain, depth + 1))
    return word if shown == plain else f"{before}{quoted[0]}{shown}{_closing(quoted)}"


def _closing(word: str) -> str:
    return word[-1] if word[0] in "\"'" and len(word) > 1 and word[-1] == word[0] else ""


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
