"""Reads the addresses of the engines from the configuration. If the configuration lists no engines, discovery searches
for engines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core import errors
from core.config import load
from runtimes import engine_discovery, engine_registry
from runtimes.base import machine_name
from runtimes.engine_registry import EngineAddress
from runtimes.transport import endpoint


def read_engine_addresses(settings: load.Config) -> Sequence[EngineAddress]:
    """Returns the address of every engine to use. Raises ConfigError for an unusable docker context, and for one engine
    listed twice; BadUsage for an unusable name of this machine."""
    machine_name.machine_name()  # it must be valid before the first engine is named after it
    if settings.engines is None:
        return engine_discovery.discover()
    found, problems = [], []
    for index, engine in enumerate(settings.engines):
        try:
            found.append(_address(engine))
        except errors.UserError as error:
            problems.append(errors.Problem(path=f"engines.{index}", what=error.message, hint=error.hint))
    if not problems and (duplicate := engine_registry.find_duplicate(found)):
        problems.append(errors.Problem(path="engines", what=duplicate))
    if problems:
        raise errors.ConfigError(problems)
    return found


def _address(engine: Any) -> EngineAddress:
    allow = tuple(engine.allow)
    if engine.context_name:
        context = engine.context_name
        address = engine_registry.context_address(context, name=engine.name, allow=allow, environ=os.environ)
        return replace(address, swarm=engine.swarm)
    tls = endpoint.Tls(**_paths(engine.tls)) if engine.tls is not None else None
    ssh = endpoint.Ssh(**_paths(engine.ssh)) if engine.ssh is not None else None
    endpoint.Endpoint.parse(engine.url)
    kind = engine.kind or engine_registry.guess_kind(engine.url)
    engine_registry.engine_class(kind)
    return EngineAddress(kind=kind, url=engine.url, name=engine.name, allow=allow, tls=tls, ssh=ssh, swarm=engine.swarm)


def _paths(section: load.Section) -> dict[str, str]:
    return {name: str(path) for name, path in section if path is not None}
