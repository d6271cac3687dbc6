"""What reaches the host of an engine is granted by its own name only, and allowed by its owner by name only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.access import grant_checks, policy
from core import errors
from core.model.actions import Risk, all_actions
from core.model.create_container import CreateContainer
from core.model.host_access import VERB, HostAccess, MountPoint
from core.model.invocation import Identity, Place
from core.model.policy import ROLES, Ask, Grant, Guard, Policy, Verdict
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import Outcome
from core.ports import Call
from runtimes.base.base_adapter import BaseAdapter, does

ENGINE = EngineRef(host="host7", kind="docker")
NEW = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="new:web", name="web")
HERE = Place(team="T1", channel="C1")
BOB = Identity(id="slack:T1/U1", name="bob")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
# Every word that a grant can hold, and every pattern that would match the verb by its letters.
WORDS = (
    "*",
    "container.*",
    "container.create",
    "*.create",
    "*.reach",
    "*reach",
    "h*",
    "host*",
    "?ost.reach",
    "[h]ost.reach",
)
CLASSES = ("risk:read", "risk:change", "risk:destroy", "policy.*")


def verdict(*can: str, guards: tuple[Guard, ...] = (), who: Identity = BOB, **roles: tuple[str, ...]) -> Verdict:
    current = Policy(grants=(Grant(id="g", who="everyone", can=can),), guards=guards, roles={**ROLES, **roles})
    return policy.decide(current, who, HERE, VERB, Risk.CHANGE, NEW, None, NOW).verdict


@pytest.mark.parametrize("can", [*WORDS, *CLASSES, *ROLES])
def test_no_role_pattern_or_risk_class_includes_it(can: str) -> None:
    assert verdict(can) is Verdict.DENY
    assert verdict(*WORDS, *CLASSES, *ROLES) is Verdict.DENY
    assert verdict("mine", mine=(can,)) is Verdict.DENY
    assert verdict(can, "host.reach") is Verdict.ALLOW


@pytest.mark.parametrize("can", ["host.reach", "host.*"])
def test_its_own_name_grants_it_and_guards_still_hold(can: str) -> None:
    assert verdict(can) is Verdict.ALLOW
    assert verdict("mine", mine=(can,)) is Verdict.ALLOW
    for covered in ("*", "risk:change", "host.reach"):
        assert verdict(can, guards=(Guard(id="x", can=(covered,), ask=Ask.DENY),)) is Verdict.DENY


def test_an_admin_of_the_chat_does_not_have_it_and_cannot_give_it() -> None:
    admins = Policy(grants=(Grant(id="g", who=BOB.id, can=("admin",)),))
    given = Grant(id="s1", who="slack:T1/U2", can=("host.reach",))
    with pytest.raises(errors.NotPermitted, match=r"host\.reach"):
        grant_checks.check_may_grant(admins, BOB, HERE, given)
    grant_checks.check_may_grant(admins, BOB, HERE, Grant(id="s1", who="slack:T1/U2", can=("*", "policy.*")))
    owner = Identity(id="console:root", name="root", admin=True)
    grant_checks.check_may_grant(admins, owner, HERE, given)
    decision = policy.decide(admins, BOB, HERE, VERB, Risk.CHANGE, NEW, None, NOW)
    assert decision.verdict is Verdict.DENY and "quarterdeck.yaml" in decision.hint


class Engine(BaseAdapter):
    @does(CreateContainer)
    async def create(self, action: CreateContainer, seconds: float) -> Outcome:
        return Outcome(status="done")


def request(**access: Any) -> CreateContainer:
    return CreateContainer(engine=ENGINE, image="busybox", access=HostAccess(**access))


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        ((), False),
        (("*",), False),
        (("container.*",), False),
        (("*", "*.reach", "host*"), False),
        (("*", "host.reach"), True),
        (("container.create", "host.*"), True),
        (("host.reach",), False),
    ],
)
async def test_the_owner_of_an_engine_must_name_it(allow: tuple[str, ...], allowed: bool) -> None:
    engine = Engine(ENGINE, allow=allow)
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
    reaching = request(mounts=(MountPoint(target="/x", source="/"),))
    if allowed:
        assert (await engine.run(reaching, call)).status == "done"
    else:
        with pytest.raises(errors.Disallowed):
            await engine.run(reaching, call)
    if allow != ("host.reach",):
        assert (await engine.run(request(mounts=(MountPoint(target="/x", source="data"),)), call)).status == "done"
    assert VERB not in engine.verbs and engine.allows(VERB) == (allowed or allow == ("host.reach",))


def test_it_never_runs_by_itself() -> None:
    """No engine has it, so that nothing but a creation or an update can ask for it."""
    from runtimes import engine_registry

    assert VERB in {kind.verb for kind in all_actions()}
    for kind in engine_registry.KINDS:
        assert VERB not in {action.verb for action in engine_registry.engine_class(kind)._table}
