"""Where settings are written: the YAML file, `.env`, the environment, secret files.

In go a path and an environment; out come one merged tree of plain values and, for each dotted path of it, the file and
line or the variable it was written in. Environment wins over `.env`, which wins over YAML, which wins over the names
other programs share with us. Nothing raises on a mistake: each becomes a Problem, so that all of them are told at once.
What may be a secret is never quoted in a Problem.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from core.config import environment, yaml_file
from core.config.raw_settings import FILE_NAME, MAX_BYTES, RawSettings, section_of, types_in

LOOKS_SECRET = re.compile(r"xox\w*[.-]|xapp-|\w+://|[0-9a-f]{32}$")  # what people write where its file is wanted
DEFAULT_PATHS = (Path(FILE_NAME), Path("/etc/quarterdeck") / FILE_NAME)


def read_all(path: Path | None, environ: Mapping[str, str], model: type[BaseModel]) -> RawSettings:
    """All layers, merged, secret files read."""
    dotenv = Path(".env")
    written, warnings = environment.read_dotenv(dotenv) if _there(dotenv) else ({}, ())
    found = RawSettings(warnings=list(warnings))
    found.overlay(environment.read_common(written, f"{dotenv}: "))
    found.overlay(environment.read_common(environ))
    if (file := locate(path, environ)) is not None:
        found.overlay(yaml_file.read_yaml(file))
    found.overlay(environment.read_environment(written, model, f"{dotenv}: "))
    found.overlay(environment.read_environment(environ, model))
    read_secrets(found, model, found.data, "")
    return found


def locate(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one named, else the first of the usual places that is there."""
    if path is None and (named := environ.get(f"{environment.PREFIX}CONFIG", "").strip()):
        path = Path(named)
    if path is not None:
        return path.expanduser()
    return next((place for place in DEFAULT_PATHS if _there(place)), None)


def _there(file: Path) -> bool:
    try:
        return file.is_file()
    except PermissionError:  # it may well be there: reading it will say what is wrong
        return True


def read_secrets(found: RawSettings, model: type[BaseModel], data: Mapping[str, Any], path: str) -> None:
    """For every secret field `x` of which `x_file` was given: the contents of that file, stripped."""
    for name, described in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        if (inner := section_of(described.annotation)) and isinstance(data.get(name), dict):
            read_secrets(found, inner, data[name], here)
        elif SecretStr in types_in(described.annotation) and isinstance(data.get(f"{name}_file"), str):
            if name in data:
                found.problem(f"{here}_file", f"stands beside `{name}`", "Keep one of the two.")
            elif (text := _secret(found, f"{here}_file", data[f"{name}_file"])) is not None:
                assert isinstance(data, dict)
                data[name] = text
                found.origins[here] = found.origin(f"{here}_file")


def _secret(found: RawSettings, path: str, named: str) -> str | None:
    source, line = found.origin(path)
    # A relative path is meant from the file that says it; from a variable, from where the program was started.
    file = (Path(source).parent if line else Path()) / Path(named).expanduser()
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8")[:MAX_BYTES].strip()
    except (OSError, UnicodeDecodeError) as error:
        if LOOKS_SECRET.match(named.strip()):  # not quoted
            hint = f"Name a file that holds it, or write it as `{path.rpartition('.')[2].removesuffix('_file')}`."
            found.problem(path, "is the secret itself, not the name of a file", hint)
            return None
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
