"""What several commands do alike: choose targets, name things, tell which engines did not answer, write times."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from commands.spec import Context, Result, query
from core import errors
from core.model.containers import Port
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Text, Tone


async def chosen(context: Context, command: str, most: int, kind: Kind = Kind.CONTAINER) -> Sequence[Ref]:
    """The things the words and options mean. Raises BadUsage where none are given, or for more than `most`."""
    wanted = replace(query(context), kind=kind)
    if not (wanted.names or wanted.labels or wanted.host or wanted.engine):
        example = f"For example: {command} web, or {command} --label app=shop"
        hint = example if kind is Kind.CONTAINER else f"See its examples with: help {command}"
        raise errors.BadUsage(f"{command} what?", hint=hint)
    refs = await context.find.find(wanted)
    if len(refs) > most:
        raise errors.BadUsage(
            f"That is {len(refs)} {kind}s; {command} takes at most {most} at once.", hint="Name fewer of them."
        )
    return refs


def subject(result: Result) -> Ref:
    """The one thing an action of these commands touches."""
    return result.action.targets()[0]


def ending_of(error: errors.QuarterdeckError) -> Ending:
    match error:
        case errors.NotFound():
            return Ending.NOTHING
        case errors.UserError():
            return Ending.USAGE
        case errors.Refused():
            return Ending.REFUSED
        case errors.EngineError() if getattr(error, "sent", False):
            return Ending.UNKNOWN
        case _:
            return Ending.FAILED


def unanswered(results: Sequence[Result]) -> list[Text]:
    """One sentence for each engine that failed; what the others found stands above it. One that knows no such things
    has none to be missed: it is named only where no other answers."""
    failed = [(result.action.engine, result.error) for result in results if result.error is not None]
    lacking = [error for _, error in failed if isinstance(error, errors.Unsupported)]
    if lacking and len(lacking) == len(results):
        return [Text(text=_lacking(lacking), tone=Tone.WARN)]
    return [
        Text(text=f"{engine} is missing here: {error.full_message()}", tone=Tone.WARN)
        for engine, error in failed
        if not isinstance(error, errors.Unsupported)
    ]


def _lacking(lacking: Sequence[errors.Unsupported]) -> str:
    """One sentence for them all, with what their adapters themselves say comes nearest."""
    if len({error.full_message() for error in lacking}) == 1:
        return lacking[0].full_message()
    nearest = dict.fromkeys(error.hint for error in lacking if not error.hint.startswith("It "))
    engines = ", ".join(dict.fromkeys(error.engine for error in lacking))
    said = f"None of these engines can do {lacking[0].verb}: {engines}."
    return " ".join((said, *nearest))


def failed_ending(results: Sequence[Result]) -> Ending:
    """The ending of a list of which nothing is left to show because engines failed."""
    failed = [result.error for result in results if result.error is not None]
    failed.sort(key=lambda error: isinstance(error, errors.Unsupported))
    return ending_of(failed[0]) if failed else Ending.NOTHING


def names(refs: Sequence[Ref]) -> list[str]:
    """Each thing's name, with its engine where the name alone would say two things."""
    often = Counter(ref.name for ref in refs)
    return [ref.name if often[ref.name] == 1 else f"{ref.name}@{ref.engine}" for ref in refs]


def engine_columns(engines: Iterable[EngineRef]) -> list[str]:
    """HOST where there are several hosts, ENGINE where a host has several engines."""
    known = set(engines)
    hosts = {engine.host for engine in known}
    return [*(["HOST"] if len(hosts) > 1 else []), *(["ENGINE"] if len(known) > len(hosts) else [])]


def engine_cells(columns: Sequence[str], engine: EngineRef) -> list[str]:
    kind = engine.kind if engine.name == "default" else f"{engine.kind}/{engine.name}"
    return [engine.host if column == "HOST" else kind for column in columns]


def short_id(ref: Ref) -> str:
    return ref.short_id


def labelled(labels: Sequence[str], having: Mapping[str, str]) -> bool:
    """Whether labels satisfy every `key` or `key=glob`."""
    for label in labels:
        key, equals, want = label.partition("=")
        if key not in having or (equals and not fnmatch.fnmatchcase(having[key], want)):
            return False
    return True


def clock(at: datetime, now: datetime) -> str:
    """A time of day in UTC, with its date unless that is today."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """`40 s`, `5 min`, `3 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def size(number: float, *, binary: bool = False) -> str:
    """`4.2 MB`, or `4 MiB`: powers of 1000 as for what is stored and sent, or of 1024 as for memory."""
    step, units = (1024, ("B", "KiB", "MiB", "GiB", "TiB")) if binary else (1000, ("B", "kB", "MB", "GB", "TB"))
    at = 0
    while number >= step and at < len(units) - 1:
        number, at = number / step, at + 1
    return f"{number:.1f} {units[at]}" if at and number < 100 else f"{number:.0f} {units[at]}"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def ports(published: Sequence[Port]) -> str:
    """As docker says it; one published on IPv4 and IPv6 alike is shown once."""
    shown: list[str] = []
    everywhere = {(port.public, port.private, port.proto) for port in published if port.ip == "0.0.0.0"}  # noqa: S104
    for port in published:
        twin = port.ip == "::" and (port.public, port.private, port.proto) in everywhere
        if not twin and str(port) not in shown:
            shown.append(str(port))
    return ", ".join(shown)
