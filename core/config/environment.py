"""Reads settings from environment variables and from `.env`: `QUARTERDECK_METRICS__LISTEN` sets `metrics.listen`."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from core import trusted_files
from core.config.locations import PREFIX
from core.config.raw_settings import MAX_BYTES, RawSettings, section_of
from core.config.validation_errors import did_you_mean
from core.errors import Problem

# Names that Slack's own documents and libraries use, so people may have set them already.
SLACK_VARIABLES = {
    "SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "SLACK_APP_TOKEN": ("slack", "app_token"),
    "SLACK_SIGNING_SECRET": ("slack", "signing_secret"),
}
# Variables that other parts of the program, or its tests, read.
NOT_SETTINGS = frozenset({"config", "host", "require_engines"})
# Kubernetes sets these in every pod of a namespace that has a Service named quarterdeck.
SERVICE_LINK = re.compile(r"(service_(host|port)|port)(_\w+)?")


def read_dotenv(file: Path) -> tuple[Mapping[str, str], Sequence[str]]:
    """Returns the variables of a `.env` file, and warnings. `$` is an ordinary character, as secrets may contain it."""
    import dotenv  # noqa: PLC0415 (few installations have such a file)

    if reason := trusted_files.find_reason_for_distrust(file):
        return {}, (f"{file} was ignored, because it {reason}. {trusted_files.hint()}",)
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # Many tools use files of this name, so an unreadable one may not be meant for Quarterdeck.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        cure = "If it is meant for Quarterdeck, let Quarterdeck's user read it, and save it as UTF-8."
        return {}, (f"{file} was ignored, because it cannot be read: {why}. {cure}",)
    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {key: value for key, value in values.items() if value is not None}, ()


def read_slack_variables(environ: Mapping[str, str], source: str = "") -> RawSettings:
    """Reads the settings that also have a variable without the prefix."""
    found = RawSettings()
    for key, (section, name) in SLACK_VARIABLES.items():
        if environ.get(key, "").strip():
            found.data.setdefault(section, {})[name] = environ[key]
            # If another setting of the section is missing, this variable is the reason: it enabled the section.
            found.origins.setdefault(section, (source + key, 0))
            found.origins[f"{section}.{name}"] = (source + key, 0)
    return found


def read_environment(environ: Mapping[str, str], model: type[BaseModel], source: str = "") -> RawSettings:
    """Reads all variables with the prefix. Lists and mappings are JSON; a list of names may also be comma-separated.

    An empty variable counts as not set, because compose files and charts pass empty ones.
    """
    found = RawSettings()
    prefixed = {key: value for key, value in environ.items() if key.upper().startswith(PREFIX) and value.strip()}
    for key in prefixed:
        name = key[len(PREFIX) :].lower()
        head, nested, _ = name.partition("__")
        if head in model.model_fields:
            found.origins[name.replace("__", ".")] = (source + key, 0)
        elif nested:
            hint = (
                did_you_mean(head, model.model_fields) or f"Use one of these settings: {', '.join(model.model_fields)}."
            )
            problem = Problem(path=head, what="is not a known setting", hint=hint, source=source + key)
            found.problems.append(problem)
        elif head not in NOT_SETTINGS and not SERVICE_LINK.fullmatch(head):
            cure = _similar(head, model) or "Correct its name, or remove it."
            found.warnings.append(f"{source}{key} was ignored, because it is not a known setting. {cure}")
    if found.origins:
        found.data = _decode(prefixed, model)
    return found


def _similar(name: str, model: type[BaseModel]) -> str:
    for section, described in model.model_fields.items():
        inner = section_of(described.annotation)
        part = name.removeprefix(f"{section}_")
        if inner is not None and part != name and part in inner.model_fields:
            return f"Did you mean {PREFIX}{section.upper()}__{part.upper()}?"
    return did_you_mean(name, model.model_fields)


def _decode(environ: Mapping[str, str], model: type[BaseModel]) -> dict[str, Any]:
    import json  # noqa: PLC0415
    from typing import cast  # noqa: PLC0415

    from pydantic_settings import BaseSettings, EnvSettingsSource  # noqa: PLC0415 (70 ms; only needed if variables are set)

    class Variables(EnvSettingsSource):
        def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
            try:
                return json.loads(value) if value.lstrip()[:1] in ("[", "{") else value
            except ValueError:
                return value  # validation reports what is expected

    source = Variables(cast("type[BaseSettings]", model), env_prefix=PREFIX, env_nested_delimiter="__")
    source.env_vars = {key.lower(): value for key, value in environ.items()}
    return source()
