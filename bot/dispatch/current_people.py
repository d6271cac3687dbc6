"""Finds out which groups a person is in now, for decisions that come later than the person's command.

A question may be answered minutes after it was asked, and a log is followed for minutes. Each surface that knows groups
registers a source under the first part of its identities, such as `slack`. Without a source, the groups of the time of
the command count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.model.invocation import Identity

Source = Callable[[Identity], Awaitable[Identity]]


class CurrentPeople:
    """Holds the sources of this process. A source returns the person with the groups of now, and raises NotPermitted
    for a person who may not give commands any more. If it cannot find out, it returns the person unchanged."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}

    async def current(self, who: Identity) -> Identity:
        source = self.sources.get(who.via)
        return who if source is None else await source(who)
