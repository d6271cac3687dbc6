"""Translates the option `--filter KEY=VALUE` of other programs into Quarterdeck's options. Example: `network ls
--filter driver=bridge` becomes `network ls --driver bridge`.

An unknown key is left unchanged; the parser then reports it and lists Quarterdeck's options. `ps` has its own option
`--filter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OPTIONS = ("--filter", "-f")

# By command and key: our option, or NAME for a name, or `=VALUE OPTION` for a switch.
NAME = "name"
FILTERS: Mapping[tuple[str, str], str] = {
    **{
        (command, "label"): "--label"
        for command in ("images", "network ls", "volume ls", "nodes", "pods", "secret ls", "config ls")
    },
    **{(command, "driver"): "--driver" for command in ("network ls", "volume ls")},
    ("network ls", "scope"): "--scope",
    ("images", "dangling"): "=true --dangling",
    ("images", "reference"): NAME,
    **{(command, "name"): NAME for command in ("network ls", "volume ls", "nodes", "pods", "services", "secret ls")},
    **{
        (f"{noun} prune", "until"): "--until"
        for noun in ("container", "image", "network", "volume", "system", "builder")
    },
    ("events", "type"): "--type",
    ("events", "event"): "--action",
    ("events", "container"): NAME,
}
# Docker matches a part of these names; a glob does that here.
PARTS = frozenset({("network ls", "name"), ("volume ls", "name"), ("secret ls", "name")})


def convert_filters_to_options(command: str, words: Sequence[str], having: Mapping[str, object]) -> list[str]:
    """Returns the words with our options. `having`: the command's own options, which are never taken for a filter."""
    left, found = list(words), list[str]()
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if word == "--":
            return [*found, word, *left]
        if option not in OPTIONS or option in having or not (equals or left):
            found.append(word)
            continue
        given = value if equals else left[0]
        ours = _ours(command, given)
        if not ours:
            found.append(word)
            continue
        found += ours
        if not equals:
            left.pop(0)
    return found


def _ours(command: str, given: str) -> Sequence[str]:
    """Returns our words for one `KEY=VALUE`; nothing if it has no equivalent."""
    key, equals, value = given.partition("=")
    ours = FILTERS.get((command, key), "")
    if not ours or not equals or not value or value.startswith("-"):
        return ()
    if ours == NAME:
        plain = value.strip("^$").removeprefix("/")
        return (f"*{plain}*",) if (command, key) in PARTS and plain == value else (plain,)
    if ours.startswith("="):
        wanted, _, option = ours[1:].partition(" ")
        return (option,) if value.lower() in (wanted, "1") else ()
    return (ours, value)
