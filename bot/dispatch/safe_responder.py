"""Sends the replies of one command through its responder, and logs a failure of the responder.

If a message cannot be sent, only that message is lost: the command continues, and its outcome is recorded.
"""

from __future__ import annotations

import structlog

from core import errors, unexpected_errors
from core.model.replies import Reply
from core.ports import ActionStarted, Progress, Responder, Watched

log = structlog.get_logger(__name__)


class SafeResponder:
    """Logs what its responder raises. `finished`: the reply was sent or refused. If a bug prevented that, the next
    process reports the command."""

    def __init__(self, responder: Responder, bugs: unexpected_errors.BugReporter, *, who: str) -> None:
        self._responder, self._bugs, self._who = responder, bugs, who
        self.finished = False

    def started(self, action: ActionStarted) -> None:
        with self._bugs.logged("reply", step="started"):
            self._responder.started(action)

    def progress(self, progress: Progress) -> bool:
        with self._bugs.logged("reply", step="progress"):
            return self._responder.progress(progress)
        return False  # type: ignore[unreachable]  # after a bug

    def watching(self, watched: Watched) -> None:
        with self._bugs.logged("reply", step="watching"):
            self._responder.watching(watched)

    def is_private(self) -> bool:
        with self._bugs.logged("reply", step="is_private"):
            return self._responder.is_private()
        return False  # type: ignore[unreachable]  # after a bug

    async def finish(self, reply: Reply) -> None:
        with self._bugs.logged("reply", step="finish"):
            try:
                await self._responder.finish(reply)
            except errors.DeliveryError as error:
                log.error("A reply was not delivered.", action="reply", who=self._who, reason=error.message)
            self.finished = True
