"""What several commands do alike: choose targets, name things, tell which engines did not answer, write times."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from commands.spec import Context, Result, query
from core import errors
from core.model.refs import EngineRef, Ref
from core.model.replies import Ending, Text, Tone

SHORT_ID = 12
SHORTEST_ID = 4


async def chosen(context: Context, command: str, most: int) -> Sequence[Ref]:
    """The things the words and options mean. Raises BadUsage where none are given, or for more than `most`."""
    wanted = query(context)
    if not (wanted.words or wanted.labels or wanted.host or wanted.engine):
        raise errors.BadUsage(f"{command} what?", hint=f"For example: {command} web, or {command} --label app=shop")
    refs = await context.find.find(wanted)
    if len(refs) > most:
        raise errors.BadUsage(
            f"That is {len(refs)} containers; {command} takes at most {most} at once.", hint="Name fewer of them."
        )
    return refs


def subject(result: Result) -> Ref:
    """The one thing an action of these commands touches."""
    return result.action.touches()[0]


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
    """One sentence for each engine that failed; what the others found stands above it."""
    return [
        Text(text=f"{result.action.engine} is missing here: {result.error.say()}", tone=Tone.WARN)
        for result in results
        if result.error is not None
    ]


def failed_ending(results: Sequence[Result]) -> Ending:
    """The ending of a list of which nothing is left to show because engines failed."""
    return next((ending_of(result.error) for result in results if result.error is not None), Ending.NOTHING)


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


def matches(word: str, ref: Ref, *groups: str | None) -> bool:
    """Whether a word means this thing: a name, the beginning of one, a glob, one of the `groups` it is in (a project, a
    service), the beginning of an id; `name@host` and `name#id` narrow it."""
    word, sharp, pinned = word.partition("#")
    name, at, place = word.partition("@")
    engine = ref.engine
    if at and not any(fnmatch.fnmatchcase(text, place) for text in (engine.kind, engine.host, str(engine))):
        return False
    if sharp and not ref.id.startswith(pinned):
        return False
    if not name:
        return bool(at or pinned)
    return (
        ref.name.startswith(name)
        or name.rstrip("/") in groups
        or any(fnmatch.fnmatchcase(text, name) for text in (ref.name, *groups) if text and _alike(name, text))
        or (len(name) >= SHORTEST_ID and ref.id.startswith(name))
    )


def _alike(pattern: str, text: str) -> bool:
    """A pattern without a slash is about names, not about `project/service`."""
    return ("/" in pattern) == ("/" in text)


def labelled(labels: Sequence[str], having: dict[str, str]) -> bool:
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


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
