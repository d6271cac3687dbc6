"""Text into a Quadlet file so that nothing in it is read as anything but itself; pure.

A value passes two readers: Quadlet, which splits some keys into words as systemd does and puts them into a command
line, and systemd, which then expands `%` and `$` there. What Quadlet takes raw (an image, a volume) is written so only
where it is of harmless characters; all else goes through PodmanArgs, whose words may be quoted. Found on Quadlet 5.4:
an empty word ends the list it is in, and a lone `;` is handed to systemd as it is, for which it separates commands.
"""

from __future__ import annotations

import re

from core import errors

FIRST = (4, 4)
"""The Podman that brought Quadlet."""
_BARE = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_INSIDE = r"A-Za-z0-9_@+=:,./\[\]%$|&<>()*?~^!#;{}\-"
_RAW = re.compile(rf"[A-Za-z0-9_@+=:,/\[-](?:[{_INSIDE} ]*[{_INSIDE}])?")
# With these endings a name means another file of Quadlet's.
_FILES = (".volume", ".network", ".image", ".build", ".pod", ".kube", ".container", ".artifact")
# Podman reads the values of these as lists, in which commas and quotes have a meaning that has changed over time.
_LISTS = frozenset(
    {"--add-host", "--annotation", "--cap-add", "--cap-drop", "--device", "--dns", "--dns-option", "--dns-search",
     "--group-add", "--network-alias", "--publish", "--ulimit"}
)  # fmt: skip
_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def word(text: str) -> str:
    """One word of a value that is split into words. Raises UserError for what no unit can hold."""
    if "\0" in text:
        raise errors.UserError("A null character cannot stand in a unit.")
    return text if _BARE.fullmatch(text) else '"' + "".join(map(_escaped, text)) + '"'


def expressible(words: list[str]) -> bool:
    """Whether Quadlet hands on each of these as a word of its own."""
    return all(one not in ("", ";") for one in words)


def raw(text: str) -> str | None:
    """A value of a key that Quadlet does not split; None where it could be read as something else."""
    if not _RAW.fullmatch(text) or text.endswith(_FILES):
        return None
    return text.replace("%", "%%").replace("$", "$$")


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class Lines:
    """The [Container] section as it grows. `version`: of the Podman whose Quadlet reads it; keys it does not know yet
    become arguments. `left_out`: options whose values no unit can hold."""

    def __init__(self, version: tuple[int, ...]) -> None:
        self._version = version
        self.lines: list[str] = []
        self.left_out: list[str] = []

    def put(self, key: str, value: str, flag: str, *, since: tuple[int, ...] = FIRST, spaces: bool = False) -> None:
        """`spaces`: Quadlet reads them well here (it breaks the paths of volumes at them)."""
        if self._is_list(flag, value):
            return
        plain = raw(value) if spaces or " " not in value else None
        if plain is None or self._version < since:
            self.argument(flag, value)
        else:
            self.lines.append(f"{key}={plain}")

    def words(self, key: str, *words: str) -> None:
        self.lines.append(f"{key}={' '.join(map(word, words))}")

    def pair(self, key: str, name: str, value: str, flag: str) -> None:
        """A key whose words are `name=value`."""
        if not self._is_list(flag, f"{name}={value}"):
            self.words(key, f"{name}={value}")

    def argument(self, flag: str, value: str | None = None) -> None:
        if value is None:
            self.words("PodmanArgs", flag)
        elif not self._is_list(flag, value):
            self.words("PodmanArgs", f"{flag}={value}")

    def _is_list(self, flag: str, value: str) -> bool:
        if flag in _LISTS and any(character in value for character in ',"\n\r'):
            self.left_out.append(flag)
            return True
        return False
