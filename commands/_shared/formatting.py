"""Formats what many replies contain: the errors of engines, columns for hosts and engines, times and sizes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from commands.spec import Result
from core import errors
from core.model.containers import Port
from core.model.refs import EngineRef
from core.model.replies import Ending, Reply, Text, Tone

_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")


def engine_error_notes(results: Sequence[Result]) -> list[Text]:
    """Returns one sentence for each engine that failed. An engine that does not support the action is named only if no
    other engine answered."""
    failed = [(result.action.engine, result.error) for result in results if result.error is not None]
    unsupported = [error for _, error in failed if isinstance(error, errors.Unsupported)]
    if unsupported and len(unsupported) == len(results):
        return [Text(text=_unsupported(unsupported), tone=Tone.WARN)]
    return [
        Text(text=f"No result from {engine}: {error.full_message()}", tone=Tone.WARN)
        for engine, error in failed
        if not isinstance(error, errors.Unsupported)
    ]


def _unsupported(unsupported: Sequence[errors.Unsupported]) -> str:
    """Returns one sentence for all these errors, with the alternatives that their adapters suggest."""
    if len({error.full_message() for error in unsupported}) == 1:
        return unsupported[0].full_message()
    alternatives = dict.fromkeys(error.hint for error in unsupported if not error.hint.startswith("It "))
    engines = ", ".join(dict.fromkeys(error.engine for error in unsupported))
    sentence = f"None of these engines can do {unsupported[0].verb}: {engines}."
    return " ".join((sentence, *alternatives))


def reply_ending_for(error: errors.QuarterdeckError) -> Ending:
    """Returns the ending (the exit code) of a reply that reports this error."""
    match error:
        case errors.NotFound():
            return Ending.NOTHING
        case errors.UserError():
            return Ending.USAGE
        case errors.Refused():
            return Ending.REFUSED
        case errors.EngineError() if error.sent:
            return Ending.UNKNOWN
        case _:
            return Ending.FAILED


def error_reply(error: errors.QuarterdeckError) -> Reply:
    """Returns the reply of a command whose only action failed."""
    return Reply(blocks=(Text(text=error.full_message(), tone=Tone.BAD),), ending=reply_ending_for(error))


def failed_ending(results: Sequence[Result]) -> Ending:
    """Returns the ending of a list that has nothing to show because engines failed."""
    failed = [result.error for result in results if result.error is not None]
    failed.sort(key=lambda error: isinstance(error, errors.Unsupported))
    return reply_ending_for(failed[0]) if failed else Ending.NOTHING


def engine_columns(engines: Iterable[EngineRef]) -> list[str]:
    """Returns the columns HOST, if there are several hosts, and ENGINE, if a host has several engines."""
    distinct = set(engines)
    hosts = {engine.host for engine in distinct}
    return [*(["HOST"] if len(hosts) > 1 else []), *(["ENGINE"] if len(distinct) > len(hosts) else [])]


def engine_cells(columns: Sequence[str], engine: EngineRef) -> list[str]:
    kind = engine.kind if engine.name == "default" else f"{engine.kind}/{engine.name}"
    return [engine.host if column == "HOST" else kind for column in columns]


def has_labels(labels: Sequence[str], having: Mapping[str, str]) -> bool:
    """Returns whether `having` satisfies every `key` or `key=glob` of `labels`."""
    for label in labels:
        key, equals, want = label.partition("=")
        if key not in having or (equals and not fnmatch.fnmatchcase(having[key], want)):
            return False
    return True


def clock(at: datetime, now: datetime) -> str:
    """Formats a time of day in UTC, with its date unless that is today."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """Formats a duration: `40 s`, `5 min`, `3 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def size(number: float, *, binary: bool = False) -> str:
    """Formats a number of bytes: `4.2 MB`, or with `binary` `4 MiB`. Storage and network use powers of 1000, memory
    powers of 1024."""
    step, units = (1024, ("B", "KiB", "MiB", "GiB", "TiB")) if binary else (1000, ("B", "kB", "MB", "GB", "TB"))
    at = 0
    while number >= step and at < len(units) - 1:
        number, at = number / step, at + 1
    return f"{number:.1f} {units[at]}" if at and number < 100 else f"{number:.0f} {units[at]}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def ports(published: Sequence[Port]) -> str:
    """Formats ports as `docker ps` does. A port that is published on both IPv4 and IPv6 is shown once."""
    shown: list[str] = []
    everywhere = {(port.public, port.private, port.proto) for port in published if port.ip == "0.0.0.0"}  # noqa: S104
    for port in published:
        twin = port.ip == "::" and (port.public, port.private, port.proto) in everywhere
        if not twin and str(port) not in shown:
            shown.append(str(port))
    return ", ".join(shown)


def image(name: str) -> str:
    """Formats the image of a container: its name; an id with its first twelve digits, as the engines' own lists do."""
    return name[7:19] if _IMAGE_ID.fullmatch(name) else name
