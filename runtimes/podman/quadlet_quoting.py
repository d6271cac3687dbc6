"""Writes values into a Quadlet file so that they are read back unchanged.

Two programs read a value. Quadlet splits the values of some keys into words as systemd does, and builds a command line.
Then systemd expands `%` and `$` in this command line. Quadlet does not split the values of other keys, such as Image
and Volume. Such a key is used only if its value contains no special character. Otherwise the value is written as
PodmanArgs, whose words may be quoted. Quadlet 5.4 has two faults: it ignores the words after an empty word, and it
passes a single `;` to systemd without quotes, where `;` ends the command.
"""

from __future__ import annotations

import re

from core import errors

FIRST_VERSION = (4, 4)
"""The first version of Podman that has Quadlet."""
_BARE = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_ALLOWED = r"A-Za-z0-9_@+=:,./\[\]%$|&<>()*?~^!#;{}\-"
_RAW = re.compile(rf"[A-Za-z0-9_@+=:,/\[-](?:[{_ALLOWED} ]*[{_ALLOWED}])?")
# A name with one of these suffixes means another Quadlet file. So does the name of a volume before its path:
# `data.volume:/data`.
_SUFFIXES = (".volume", ".network", ".image", ".build", ".pod", ".kube", ".container", ".artifact")
# Podman reads the values of these as lists. The meaning of commas and quotes in them differs between versions.
_LISTS = frozenset(
    {"--add-host", "--annotation", "--cap-add", "--cap-drop", "--device", "--dns", "--dns-option", "--dns-search",
     "--group-add", "--network-alias", "--publish", "--ulimit"}
)  # fmt: skip
_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class ContainerSection:
    """Collects the lines of the [Container] section.

    `version`: the version of the Podman that will read the file; keys that this version does not support become
    PodmanArgs. `left_out`: options with values that no unit can contain.
    """

    def __init__(self, version: tuple[int, ...]) -> None:
        self._version = version
        self.lines: list[str] = []
        self.left_out: list[str] = []

    def add(
        self, key: str, value: str, flag: str, *, since: tuple[int, ...] = FIRST_VERSION, spaces: bool = False
    ) -> None:
        """Adds `key=value`, or the argument `flag` if the value needs quotes or `key` is newer than this Podman.
        `spaces`: Quadlet accepts spaces in this value (it splits the paths of volumes at them)."""
        if self._leave_out(flag, value):
            return
        plain = raw_value(value) if spaces or " " not in value else None
        if plain is None or self._version < since or value.partition(":")[0].endswith(_SUFFIXES):
            self.add_argument(flag, value)
        else:
            self.lines.append(f"{key}={plain}")

    def add_words(self, key: str, *words: str) -> None:
        self.lines.append(f"{key}={' '.join(map(quoted_word, words))}")

    def add_pair(self, key: str, name: str, value: str, flag: str) -> None:
        """Adds a key with the word `name=value`."""
        if not self._leave_out(flag, f"{name}={value}"):
            self.add_words(key, f"{name}={value}")

    def add_argument(self, flag: str, value: str | None = None) -> None:
        if value is None:
            self.add_words("PodmanArgs", flag)
        elif not self._leave_out(flag, value):
            self.add_words("PodmanArgs", f"{flag}={value}")

    def _leave_out(self, flag: str, value: str) -> bool:
        """Returns whether the value cannot be written reliably. If so, notes the option in `left_out`."""
        if flag in _LISTS and any(character in value for character in ',"\n\r'):
            self.left_out.append(flag)
            return True
        return False


def quoted_word(text: str) -> str:
    """Quotes one word of a value that is split into words. Raises UserError for text that no unit can contain."""
    if "\0" in text:
        raise errors.UserError(
            "A value of the container contains a null byte, which a unit cannot contain.",
            hint="Create the container again without this value.",
        )
    return text if _BARE.fullmatch(text) else '"' + "".join(map(_escaped, text)) + '"'


def splits_correctly(words: list[str]) -> bool:
    """Returns whether Quadlet passes on each of these words as one word."""
    return all(one not in ("", ";") for one in words)


def raw_value(text: str) -> str | None:
    """Returns the value for a key that Quadlet does not split; None if the value could be misread."""
    if not _RAW.fullmatch(text) or text.endswith(_SUFFIXES):
        return None
    return text.replace("%", "%%").replace("$", "$$")


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
