"""Holds the current state of one running command: for its metrics, the audit, and a report if it ends unexpectedly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.dispatch import change_record, change_verification, safe_responder
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Context
from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.policy import Decision


@dataclass(slots=True, kw_only=True)
class CommandState:
    """Holds the state of one command.

    `recorded`: the store has a record of it, which is deleted after the reply. `share`: the requester wants the channel
    to see the reply of a read. `frozen`: the record of the freeze, if all changes are frozen. `view` and `context`:
    None until the command was parsed and registered. `watch`: watches what a change has started.
    """

    responder: safe_responder.SafeResponder | None
    command: str = "none"
    verdict: str = "none"
    recorded: bool = False
    share: bool = False
    frozen: bytes = b""
    plan: Sequence[Action[Any]] = ()
    decision: Decision | None = None
    change: change_record.ChangeRecord | None = None
    view: VisibleFleet | None = None
    context: Context | None = None
    watch: change_verification.ChangeVerification | None = None
