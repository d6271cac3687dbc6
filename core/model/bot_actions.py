"""Defines the actions that the bot answers itself: help, identity, permissions, grants, the audit trail.

They run on no engine. They are actions like all others, so they pass the same permission check, rate limits and audit.
Their results are plain values that can be encoded.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, R_co, Risk
from core.model.invocation import Identity, Place
from core.model.policy import Decision, Grant
from core.model.policy_selectors import EVERYTHING, Selector
from core.model.refs import EngineRef, Kind, Ref

BOT = EngineRef(host="", kind="bot")


class HelpEntry(msgspec.Struct, frozen=True):
    """One command in the help. `args` are pairs of an argument as typed (`-n, --tail COUNT`) and its meaning; `risk` is
    one of core.model.actions.Risk. `verb_conditions`: pairs of a condition and the verb that is needed
    then instead of the others."""

    name: str
    summary: str
    usage: str
    risk: str
    verbs: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    args: tuple[tuple[str, str], ...] = ()
    examples: tuple[str, ...] = ()
    verb_conditions: tuple[tuple[str, str], ...] = ()


class HelpPage(msgspec.Struct, frozen=True):
    """All commands if `topic` is empty, otherwise the one with this name."""

    commands: tuple[HelpEntry, ...]
    topic: str = ""


class RequesterInfo(msgspec.Struct, frozen=True):
    """The requester's identity, and the grants that apply to them in this channel."""

    id: str
    name: str
    groups: tuple[str, ...]
    admin: bool
    grants: tuple[Grant, ...] = ()


class PermissionReport(msgspec.Struct, frozen=True):
    """What policy would decide: pairs of a subject (`container.restart on web`) and its decision. `freeze`: a sentence
    about the freeze that refuses it now, whatever policy says; empty if there is none."""

    decisions: tuple[tuple[str, Decision], ...]
    freeze: str = ""


class GrantAdded(msgspec.Struct, frozen=True):
    """The grant that now applies; `new` is False if an equal grant already existed."""

    grant: Grant
    new: bool = True


class GrantRemoved(msgspec.Struct, frozen=True):
    """The grant that was removed."""

    grant: Grant


class AuditEntry(msgspec.Struct, frozen=True):
    """One row of the audit trail. `at` is RFC 3339; `count` is the number of equal refusals in a row."""

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


class AuditPage(msgspec.Struct, frozen=True):
    """Matching rows of the audit, oldest first. `reaches_back_to`: when the oldest stored row was written, in seconds
    since the epoch, if older rows that could have matched were removed; else 0. `removed`: how many rows were ever
    removed. `reads_reach_back_to`: as `reaches_back_to`, of the commands that only read. `complete`: False if too many
    rows match to find all of them. `begins`,
    `reads_begin`: when the oldest stored row was written, as above; 0 without any row."""

    entries: tuple[AuditEntry, ...] = ()
    reaches_back_to: float = 0.0
    removed: int = 0
    reads_reach_back_to: float = 0.0
    complete: bool = True
    begins: float = 0.0
    reads_begin: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinAction(Action[R_co]):
    """An action of the bot itself. Its only target is named like its verb, so that grants can name it."""

    engine: EngineRef = BOT

    def targets(self) -> Sequence[Ref]:
        return (Ref(engine=BOT, kind=Kind.BOT, id=self.verb, name=self.verb),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowHelp(BuiltinAction[HelpPage]):
    """`topic`: the name of a command; empty for the overview."""

    verb = "help.show"
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoAmI(BuiltinAction[RequesterInfo]):
    verb = "policy.whoami"
    who: Identity
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPermission(BuiltinAction[PermissionReport]):
    """Asks whether `who` may do something in this place. `word` is a command, an alias, or a verb such as
    `container.restart`. Without a target: on any resource."""

    verb = "policy.can"
    who: Identity
    place: Place
    word: str
    target: Ref | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddGrant(BuiltinAction[GrantAdded]):
    """`who` and `can` as typed, with the meaning of `policy.Grant`. The bot resolves mentions, and refuses a permission
    that `by` does not have."""

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
    """Makes `by` an admin. `code` is the one-time code that a process without admins writes to its terminal or log."""

    verb = "policy.claim"
    risk = Risk.CHANGE
    by: Identity
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListGrants(BuiltinAction[tuple[Grant, ...]]):
    verb = "policy.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAudit(BuiltinAction[AuditPage]):
    """The newest `limit` rows that match, oldest first. `who` and `target` are globs over id or name; empty matches
    all; the case of a person's name does not matter. `since_ns`: nanoseconds since the epoch; `refused`: only refused
    commands; `reads`: also commands that only read."""

    verb = "audit.read"
    who: str = ""
    target: str = ""
    since_ns: int = 0
    refused: bool = False
    reads: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerQuestion(BuiltinAction[None]):
    """A yes or no to a pending question. The dispatcher executes the stored plan itself, so this action never runs."""

    verb = "question.answer"
    risk = Risk.CHANGE
    token: str
    yes: bool
