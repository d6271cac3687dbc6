"""Incidents: one trouble of one owner is one incident, in whatever order and however often its alerts arrive."""

from __future__ import annotations

import hypothesis
import msgspec
from hypothesis import strategies as st

from core.model.alerts import Alert, AlertState, Severity
from core.model.incidents import (
    MAX_ALERTS,
    MAX_NOTES,
    REOPEN_NS,
    Incident,
    IncidentNote,
    IncidentState,
    acknowledge,
    add_note,
    incident_key,
    merge_alert,
)
from tests.helpers.alerts import alert


def merged(*alerts: Alert, into: Incident | None = None) -> Incident:
    incident = into
    for each in alerts:
        incident = merge_alert(incident, each) or incident
    assert incident is not None
    return incident


def test_two_rules_about_one_trouble_are_one_incident_and_the_worse_one_describes_it() -> None:
    loop = alert("crash-loop", at=2, severity=Severity.HIGH, text="crash loop")
    incident = merged(alert(), loop)
    assert (incident.main.rule, incident.severity, len(incident.firing)) == ("crash-loop", Severity.HIGH, 2)
    assert incident.key == incident_key(loop) and incident.id == f"{incident.key[:6]}-1"


def test_an_incident_ends_when_all_of_its_alerts_are_resolved() -> None:
    both = merged(alert(), alert("crash-loop", at=2))
    half = merged(alert(at=3, state=AlertState.RESOLVED), into=both)
    assert half.state is IncidentState.FIRING
    done = merged(alert("crash-loop", at=4, state=AlertState.RESOLVED, text="it runs"), into=half)
    assert done.state is IncidentState.RESOLVED and done.version == 4
    assert (done.main.text, done.main.problem) == ("it runs", both.main.text), "it still says what was wrong"


def test_the_same_report_of_a_second_process_changes_nothing() -> None:
    incident = merged(alert(at=5, count=3))
    assert merge_alert(incident, alert(at=5, count=3)) is None
    assert merge_alert(incident, alert(at=4, count=9)) is None
    assert merge_alert(incident, alert(at=4, state=AlertState.RESOLVED)) is None


def test_trouble_that_comes_back_soon_reopens_the_incident_and_asks_again_for_somebody() -> None:
    taken = acknowledge(merged(alert()), "slack:T1/U1")
    again = merged(alert(at=2, state=AlertState.RESOLVED), alert(at=3), into=taken)
    assert (again.id, again.opened, again.acknowledged_by) == (taken.id, 2, "")


def test_trouble_that_comes_back_late_is_a_new_incident() -> None:
    done = merged(alert(), alert(at=2, state=AlertState.RESOLVED))
    new = merged(alert(at=3 + REOPEN_NS, since_ns=3 + REOPEN_NS), into=done)
    assert new.key == done.key and new.id == f"{done.key[:6]}-2"
    assert (new.opened, new.posted, new.began_ns) == (1, None, 3 + REOPEN_NS)


def test_an_acknowledged_incident_stays_so_while_it_fires() -> None:
    incident = acknowledge(merged(alert()), "slack:T1/U1")
    assert incident.state is IncidentState.ACKNOWLEDGED
    more = merged(alert(at=2, count=2), into=incident)
    assert more.state is IncidentState.ACKNOWLEDGED and more.count == 2


def test_what_resolves_nothing_begins_nothing() -> None:
    assert merge_alert(None, alert(state=AlertState.RESOLVED)) is None


def test_an_incident_survives_being_encoded() -> None:
    incident = acknowledge(merged(alert(), alert("crash-loop", at=2)), "slack:T1/U1")
    assert msgspec.json.decode(msgspec.json.encode(incident), type=Incident) == incident


@hypothesis.given(st.data())
def test_copies_of_reports_change_nothing(data: st.DataObject) -> None:
    states = data.draw(st.lists(st.sampled_from(AlertState), max_size=8))
    reports = [alert(at=at, state=state, count=at) for at, state in enumerate(states, 1)]
    once: Incident | None = None
    twice: Incident | None = None
    for number, report in enumerate(reports):
        once = merge_alert(once, report) or once
        twice = merge_alert(twice, report) or twice
        for copy in data.draw(st.lists(st.sampled_from(reports[: number + 1]), max_size=3)):
            twice = merge_alert(twice, copy) or twice
    assert once == twice


def test_another_alert_of_an_open_incident_is_a_note_and_a_repetition_is_none() -> None:
    incident = merge_alert(None, alert(at=1))
    assert incident is not None and incident.notes == ()
    incident = merge_alert(incident, alert(at=2, count=2))
    assert incident is not None and incident.notes == ()
    incident = merge_alert(incident, alert("crash-loop", at=3, text="crash loop: 3 ends in 10 minutes"))
    assert incident is not None
    assert [note.text for note in incident.notes_after(0)] == ["crash-loop: crash loop: 3 ends in 10 minutes"]
    assert incident.notes_after(incident.noted) == ()


def test_the_number_of_notes_is_limited_and_the_newest_are_kept() -> None:
    incident = merge_alert(None, alert(at=1))
    assert incident is not None
    for number in range(MAX_NOTES + 5):
        incident = add_note(incident, IncidentNote(number, f"note {number}"))
    assert (len(incident.notes), incident.noted) == (MAX_NOTES, MAX_NOTES + 5)
    assert [note.text for note in incident.notes_after(MAX_NOTES + 3)] == ["note 23", "note 24"]
    assert len(incident.notes_after(0)) == MAX_NOTES


def test_an_incident_drops_what_is_over_before_what_fires_and_does_not_thrash() -> None:
    def one(name: str, at: int, **more) -> Alert:
        return alert(rule=name, fingerprint=name, at=at, **more)

    found = merge_alert(None, one("over", 1))
    found = merge_alert(found, one("over", 2, state=AlertState.RESOLVED))
    for number in range(MAX_ALERTS):
        found = merge_alert(found, one(f"a{number}", 10 + number))
    assert len(found.firing) == len(found.alerts) == MAX_ALERTS
    assert merge_alert(found, one("more", 99)) is None
    severe = merge_alert(found, one("severe", 100, severity=Severity.HIGH))
    assert (len(severe.alerts), severe.main.rule) == (MAX_ALERTS, "severe")
    dropped = {each.rule for each in found.alerts} - {each.rule for each in severe.alerts}
    assert dropped == {"a0"}
    assert merge_alert(severe, one("a0", 101)) is None, "it comes again and changes nothing"
    assert merge_alert(severe, one("a5", 102, state=AlertState.RESOLVED)) is not None
