"""Which incidents share a message: those of one host, or of one project, that begin at almost the same time."""

from __future__ import annotations

from bot.notify.incident_storms import COLLECT_SECONDS, StormGrouping
from core.model.incidents import Incident, PostedIncident, merge_alert
from core.model.refs import EngineRef, Kind, Ref
from tests.helpers.alerts import alert

SECONDS = 30.0


def about(name: str, host: str = "h1", project: str = "") -> Incident:
    subject = Ref(engine=EngineRef(host=host, kind="docker"), kind=Kind.CONTAINER, id=f"{host}{name}", name=name)
    labels = {"com.docker.compose.project": project} if project else {}
    owner = f"{project}/{name}" if project else name
    made = merge_alert(None, alert(subject=subject, owner=owner, labels=labels, fingerprint=f"{host} {owner}"))
    assert made is not None
    return made


class Channel:
    """Posts what is due, as the reporter does. `own`: what has a message of its own, in order."""

    def __init__(self) -> None:
        self.sharing = StormGrouping(size=3, seconds=SECONDS)
        self.now = 1000.0
        self.own: list[str] = []
        self._left: list[Incident] = []

    def happen(self, *incidents: Incident, seconds: int = 5) -> None:
        self._left += incidents
        for _ in range(seconds):
            for each in self.sharing.due(self._left, self.now)[:1]:
                self.own.append(each.main.subject.name)
                self.sharing.posted("C1", f"{each.main.subject.name}@{each.main.subject.engine.host}", each, self.now)
                self._left.remove(each)
            shared = {key for storm in self.sharing.storms for key in storm.members}
            self._left = [each for each in self._left if each.key not in shared]
            self.now += COLLECT_SECONDS

    @property
    def storms(self) -> dict[str, int]:
        return {storm.scope: len(storm.members) for storm in self.sharing.storms}


def test_more_than_three_of_one_host_share_a_message() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}") for number in range(41)))
    assert (channel.own, channel.storms) == (["web0"], {"on h1": 41})


def test_a_few_of_each_of_several_hosts_have_a_message_each() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}", f"h{number % 3}") for number in range(8)), seconds=10)
    assert (len(channel.own), channel.storms) == (8, {})


def test_two_hosts_that_fail_at_once_are_two_messages() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}", f"h{number % 2}") for number in range(40)))
    assert (len(channel.own), channel.storms) == (2, {"on h0": 20, "on h1": 20})


def test_a_project_on_several_hosts_shares_a_message() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}", f"h{number}", "shop") for number in range(6)))
    assert (len(channel.own), channel.storms) == (1, {"in shop": 6})


def test_what_happens_elsewhere_during_a_storm_has_a_message_of_its_own() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}") for number in range(10)))
    channel.happen(about("far", "h2"))
    channel.happen(about("near"))
    assert (channel.own, channel.storms) == (["web0", "far"], {"on h1": 11})


def test_a_storm_of_a_project_becomes_one_of_its_host_and_no_second_message_begins() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}", project="shop") for number in range(6)))
    assert channel.storms == {"in shop": 6}
    channel.happen(about("other"), about("db", project="blog"))
    assert (len(channel.own), channel.storms) == (1, {"on h1": 8})


def test_many_that_have_nothing_in_common_share_a_message_too() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}", f"h{number}") for number in range(9)))
    assert channel.storms == {}
    channel = Channel()
    channel.happen(*(about(f"web{number}", f"h{number}") for number in range(100)))
    assert (len(channel.own), channel.storms) == (1, {"": 100})


def test_after_a_while_the_next_one_has_a_message_of_its_own() -> None:
    channel = Channel()
    channel.happen(*(about(f"web{number}") for number in range(10)))
    channel.now += SECONDS
    channel.happen(about("late"))
    assert (channel.own, channel.storms) == (["web0", "late"], {})


def test_another_process_goes_on_with_each_storm() -> None:
    channel = Channel()
    for host, scope in (("h1", "on h1"), ("h2", "on h2")):
        for number in range(5):
            post = PostedIncident(channel="C1", ts=host, version=1, shared=True, storm=scope)
            channel.sharing.restore(about(f"web{number}", host), post, 999.0)
    channel.happen(about("more", "h2"), about("far", "h3"))
    assert (channel.own, channel.storms) == (["far"], {"on h1": 5, "on h2": 6})
