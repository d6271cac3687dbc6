"""Converts protobuf values: times to nanoseconds, and whole messages to JSON. An engine may fill them with anything."""

from __future__ import annotations

import contextlib
from typing import Any

from google.protobuf import json_format

from runtimes.formats import timestamps

_ERRORS = (json_format.Error, ValueError, TypeError, OverflowError)


def timestamp_to_nanoseconds(timestamp: Any) -> int:
    """Returns a Timestamp in nanoseconds since the epoch; 0 if it is not set, invalid or outside the years 1970 to
    2262."""
    try:
        found: int = timestamp.ToNanoseconds()
    except (ValueError, OverflowError):
        return 0
    return found if 0 <= found <= timestamps.MAX_NANOSECONDS else 0


def is_event_time(at_ns: int) -> bool:
    """Returns whether an event can have this time, in nanoseconds since the epoch."""
    return 0 < at_ns <= timestamps.MAX_NANOSECONDS


def to_dict(message: Any, *, keep_names: bool = False) -> dict[str, Any]:
    """Converts a message to JSON data. A field that JSON cannot hold, such as a time outside all years, is left out.
    `keep_names`: with the field names of the .proto file instead of camel case."""
    try:
        return json_format.MessageToDict(message, preserving_proto_field_name=keep_names)
    except _ERRORS:
        found: dict[str, Any] = {}
        names = [field.name for field, _ in message.ListFields()]
        for name in names:
            single = type(message)()
            single.CopyFrom(message)
            for other in names:
                if other != name:
                    single.ClearField(other)
            with contextlib.suppress(*_ERRORS):
                found |= json_format.MessageToDict(single, preserving_proto_field_name=keep_names)
        return found
