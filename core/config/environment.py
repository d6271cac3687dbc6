"""Settings from the environment and from `.env`: `QUARTERDECK_METRICS__LISTEN` is `metrics.listen`."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from core.config.problems import did_you_mean
from core.config.raw_settings import RawSettings, section_of
from core.errors import Problem

PREFIX = "QUARTERDECK_"
# Names that Slack's own documents and libraries use, so that people have them set already.
COMMON = {
    "SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "SLACK_APP_TOKEN": ("slack", "app_token"),
    "SLACK_SIGNING_SECRET": ("slack", "signing_secret"),
}
# Read by other parts of the program, or by its tests.
NOT_SETTINGS = frozenset({"config", "host", "require_engines"})
# Kubernetes puts these into every pod beside a Service named quarterdeck.
SERVICE_LINK = re.compile(r"(service_(host|port)|port)(_\w+)?")


def read_dotenv(file: Path) -> tuple[Mapping[str, str], Sequence[str]]:
    """The variables of a `.env` file as they stand, and warnings: `$` has no meaning, since secrets may hold it."""
    import dotenv  # noqa: PLC0415 (few have such a file)

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # Tools of many kinds keep files of this name, so one we cannot read need not be meant for us.
        return {}, (f"{file} was passed over, it cannot be read: {error}",)
    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {key: value for key, value in values.items() if value is not None}, ()


def read_common(environ: Mapping[str, str], source: str = "") -> RawSettings:
    """Settings that have a name of their own beside ours."""
    found = RawSettings()
    for key, (section, name) in COMMON.items():
        if environ.get(key, "").strip():
            found.data.setdefault(section, {})[name] = environ[key]
            # What is missing beside it is missing because this variable switched the section on.
            found.origins.setdefault(section, (source + key, 0))
            found.origins[f"{section}.{name}"] = (source + key, 0)
    return found


def read_environment(environ: Mapping[str, str], model: type[BaseModel], source: str = "") -> RawSettings:
    """Settings from variables: `QUARTERDECK_METRICS__LISTEN`; lists and mappings as JSON, words also by commas.

    A variable set to nothing counts as not set, since compose files and charts pass on empty ones.
    """
    found = RawSettings()
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
            found.warnings.append(f"{source}{key} is no setting. {_near(head, model)}".strip())
    if found.origins:
        found.data = _from_variables(ours, model)
    return found


def _near(name: str, model: type[BaseModel]) -> str:
    for section, described in model.model_fields.items():
        inner = section_of(described.annotation)
        part = name.removeprefix(f"{section}_")
        if inner is not None and part != name and part in inner.model_fields:
            return f"Did you mean {PREFIX}{section.upper()}__{part.upper()}?"
    return did_you_mean(name, model.model_fields)


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
