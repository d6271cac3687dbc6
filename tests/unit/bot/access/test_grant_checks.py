"""Nobody passes on what they may not do themselves, also where a verb does it as an effect."""

import pytest

from bot.access import grant_checks
from core import errors
from core.model.invocation import Identity, Place
from core.model.policy import Ask, Grant, Guard, Policy

LEAD = Identity(id="slack:T1/LEAD", name="lea", groups=frozenset({"sre"}))
OPS = Place(channel="#ops")


def wanted(*can):
    return Grant(id="new", who="slack:T1/BOB", can=can, source="store")


@pytest.mark.parametrize(
    ("guarded", "verb"),
    [
        ("container.remove", "service.scale"),
        ("risk:destroy", "service.scale"),
        ("ends", "service.scale"),
        ("container.stop", "unit.stop"),
        ("container.remove", "container.stop"),
        ("container.remove", "node.drain"),
        ("image.tag", "image.pull"),
    ],
)
@pytest.mark.parametrize("ask", list(Ask))
def test_a_guard_on_an_effect_is_not_shaken_off_by_giving(guarded, verb, ask):
    own = Grant(id="own", who="everyone", can=(verb, "container.start"))

    def held(who):
        return Policy(grants=(own,), guards=(Guard(id="guards.0", can=(guarded,), ask=ask, who=who),))

    with pytest.raises(errors.NotPermitted, match=r"the guard guards\.0 limits you, but would not limit"):
        grant_checks.check_may_grant(held("group:sre"), LEAD, OPS, wanted(verb))
    grant_checks.check_may_grant(held("group:sre"), LEAD, OPS, wanted("container.start"))
    grant_checks.check_may_grant(held("everyone"), LEAD, OPS, wanted(verb))


@pytest.mark.parametrize("can", ["service.scale", "unit.stop", "operator", "container.stop", "pod.stop", "node.drain"])
def test_who_may_only_change_does_not_pass_on_a_verb_that_destroys(can):
    held = Policy(grants=(Grant(id="own", who=LEAD.id, can=("risk:change",)),))
    with pytest.raises(errors.NotPermitted, match="do not have that grant yourself"):
        grant_checks.check_may_grant(held, LEAD, OPS, wanted(can))
    for allowed in ("container.unpause", "risk:change"):
        grant_checks.check_may_grant(held, LEAD, OPS, wanted(allowed))


def test_the_word_of_guards_is_not_granted():
    with pytest.raises(errors.BadUsage, match="only guards can contain this word"):
        grant_checks.check_pattern("ends", {})
