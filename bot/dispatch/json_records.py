"""Converts the results of a command into JSON records for programs, for `quarterdeck do --json`.

A record is a JSON object made from a value of core.model, field by field. Numbers stay numbers (sizes are bytes,
durations are seconds). Ids are complete. Times are RFC 3339 in UTC, or null if unknown. The `ref` of a value becomes
`id`, `name` and `engine`. A value without a `ref` gets the `engine` and the `target` of its action. `json_schema`
describes the same records. This module does no I/O; secrets are masked later.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, ClassVar, get_args, get_origin, get_type_hints

import msgspec

from commands.spec import Command, Result
from core import errors
from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.bot_actions import BOT, PermissionReport
from core.model.container_reads import Processes
from core.model.containers import Container
from core.model.events import Event
from core.model.incidents import Incident
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Records
from core.model.results import Document, Outcome
from core.model.services import Service

MAX_RECORDS = 20_000
MAX_CHARACTERS = 16 << 20  # of all records, approximately
# What is for Quarterdeck itself, or needs another permission than the command.
LEFT_OUT: Mapping[type, frozenset[str]] = {
    Container: frozenset({"command", "own_id"}),
    Document: frozenset({"reaches"}),
    Incident: frozenset({"key", "posted", "also_posted", "noted", "version"}),
    Service: frozenset({"reaches", "earlier_reaches", "values"}),
}
# Properties that are fields of the record, too.
ADDED: Mapping[type, Mapping[str, Any]] = {Container: {"project": str | None, "service": str | None}}
# Fields with seconds since 1970, besides those whose names end with `_at`.
TIMES = frozenset(
    {
        *("announced_begin", "announced_end", "at", "begin", "end", "reaches_back_to", "reads_reach_back_to"),
        *("since", "stream_since", "until"),
    }
)
# Fields with the parts of a result, each of which is a record of its own.
PARTS = ("rows", "entries", "incidents", "changes", "commands", "lines")


class RecordForm(enum.StrEnum):
    """How a field is written. REF, ROW: its own fields become fields of the record."""

    VALUE = "value"
    REF = "ref"
    ENGINE = "engine"
    ROW = "row"
    SECONDS_TIME = "seconds"
    NANOSECONDS_TIME = "nanoseconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """One field of a value. `name`: in the record; `attribute`: of the value; `kind`: its annotation."""

    name: str
    attribute: str
    kind: Any
    form: RecordForm


def records_of(command: Command, values: Sequence[Any] | None, results: Sequence[Result]) -> Records:
    """Returns the records of a reply. `values`: what the command chose to show; None: everything in its results."""
    records: list[dict[str, Any]] = []
    left_out = size = 0
    for record in _shown(results) if values is None else map(as_record, values):
        size += _length(record)
        if len(records) < MAX_RECORDS and size < MAX_CHARACTERS:
            records.append(record)
        else:
            left_out += 1
    failed = tuple(
        {"engine": _engine(result.action.engine), "message": result.error.message, "hint": result.error.hint}
        for result in results
        if result.error is not None and (not isinstance(result.error, errors.Unsupported) or _is_without(results))
    )
    schema = f"{command.name}/{command.json_version}"
    return Records(schema=schema, records=tuple(records), errors=failed, left_out=left_out)


def parts_of(value: Any) -> Sequence[Any]:
    """Returns the values that become records: the rows of a list, or the value itself."""
    match value:
        case None:
            return ()
        case tuple():
            return value
        case Processes():
            return [dict(zip(value.titles, map(_number, row), strict=False)) for row in value.rows]
        case PermissionReport():
            return [{"subject": subject} | as_record(decision) for subject, decision in value.decisions]
    for name in PARTS:
        if isinstance(parts := getattr(value, name, None), tuple):
            return parts
    return (value,)


def as_record(value: Any) -> dict[str, Any]:
    """Returns the record of one value."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if not is_record(type(value)):
        return {"value": plain(value)}
    record: dict[str, Any] = {}
    kind: Any = type(value)
    for field in fields_of(kind):
        content = getattr(value, field.attribute)
        match field.form:
            case RecordForm.REF:
                record |= {"id": content.id, "name": content.name, "engine": _engine(content.engine)}
            case RecordForm.ENGINE:
                record["engine"] = _engine(content)
            case RecordForm.ROW:
                record |= {name: each for name, each in as_record(content).items() if name not in record}
            case RecordForm.SECONDS_TIME:
                record[field.name] = time_text(content)
            case RecordForm.NANOSECONDS_TIME:
                record[field.name] = time_text(content / 1e9)
            case _:
                record[field.name] = plain(content)
    return record


def is_record(kind: Any) -> bool:
    """Returns whether values of a type become objects with its fields."""
    return isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or is_dataclass(kind))


@functools.cache
def fields_of(kind: Any) -> Sequence[RecordField]:
    """Returns the fields that the record of a value of this type has."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else kind.__struct_fields__
    found = []
    for name in names:
        hint = hints[name]
        if name in LEFT_OUT.get(kind, ()) or hint is BinaryIO or get_origin(hint) is ClassVar:
            continue
        found.append(RecordField(name=_name(name), attribute=name, kind=hint, form=_form(name, hint)))
    added = ADDED.get(kind, {}).items()
    return (*found, *(RecordField(name=name, attribute=name, kind=hint, form=RecordForm.VALUE) for name, hint in added))


def plain(value: Any) -> Any:
    """Returns a value as JSON has it."""
    match value:
        case enum.IntEnum():
            return value.name.lower()
        case enum.Enum():
            return str(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case EngineRef():
            return str(value)
        case Ref():
            return _ref(value)
        case timedelta():
            return value.total_seconds()
        case datetime():
            return time_text(value.timestamp())
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case tuple() | list():
            return [plain(each) for each in value]
        case set() | frozenset():
            return sorted(map(plain, value), key=str)
    return as_record(value) if is_record(type(value)) else str(value)


def time_text(seconds: float | None) -> str | None:
    """Returns seconds since 1970 as RFC 3339 in UTC, with milliseconds; None where the time is not known."""
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def _shown(results: Sequence[Result]) -> Any:
    for result in results:
        for part in parts_of(result.value):
            record = as_record(part)
            if result.runs and isinstance(part, Outcome):
                record["runs"] = [as_record(run) for run in result.runs]
            yield (_subject(result.action) | record) if "engine" not in record else record


def _is_without(results: Sequence[Result]) -> bool:
    """Whether no engine has the action. Otherwise those that do not have it are no failure."""
    return all(isinstance(result.error, errors.Unsupported) for result in results)


def _subject(action: Action[Any]) -> dict[str, Any]:
    if action.engine == BOT:
        return {}
    targets = [ref for ref in action.targets() if ref.kind is not Kind.ENGINE]
    about: dict[str, Any] = {"engine": _engine(action.engine)}
    return about | ({"target": _ref(targets[0])} if targets else {})


def _ref(ref: Ref) -> dict[str, Any]:
    return {"kind": str(ref.kind), "id": ref.id, "name": ref.name, "engine": _engine(ref.engine)}


def _engine(engine: EngineRef) -> str:
    return str(engine)


def _number(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text


def _name(attribute: str) -> str:
    return attribute.removesuffix("_ns")


def _form(name: str, hint: Any) -> RecordForm:
    kinds = {hint, *get_args(hint)}
    if hint is Ref and name == "ref":
        return RecordForm.REF
    if hint is EngineRef and name == "ref":
        return RecordForm.ENGINE
    if (name == "row" and hint is Any) or (name == "event" and hint is Event):
        return RecordForm.ROW
    if int in kinds and name.endswith("_ns"):
        return RecordForm.NANOSECONDS_TIME
    if kinds & {int, float} and (name.endswith("_at") or (name in TIMES and (float in kinds or name == "at"))):
        return RecordForm.SECONDS_TIME
    return RecordForm.VALUE


def _length(value: Any) -> int:
    match value:
        case str():
            return len(value) + 2
        case dict():
            return sum(len(key) + _length(each) for key, each in value.items())
        case list():
            return sum(map(_length, value))
    return 8
