"""Announces a change to everybody in the channel where it was requested, when it starts.

If the engines of a change are known not to answer, the change is announced later: only when it has, or may have,
changed something. Otherwise everybody would read about a change that fails a few seconds later. If nothing was done,
only the requester gets a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.dispatch import job_follower, reply_formatting
from bot.dispatch.safe_responder import SafeResponder
from commands.spec import Command, Result
from core.model import bot_actions
from core.model.actions import Action
from core.model.invocation import Invocation
from core.model.replies import Reply
from core.ports import ActionStarted
from core.text import redact
from runtimes.inventory.fleet import Fleet


class ChangeAnnouncer:
    """Announces one accepted plan, at most once. Call `before` when it starts, `after` with its results, and
    `addressed` with its reply."""

    def __init__(
        self, inv: Invocation, command: Command, plan: Sequence[Action[Any]], responder: SafeResponder | None
    ) -> None:
        self._inv, self._command, self._plan = inv, command, plan
        self._responder = responder if any(map(_is_announced, plan)) else None

    def before(self, fleet: Fleet) -> None:
        if not all(fleet.is_silent(action.engine) for action in self._plan):
            self._announce()

    def after(self, results: Sequence[Result]) -> None:
        """A change whose request was sent to an engine has a value and no error, even if its outcome is unknown."""
        if any(result.error is None for result in results):
            self._announce()

    def addressed(self, reply: Reply) -> Reply:
        """Returns the reply, for the requester alone if the change was not announced."""
        return replace(reply, everyone=False) if self._responder is not None else reply

    def _announce(self) -> None:
        responder, self._responder = self._responder, None
        if responder is not None:
            names = [redact.redact(name) for name in reply_formatting.list_target_names(self._plan)]
            doing = self._command.doing or self._command.name
            responder.started(ActionStarted(line=redact.redact(self._inv.line), doing=doing, names=names))


def _is_announced(action: Action[Any]) -> bool:
    """Returns whether the channel is told when this action starts. A stopped job reports its own end where it was
    shown."""
    return action.engine != bot_actions.BOT and not isinstance(action, job_follower.STOPS) and not action.secret
