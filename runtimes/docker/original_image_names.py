"""Finds the image name that a container was created with.

If that name now belongs to another image, for example after a pull, Docker's list shows `sha256:…` instead of the name.
An inspection always shows the name. So each container that is listed with an id is inspected once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from core import errors
from core.model.containers import Container

MAX_AT_ONCE = 100  # inspections for one list; the next list continues
_ID = re.compile(r"sha256:[0-9a-f]{64}")


class OriginalImageNames:
    """Caches the image names of the listed containers. `describe`: inspects containers within some seconds."""

    def __init__(self, describe: Callable[[Sequence[str], float], Awaitable[dict[str, Container | None]]]) -> None:
        self._describe = describe
        self._names: dict[str, str] = {}

    async def with_names(self, rows: Sequence[Container], seconds: float) -> tuple[Container, ...]:
        """Returns the rows of a whole list with these names. A row whose name cannot be found now keeps the id."""
        listed = {row.ref.id for row in rows if _ID.fullmatch(row.image)}
        self._names = {key: name for key, name in self._names.items() if key in listed}
        if unknown := [key for key in listed if key not in self._names][:MAX_AT_ONCE]:
            try:
                found = await self._describe(unknown, seconds)
            except (errors.QuarterdeckError, TimeoutError):
                found = {}
            self._names |= {key: row.image for key, row in found.items() if row is not None}
        return tuple(
            [
                msgspec.structs.replace(row, image=self._names[row.ref.id]) if row.ref.id in self._names else row
                for row in rows
            ]
        )
