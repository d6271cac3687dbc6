"""A guard covers a resource by every name that people type for it; a grant allows only what it names itself."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.access import policy
from core.model.actions import Risk
from core.model.invocation import Identity, Place
from core.model.policy import Ask, Grant, Guard, Policy, Verdict
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOB = Identity(id="slack:T1/U1", name="bob")
DOCKER, ALICE = EngineRef(host="h1", kind="docker"), EngineRef(host="h1", kind="podman", name="alice")
EVERYTHING = Grant(id="g", who="everyone", can=("*",))


def facts(**more):
    return ResourceFacts(at=NOW, **more)


def ref(kind, name, engine=DOCKER):
    return Ref(engine=engine, kind=kind, id=f"id of {name}", name=name)


def verdict(target, known, *guards, grant=EVERYTHING):
    held = Policy(grants=(grant,), guards=guards)
    return policy.decide(held, BOB, Place(channel="#ops"), "unit.start", Risk.CHANGE, target, known, NOW).verdict


@pytest.mark.parametrize(
    ("on", "target", "known"),
    [
        (Selector(name="web"), ref(Kind.UNIT, "web.service", ALICE), facts()),
        (Selector(name="web"), ref(Kind.UNIT, "web.service", ALICE), None),
        (Selector(name="shop_web"), ref(Kind.SERVICE, "shop/web"), facts(project="shop", service="web")),
        (Selector(name="shop/web"), ref(Kind.SERVICE, "shop_web"), facts(project="shop", service="shop_web")),
        (Selector(name="shop/web"), ref(Kind.CONTAINER, "shop-web-1"), facts(project="shop", service="web")),
        (Selector(name="shop_*"), ref(Kind.CONTAINER, "any"), facts(project="shop", service="web")),
        (
            Selector(project="shop", service="web"),
            ref(Kind.CONTAINER, "any"),
            facts(project="shop", service="shop_web"),
        ),
        (Selector(service="web"), ref(Kind.UNIT, "web.service", ALICE), facts(service="web.service")),
        (Selector(name="prod/*"), ref(Kind.POD, "web-0"), facts(project="prod")),
        (Selector(engine="podman/h1"), ref(Kind.CONTAINER, "web", ALICE), facts()),
        (Selector(engine="h1", name="web"), ref(Kind.CONTAINER, "web", ALICE), facts()),
        (Selector(engine="alice", host="h*"), ref(Kind.CONTAINER, "web", ALICE), facts()),
    ],
)
def test_a_guard_covers_every_name_that_people_type_and_a_grant_does_not(on, target, known):
    assert verdict(target, known, Guard(id="no", can=("*",), ask=Ask.DENY, on=on)) is Verdict.DENY
    assert verdict(target, known, grant=replace(EVERYTHING, on=on)) is Verdict.DENY


@pytest.mark.parametrize(
    ("on", "target", "known"),
    [
        (Selector(name="api"), ref(Kind.UNIT, "web.service", ALICE), facts()),
        (Selector(name="shop/api"), ref(Kind.CONTAINER, "shop-web-1"), facts(project="shop", service="web")),
        (Selector(service="we"), ref(Kind.CONTAINER, "any"), facts(project="shop", service="shop_web")),
        (
            Selector(service="web", labels=(("env", "prod"),)),
            ref(Kind.CONTAINER, "any"),
            facts(project="shop", service="shop_web", labels={"env": "dev"}),
        ),
        (Selector(name="web"), ref(Kind.CONTAINER, "shop-web-1"), facts(project="shop", service="web")),
        (Selector(engine="podman/h1", name="api"), ref(Kind.CONTAINER, "web", ALICE), facts()),
        (Selector(engine="podman/h1", host="h2"), ref(Kind.CONTAINER, "web", ALICE), facts()),
        (Selector(engine="podman/h2"), ref(Kind.CONTAINER, "web", ALICE), facts()),
    ],
)
def test_a_guard_leaves_everything_else_alone(on, target, known):
    assert verdict(target, known, Guard(id="no", can=("*",), ask=Ask.DENY, on=on)) is Verdict.ALLOW
