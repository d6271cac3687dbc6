"""What is read of hosts from time to time becomes an event when it changes, and an alert when it is bad."""

from __future__ import annotations

import msgspec

from collectors.host_state_events import RECENT_NS, HostReadings, HostStateEvents
from collectors.rules import data_root_full, unit_failed
from core.model.disk_use import Filesystem
from core.model.refs import EngineRef, Kind, Ref
from core.model.units import Unit
from tests.helpers.alert_scene import ENGINE, SECOND, START, AlertScene

GIB = 1 << 30
PODMAN = EngineRef(host="h1", kind="podman")


def disk(percent: float, engine: EngineRef = ENGINE, size: int = 100 * GIB, device: int = 1) -> HostReadings:
    free = int(size * (1 - percent / 100))
    return HostReadings(engine=engine, filesystem=Filesystem(size=size, free=free, device=device))


def unit(state: str, *, since: float = START / SECOND, name: str = "web.service", why: str = "") -> Unit:
    ref = Ref(engine=PODMAN, kind=Kind.UNIT, id=name, name=name)
    return Unit(ref=ref, active=state, sub=state, since=since, why=why)


def units(*found: Unit) -> HostReadings:
    return HostReadings(engine=PODMAN, units=found)


class Host:
    """A host that is read, and the rules about it."""

    def __init__(self) -> None:
        self.scene = AlertScene([data_root_full.rule, unit_failed.rule])
        self.watch = HostStateEvents(lambda: self.scene.now)

    def read(self, *readings: HostReadings) -> list[str]:
        self.scene.wait(1)
        self.scene.evaluator.observe(self.watch.compare(readings), {})
        return self.scene.said


def test_a_full_disk_is_an_alert_until_enough_is_free() -> None:
    host = Host()
    assert host.read(disk(50)) == []
    assert host.read(disk(89)) == []
    assert host.read(disk(93)) == ["firing data-root-full: the disk that holds its data is 93 % full, 7.0 GiB are free"]
    assert host.read(disk(88)) == host.read(disk(93), disk(40, PODMAN, 7 * GIB))[:1], "no begin and end at the edge"
    assert host.read(disk(80))[-1] == "resolved data-root-full: the disk that holds its data is 80 % full"


def test_a_disk_that_is_full_at_the_first_reading_is_reported() -> None:
    assert len(Host().read(disk(97))) == 1


def unknown(engine: EngineRef = ENGINE) -> HostReadings:
    return HostReadings(engine=engine)


def test_the_disk_of_two_engines_is_one_trouble_whichever_of_them_is_read() -> None:
    host = Host()
    full = "the disk that holds its data is 95 % full, 5.0 GiB are free"
    assert host.read(unknown(), disk(95, PODMAN)) == [f"firing data-root-full: {full}"]
    for readings in ((disk(95), disk(95, PODMAN)), (disk(95), unknown(PODMAN)), (disk(96), disk(96, PODMAN))):
        host.read(*readings)
    assert {alert.owner for alert in host.scene.alerts if alert.state == "firing"} == {str(PODMAN)}
    host.read(disk(50), disk(50, PODMAN))
    assert [alert.owner for alert in host.scene.evaluator.firing] == []


def test_another_engine_reports_the_disk_when_the_first_is_gone_or_has_moved() -> None:
    for last in ((disk(95, PODMAN),), (disk(10, device=2), disk(95, PODMAN))):
        host = Host()
        host.read(disk(95), disk(95, PODMAN))
        host.read(*last)
        assert [alert.owner for alert in host.scene.evaluator.firing] == [str(PODMAN)]
        host.read(*last[:-1], disk(20, PODMAN))
        assert host.scene.evaluator.firing == []


def test_an_alert_of_before_about_the_disk_of_another_engine_ends() -> None:
    host = Host()
    host.read(disk(95))
    docker = host.scene.evaluator.firing
    again = Host()
    again.read(unknown(), disk(95, PODMAN))
    again.read(disk(95), disk(95, PODMAN))
    again.scene.evaluator.restore(docker)
    again.watch.report_disks_again()
    again.read(disk(95), disk(95, PODMAN))
    assert f"resolved data-root-full: {PODMAN} has the same disk and reports it" in again.scene.said
    assert [alert.owner for alert in again.scene.evaluator.firing] == [str(PODMAN)]


def test_two_disks_of_one_size_are_two_troubles() -> None:
    assert len(Host().read(disk(95), disk(95, PODMAN, device=2))) == 2


def test_two_engines_on_one_disk_are_one_trouble() -> None:
    host = Host()
    host.read(disk(95), disk(95, PODMAN))
    assert [str(alert.subject.engine) for alert in host.scene.alerts] == ["docker/h1"]


def test_a_disk_that_is_not_known_now_is_no_change_and_an_engine_that_is_gone_ends_its_alert() -> None:
    host = Host()
    host.read(disk(95))
    assert len(host.read(HostReadings(engine=ENGINE))) == 1
    assert host.read()[-1] == "resolved data-root-full: Quarterdeck does not watch the engine now"


def test_a_failed_unit_is_an_alert_until_it_is_active_or_stopped() -> None:
    host = Host()
    assert host.read(units(unit("active"))) == []
    failed = unit("failed", since=START / SECOND + 5, why="exit-code 3")
    host.scene.wait(10)
    assert host.read(units(failed)) == ["firing unit-failed: the unit failed: exit-code 3"]
    assert len(host.read(units(failed))) == 1
    assert host.read(units(unit("activating", since=START / SECOND + 20)))[-1].startswith("firing"), (
        "systemd tries once more"
    )
    assert (
        host.read(units(unit("active", since=START / SECOND + 21)))[-1]
        == "resolved unit-failed: the unit is active again"
    )


def test_a_unit_that_failed_long_before_the_start_is_no_news_and_one_that_failed_in_a_restart_is() -> None:
    old = unit("failed", since=(START - 2 * RECENT_NS) / SECOND, name="old.service")
    new = unit("failed", since=(START - 60 * SECOND) / SECOND, name="new.service")
    host = Host()
    host.read(units(old, new))
    assert [alert.subject.name for alert in host.scene.alerts] == ["new.service"]
    assert host.scene.alerts[0].late is False or host.scene.alerts[0].since_ns == START - 60 * SECOND


def test_a_removed_unit_ends_its_alert_and_a_label_of_its_container_switches_alerts_off() -> None:
    host = Host()
    host.read(units(unit("active")))
    host.read(units(unit("failed", since=START / SECOND + 1)))
    assert host.read(units())[-1] == "resolved unit-failed: the unit was removed"
    quiet = msgspec.structs.replace(
        unit("failed", since=START / SECOND + 2, name="quiet.service"), labels=({"quarterdeck.alerts": "off"},)
    )
    assert len(host.read(units(quiet))) == 2
