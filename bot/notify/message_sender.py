"""Defines the interface for sending messages about incidents to a chat."""

from __future__ import annotations

from typing import Protocol

from core.lazy_dataclass import dataclass
from core.model.incidents import Incident
from core.model.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """Where a message was sent. `channel`: the id of the channel. `ts`: the id of the message in it. `tried_before`: it
    may be there since an earlier try, with the text of that time."""

    channel: str
    ts: str
    tried_before: bool = False


class MessageSender(Protocol):
    """Sends messages to a chat. Methods raise errors.DeliveryError and StoreError."""

    async def post(
        self,
        to: str,
        reply: Reply,
        thread: str = "",
        *,
        broadcast: bool = False,
        once: str = "",
        urgent: bool = False,
    ) -> SentMessage:
        """Posts a message. `to`: the id of a channel, its name with `#`, or the id of a person. `thread`: the id of the
        message whose thread it belongs to. `broadcast`: the channel sees it too. `once`: the message's name; a message
        with this name is posted only if it is not there. `urgent`: it goes before others that wait."""
        ...

    async def edit(self, channel: str, ts: str, reply: Reply) -> None:
        """Edits a message. Raises MessageNotFound if it was deleted; `post` does so for a thread."""
        ...


def message_name(incident: Incident, to: str, what: str) -> str:
    """Names one message about one incident in one place."""
    return f"{incident.key}.{incident.began_ns}.{to}.{what}"
