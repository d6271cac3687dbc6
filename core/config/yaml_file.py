"""Reads the YAML file and records the line of every setting. Problems never quote a value that may be a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from core import trusted_files
from core.config.locations import FILE_NAME
from core.config.raw_settings import MAX_BYTES, RawSettings
from core.errors import Problem


def read_yaml(file: Path) -> RawSettings:
    """Reads a YAML file into settings that know their lines; its mistakes are in the result, not raised."""
    found = RawSettings()
    if reason := trusted_files.find_reason_for_distrust(file):
        found.problems.append(_of(file, f"{reason}, so it is not read", trusted_files.hint()))
        return found
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            found.problems.append(
                _of(file, f"is larger than {MAX_BYTES >> 10} KiB", "Check that this is the right file.")
            )
            return found
        _Reader(file, found).read(raw.decode("utf-8-sig"))
    except FileNotFoundError:
        found.problems.append(
            _of(file, "does not exist", "Set --config (or QUARTERDECK_CONFIG) to the path of a file.")
        )
    except IsADirectoryError:
        found.problems.append(_of(file, "is a folder", f"Name the file in it, such as {file / FILE_NAME}."))
    except OSError as error:
        found.problems.append(
            _of(file, f"cannot be read: {error.strerror}", "Allow the user that runs Quarterdeck to read it.")
        )
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found.problems.append(_of(file, "is not UTF-8 text", "Save it as UTF-8.", line))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = next(hint for part, hint in _CURES.items() if part in str(error.problem or error.context))
        # YAML reads a secret that begins with * or ! as an alias or a tag; its message would quote it.
        what = "is not YAML: " + re.sub(r"\b(alias|anchor|tag|handle) '.*", r"\1", str(error.problem or error.context))
        found.problems.append(_of(file, what, hint, mark.line + 1 if mark else 0))
    except yaml.YAMLError:
        found.problems.append(_of(file, "is not YAML: it contains a control character", "Remove that character."))
    except RecursionError:
        found.problems.append(_of(file, "is nested too deeply", "Check that this is the right file."))
    return found


# By a part of the YAML parser's message. An empty part fits all others.
_CURES = {
    "'\\t'": "Indent with spaces.",
    "contains it": "Remove that alias.",
    "alias": "Put a value that begins with * in quotes.",
    "tag": "Put a value that begins with ! in quotes.",
    "cannot be a name": "Put the name in quotes.",
    "end of stream": "Close the quote or bracket that is open. Put a value that begins with # in quotes.",
    "mapping values": "Indent the lines of a section equally, and put a value with “: ” in it in quotes.",
    "<block end>": "Indent the lines of a section equally.",
    "expected ':'": "Write NAME: VALUE, with a space after the colon.",
    "": "Put a value that begins with #, *, !, [ or { in quotes (# begins a comment), or close the open bracket.",
}


def _of(file: Path, what: str, hint: str, line: int = 0) -> Problem:
    return Problem(path="", what=what, hint=hint, source=str(file), line=line)


class _Yaml(yaml.SafeLoader):
    """Reads scalars as YAML 1.2: `on`, `off`, `yes` and `no` are text, `12:30` is not a number, `010` is not octal."""


_Yaml.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Yaml.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


class _Reader:
    """Converts YAML nodes to values and records their lines; the loader itself drops lines and duplicate keys."""

    def __init__(self, file: Path, found: RawSettings) -> None:
        self.file, self.found = file, found
        self._open: set[int] = set()  # nodes being read, to detect one that contains itself
        self._flat: set[int] = set()  # mappings whose `<<` is already merged: an alias visits a node again

    def read(self, text: str) -> None:
        self._loader = _Yaml(text)
        try:
            root = self._loader.get_single_node()
            value, line = (None, 0) if root is None else (self._value(root, ""), root.start_mark.line + 1)
        finally:
            self._loader.dispose()
        if value is not None and not isinstance(value, dict):
            hint = "Begin the file with a setting, such as `log:`."
            self.found.problems.append(_of(self.file, "is not a mapping of settings", hint, line))
            return
        # A section whose settings are all commented out counts as absent; deeper settings may not be empty.
        self.found.data = {key: part for key, part in (value or {}).items() if part is not None}

    def _value(self, node: yaml.Node, path: str) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._loader.construct_object(node)
        if id(node) in self._open:
            raise yaml.MarkedYAMLError(
                problem="an alias refers to a node that contains it", problem_mark=node.start_mark
            )
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self._value_at(item, item, f"{path}.{index}") for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._check_names(node, path)
            self._loader.flatten_mapping(node)
        return {key.value: self._value_at(key, value, f"{path}.{key.value}".lstrip(".")) for key, value in node.value}

    def _check_names(self, node: yaml.MappingNode, path: str) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a list or mapping cannot be a name", problem_mark=key.start_mark)
            line = key.start_mark.line + 1
            if key.value in seen and key.value != "<<":
                here = f"{path}.{key.value}".lstrip(".")
                what, hint = f"is set twice, first on line {seen[key.value]}", "Remove one of the two."
                self.found.problems.append(Problem(path=here, what=what, hint=hint, source=str(self.file), line=line))
            seen.setdefault(key.value, line)

    def _value_at(self, where: yaml.Node, value: yaml.Node, path: str) -> Any:
        self.found.origins[path] = (str(self.file), where.start_mark.line + 1)
        return self._value(value, path)
