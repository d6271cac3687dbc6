"""decide(): default deny, guards only ever tighten, unknown facts never help."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.access import policy
from core.model import actions, image_names
from core.model.actions import Risk
from core.model.invocation import Identity, Place
from core.model.policy import INSIDE, ROLES, Ask, Decision, Grant, Guard, Policy, Verdict
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENGINE = EngineRef(host="h1", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")
BOB = Identity(id="slack:T1/U1", name="bob", groups=frozenset({"sre"}))
OPS = Place(channel="#ops")


def facts(**more):
    return ResourceFacts(**{"labels": {"env": "prod"}, "state": "running", "at": NOW, **more})


def grant(**more):
    return Grant(**{"id": "g", "who": "everyone", "can": ("container.*",), **more})


def decide(
    grants=(),
    guards=(),
    *,
    who=BOB,
    place=OPS,
    verb="container.restart",
    risk=Risk.CHANGE,
    ref=WEB,
    known=None,
    now=NOW,
    ids=(),
):
    held = Policy(grants=tuple(grants), guards=tuple(guards), self_ids=frozenset(ids))
    return policy.decide(held, who, place, verb, risk, ref, facts() if known is None else known, now)


def test_nothing_is_allowed_without_a_grant_and_the_refusal_says_what_is_missing_and_who_can_give_it():
    decision = decide([grant(id="boss", who="slack:T1/U9", can=("admin",))])
    assert decision.verdict is Verdict.DENY
    assert decision.rule == "default-deny"
    assert "bob does not have the permission container.restart on web" in decision.reason
    assert "container.restart to slack:T1/U1" in decision.hint
    assert "slack:T1/U9" in decision.hint


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("everyone", True),
        ("group:sre", True),
        ("slack:T1/U1", True),
        ("group:dev", False),
        ("slack:T2/U1", False),
        ("U1", False),
    ],
)
def test_subjects(who, allowed):
    assert (decide([grant(who=who)]).verdict is Verdict.ALLOW) == allowed


@pytest.mark.parametrize(
    ("can", "verb", "risk", "covered"),
    [
        (("container.restart",), "container.restart", Risk.CHANGE, True),
        (("container.*",), "container.remove", Risk.DESTROY, True),
        (("*.list",), "container.list", Risk.READ, True),
        (("*.list",), "container.logs", Risk.READ, False),
        (("viewer",), "container.logs", Risk.READ, True),
        (("viewer",), "container.restart", Risk.CHANGE, False),
        (("operator",), "container.restart", Risk.CHANGE, True),
        (("operator",), "container.remove", Risk.DESTROY, False),
        (("viewer",), "container.stats", Risk.READ, True),
        (("viewer",), "image.pull", Risk.CHANGE, False),
        (("viewer",), "unit.draft", Risk.READ, False),
        (("operator",), "image.pull", Risk.CHANGE, True),
        (("operator",), "node.drain", Risk.CHANGE, True),
        (("operator",), "unit.restart", Risk.CHANGE, True),
        (("operator",), "unit.install", Risk.CHANGE, False),
        (("operator",), "container.exec", Risk.CHANGE, False),
        (("operator",), "service.update", Risk.CHANGE, False),
        (("operator",), "swarm.token", Risk.CHANGE, False),
        (("admin",), "container.exec", Risk.CHANGE, True),
        (("risk:change",), "container.stop", Risk.CHANGE, True),
        (("risk:change",), "container.remove", Risk.DESTROY, False),
        (("*",), "container.remove", Risk.DESTROY, True),
        (("*",), "policy.grant", Risk.CHANGE, False),
        (("risk:change",), "policy.grant", Risk.CHANGE, False),
        (("policy.grant",), "policy.grant", Risk.CHANGE, True),
        (("admin",), "policy.grant", Risk.CHANGE, True),
    ],
)
def test_verbs(can, verb, risk, covered):
    assert (decide([grant(can=can)], verb=verb, risk=risk).verdict is Verdict.ALLOW) == covered


@pytest.mark.parametrize("verb", sorted(INSIDE))
def test_a_risk_class_covers_nothing_that_reads_inside_containers(verb):
    risk = next(kind.risk for kind in actions.all_actions() if kind.verb == verb)
    classes = tuple(f"risk:{one}" for one in Risk)
    assert decide([grant(can=(*classes, "viewer", "operator"))], verb=verb, risk=risk).verdict is Verdict.DENY
    for can in (verb, f"{verb.partition('.')[0]}.*", "*", "admin"):
        assert decide([grant(can=(can,))], verb=verb, risk=risk).verdict is Verdict.ALLOW
    guards = [Guard(id="g", can=(f"risk:{risk}",), ask=Ask.DENY)]
    assert decide([grant(can=("*",))], guards, verb=verb, risk=risk).verdict is Verdict.DENY


@pytest.mark.parametrize(
    ("on", "allowed"),
    [
        (Selector(name="web*"), True),
        (Selector(name="db"), False),
        (Selector(host="h*"), True),
        (Selector(host="x"), False),
        (Selector(engine="docker"), True),
        (Selector(engine="podman"), False),
        (Selector(labels=(("env", "prod"),)), True),
        (Selector(labels=(("env", "p*"), ("team", "*"))), False),
        (Selector(project="shop"), False),
    ],
)
def test_targets(on, allowed):
    assert (decide([grant(on=on)]).verdict is Verdict.ALLOW) == allowed


def test_places():
    assert decide([grant(places=("#ops",))]).verdict is Verdict.ALLOW
    assert decide([grant(places=("#ops",))], place=Place(channel="#random")).verdict is Verdict.DENY


@pytest.mark.parametrize(
    "known", [ResourceFacts(labels={"env": "prod"}, at=None), facts(at=NOW - timedelta(seconds=61))]
)
def test_old_or_undated_facts_satisfy_no_grant_and_every_guard(known):
    labelled = Selector(labels=(("env", "prod"),))
    assert decide([grant(on=labelled)], known=known).verdict is Verdict.DENY
    harmless = Guard(id="no", can=("*",), ask=Ask.DENY, on=Selector(labels=(("env", "never"),)))
    assert decide([grant()], [harmless], known=known).verdict is Verdict.DENY
    assert decide([grant()], [harmless]).verdict is Verdict.ALLOW


def test_the_strictest_guard_wins_whatever_the_order():
    guards = [
        Guard(id="c", can=("*",), ask=Ask.CONFIRM),
        Guard(id="a", can=("*",), ask=Ask.APPROVE, approvers=("group:lead",)),
    ]
    for ordered in (guards, guards[::-1]):
        decision = decide([grant()], ordered)
        assert (decision.verdict, decision.rule, decision.approvers) == (Verdict.APPROVE, "a", (("group:lead",),))


def test_guards_reach_policy_verbs_by_star():
    decision = decide([grant(can=("policy.*",))], [Guard(id="g1", can=("*",), ask=Ask.APPROVE)], verb="policy.grant")
    assert decision.verdict is Verdict.APPROVE


def test_the_builtin_roles_name_verbs_that_exist_and_each_holds_the_one_below():
    risks = {kind.verb: kind.risk for kind in actions.all_actions()}
    viewer, operator = ROLES["viewer"], ROLES["operator"]
    assert set(viewer) < set(operator) <= set(risks)
    assert {risks[verb] for verb in viewer} == {Risk.READ}
    assert Risk.DESTROY not in {risks[verb] for verb in operator}
    # Whatever can be listed a viewer may list; who may what and what was done is no such thing.
    assert {verb for verb in risks if verb.endswith(".list")} - set(viewer) <= {"policy.list"}
    assert {verb.split(".")[0] for verb in viewer}.isdisjoint({"policy", "audit", "job", "swarm"})


@pytest.mark.parametrize("verb", sorted(policy.PROTECTED_VERBS))
def test_our_own_container_and_protected_ones_are_left_alone_even_for_the_owner(verb):
    owner = Identity(id="console:root", name="root", admin=True)
    assert verb in {kind.verb for kind in actions.all_actions()}
    for kwargs in ({"ids": [WEB.id]}, {"known": facts(protected=True)}, {"known": ResourceFacts(protected=True)}):
        decision = decide(who=owner, verb=verb, **kwargs)
        assert (decision.verdict, decision.rule) == (Verdict.DENY, "self-protection")
    assert decide(who=owner, verb="container.logs", risk=Risk.READ, ids=[WEB.id]).verdict is Verdict.ALLOW


@pytest.mark.parametrize("verb", sorted(policy.ADMIN_READ_VERBS))
def test_only_admins_may_read_a_part_of_quarterdeck(verb):
    assert verb in {kind.verb for kind in actions.all_actions()}
    admin, most = grant(can=("admin",)), grant(can=("*", "operator", "risk:read"))
    here, there = grant(can=("admin",), places=("#ops",)), grant(can=("admin",), places=("#boss",))
    some = grant(can=("admin",), on=Selector(name="web"))
    for kwargs in ({"ids": [WEB.id]}, {"known": facts(own=True)}, {"known": ResourceFacts(own=True)}):
        for grants, allowed in ([(admin,), True], [(most,), False], [(most, here), True], [(most, there), False]):
            assert (decide(grants, verb=verb, **kwargs).verdict is Verdict.ALLOW) == allowed
        decision = decide((most, some, grant(who="slack:T1/BOSS", can=("admin",))), verb=verb, **kwargs)
        assert (decision.verdict, decision.rule) == (Verdict.DENY, "own-container")
        assert "web is part of Quarterdeck" in decision.reason and "slack:T1/BOSS" in decision.hint
    assert decide((most,), verb=verb, known=facts()).verdict is Verdict.ALLOW
    assert decide((most,), verb="container.list", known=facts(own=True)).verdict is Verdict.ALLOW


def test_the_owner_of_the_state_directory_may_everything_but_guards_still_hold():
    owner = Identity(id="console:root", name="root", admin=True)
    assert decide(who=owner, verb="policy.grant").verdict is Verdict.ALLOW
    assert decide(guards=[Guard(id="d", can=("container.*",), ask=Ask.DENY)], who=owner).verdict is Verdict.DENY


def test_a_plan_takes_its_strictest_decision_and_its_approvers_must_hold_for_all():
    approve = [
        Decision(verdict=Verdict.APPROVE, rule=rule, reason="", approvers=who)
        for rule, who in (("a", (("group:x", "group:sre"),)), ("b", (("group:sre",),)), ("c", ()))
    ]
    allow = Decision(verdict=Verdict.ALLOW, rule="g", reason="")
    combined = policy.combine_decisions([allow, *approve])
    assert (combined.rule, combined.approvers) == ("a, b, c", (("group:x", "group:sre"), ("group:sre",)))
    assert policy.combine_decisions([allow]).verdict is Verdict.ALLOW


selectors = st.builds(
    Selector,
    engine=st.sampled_from(["", "docker", "podman"]),
    host=st.sampled_from(["", "h*", "x"]),
    name=st.sampled_from(["", "web", "db*", "docker.io/*", "web:latest"]),
    project=st.sampled_from(["", "shop"]),
    labels=st.sampled_from([(), (("env", "prod"),), (("env", "dev"),)]),
)
cans = st.lists(
    st.sampled_from(["*", "container.*", "image.*", "*.list", "operator", "viewer", "risk:change", "policy.*"]),
    min_size=1,
).map(tuple)
grants = st.lists(
    st.builds(
        Grant, id=st.just("g"), who=st.sampled_from(["everyone", "group:sre", "slack:T9/U9"]), can=cans, on=selectors
    ),
    max_size=3,
)
guards = st.lists(st.builds(Guard, id=st.just("b"), can=cans, ask=st.sampled_from(list(Ask)), on=selectors), max_size=3)
knowledge = st.sampled_from(
    [
        *(facts(), facts(labels={"env": "dev"}), facts(project="shop"), facts(protected=True)),
        *(ResourceFacts(), facts(labels={}, labels_known=False)),
    ]
)
# Any verb there is, on a thing of any kind.
verbs = st.sampled_from(sorted({(kind.verb, kind.risk) for kind in actions.all_actions()}))
things = st.builds(
    lambda kind, name: Ref(engine=ENGINE, kind=kind, id="a" * 64, name=name),
    st.sampled_from(list(Kind)),
    st.sampled_from(["web", "web:latest", "docker.io/library/web:latest", "db-1"]),
)


def asks(some, brakes, known, asked, thing):
    verb, risk = asked
    return decide(some, brakes, known=known, verb=verb, risk=risk, ref=thing).verdict


@given(grants, guards, guards, knowledge, verbs, things)
def test_no_guard_allows_more_of_any_verb_on_any_kind_of_thing(some, before, more, known, asked, thing):
    assert asks(some, before, known, asked, thing) <= asks(some, [*before, *more], known, asked, thing)


@given(guards, grants, knowledge, verbs, things)
def test_a_denial_stays_one_whatever_else_is_granted(brakes, some, known, asked, thing):
    denial = Guard(id="no", can=("*",), ask=Ask.DENY)
    assert asks(some, [*brakes, denial], known, asked, thing) is Verdict.DENY


@given(grants, guards, verbs, things, st.sampled_from([{}, {"env": "prod"}, {"env": "dev"}]))
def test_labels_nobody_has_seen_yet_never_allow_more_than_any_labels_would(some, brakes, asked, thing, labels):
    unseen = asks(some, brakes, facts(labels={}, labels_known=False), asked, thing)
    assert unseen >= asks(some, brakes, facts(labels=labels), asked, thing)


@given(grants, guards, verbs, knowledge)
def test_an_image_is_judged_alike_in_every_spelling(some, brakes, asked, known):
    spelled = (
        Ref(engine=ENGINE, kind=Kind.IMAGE, id="a" * 64, name=name)
        for name in image_names.equivalent_names("web:latest")
    )
    assert len({asks(some, brakes, known, asked, ref) for ref in spelled}) == 1


@given(grants, guards, guards, knowledge)
def test_adding_a_guard_never_allows_more(some, before, more, known):
    assert decide(some, before, known=known).verdict <= decide(some, [*before, *more], known=known).verdict


@given(grants, guards, knowledge)
def test_a_cheap_listing_judgement_agrees_with_the_full_one(some, brakes, known):
    held = Policy(grants=tuple(some), guards=tuple(brakes))
    stand = policy.resolve(held, BOB, OPS, "container.list", Risk.READ)
    if stand.allows_all:
        assert policy.evaluate(stand, WEB, known, NOW).verdict is Verdict.ALLOW
    assert policy.evaluate_list(stand, WEB).verdict <= policy.evaluate(stand, WEB, known, NOW).verdict


@given(grants, knowledge)
def test_a_grant_that_needs_facts_never_matches_without_them(some, known):
    """However many there are: what labels, project or service decide stays closed while they are unknown or old."""
    blind = [one for one in some if one.on.needs_facts()]
    for facts_then, at in (
        (None, NOW),
        (ResourceFacts(labels=known.labels), NOW),
        (known, NOW + timedelta(seconds=61)),
    ):
        held = Policy(grants=tuple(blind))
        decision = policy.decide(held, BOB, OPS, "container.restart", Risk.CHANGE, WEB, facts_then, at)
        assert decision.verdict is Verdict.DENY


# What is protected is known from a survey of its own, before anything is decided.
@given(grants, guards, knowledge.filter(lambda known: not (known.protected or known.own)))
def test_knowing_less_never_allows_more(some, brakes, known):
    held = Policy(grants=tuple(some), guards=tuple(brakes))
    asked = (held, BOB, OPS, "container.restart", Risk.CHANGE, WEB)
    assert policy.decide(*asked, None, NOW).verdict >= policy.decide(*asked, known, NOW).verdict


@given(grants, grants, guards, knowledge)
def test_adding_a_grant_never_allows_less_nor_takes_a_brake_off(some, more, brakes, known):
    before, after = decide(some, brakes, known=known), decide([*some, *more], brakes, known=known)
    assert after.verdict <= before.verdict
    if Verdict.ALLOW < before.verdict < Verdict.DENY:
        assert after == before


def test_a_guard_over_everything_holds_for_a_list_as_a_whole_and_a_narrow_one_does_not():
    for ask, verdict in ((Ask.CONFIRM, Verdict.CONFIRM), (Ask.APPROVE, Verdict.APPROVE), (Ask.DENY, Verdict.DENY)):
        wide, narrow = (Guard(id="g", can=("risk:read",), ask=ask, on=on) for on in (Selector(), Selector(name="web")))
        for guard, then in ((wide, verdict), (narrow, Verdict.ALLOW)):
            held = Policy(grants=(grant(),), guards=(guard,))
            stand = policy.resolve(held, BOB, OPS, "container.list", Risk.READ)
            assert policy.evaluate_list(stand, WEB).verdict is then
