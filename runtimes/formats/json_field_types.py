"""Defines the field types of the JSON models, each with the values that it allows: numbers, times and labels.

A value outside its range counts as invalid, and `json_decoder` leaves out the field. Without the ranges, one absurd
number would break calculations and the display of times far from the place where it was read.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MAX_INT64 = (1 << 63) - 1
MAX_UNIX_SECONDS = 253_402_128_000.0
"""The end of the year 9999 less two days: a time in any zone up to this one can be shown."""

Int64 = Annotated[int, msgspec.Meta(ge=-MAX_INT64 - 1, le=MAX_INT64)]
Pid = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
ExitCode = Annotated[int, msgspec.Meta(ge=-9_999_999_999, le=9_999_999_999)]
"""At most ten digits: Windows reports codes of 32 bits without a sign."""
UnixSeconds = Annotated[float, msgspec.Meta(ge=-MAX_UNIX_SECONDS, le=MAX_UNIX_SECONDS)]
"""Seconds since the epoch. Podman sends the year 1, a negative number, for a time that does not exist."""
UnixNanoseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]

ESSENTIAL = "essential"
_ESSENTIAL = msgspec.Meta(extra={ESSENTIAL: True})
# Permissions depend on these. A row in which one of them is unreadable is left out, because without it a guard or a
# grant might decide wrongly.
EssentialText = Annotated[str, _ESSENTIAL]
EssentialNames = Annotated[list[str] | None, _ESSENTIAL]
Labels = Annotated[dict[str, str] | None, _ESSENTIAL]
