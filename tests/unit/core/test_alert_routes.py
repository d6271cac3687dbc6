"""Routes: which incident goes where, and what a label of a container may and may not decide."""

from __future__ import annotations

import pytest

from core.model.alert_routes import (
    MAX_DESTINATIONS,
    Matcher,
    Route,
    Routing,
    group_of,
    is_channel,
    is_mentionable,
    is_person,
    parse_matcher,
)
from core.model.alerts import Severity
from core.model.incidents import Incident, merge_alert
from core.model.refs import EngineRef, Kind, Ref
from tests.helpers.alerts import alert

LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "app": "front"}


def incident(*names: str, **more: object) -> Incident:
    made = None
    for name in names or ("crash",):
        made = merge_alert(made, alert(name, **{"labels": LABELS, "team": "payments", **more})) or made
    assert made is not None
    return made


def route(*to: str, further: bool = False, **match: str) -> Route:
    matchers = tuple(
        Matcher(field=name.replace("__", "."), operator="=", patterns=(text,)) for name, text in match.items()
    )
    return Route(matchers=matchers, to=to, further=further)


def places(routing: Routing, found: Incident) -> list[str]:
    return [each.to for each in routing.destinations(found)]


@pytest.mark.parametrize(
    ("field", "operator", "patterns", "matches"),
    [
        ("severity", "=", ("medium",), True),
        ("severity", "=", ("high", "medium"), True),
        ("severity", "!=", ("medium",), False),
        ("severity", "!=", ("high", "low"), True),
        ("engine", "=", ("docker",), True),
        ("engine", "=", ("docker/h1",), True),
        ("engine", "!=", ("docker",), False),
        ("host", "=", ("h*",), True),
        ("host", "=~", ("h[0-9]",), True),
        ("host", "=~", ("h",), False),
        ("host", "!~", ("h",), True),
        ("name", "=", ("web",), True),
        ("owner", "=", ("shop/*",), True),
        ("project", "=", ("shop",), True),
        ("service", "=", ("web",), True),
        ("kind", "=", ("container",), True),
        ("rule", "=", ("crash*",), True),
        ("team", "=", ("payments",), True),
        ("label.app", "=", ("front",), True),
        ("label.tier", "=", ("*",), True),  # an unknown value is empty
        ("label.tier", "=", ("?*",), False),
        ("label.tier", "!=", ("gold",), True),
    ],
)
def test_a_matcher_compares_one_field(field: str, operator: str, patterns: tuple[str, ...], matches: bool) -> None:
    assert Matcher(field=field, operator=operator, patterns=patterns).matches(incident()) is matches


def test_the_service_of_a_swarm_is_a_field_too() -> None:
    engine = EngineRef(host="c1", kind="swarm")
    service = Ref(engine=engine, kind=Kind.SERVICE, id="s1", name="shop_web")
    found = incident(labels={}, subject=service, owner="shop_web")
    assert places(Routing(routes=(route("C1", service="shop_web"),)), found) == ["C1"]
    assert places(Routing(routes=(route("C1", service="web"),)), incident(labels={})) == []


def test_the_first_route_that_matches_decides_and_the_default_channel_gets_the_rest() -> None:
    routing = Routing(routes=(route("C1", severity="high"), route("C2", team="payments"), route("C3")), default="C0")
    assert places(routing, incident()) == ["C2"]
    assert places(routing, incident(severity=Severity.HIGH)) == ["C1"]
    assert places(Routing(routes=routing.routes[:1], default="C0"), incident()) == ["C0"]
    assert places(Routing(), incident()) == []


def test_a_route_may_let_the_routes_after_it_match_too_and_no_place_is_named_twice() -> None:
    routes = (route("C1", "U1", further=True), route("C1", "C2", further=True), route("C3"), route("C4"))
    assert places(Routing(routes=routes), incident()) == ["C1", "U1", "C2", "C3"]


def test_a_route_to_nowhere_ends_the_search() -> None:
    assert places(Routing(routes=(route(severity="medium"), route("C1")), default="C0"), incident()) == []


def test_there_are_not_more_than_a_few_places() -> None:
    many = tuple(route(*(f"C{number}{each}" for each in range(5)), further=True) for number in range(10))
    assert len(places(Routing(routes=many), incident())) == MAX_DESTINATIONS


def test_a_label_may_name_a_channel_that_the_configuration_names_and_no_other() -> None:
    routing = Routing(routes=(route("C1", severity="high"),), default="C0", channels=frozenset({"C9"}))
    assert places(routing, incident(channel="C9")) == ["C9"]
    assert places(routing, incident(channel="C1")) == ["C1"]
    for foreign in ("C8", "U1", "<!channel>", "#ops"):
        assert places(routing, incident(channel=foreign)) == ["C0"]


def test_a_label_cannot_make_a_message_mention_anybody_or_show_log_lines_elsewhere() -> None:
    loud = Route(to=("C1",), mention=("S1",), logs=True)
    (moved,) = Routing(routes=(loud,), channels=frozenset({"C9"})).destinations(incident(channel="C9"))
    assert (moved.to, moved.mention, moved.logs) == ("C9", (), False)
    (same,) = Routing(routes=(loud,)).destinations(incident(channel="C1"))
    assert (same.mention, same.logs) == (("S1",), True)


def test_a_label_cannot_bring_back_what_a_route_sends_nowhere() -> None:
    routing = Routing(routes=(route(severity="medium"),), default="C0", channels=frozenset({"C9"}))
    assert places(routing, incident(channel="C9")) == []


def test_a_group_is_named_by_its_values_and_a_long_one_is_cut() -> None:
    assert group_of(incident(), ("project", "host", "label.app")) == "of project shop, host h1, app front"
    assert group_of(incident(labels={}), ("project",)) == "of project unknown"
    assert group_of(incident(), ()) == ""
    assert len(group_of(incident(labels={"app": "x" * 9_000}), ("label.app",))) < 200


def test_the_more_severe_alert_of_an_incident_decides() -> None:
    both = merge_alert(incident(), alert("crash-loop", at=2, severity=Severity.HIGH, labels=LABELS))
    assert both is not None
    assert places(Routing(routes=(route("C1", severity="high"),), default="C0"), both) == ["C1"]
    assert places(Routing(routes=(route("C1", rule="crash"),)), both) == ["C1"]


def test_a_matcher_is_typed_as_in_a_silence() -> None:
    assert parse_matcher("team=payments") == Matcher(field="team", operator="=", patterns=("payments",))
    found = parse_matcher("label.com.example/app!=a*")
    assert found == Matcher(field="label.com.example/app", operator="!=", patterns=("a*",))
    assert str(parse_matcher("host=prod-*")) == "host=prod-*"
    for wrong in ("team", "colour=red", "=x", "host=~.*", "host!~a", "label.=x", "", "Team=x", "host = x"):
        assert parse_matcher(wrong) is None, wrong


def test_ids_of_slack() -> None:
    assert is_channel("C0123") and is_channel("G0123") and not is_channel("D0123") and not is_channel("c0123")
    assert is_person("U0123") and is_person("W0123") and not is_person("S0123")
    assert is_mentionable("S0123") and is_mentionable("U0123")
    for word in ("<!channel>", "here", "S0123|@x", "C0123", "", "S0123\n", "Sé123"):
        assert not is_mentionable(word)
