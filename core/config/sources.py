"""Reads all settings: from the YAML file, `.env`, environment variables and secret files.

The result is one merged tree of plain values. For each dotted path it records the file and line, or the variable, that
set it. The environment overrides `.env`, which overrides YAML, which overrides variables that other Slack programs also
use (SLACK_BOT_TOKEN). No mistake raises: each becomes a Problem, so that all are reported together. A Problem never
quotes a value that may be a secret.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from core import trusted_files
from core.config import environment, locations
from core.config.raw_settings import MAX_BYTES, RawSettings, section_of, sections_in, types_in

LOOKS_SECRET = re.compile(r"xox\w*[.-]|xapp-|\w+://|[0-9a-f]{32}$")  # a secret where the path of its file is expected


def read_all(path: Path | None, environ: Mapping[str, str], model: type[BaseModel]) -> RawSettings:
    """Reads and merges all sources, including the secret files."""
    dotenv = Path(locations.DOTENV)
    written, warnings = environment.read_dotenv(dotenv) if locations.may_exist(locations.DOTENV) else ({}, ())
    found = RawSettings(warnings=list(warnings))
    found.merge(environment.read_slack_variables(written, f"{dotenv}: "))
    found.merge(environment.read_slack_variables(environ))
    if (file := locate(path, environ)) is not None:
        from core.config import yaml_file  # noqa: PLC0415 (without a file, nothing needs a YAML parser)

        found.merge(yaml_file.read_yaml(file))
    found.merge(environment.read_environment(written, model, f"{dotenv}: "))
    found.merge(environment.read_environment(environ, model))
    read_secrets(found, model, found.data, "")
    return found


def locate(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Returns the file to read: the one that was named, otherwise the first default path that exists."""
    found = locations.find_config_file(str(path or ""), environ)
    return Path(found) if found else None


def read_secrets(found: RawSettings, model: type[BaseModel], data: Mapping[str, Any], path: str) -> None:
    """Sets every secret field `x` for which `x_file` is given to the stripped contents of that file."""
    for name, described in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        if inner := section_of(described.annotation):
            for part, section in sections_in(described.annotation, data.get(name)):
                read_secrets(found, inner, section, f"{here}{part}")
        elif SecretStr in types_in(described.annotation) and isinstance(data.get(f"{name}_file"), str):
            if name in data:
                found.add_problem(f"{here}_file", f"is set together with `{name}`", "Remove one of the two.")
            elif (text := _read_secret(found, f"{here}_file", data[f"{name}_file"])) is not None:
                assert isinstance(data, dict)
                data[name] = text
                found.origins[here] = found.origin(f"{here}_file")


def _read_secret(found: RawSettings, path: str, named: str) -> str | None:
    source, line = found.origin(path)
    # A relative path is relative to the file that contains it; in a variable, to the working directory.
    file = (Path(source).parent if line else Path()) / Path(named).expanduser()
    if reason := trusted_files.find_reason_for_distrust(file):
        found.add_problem(path, f"{file} {reason}, so it is not read", trusted_files.hint())
        return None
    try:
        mode = file.stat().st_mode
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        if LOOKS_SECRET.match(named.strip()):  # not quoted
            hint = f"Name a file that contains it, or set `{path.rpartition('.')[2].removesuffix('_file')}` instead."
            found.add_problem(path, "is the secret itself, not the name of a file", hint)
            return None
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        found.add_problem(
            path,
            f"{file} cannot be read: {why}",
            "Check that the file is there (mounted, in a container), and that Quarterdeck's user may read it.",
        )
        return None
    if not text:
        found.add_problem(path, f"{file} is empty", "Write the secret to this file.")
        return None
    # Container engines mount secrets world-readable into /run/secrets, where there are no other users.
    if mode & stat.S_IROTH and not file.resolve().is_relative_to("/run/secrets"):
        found.warnings.append(f"{path}: {file} can be read by everyone on this machine. Run: chmod 600 {file}")
    return text
