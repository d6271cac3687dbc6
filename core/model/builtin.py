"""What the desk itself can be asked: help, who you are, what you may, grants, the audit trail. These run in the bot, on
no engine, and are actions like any other, so that they pass the same permission, limits and audit; their results are
plain values that survive the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from core.model.actions import Action, R_co, Risk
from core.model.identity import Identity, Place
from core.model.policy import Decision, Grant
from core.model.refs import EngineRef, Kind, Ref
from core.model.selectors import EVERYTHING, Selector

BOT = EngineRef(host="", kind="bot")


class CommandHelp(msgspec.Struct, frozen=True):
    """One command as help shows it. `args` pairs an argument as typed (`-n, --tail COUNT`) with its meaning; `risk` is
    one of core.model.actions.Risk."""

    name: str
    summary: str
    usage: str
    risk: str
    verbs: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    args: tuple[tuple[str, str], ...] = ()
    examples: tuple[str, ...] = ()


class HelpPage(msgspec.Struct, frozen=True):
    """All commands where `topic` is empty, else the one it names."""

    commands: tuple[CommandHelp, ...]
    topic: str = ""


class RequesterInfo(msgspec.Struct, frozen=True):
    """Who the asker is to us, and the grants that hold for them here."""

    id: str
    name: str
    groups: tuple[str, ...]
    admin: bool
    grants: tuple[Grant, ...] = ()


class PermissionReport(msgspec.Struct, frozen=True):
    """What would be decided, without doing it: pairs of a subject (`container.restart on web`) and its decision."""

    decisions: tuple[tuple[str, Decision], ...]


class GrantAdded(msgspec.Struct, frozen=True):
    """The grant that now holds; `new` is False where an equal one stood already."""

    grant: Grant
    new: bool = True


class GrantRemoved(msgspec.Struct, frozen=True):
    """The grant that no longer holds."""

    grant: Grant


class AuditEntry(msgspec.Struct, frozen=True):
    """One row of the audit trail. `at` is RFC 3339; `count` is how often an equal refusal was repeated."""

    at: str
    who: str
    place: str
    line: str
    verb: str = ""
    target: str = ""
    phase: str = ""
    verdict: str = ""
    rule: str = ""
    reason: str = ""
    status: str = ""
    detail: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinAction(Action[R_co]):
    """An operation of the bot itself. It touches one thing, named by its verb, so that grants can name it."""

    engine: EngineRef = BOT

    def targets(self) -> Sequence[Ref]:
        return (Ref(engine=BOT, kind=Kind.BOT, id=self.verb, name=self.verb),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowHelp(BuiltinAction[HelpPage]):
    """`topic`: a command's name, or empty for the overview."""

    verb = "help.show"
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoAmI(BuiltinAction[RequesterInfo]):
    verb = "policy.whoami"
    who: Identity
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPermission(BuiltinAction[PermissionReport]):
    """Whether `who` may, here. `word` is a command's name or alias, or a verb such as `container.restart`: the desk
    knows the catalogue and turns it into verbs. No target: on anything."""

    verb = "policy.can"
    who: Identity
    place: Place
    word: str
    target: Ref | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddGrant(BuiltinAction[GrantAdded]):
    """`who` and `can` as in `policy.Grant`, as typed; the desk resolves mentions and refuses what `by` lacks."""

    verb = "policy.grant"
    risk = Risk.CHANGE
    by: Identity
    place: Place
    who: str
    can: tuple[str, ...]
    on: Selector = EVERYTHING
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveGrant(BuiltinAction[GrantRemoved]):
    verb = "policy.revoke"
    risk = Risk.CHANGE
    by: Identity
    place: Place
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAdmin(BuiltinAction[GrantAdded]):
    """Makes `by` an admin, by the one-time code a process without admins shows on its own terminal or log."""

    verb = "policy.claim"
    risk = Risk.CHANGE
    by: Identity
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListGrants(BuiltinAction[tuple[Grant, ...]]):
    verb = "policy.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAudit(BuiltinAction[tuple[AuditEntry, ...]]):
    """The newest `limit` rows that match, oldest first. `who` and `target` are globs over id or name, empty for all;
    `since_ns`: nanoseconds since the epoch; `refused`: only what was not allowed."""

    verb = "audit.read"
    who: str = ""
    target: str = ""
    since_ns: int = 0
    refused: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerQuestion(BuiltinAction[None]):
    """A yes or no to a question the road asked. The road takes its plan up itself; the desk never runs this."""

    verb = "question.answer"
    risk = Risk.CHANGE
    token: str
    yes: bool
