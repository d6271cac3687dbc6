"""Defines the test of an alert rule: the rule is evaluated again on past events, and nothing is reported to anybody."""

from __future__ import annotations

import msgspec

from core.lazy_dataclass import dataclass
from core.model.alerts import Severity
from core.model.bot_actions import BuiltinAction
from core.model.invocation import Identity, Place
from core.model.refs import Ref

MAX_MESSAGES = 100  # that a result lists; the others are counted


class ReplayedMessage(msgspec.Struct, frozen=True):
    """One message that the rule would have caused. Times are nanoseconds since the epoch. `until_ns`: when the trouble
    was over; 0 if it was not. `times`: how often the trouble was found."""

    at_ns: int
    until_ns: int
    subject: Ref
    owner: str
    severity: Severity
    text: str
    times: int = 1


class RuleTest(msgspec.Struct, frozen=True):
    """What a rule would have reported. `rule`: its name; `settings`: what of it was changed for the test. `events`:
    how many events were replayed; `asked`: about how many of them the rule was asked; `found`: how often it found
    trouble. `messages`: the newest of them, the oldest first; `more`: how many others there are.

    What was found and caused no message of its own: `repeated`: while the incident was open; `reopened`: soon after its
    end, in its old message; `held_back`: it was over too soon, or the rule rested; `waiting`: it has not lasted long
    enough at the end of the time. `took`: seconds. `notes`: sentences about what the test does not know."""

    rule: str
    settings: str
    since_ns: int
    until_ns: int
    events: int
    asked: int
    found: int
    messages: tuple[ReplayedMessage, ...]
    more: int = 0
    repeated: int = 0
    reopened: int = 0
    held_back: int = 0
    waiting: int = 0
    took: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRule(BuiltinAction[RuleTest]):
    """Evaluates one rule on the events of the history from `since_ns` on, about resources that `who` may list in this
    place.

    `name`: of a rule, or of a new one that `on`, `where`, `count` and `within` describe, as in the configuration. The
    other fields change the rule for this test; None or an empty text leaves them. Times are seconds. `file`: the path
    of a file with events, instead of the history; only at a console."""

    verb = "rule.test"
    who: Identity
    place: Place
    name: str = ""
    since_ns: int = 0
    hold: float | None = None
    settle: float | None = None
    cooldown: float | None = None
    threshold: float | None = None
    severity: str = ""
    on: str = ""
    where: tuple[str, ...] = ()
    count: int = 0
    within: float | None = None
    file: str = ""

    def timeout_seconds(self) -> float:
        return 30.0
