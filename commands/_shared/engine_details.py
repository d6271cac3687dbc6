"""Formats an engine's state and details as text, for the commands `engines` and `info`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from commands._shared import formatting
from core.model.engines import Engine

NOT_PERMITTED = "not permitted"


def format_engine_state(engine: Engine, now: datetime) -> str:
    """Formats the engine's state: `up 3 min`, `down 40 s`, `answers` if its events are not watched, or `not
    permitted`."""
    if engine.not_permitted:
        return NOT_PERMITTED
    if engine.stream:
        return f"{engine.stream} {formatting.span(max(0.0, now.timestamp() - engine.stream_since))}"
    return "down" if engine.fault else "answers"


def fault(engine: Engine) -> str:
    """Returns why the engine, or the stream of its events, does not answer; empty if both do."""
    return engine.fault or (engine.stream_fault if engine.stream and engine.stream != "up" else "")


def state_text(engine: Engine, now: datetime) -> str:
    """Formats the engine's state with the reason: `down 40 s: <reason>`."""
    reason = fault(engine)
    return f"{format_engine_state(engine, now)}{f': {reason}' if reason else ''}"


def detail_texts(engine: Engine, now: datetime) -> Mapping[str, str]:
    """Formats everything that the engine reports, except its verbs, as name → text."""
    texts = {
        "Kind": engine.ref.kind,
        "Host": engine.ref.host,
        "User": engine.user,
        "Address": engine.address,
        "State": f"{NOT_PERMITTED}: {engine.not_permitted}" if engine.not_permitted else state_text(engine, now),
        "Version": engine.version,
        "API": engine.api,
        "OCI runtime": engine.runtime,
        "System": engine.system,
        "Storage driver": engine.storage,
        "Cgroup version": engine.cgroup,
        "Events": engine.events,
        "Event stream": _stream(engine, now),
        "Containers": _containers(engine),
        "Counted elsewhere": ", ".join(f"{count} by {kind}" for kind, count in engine.owned),
        "Notes": " ".join(engine.notes),
    }
    return {name: text for name, text in texts.items() if text}


def _stream(engine: Engine, now: datetime) -> str:
    if not engine.stream:
        return ""
    since = f"{engine.stream} since {formatting.moment(engine.stream_since)}"
    return f"{since}: {engine.stream_fault}" if engine.stream_fault else since


def _containers(engine: Engine) -> str:
    return "" if engine.containers is None else f"{engine.containers} ({engine.running or 0} running)"
