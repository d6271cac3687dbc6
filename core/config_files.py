"""Where settings are written: the YAML file, `.env`, the environment, secret files; and what is wrong with them.

In go a path and an environment; out come one merged tree of plain values and, for each dotted path of it, the file and
line or the variable it was written in. Environment wins over `.env`, which wins over YAML. Nothing raises on a mistake:
each becomes a Problem, so that all of them are told at once. What may be a secret is never quoted in a Problem.
"""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, SecretStr

from core.errors import Problem

PREFIX = "QUARTERDECK_"
NAME = "quarterdeck.yaml"
PLACES = (Path(NAME), Path("/etc/quarterdeck") / NAME)
LARGEST = 1 << 20  # bytes; a file beyond this is not a configuration
# Read by other parts of the program, or by its tests.
NOT_SETTINGS = frozenset({"config", "host", "require_engines"})
# Kubernetes puts these into every pod beside a Service named quarterdeck.
SERVICE_LINK = re.compile(r"(service_(host|port)|port)(_\w+)?")


@dataclass(slots=True, kw_only=True)
class Gathered:
    """`origins`: dotted path → (file or variable, line; 0 where there is none)."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def origin(self, path: str) -> tuple[str, int]:
        """Where the setting, or the nearest thing around it, was written."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, ("", 0))

    def problem(self, path: str, what: str, hint: str = "") -> None:
        source, line = self.origin(path)
        self.problems.append(Problem(path=path, what=what, hint=hint, source=source, line=line))

    def overlay(self, upper: Gathered) -> None:
        """Puts another layer on top: mappings merge, anything else replaces what lay below."""
        self._merge(self.data, upper.data, "")
        self.origins |= upper.origins
        self.problems += upper.problems
        self.warnings += upper.warnings

    def _merge(self, below: dict[str, Any], above: Mapping[str, Any], path: str) -> None:
        for key, value in above.items():
            here = f"{path}.{key}" if path else key
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                self._merge(below[key], value, here)
                continue
            # `url` in the environment also replaces `url_file` of the file, and the other way round.
            for other in (key, f"{key}_file", key.removesuffix("_file")):
                below.pop(other, None)
                self._forget(f"{path}.{other}" if path else other)
            below[key] = value

    def _forget(self, path: str) -> None:
        for known in [known for known in self.origins if known == path or known.startswith(f"{path}.")]:
            del self.origins[known]


def gather(path: Path | None, environ: Mapping[str, str], model: type[BaseModel]) -> Gathered:
    """All layers, merged, secret files read."""
    found = Gathered()
    if (file := locate(path, environ)) is not None:
        found.overlay(read_yaml(file))
    if _there(Path(".env")):
        found.overlay(read_dotenv(Path(".env"), model))
    found.overlay(read_environment(environ, model))
    read_secrets(found, model, found.data, "")
    return found


def locate(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one named, else the first of the usual places that is there."""
    if path is None and (named := environ.get(f"{PREFIX}CONFIG", "").strip()):
        path = Path(named)
    if path is not None:
        return path.expanduser()
    return next((place for place in PLACES if _there(place)), None)


def _there(file: Path) -> bool:
    try:
        return file.is_file()
    except PermissionError:  # it may well be there: reading it will say what is wrong
        return True


def read_yaml(file: Path) -> Gathered:
    found = Gathered()
    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST + 1)
        if len(raw) > LARGEST:
            found.problems.append(_of(file, f"is larger than {LARGEST >> 10} KiB", "Is it the right file?"))
            return found
        _Reader(file, found).read(raw.decode("utf-8-sig"))
    except FileNotFoundError:
        found.problems.append(_of(file, "is not there", "Give --config (or QUARTERDECK_CONFIG) the path of a file."))
    except IsADirectoryError:
        found.problems.append(_of(file, "is a folder", f"Name the file in it, such as {file / NAME}."))
    except OSError as error:
        found.problems.append(_of(file, f"cannot be read: {error.strerror}", "Let the user this runs as read it."))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found.problems.append(_of(file, "is not UTF-8 text", "Save it as UTF-8.", line))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        cure = {"'\\t'": "Indent with spaces.", "part of": ""}
        usual = "A value that begins with #, * or ! needs quotes; # begins a comment."
        hint = next((hint for part, hint in cure.items() if part in str(error.problem)), usual)
        # A secret that begins with * or ! is read as an alias or a tag, and would be quoted here.
        what = "is not YAML: " + re.sub(r"\b(alias|anchor|tag|handle) '.*", r"\1", str(error.problem or error.context))
        found.problems.append(_of(file, what, hint, mark.line + 1 if mark else 0))
    except yaml.YAMLError:
        found.problems.append(_of(file, "is not YAML: it holds a character that may not stand in text", "Remove it."))
    except RecursionError:
        found.problems.append(_of(file, "is nested too deeply", "Is it the right file?"))
    return found


def _of(file: Path, what: str, hint: str, line: int = 0) -> Problem:
    return Problem(path="", what=what, hint=hint, source=str(file), line=line)


class _Yaml(yaml.SafeLoader):
    """Scalars as YAML 1.2 reads them: `on`, `off`, `yes` and `no` are words, `12:30` is no number, `010` no octal."""


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
    """Turns YAML nodes into values and notes the line of each: the loader alone would forget lines and double keys."""

    def __init__(self, file: Path, found: Gathered) -> None:
        self.file, self.found = file, found
        self._open: set[int] = set()  # nodes being read, to notice one that holds itself
        self._flat: set[int] = set()  # mappings whose `<<` was put in place: an alias shows a node again

    def read(self, text: str) -> None:
        self._loader = _Yaml(text)
        try:
            root = self._loader.get_single_node()
            value, line = (None, 0) if root is None else (self._value(root, ""), root.start_mark.line + 1)
        finally:
            self._loader.dispose()
        if value is not None and not isinstance(value, dict):
            hint = "It should begin with a setting, such as `log:`."
            self.found.problems.append(_of(self.file, "is not a mapping of settings", hint, line))
            return
        # A heading whose settings are all commented out counts as not written; deeper down nothing may be empty.
        self.found.data = {key: part for key, part in (value or {}).items() if part is not None}

    def _value(self, node: yaml.Node, path: str) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._loader.construct_object(node)
        if id(node) in self._open:
            raise yaml.MarkedYAMLError(problem="an alias points at what it is part of", problem_mark=node.start_mark)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self._noted(item, item, f"{path}.{index}") for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._check_names(node, path)
            self._loader.flatten_mapping(node)
        return {key.value: self._noted(key, value, f"{path}.{key.value}".lstrip(".")) for key, value in node.value}

    def _check_names(self, node: yaml.MappingNode, path: str) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a list or mapping cannot be a name", problem_mark=key.start_mark)
            line = key.start_mark.line + 1
            if key.value in seen and key.value != "<<":
                here = f"{path}.{key.value}".lstrip(".")
                what, hint = f"is written twice, first on line {seen[key.value]}", "Keep one of them."
                self.found.problems.append(Problem(path=here, what=what, hint=hint, source=str(self.file), line=line))
            seen.setdefault(key.value, line)

    def _noted(self, where: yaml.Node, value: yaml.Node, path: str) -> Any:
        self.found.origins[path] = (str(self.file), where.start_mark.line + 1)
        return self._value(value, path)


def read_dotenv(file: Path, model: type[BaseModel]) -> Gathered:
    """The variables of a `.env` file, as they stand: `$` has no meaning, since secrets may hold it."""
    import dotenv  # noqa: PLC0415 (few have such a file)

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # Tools of many kinds keep files of this name, so one we cannot read need not be meant for us.
        return Gathered(warnings=[f"{file} was passed over, it cannot be read: {error}"])
    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    return read_environment({key: value for key, value in values.items() if value is not None}, model, f"{file}: ")


def read_environment(environ: Mapping[str, str], model: type[BaseModel], source: str = "") -> Gathered:
    """Settings from variables: `QUARTERDECK_METRICS__LISTEN`; lists and mappings as JSON, words also by commas.

    A variable set to nothing counts as not set, since compose files and charts pass on empty ones.
    """
    found = Gathered()
    ours = {key: value for key, value in environ.items() if key.upper().startswith(PREFIX) and value.strip()}
    for key in ours:
        name = key[len(PREFIX) :].lower()
        head, nested, _ = name.partition("__")
        if head in model.model_fields:
            found.origins[name.replace("__", ".")] = (source + key, 0)
        elif nested:
            hint = did_you_mean(head, model.model_fields) or "Settings: " + ", ".join(model.model_fields) + "."
            problem = Problem(path=head, what="is no setting", hint=hint, source=source + key)
            found.problems.append(problem)
        elif head not in NOT_SETTINGS and not SERVICE_LINK.fullmatch(head):
            found.warnings.append(f"{source}{key} is no setting. {did_you_mean(head, model.model_fields)}".strip())
    if found.origins:
        found.data = _from_variables(ours, model)
    return found


def _from_variables(environ: Mapping[str, str], model: type[BaseModel]) -> dict[str, Any]:
    import json  # noqa: PLC0415
    from typing import cast  # noqa: PLC0415

    from pydantic_settings import BaseSettings, EnvSettingsSource  # noqa: PLC0415 (70 ms, only where variables are set)

    class Variables(EnvSettingsSource):
        def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
            try:
                return json.loads(value) if value.lstrip()[:1] in ("[", "{") else value
            except ValueError:
                return value  # validation then says what it should have been

    source = Variables(cast("type[BaseSettings]", model), env_prefix=PREFIX, env_nested_delimiter="__")
    source.env_vars = {key.lower(): value for key, value in environ.items()}
    return source()


def read_secrets(found: Gathered, model: type[BaseModel], data: Mapping[str, Any], path: str) -> None:
    """For every secret field `x` of which `x_file` was given: the contents of that file, stripped."""
    for name, described in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        if (inner := section_of(described.annotation)) and isinstance(data.get(name), dict):
            read_secrets(found, inner, data[name], here)
        elif SecretStr in _types(described.annotation) and isinstance(data.get(f"{name}_file"), str):
            if name in data:
                found.problem(f"{here}_file", f"stands beside `{name}`", "Keep one of the two.")
            elif (text := _secret(found, f"{here}_file", data[f"{name}_file"])) is not None:
                assert isinstance(data, dict)
                data[name] = text
                found.origins[here] = found.origin(f"{here}_file")


def _secret(found: Gathered, path: str, named: str) -> str | None:
    source, line = found.origin(path)
    # A relative path is meant from the file that says it; from a variable, from where the program was started.
    file = (Path(source).parent if line else Path()) / Path(named).expanduser()
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8")[:LARGEST].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        found.problem(path, f"{file} cannot be read: {why}", "Is the secret mounted, and may this user read it?")
        return None
    if not text:
        found.problem(path, f"{file} is empty", "Put the secret into it.")
        return None
    # Container engines mount secrets world-readable into /run/secrets, where nobody else is.
    if mode & stat.S_IROTH and not file.resolve().is_relative_to("/run/secrets"):
        found.warnings.append(f"{path}: {file} can be read by everyone on this machine. Run: chmod 600 {file}")
    return text


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model within an annotation such as `tuple[Engine, ...] | None`."""
    return next((kind for kind in _types(annotation) if issubclass(kind, BaseModel)), None)


def _types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 (needed only when something is wrong)

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""


# What pydantic found wrong, said in our words.


def explain(found: Gathered, model: type[BaseModel], error: Mapping[str, Any]) -> None:
    """Adds the Problem for one of pydantic's errors. Of what was written only names and choices are shown."""
    loc = [part for part in error["loc"] if part != "[key]"]
    path = ".".join(str(part) for part in loc)
    context, given = error.get("ctx", {}), error.get("input")
    if error["type"] == "too_short" and given:
        return  # what stands in it is wrong, which is a problem of its own
    match error["type"]:
        case "sentence":
            what, hint = context["what"], context["hint"]
        case "extra_forbidden":
            what, hint = "is no setting", _unknown_key(model, loc, given)
        case "missing":
            what, hint = "is missing", ""
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace("'", "")
            what = f"must be {expected}"
            hint = did_you_mean(given, expected.replace(" or ", ", ").split(", ")) if isinstance(given, str) else ""
        case "model_type" | "model_attributes_type" | "dict_type" | "tuple_type" | "list_type" as kind:
            what = "must be a list" if kind in ("tuple_type", "list_type") else "must be a mapping of names to values"
            variable = isinstance(given, str) and not found.origin(path)[1]
            hint = "In a variable write it as JSON, in quotes." if variable else ""
        case "too_short" | "string_too_short":
            what, hint = "must not be empty", "Leave it out if nothing is meant."
        case "string_type":
            what, hint = "must be text", "Put it in quotes." if isinstance(given, bool) else ""
        case "int_type" | "int_parsing" | "int_from_float":
            what, hint = "must be a whole number", ""
        case "float_type" | "float_parsing":
            what, hint = "must be a number", ""
        case _:
            what, hint = error["msg"].replace("Input should", "must"), ""
    if given is None and error["type"] not in ("missing", "sentence"):
        what, hint = "has no value", "If the value begins with #, put it in quotes: # begins a comment."
    found.problem(path, what, hint)


def _unknown_key(model: type[BaseModel], loc: list[str | int], given: Any) -> str:
    inner: type[BaseModel] | None = model
    for part in loc[:-1]:
        if isinstance(part, str) and inner is not None:
            names = {described.alias or name: described for name, described in inner.model_fields.items()}
            inner = section_of(names[part].annotation)
    word = str(loc[-1])
    known = [] if inner is None else [described.alias or name for name, described in inner.model_fields.items()]
    near = did_you_mean(word, known)
    if len(loc) > 1 and loc[-2] == "on":
        return f"To match a container label write `label.{word}: {given}`. {near}".strip()
    return near or f"Known here: {', '.join(known)}."


# The example file.


def example(model: type[BaseModel]) -> str:
    """Every setting with its description; defaults stand as they are, the rest is commented out as `#name: …`."""
    lines = [
        "# Quarterdeck's settings. What stands here are the defaults; a line that begins with # and no space is an",
        "# example. The environment can set each too, lists as JSON: metrics.listen is QUARTERDECK_METRICS__LISTEN.",
        "# An unknown name is an error. `quarterdeck check` says everything that is wrong at once.",
    ]
    for name, described in model.model_fields.items():
        lines.append("")
        inner = section_of(described.annotation)
        if isinstance(described.default, BaseModel):
            assert inner is not None
            lines += [*_comment(inner.__doc__ or "", ""), f"{name}:", *_settings(inner, "  ")]
            continue
        lines += _comment(described.description or "", "")
        for part, about in (inner.model_fields if inner else {}).items():
            lines += _comment(f"{about.alias or part}: {about.description}", "", hanging="    ")
        lines += _shown(name, described, "")
    return "\n".join(lines) + "\n"


def _settings(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, described in model.model_fields.items():
        yield from _comment(described.description or "", indent)
        yield from _shown(name, described, indent)


def _shown(name: str, described: Any, indent: str) -> Iterator[str]:
    default = described.default
    if default not in (None, ()) and described.default_factory is None and not isinstance(default, dict):
        yield f"{indent}{name}: {_written(default)}"
    for text in described.examples or ():
        for line in str(text).splitlines():
            yield re.sub(r"^( *)", rf"{indent}\1#", line)


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds()) // 60}m"
    text = str(value)
    return f'"{text}"' if ":" in text else text


def _comment(text: str, indent: str, hanging: str = "") -> list[str]:
    import textwrap  # noqa: PLC0415 (only the example needs it)

    first = f"{indent}#   " if hanging else f"{indent}# "
    return textwrap.wrap(" ".join(text.split()), 110, initial_indent=first, subsequent_indent=first + hanging)
