"""Defines self-healing: the commands that a healing policy runs when an alert fires, its stored record, and the next
step.

The decisions depend only on the policy, the stored record and the time. The record of a policy is one value in the
store, so two processes cannot start the same attempt. Each attempt counts towards the budget of the policy.
"""

from __future__ import annotations

import enum
import fnmatch
import hashlib

import msgspec

from core.lazy_dataclass import dataclass
from core.model.policy import Ask, Guard
from core.model.policy_selectors import Selector

HOUR = 3600.0
# How long a try may take. After that, or if its process was killed, it counts as done with an unknown outcome.
TRY_SECONDS = 180.0
MAX_TARGETS = 200  # of one policy; the oldest are forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingPolicy:
    """One policy. Times are seconds. `rules`: globs over the names of alert rules; `verb`: of its actions."""

    name: str
    rules: tuple[str, ...]
    on: Selector
    do: str
    verb: str
    replicas: int = 0
    dependents: bool = False
    wait: float = 30.0
    max_wait: float = 600.0
    tries: int = 3
    budget: int = 6
    pause: float = HOUR
    at_most: int = 5

    @property
    def identity(self) -> str:
        return f"rule:{self.name}"

    def covers(self, rule: str) -> bool:
        """Whether it acts on alerts of this rule."""
        return any(fnmatch.fnmatchcase(rule, pattern) for pattern in self.rules)

    def wait_after(self, tries: int) -> float:
        """Returns how long to wait after so many tries."""
        return min(self.max_wait, self.wait * 2.0 ** min(tries, 30))


class TargetState(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about one incident. Times are seconds since the epoch. `incident`: its id and how often it began.
    `since`: from when on the next wait counts. `began`, 0 if no try runs: when the running try began. `tries`: those
    that were begun; `refusals`: how often one was refused in a row. `gave_up_until`: until when nothing is tried.
    `told`: the last reason for not acting that people were told."""

    incident: str
    since: float
    began: float = 0.0
    tries: int = 0
    refusals: int = 0
    gave_up_until: float = 0.0
    told: str = ""


class HealingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored about one policy. `saved`: the digest of the policy as it was saved last, and `answered` those of
    the guards that were in force then. `acts`: when it acted in the last hour. `targets`: by incident key."""

    saved: str = ""
    answered: tuple[str, ...] = ()
    acts: tuple[float, ...] = ()
    targets: dict[str, TargetState] = {}


class Step(enum.StrEnum):
    """What is due. WAIT: nothing yet. LOST: a try has no known outcome, because its process ended or it took too long.
    ACT: a try. GIVE_UP: all tries were in vain. SPENT: the budget is used up. REST: it gave up before."""

    WAIT = "wait"
    LOST = "lost"
    ACT = "act"
    GIVE_UP = "give_up"
    SPENT = "spent"
    REST = "rest"


def state_of(record: HealingRecord, key: str, incident: str, now: float) -> TargetState:
    """Returns the state of an incident: a new one if it began again, except while the policy rests."""
    known = record.targets.get(key)
    if known is not None and (known.incident == incident or now < known.gave_up_until):
        return known
    return TargetState(incident=incident, since=now)


def next_step(policy: HealingPolicy, record: HealingRecord, state: TargetState, now: float) -> Step:
    """Returns what is due now for one incident that fires."""
    if state.began:
        return Step.LOST if now - state.began > TRY_SECONDS else Step.WAIT
    if now < state.gave_up_until:
        return Step.REST
    if now - state.since < policy.wait_after(max(state.tries, state.refusals)):
        return Step.WAIT
    if state.tries >= policy.tries:
        return Step.GIVE_UP
    return Step.SPENT if len(_recent(record, now)) >= policy.budget else Step.ACT


def begun(record: HealingRecord, key: str, state: TargetState, now: float) -> HealingRecord:
    """Returns the record with one more try, which begins now."""
    state = msgspec.structs.replace(state, began=now, tries=state.tries + 1)
    return with_state(msgspec.structs.replace(record, acts=(*_recent(record, now), now)), key, state)


def ended(state: TargetState, now: float, *, refused: str = "") -> TargetState:
    """Returns the state after a try. `refused`: why it was refused; then nothing was done, and it does not count."""
    if refused:
        return msgspec.structs.replace(
            state, began=0.0, since=now, tries=max(0, state.tries - 1), refusals=state.refusals + 1, told=refused
        )
    return msgspec.structs.replace(state, began=0.0, since=now, refusals=0, told="")


def gave_up(policy: HealingPolicy, state: TargetState, now: float) -> TargetState:
    """Returns the state of an incident that is left alone for a time. After that, there is one more try."""
    return msgspec.structs.replace(
        state, gave_up_until=now + policy.pause, since=now + policy.pause, tries=max(0, policy.tries - 1)
    )


def with_state(record: HealingRecord, key: str, state: TargetState | None) -> HealingRecord:
    """Returns the record with this state of one incident; None removes it."""
    targets = {each: known for each, known in record.targets.items() if each != key}
    if state is not None:
        targets[key] = state
    return msgspec.structs.replace(record, targets=dict(list(targets.items())[-MAX_TARGETS:]))


def saved(policy: HealingPolicy, record: HealingRecord, guards: tuple[Guard, ...]) -> HealingRecord:
    """Returns the record of a policy that is in force now. If the policy is not the one that was saved last, the guards
    of now count as answered."""
    digest = hashlib.blake2s(repr(policy).encode(), digest_size=8).hexdigest()
    if record.saved == digest:
        return record
    answered = tuple(sorted(guard_digest(guard) for guard in guards if guard.ask is Ask.CONFIRM))
    return msgspec.structs.replace(record, saved=digest, answered=answered)


def guard_digest(guard: Guard) -> str:
    """Returns what identifies a guard by its content: the number of a guard in the configuration may change."""
    text = repr((guard.can, guard.ask, guard.on, guard.who, guard.approvers))
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _recent(record: HealingRecord, now: float) -> tuple[float, ...]:
    return tuple(at for at in record.acts if now - at < HOUR)
