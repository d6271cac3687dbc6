"""Stores the names of people, user groups and channels by their ids. So a process without Slack, such as `quarterdeck
do`, can show names too.

The number of names is limited. When the limit is reached, only names that are stored already are updated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.store import keys
from core.store.connection import StoreConnection, text

MAX_NAMES, MAX_NAME = 10_000, 80  # of each of the two hashes; characters of a name
_PERSON = "slack:"


class NameStore(StoreConnection):
    """Stores names. Those of people are the same that the commands of these people bring."""

    async def people(self) -> Mapping[str, str]:
        """Returns the name of each person by id, as of the person's last command or of Slack's last answer. At most
        MAX_NAMES are stored; of later people only the id is known."""
        async with self._call():
            found = await self._client.hgetall(self._key(keys.PEOPLE))
        return {text(who): text(name) for who, name in found.items()}

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Returns the names of these people, groups and channels, as far as they are known."""
        people, others = _divided(ids)
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            for key, wanted in ((keys.PEOPLE, people), (keys.NAMES, others)):
                if wanted:
                    pipe.hmget(self._key(key), wanted)
            found = await pipe.execute() if people or others else []
        values = [value for answer in found for value in answer]
        return {id_: text(value) for id_, value in zip([*people, *others], values, strict=True) if value}

    async def remember_names(self, names: Mapping[str, str]) -> None:
        """Stores these names."""
        people, others = _divided(list(names))
        for key, ids in ((keys.PEOPLE, people), (keys.NAMES, others)):
            if not ids:
                continue
            async with self._call(), self._client.pipeline(transaction=False) as pipe:
                pipe.hlen(self._key(key)).hmget(self._key(key), ids)
                number, known = await pipe.execute()
            room = MAX_NAMES - number
            new = [id_ for id_, value in zip(ids, known, strict=True) if value is None]
            wanted = {id_: names[id_][:MAX_NAME] for id_ in ids if id_ not in set(new[max(0, room) :])}
            if wanted:
                async with self._call():
                    await self._client.hset(self._key(key), mapping=dict(wanted))


def _divided(ids: Sequence[str]) -> tuple[list[str], list[str]]:
    return [id_ for id_ in ids if id_.startswith(_PERSON)], [id_ for id_ in ids if not id_.startswith(_PERSON)]
