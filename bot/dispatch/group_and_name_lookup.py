"""Looks up the current groups of a person, and the display names of people, groups and channels.

The groups are needed for decisions minutes after the command: when a question is answered, or while a log is followed.
Each chat front end (such as Slack) registers one source for its ids (`slack:…`). Without a source, the groups at the
time of the command are used. Names come from the store, then from the front end. If no name is found, the reply shows
the id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from core import errors
from core.model.invocation import Identity
from core.model.replies import Reply
from core.text import person_names

log = structlog.get_logger(__name__)
Source = Callable[[Identity], Awaitable[Identity]]
NameSource = Callable[[Sequence[str], Mapping[str, str]], Awaitable[Mapping[str, str]]]
MAX_IDS = 500  # of one reply
NAME_SECONDS = 2.0  # for all sources, so that a slow one does not hold a reply back


class NameStore(Protocol):
    """Stores what people, groups and channels are called, by id."""

    async def names(self, ids: Sequence[str], /) -> Mapping[str, str]: ...


class CurrentPeople:
    """Holds the sources of this process. A source returns the person with the groups of now, and raises NotPermitted
    for a person who may not give commands any more. If it cannot find out, it returns the person unchanged. A source of
    names takes ids and what is known of them, and returns what it knows."""

    def __init__(self, store: NameStore) -> None:
        self.sources: dict[str, Source] = {}
        self.name_sources: dict[str, NameSource] = {}
        self._store = store

    async def current(self, who: Identity) -> Identity:
        source = self.sources.get(who.via)
        return who if source is None else await source(who)

    async def named(self, reply: Reply) -> Reply:
        """Returns the reply with the names of the ids that it contains."""
        ids = person_names.find_ids_in_reply(reply)[:MAX_IDS]
        if not ids:
            return reply
        names: dict[str, str] = {}
        try:
            names |= await self._store.names(ids)
        except errors.StoreError as error:
            log.debug("The names of people could not be read.", reason=error.message)
        try:
            async with asyncio.timeout(NAME_SECONDS):
                for source in tuple(self.name_sources.values()):
                    names |= await source(ids, names)
        except TimeoutError:
            log.debug("The names of people were not read in time.", number=len(ids))
        return replace(reply, names={id_: names[id_] for id_ in ids if id_ in names})
