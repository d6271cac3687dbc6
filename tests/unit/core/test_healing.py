"""What self-healing decides: from the policy, the record and the time alone."""

from __future__ import annotations

import msgspec
import pytest

from core.model import healing
from core.model.healing import HealingPolicy, HealingRecord, Step, TargetState
from core.model.policy import Ask, Guard
from core.model.policy_selectors import Selector

POLICY = HealingPolicy(
    name="restart-web",
    rules=("crash*",),
    on=Selector(name="web"),
    do="restart",
    verb="container.restart",
    wait=10.0,
    max_wait=25.0,
    tries=3,
    budget=4,
    pause=100.0,
)
KEY = "k1"


def live_through(policy: HealingPolicy, seconds: int, *, record: HealingRecord | None = None) -> list[tuple[int, Step]]:
    """Lets an incident fire for so long, and makes each act take one second. Returns the acts and when they began."""
    record = record or HealingRecord()
    steps = []
    for now in range(seconds):
        state = healing.state_of(record, KEY, "i/1", now)
        step = healing.next_step(policy, record, state, now)
        if step is Step.ACT:
            record = healing.begun(record, KEY, state, now)
            record = healing.with_state(record, KEY, healing.ended(record.targets[KEY], now + 1))
        elif step is Step.GIVE_UP:
            record = healing.with_state(record, KEY, healing.gave_up(policy, state, now))
        else:
            record = healing.with_state(record, KEY, state)
            continue
        steps.append((now, step))
    return steps


def test_waits_double_up_to_the_longest_and_then_it_gives_up_for_a_time() -> None:
    assert live_through(POLICY, 100) == [(10, Step.ACT), (31, Step.ACT), (57, Step.ACT), (83, Step.GIVE_UP)]


def test_after_the_pause_there_is_one_more_try() -> None:
    later = [step for at, step in live_through(POLICY, 400) if at > 83]
    assert later[:2] == [Step.ACT, Step.GIVE_UP]


def test_the_budget_counts_the_acts_of_the_last_hour_for_all_incidents() -> None:
    spent = HealingRecord(acts=(1.0, 2.0, 3.0, 4.0))
    state = TargetState(incident="i/1", since=0.0)
    assert healing.next_step(POLICY, spent, state, 100.0) is Step.SPENT
    assert healing.next_step(POLICY, spent, state, 3602.0) is Step.ACT


def test_a_try_that_began_and_never_ended_is_lost_and_is_not_made_again() -> None:
    record = healing.begun(HealingRecord(), KEY, TargetState(incident="i/1", since=0.0), 10.0)
    state = record.targets[KEY]
    assert healing.next_step(POLICY, record, state, 10.0 + healing.TRY_SECONDS) is Step.WAIT
    assert healing.next_step(POLICY, record, state, 11.0 + healing.TRY_SECONDS) is Step.LOST
    assert healing.ended(state, 200.0).tries == 1, "it counts"


def test_a_refused_try_does_not_count_and_the_next_one_comes_later() -> None:
    state = TargetState(incident="i/1", since=0.0)
    for number in range(1, 4):
        record = healing.begun(HealingRecord(), KEY, state, 50.0 * number)
        state = healing.ended(record.targets[KEY], 50.0 * number, refused="no")
        assert (state.tries, state.refusals, state.told) == (0, number, "no")
    assert healing.next_step(POLICY, HealingRecord(), state, 150.0 + 24) is Step.WAIT
    assert healing.next_step(POLICY, HealingRecord(), state, 150.0 + 25) is Step.ACT


def test_an_incident_that_begins_again_is_tried_anew_but_not_while_the_policy_rests() -> None:
    record = HealingRecord(targets={KEY: TargetState(incident="i/1", since=0.0, tries=2)})
    assert healing.state_of(record, KEY, "i/2", 50.0).tries == 0
    resting = HealingRecord(targets={KEY: TargetState(incident="i/1", since=0.0, tries=2, gave_up_until=99.0)})
    assert healing.next_step(POLICY, resting, healing.state_of(resting, KEY, "i/2", 50.0), 50.0) is Step.REST


def test_the_number_of_incidents_of_a_policy_is_limited() -> None:
    record = HealingRecord()
    for number in range(healing.MAX_TARGETS + 3):
        record = healing.with_state(record, f"k{number}", TargetState(incident="i/1", since=0.0))
    assert len(record.targets) == healing.MAX_TARGETS
    assert "k0" not in record.targets


CONFIRM = Guard(id="guards.0", can=("ends",), ask=Ask.CONFIRM)
APPROVE = Guard(id="guards.1", can=("ends",), ask=Ask.APPROVE)


def test_saving_a_policy_answers_the_guards_of_now_and_no_later_one() -> None:
    first = healing.saved(POLICY, HealingRecord(), (CONFIRM, APPROVE))
    assert first.answered == (healing.guard_digest(CONFIRM),), "an approval needs another person"
    later = Guard(id="guards.2", can=("container.restart",), ask=Ask.CONFIRM)
    assert healing.saved(POLICY, first, (CONFIRM, later)) == first
    changed = msgspec.structs.replace(first)
    assert healing.saved(HealingPolicy(**{**_fields(POLICY), "tries": 5}), changed, (later,)).answered == (
        healing.guard_digest(later),
    )


def test_a_guard_is_known_by_its_content_and_not_by_its_number() -> None:
    moved = Guard(id="guards.7", can=("ends",), ask=Ask.CONFIRM)
    assert healing.guard_digest(moved) == healing.guard_digest(CONFIRM)
    other = Guard(id="guards.0", can=("ends",), ask=Ask.CONFIRM, on=Selector(name="db"))
    assert healing.guard_digest(other) != healing.guard_digest(CONFIRM)


@pytest.mark.parametrize(("rule", "covered"), [("crash", True), ("crash-loop", True), ("unhealthy", False)])
def test_a_policy_covers_rules_by_glob(rule: str, covered: bool) -> None:
    assert POLICY.covers(rule) is covered


def _fields(policy: HealingPolicy) -> dict[str, object]:
    return {name: getattr(policy, name) for name in HealingPolicy.__dataclass_fields__}
