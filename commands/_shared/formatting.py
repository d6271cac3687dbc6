"""Formats what many replies contain: the errors of engines, columns for hosts and engines, times and sizes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from commands.spec import Result
from core import errors
from core.model.containers import Port
from core.model.refs import EngineRef
from core.model.replies import Ending, Reply, Text, Tone
from core.text import durations, text_timestamps

_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
# In this order: the second is a folder of the first.
_DOCKER_REGISTRY = ("index.docker.io/", "docker.io/", "library/")


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
    sentence = f"None of these engines supports {unsupported[0].verb}: {engines}."
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


def asked(results: Iterable[Result]) -> list[EngineRef]:
    """Returns the engines of all results."""
    return [result.action.engine for result in results]


def engine_columns(engines: Iterable[EngineRef], shown: Iterable[EngineRef]) -> list[str]:
    """Returns the columns HOST, if several hosts were asked, and ENGINE, if the rows differ in their engine. `engines`:
    those that were asked; `shown`: those of the rows."""
    rows = set(shown)
    hosts = {engine.host for engine in rows}
    several = len({engine.host for engine in (*engines, *rows)}) > 1
    return [*(["HOST"] if several else []), *(["ENGINE"] if len(rows) > len(hosts) else [])]


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


def moment(at: datetime | float) -> str:
    """Formats a point in time, which each surface shows on the reader's clock (`core.text.text_timestamps`)."""
    return text_timestamps.format_timestamp(at)


def span(seconds: float) -> str:
    """Formats a duration: `40 s`, `5 min`, `3 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def exact_span(length: timedelta) -> str:
    """Formats a duration as people type it, without rounding: `7d1h`."""
    seconds, text = int(length.total_seconds()), ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        text += f"{number}{unit}" if number else ""
    return text or "0s"


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


def age(since: float, now: datetime) -> str:
    """Formats the time since `since`, in unix seconds, as docker does: `2 hours`, `5 weeks`; empty for 0."""
    return durations.format_duration_in_words(max(0.0, now.timestamp() - since)) if since else ""


def ago(since: float, now: datetime) -> str:
    """Formats the time since `since` as docker does: `2 hours ago`; empty for 0."""
    return f"{age(since, now)} ago" if since else ""


def ports(published: Sequence[Port]) -> str:
    """Formats ports, sorted, with ranges joined: `8080->80, 127.0.0.1:9000-9001->9000-9001, 4317-4318`.

    An address is shown where a port is not published on all of them. A port that is published on both IPv4 and IPv6 is
    shown once. The protocol is shown unless it is TCP. Published ports come first."""
    everywhere = {(port.public, port.private, port.proto) for port in published if port.ip == "0.0.0.0"}  # noqa: S104
    wanted = {
        ("" if port.ip in ("", "0.0.0.0") else port.ip, port.public or 0, port.private, port.proto)  # noqa: S104
        for port in published
        if not (port.ip == "::" and (port.public, port.private, port.proto) in everywhere)
    }
    ordered = sorted(wanted, key=lambda port: (not port[1], port[3] != "tcp", port[3], port[0], port[1:3]))
    ranges: list[list[tuple[str, int, int, str]]] = []
    for port in ordered:
        if ranges and _follows(ranges[-1][-1], port):
            ranges[-1].append(port)
        else:
            ranges.append([port])
    return ", ".join(_port_range(each[0], each[-1]) for each in ranges)


def _follows(before: tuple[str, int, int, str], port: tuple[str, int, int, str]) -> bool:
    """Whether a port is the next of a range: of the same address and protocol, and one more on both sides."""
    public = before[1] + 1 if before[1] else 0
    return port == (before[0], public, before[2] + 1, before[3])


def _port_range(first: tuple[str, int, int, str], last: tuple[str, int, int, str]) -> str:
    def numbers(at: int) -> str:
        return f"{first[at]}" if first[at] == last[at] else f"{first[at]}-{last[at]}"

    ip, public, _, proto = first
    inside = numbers(2) if proto == "tcp" else f"{numbers(2)}/{proto}"
    if not public:
        return inside
    address = f"[{ip}]:" if ":" in ip else f"{ip}:" if ip else ""
    return f"{address}{numbers(1)}->{inside}"


def every_port(published: Sequence[Port]) -> str:
    """Formats ports one by one, as `docker ps` does."""
    return ", ".join(dict.fromkeys(map(str, published)))


def image(name: str) -> str:
    """Formats the image of a container: its name without Docker's registry and without its digest; an id with its first
    twelve digits, as the engines' own lists do."""
    if found := _IMAGE_ID.fullmatch(name):
        return found[1][:12]
    tagged, at, _ = name.partition("@")
    shown = tagged if at and tagged else name
    for registry in _DOCKER_REGISTRY:
        shown = shown.removeprefix(registry)
    return shown
