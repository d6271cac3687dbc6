"""Describes the JSON of `quarterdeck do --json` as a JSON Schema, made from the types that `json_records` converts.

There is one definition for each type of record, and for each command the types that its records may have. A new field
does not change the version of a command. A removed field, or a new meaning of a field, does.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Any, Union, get_args, get_origin, get_type_hints

from bot.dispatch import json_records
from bot.dispatch.json_records import RecordForm
from commands.catalogue import Catalogue
from commands.spec import Command
from core.model.actions import Action, all_actions
from core.model.background_jobs import FollowResult, JobStarted
from core.model.bot_actions import PermissionReport
from core.model.container_reads import Processes
from core.model.policy import Decision
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending
from core.model.results import Outcome
from core.model.verification import RunVerdict

TIME: Mapping[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_PLAIN: Mapping[Any, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    timedelta: {"type": "number", "description": "seconds"},
    datetime: TIME,
    EngineRef: {"type": "string", "description": "the engine, as `--engine` takes it"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
}


class SchemaMaker:
    """Collects the definitions that are needed. `strict`: no other fields are allowed, for tests."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self.definitions: dict[str, Any] = {}

    def document(self, catalogue: Catalogue) -> dict[str, Any]:
        """Returns the schema of the whole JSON of any command."""
        commands = {f"{command.name}/{command.json_version}": self.records(command) for command in catalogue}
        choices = [
            {
                "if": {"properties": {"schema": {"const": name}}},
                "then": {"properties": {"records": {"items": items}}},
            }
            for name, items in commands.items()
        ]
        text, button = {"type": "string"}, {"label": {"type": "string"}, "line": {"type": "string"}}
        properties = {
            "v": {"const": 2},
            "schema": {"enum": ["", *commands], "description": "empty where the command has no result"},
            "ending": {"enum": [str(ending) for ending in Ending]},
            "took": {"type": "number", "description": "seconds"},
            "records": {"type": "array", "items": {"type": "object"}},
            "errors": {"type": "array", "items": _object({"engine": text, "message": text, "hint": text}, strict=True)},
            "left_out": {"type": "integer", "description": "records that found no room"},
            "blocks": {"type": "array", "items": {"type": "object"}, "description": "what people see; may change"},
            "buttons": {"type": "array", "items": _object({**button, "danger": {"type": "boolean"}}, strict=True)},
            "names": {
                "type": "object",
                "additionalProperties": text,
                "description": "what the people, groups and channels of Slack in `blocks` are called, by id",
            },
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "The output of quarterdeck do --json",
            **_object(properties, strict=self._strict),
            "allOf": choices,
            "$defs": dict(sorted(self.definitions.items())),
        }

    def records(self, command: Command) -> dict[str, Any]:
        """Returns the schema of one record of a command."""
        found = [self._record(kind) for kind in record_types(command)]
        return found[0] if len(found) == 1 else {"anyOf": found} if found else {"type": "object"}

    def _record(self, kind: Any) -> dict[str, Any]:
        if kind is Processes:
            return {"type": "object", "description": "the columns of the host's ps, by title"}
        if kind is PermissionReport:
            return self._define("PermissionDecision", Decision, {"subject": {"type": "string"}})
        if not json_records.is_record(kind):
            return self._object_of("Value", {"value": self._value(kind)})
        has_engine = any(
            field.form in (RecordForm.REF, RecordForm.ENGINE) or field.name == "engine"
            for field in json_records.fields_of(kind)
        )
        more = {} if has_engine else self._subject()
        if isinstance(getattr(kind, "kind", None), Kind):  # it has a name and no ref of its own, such as a stack
            more = {"id": _PLAIN[str], "name": _PLAIN[str], "engine": _PLAIN[EngineRef]}
        if kind is Outcome:  # `do --verify` adds what became of the containers
            more |= {"runs": {"type": "array", "items": self._value(RunVerdict)}}
        return self._define(kind.__name__, kind, more)

    def _subject(self) -> dict[str, Any]:
        """Returns the fields of a value without a ref. Results of the bot itself do not have them."""
        return {"engine": _PLAIN[EngineRef], "target": self._value(Ref)}

    def _define(self, name: str, kind: Any, more: Mapping[str, Any]) -> dict[str, Any]:
        if name not in self.definitions:
            self.definitions[name] = {}  # a type may contain itself
            self.definitions[name] = self._object(kind, more)
        return {"$ref": f"#/$defs/{name}"}

    def _object_of(self, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        subject = self._subject()
        self.definitions[name] = _object({**properties, **subject}, optional=tuple(subject), strict=self._strict)
        return {"$ref": f"#/$defs/{name}"}

    def _object(self, kind: Any, more: Mapping[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = dict(more)
        open_ended = False
        for field in json_records.fields_of(kind):
            match field.form:
                case RecordForm.REF:
                    properties |= {"id": _PLAIN[str], "name": _PLAIN[str], "engine": _PLAIN[EngineRef]}
                case RecordForm.ENGINE:
                    properties["engine"] = _PLAIN[EngineRef]
                case RecordForm.ROW if json_records.is_record(field.kind):
                    properties |= self._object(field.kind, {})["properties"]
                case RecordForm.ROW:
                    open_ended = True
                case RecordForm.SECONDS_TIME | RecordForm.NANOSECONDS_TIME:
                    properties[field.name] = TIME
                case _:
                    properties[field.name] = self._value(field.kind)
        return _object(properties, optional=tuple(more), strict=self._strict and not open_ended)

    def _value(self, kind: Any) -> dict[str, Any]:
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if kind is Ref:
            names = dict.fromkeys(("kind", "id", "name"), _PLAIN[str])
            self.definitions["Ref"] = _object({**names, "engine": _PLAIN[EngineRef]}, strict=self._strict)
            return {"$ref": "#/$defs/Ref"}
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"enum": [json_records.plain(each) for each in kind]}
        if json_records.is_record(kind):
            return self._define(kind.__name__, kind, {})
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return _any_of([self._value(each) for each in inner])
        if origin is tuple and inner[-1] is not Ellipsis:
            return {"type": "array", "prefixItems": [self._value(each) for each in inner]}
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self._value(inner[1])}
        if origin is not None and issubclass(origin, Sequence | frozenset | set):
            return {"type": "array", "items": self._value(inner[0])}
        return {}


def record_types(command: Command) -> Sequence[Any]:
    """Returns the types of the values that the records of a command are made from."""
    if command.shows:
        return tuple(command.shows)
    found: dict[Any, None] = {}
    for verb in command.verbs:
        for result in _results(verb):
            found |= dict.fromkeys(_parts(result))
    return tuple(found)


def _results(verb: str) -> Sequence[Any]:
    """Returns the types of the results of a verb's actions."""
    return [_result(action) for action in all_actions() if getattr(action, "verb", "") == verb]


def _result(action: type[Action[Any]]) -> Any:
    for base in action.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            for argument in get_args(generic):
                if not hasattr(argument, "__constraints__"):
                    return argument
    return Any


def _parts(result: Any) -> Sequence[Any]:
    """Returns the types of the parts of a result, as `json_records.parts_of` returns them."""
    origin, inner = get_origin(result), get_args(result)
    if origin in (Union, types.UnionType):
        return [part for each in inner if each is not type(None) for part in _parts(each)]
    if origin is tuple:
        return [inner[0]]
    if result is JobStarted or result is Any:  # a job, which is followed to its end
        return [Outcome, FollowResult]
    if result in (Processes, PermissionReport):
        return [result]
    if json_records.is_record(result):
        hints = get_type_hints(result) if is_dataclass(result) or hasattr(result, "__struct_fields__") else {}
        for name in json_records.PARTS:
            if get_origin(hints.get(name)) is tuple:
                return [get_args(hints[name])[0]]
    return [result]


def _object(properties: Mapping[str, Any], *, optional: Sequence[str] = (), strict: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }
    return found | ({"additionalProperties": False} if strict else {})


def _any_of(choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns a union; of plain types, as a list of their names."""
    if all(choice.keys() == {"type"} and isinstance(choice["type"], str) for choice in choices):
        return {"type": [choice["type"] for choice in choices]}
    return {"anyOf": list(choices)}
