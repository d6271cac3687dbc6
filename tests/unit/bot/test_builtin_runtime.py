"""The built-in commands alone, on a real store: grants given and taken back, who may what, and the audit trail read."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from bot import audit_search, builtin_runtime
from bot.access import first_admin, grant_checks, policy, policy_in_force
from bot.dispatch import audit
from commands.catalogue import load_catalogue
from core import errors
from core.model import actions, bot_actions
from core.model.events import EventKind
from core.model.invocation import Identity, Invocation, Place
from core.model.policy import Ask, Decision, Grant, Guard, Policy, Verdict
from core.model.policy_selectors import EVERYTHING, Selector
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Call
from core.store.client import Store
from core.store.records import AuditLimits, RateLimitRule
from runtimes.inventory.fleet import Fleet
from tests.fake_engine.engine import FakeRuntime

WORDS = load_catalogue()
OWNER = Identity(id="console:root", name="root", admin=True)
LEAD = Identity(id="slack:T1/LEAD", name="lead", groups=frozenset({"sre"}))
BOB = Identity(id="slack:T1/BOB", name="bob")
OPS, RANDOM = Place(channel="#ops"), Place(channel="#random")
ALL_VERBS = tuple(sorted(kind.verb for kind in actions.all_actions()))


class Counter:
    """The built-in runtime, its store and its policy; `ask` runs one action as the fleet would."""

    def __init__(self, url, base):
        self.store = Store.open(url)
        self.policies = policy_in_force.PolicyInForce(self.store, base)
        self.engine = FakeRuntime("h1", kind="docker")
        self.builtin = builtin_runtime.BuiltinRuntime(
            policies=self.policies, store=self.store, catalogue=WORDS, clock=now
        )
        self.builtin.fleet = Fleet([self.engine], builtin=self.builtin)

    async def ask(self, action):
        call = Call(id="c", who="w", deadline=now() + timedelta(seconds=20), invocation="i")
        return await self.builtin.run(action, call)

    async def grant(self, who, *can, by=OWNER, place=OPS, **more):
        return await self.ask(bot_actions.AddGrant(by=by, place=place, who=who, can=can, **more))

    async def revoke(self, id_, by=OWNER):
        return await self.ask(bot_actions.RemoveGrant(by=by, place=OPS, id=id_))

    async def may(self, who, word, target=None, place=OPS):
        answer = await self.ask(bot_actions.CheckPermission(who=who, place=place, word=word, target=target))
        return {subject: decision.verdict for subject, decision in answer.decisions}


def now():
    return datetime.now(UTC)


@pytest.fixture
async def counter(valkey):
    made = []

    def make(*grants, guards=()):
        made.append(Counter(valkey.url, Policy(grants=grants, guards=tuple(guards))))
        return made[-1]

    yield make
    for one in made:
        await one.store.aclose()


def own(*can, who=LEAD.id, **more):
    return Grant(id=more.pop("id", "own"), who=who, can=can, **more)


async def test_a_grant_holds_here_and_on_another_replica_and_a_revoke_ends_it(counter):
    here, there = counter(), counter()
    granted = await here.grant("slack:T1/BOB", "container.restart", on=Selector(name="web*"), places=("#ops",))
    grant = granted.grant
    assert granted.new
    assert (grant.who, grant.can, grant.on, grant.places, grant.source, grant.by) == (
        "slack:T1/BOB",
        ("container.restart",),
        Selector(name="web*"),
        ("#ops",),
        "store",
        OWNER.id,
    )
    assert await here.ask(bot_actions.ListGrants()) == (grant,)
    assert await there.ask(bot_actions.ListGrants()) == ()
    await there.policies.refresh(await there.store.policy_version())
    assert await there.ask(bot_actions.ListGrants()) == (grant,)
    assert (await there.revoke(grant.id)).grant == grant
    await here.policies.refresh(await here.store.policy_version())
    assert await here.ask(bot_actions.ListGrants()) == ()


async def test_what_was_granted_already_is_said_and_not_granted_twice(counter):
    mine = counter(Grant(id="grants.0", who="everyone", can=("viewer",)))
    first = await mine.grant("console:alice", "viewer")
    again = await mine.grant("console:alice", "viewer")
    assert (again.new, again.grant) == (False, first.grant)
    configured = await mine.grant("everyone", "viewer")
    assert (configured.new, configured.grant.id) == (False, "grants.0")
    other_place = await mine.grant("console:alice", "viewer", places=("#ops",))
    assert other_place.new
    assert len(await mine.ask(bot_actions.ListGrants())) == 3


@pytest.mark.parametrize(
    "who", ["", "bob", "@bob", "Slack:U1", "group:", "group:a b", "<@U1>", "everyone ", "slack:" + "u" * 81]
)
async def test_a_grant_names_somebody(counter, who):
    with pytest.raises(errors.BadUsage, match="not a person or group that can be given a grant") as caught:
        await counter().grant(who, "viewer")
    assert "group:NAME" in caught.value.hint


@pytest.mark.parametrize(
    "who", ["everyone", "group:sre", "group:a.b-c_d/e+f@g", "console:alice", "slack:T0123/U0456", "job:nightly"]
)
async def test_everybody_who_can_be_named(counter, who):
    assert (await counter().grant(who, "viewer")).grant.who == who


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("container.restat", "container.restart"),
        ("viewr", "viewer"),
        ("risk:chnge", "risk:change"),
        ("zzz", "Write a role ("),
    ],
)
async def test_a_pattern_that_covers_nothing_is_refused_with_what_is_close(counter, pattern, hint):
    mine = counter()
    with pytest.raises(errors.BadUsage, match="is not a verb, a role or a risk class") as caught:
        await mine.grant("everyone", "viewer", pattern)
    assert hint in caught.value.hint
    assert await mine.ask(bot_actions.ListGrants()) == ()


@pytest.mark.parametrize(
    "pattern", ["*", "policy.*", "*.list", "risk:read", "risk:change", "risk:destroy", "admin", "container.r?*"]
)
async def test_patterns_roles_and_risks_may_be_granted(counter, pattern):
    assert (await counter().grant("everyone", pattern)).grant.can == (pattern,)


async def test_revoking_what_is_not_there_or_not_ours_says_what_to_do(counter):
    mine = counter(Grant(id="grants.0", who="everyone", can=("viewer",)))
    kept = (await mine.grant("everyone", "operator")).grant
    with pytest.raises(errors.NotFound) as missing:
        await mine.revoke(kept.id[:-1] + "!")
    assert missing.value.hint == f"Did you mean {kept.id}?"
    with pytest.raises(errors.NotFound) as unlike:
        await mine.revoke("zzzzzz")
    assert unlike.value.hint == "List all grants with: grants"
    with pytest.raises(errors.NotPermitted) as configured:
        await mine.revoke("grants.0")
    assert configured.value.rule == "config-grant"
    assert "quarterdeck.yaml" in configured.value.hint
    with pytest.raises(errors.NotFound):
        await mine.revoke(policy.OWNER_GRANT.id)
    assert len(await mine.ask(bot_actions.ListGrants())) == 2


async def test_nothing_is_changed_while_the_store_is_away(counter, valkey):
    mine = counter()
    kept = (await mine.grant("everyone", "viewer")).grant
    valkey.stop()
    with pytest.raises(errors.StoreDown):
        await mine.grant("everyone", "operator")
    with pytest.raises(errors.StoreDown):
        await mine.revoke(kept.id)
    assert await mine.ask(bot_actions.ListGrants()) == (kept,)
    valkey.start()


# ── the first admin ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_code_makes_one_admin_once(counter):
    here, there = counter(), counter()
    code = await first_admin.issue_code(here.store, here.policies, "slack")
    with pytest.raises(errors.NotPermitted, match="code is wrong"):
        await here.ask(bot_actions.ClaimAdmin(by=BOB, code="0" * 32))
    made = (await there.ask(bot_actions.ClaimAdmin(by=LEAD, code=f" {code.upper()} "))).grant
    assert (made.who, made.can, made.on, made.places, made.by) == (LEAD.id, ("admin",), EVERYTHING, (), "claim")
    for who in (BOB, LEAD):
        with pytest.raises(errors.NotPermitted, match="No claim code is valid now"):
            await here.ask(bot_actions.ClaimAdmin(by=who, code=code))
    await here.policies.refresh(await here.store.policy_version())
    assert (await here.grant(BOB.id, "admin", by=LEAD)).new
    # Somebody in chat may grant now, so no start shows a code again.
    assert await first_admin.issue_code(here.store, here.policies, "slack") is None
    assert await first_admin.issue_code(here.store, here.policies, "teams") is not None


async def test_a_code_has_five_tries_and_the_newest_counts(counter):
    here = counter()
    old, new = [await first_admin.issue_code(here.store, here.policies, "slack") for _ in range(2)]
    assert old != new
    for _ in range(first_admin.MAX_TRIES):
        with pytest.raises(errors.NotPermitted, match="code is wrong"):
            await here.ask(bot_actions.ClaimAdmin(by=BOB, code=old))
    with pytest.raises(errors.NotPermitted, match="No claim code is valid now"):
        await here.ask(bot_actions.ClaimAdmin(by=BOB, code=new))
    assert await here.ask(bot_actions.ListGrants()) == ()


@pytest.mark.parametrize(
    ("grant", "open_"),
    [
        (own("viewer"), True),
        (own("*"), True),
        (own("admin"), False),
        (own("policy.grant", who="everyone"), False),
        (own("policy.*", who="group:sre"), False),
        (own("admin", who="console:alice"), True),
    ],
)
async def test_a_code_is_shown_while_nobody_who_comes_through_that_door_may_grant(counter, grant, open_):
    here = counter(grant)
    assert (await first_admin.issue_code(here.store, here.policies, "slack") is not None) == open_


# ── nobody grants what they lack ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mine", "wanted", "allowed"),
    [
        ({}, {}, True),
        ({}, {"on": Selector(name="web")}, True),
        ({"on": Selector(name="web*")}, {}, False),
        ({"on": Selector(name="web*")}, {"on": Selector(name="web*")}, True),
        # Not surely narrower as far as can be decided: refused.
        ({"on": Selector(name="web*")}, {"on": Selector(name="web-1")}, False),
        ({"on": Selector(name="web*")}, {"on": Selector(name="w*")}, False),
        ({"on": Selector(name="web*")}, {"on": Selector(name="*")}, False),
        ({"on": Selector(name="web*")}, {"on": Selector(name="web*", host="h1")}, True),
        ({"on": Selector(name="web*", host="h1")}, {"on": Selector(name="web*")}, False),
        ({"on": Selector(host="h1")}, {"on": Selector(engine="docker/h1")}, False),
        ({"on": Selector(project="shop")}, {"on": Selector(project="shop", service="front")}, True),
        ({"on": Selector(service="front")}, {"on": Selector(project="shop")}, False),
        ({"on": Selector(labels=(("env", "dev"),))}, {"on": Selector(labels=(("env", "dev"), ("team", "a")))}, True),
        ({"on": Selector(labels=(("env", "dev"),))}, {"on": Selector(labels=(("team", "a"),))}, False),
        ({"on": Selector(labels=(("env", "dev"),))}, {"on": Selector(labels=(("env", "*"),))}, False),
        ({"on": Selector(labels=(("env", "dev"), ("team", "a")))}, {"on": Selector(labels=(("env", "dev"),))}, False),
        ({"places": ("#ops",)}, {}, False),
        ({"places": ("#ops",)}, {"places": ("#ops",)}, True),
        ({"places": ("#ops", "#dev")}, {"places": ("#dev",)}, True),
        ({"places": ("#ops",)}, {"places": ("#ops", "#dev")}, False),
        ({"places": ("#random",)}, {"places": ("#random",)}, False),  # not held where it is said
        ({}, {"places": ("#ops",)}, True),
        ({"on": Selector(name="web*"), "places": ("#ops",)}, {"on": Selector(name="web*")}, False),
        ({"who": "group:sre"}, {}, True),
        ({"who": "group:dev"}, {}, False),
        ({"who": "everyone"}, {}, True),
    ],
)
async def test_what_is_passed_on_is_no_wider_than_what_is_held(counter, mine, wanted, allowed):
    here = counter(own("container.restart", **mine))
    if allowed:
        assert (await here.grant(BOB.id, "container.restart", by=LEAD, **wanted)).new
        return
    with pytest.raises(errors.NotPermitted, match=r"container\.restart") as caught:
        await here.grant(BOB.id, "container.restart", by=LEAD, **wanted)
    assert caught.value.rule == "grant-only-what-you-have"
    assert await here.store.grants() == (0, {})


@pytest.mark.parametrize(
    ("held", "wanted", "allowed"),
    [
        (("operator",), ("container.restart",), True),
        (("operator",), ("viewer",), True),
        (("viewer",), ("operator",), False),
        (("operator",), ("container.*",), False),
        (("*",), ("container.*",), True),
        (("*",), ("operator", "risk:destroy"), True),
        (("*",), ("policy.grant",), False),
        (("*",), ("admin",), False),
        (("risk:change",), ("risk:change",), True),
        (("risk:change",), ("risk:destroy",), False),
        (("container.restart",), ("container.restart", "container.stop"), False),
        (("admin",), ("admin",), True),
        (("policy.grant",), ("policy.grant",), True),
        (("policy.grant",), ("policy.*",), False),
        (ALL_VERBS, ("admin",), True),
    ],
)
async def test_every_verb_of_a_pattern_must_be_held(counter, held, wanted, allowed):
    here = counter(own(*held))
    if allowed:
        assert (await here.grant(BOB.id, *wanted, by=LEAD)).new
    else:
        with pytest.raises(errors.NotPermitted, match="do not have that grant yourself"):
            await here.grant(BOB.id, *wanted, by=LEAD)


async def test_two_narrow_grants_do_not_make_a_wide_one(counter):
    here = counter(
        own("container.restart", id="a", on=Selector(name="web*")),
        own("container.restart", id="b", places=("#ops",)),
        own("container.stop", id="c", on=Selector(host="h1")),
    )
    with pytest.raises(errors.NotPermitted):
        await here.grant(BOB.id, "container.restart", by=LEAD)
    with pytest.raises(errors.NotPermitted, match="stop"):
        await here.grant(BOB.id, "container.restart", "container.stop", by=LEAD, on=Selector(name="web*"))
    assert (await here.grant(BOB.id, "container.restart", by=LEAD, on=Selector(name="web*"), places=("#dev",))).new


async def test_a_role_of_the_configuration_is_as_wide_as_its_verbs(counter):
    roles = {"shop": ("container.restart", "container.logs"), "admin": ("*", "policy.*")}
    here = counter()
    here.policies.replace_configured(Policy(grants=(own("shop"),), roles=roles))
    assert (await here.grant(BOB.id, "shop", by=LEAD)).new
    assert (await here.grant(BOB.id, "container.logs", by=LEAD)).new
    with pytest.raises(errors.NotPermitted):
        await here.grant(BOB.id, "admin", by=LEAD)


@pytest.mark.parametrize("ask", list(Ask))
async def test_a_brake_on_the_giver_is_not_shaken_off_by_giving(counter, ask):
    def guard(who):
        return Guard(id="guards.0", can=("container.*",), ask=ask, who=who, on=Selector(name="web*"))

    juniors = counter(own("container.restart", who="everyone"), guards=[guard("group:sre")])
    with pytest.raises(errors.NotPermitted, match=r"the guard guards\.0 limits you") as caught:
        await juniors.grant(BOB.id, "container.restart", by=LEAD)
    assert caught.value.rule == "grant-only-what-you-have"
    # On the same people, or on everybody, it stays on.
    assert (await juniors.grant("group:sre", "container.restart", by=LEAD)).new
    everybody = counter(own("container.restart"), guards=[guard("everyone")])
    assert (await everybody.grant(BOB.id, "container.restart", by=LEAD)).new
    assert (await juniors.grant(BOB.id, "container.restart", by=OWNER)).new


def test_wider_is_sure_or_no():
    assert grant_checks._includes(EVERYTHING, Selector(name="x"))
    assert grant_checks._includes(EVERYTHING, EVERYTHING)
    assert not grant_checks._includes(Selector(engine="docker"), EVERYTHING)
    assert grant_checks._includes_places((), ())
    assert not grant_checks._includes_places(("#a",), ())


# ── who may what ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_whoami_tells_what_holds_here_and_for_the_owner_why(counter):
    here = counter(
        own("operator", who="group:sre", id="sre"),
        own("viewer", who="everyone", id="all", places=("#ops",)),
        own("admin", who="slack:T1/SUE", id="sue"),
    )
    lead = await here.ask(bot_actions.WhoAmI(who=LEAD, place=OPS))
    assert (lead.id, lead.name, lead.groups, lead.admin) == (LEAD.id, "lead", ("sre",), False)
    assert [grant.id for grant in lead.grants] == ["sre", "all"]
    assert [grant.id for grant in (await here.ask(bot_actions.WhoAmI(who=LEAD, place=RANDOM))).grants] == ["sre"]
    assert [grant.id for grant in (await here.ask(bot_actions.WhoAmI(who=BOB, place=RANDOM))).grants] == []
    root = await here.ask(bot_actions.WhoAmI(who=OWNER, place=RANDOM))
    assert root.admin and root.grants == (policy.OWNER_GRANT,)


async def test_can_looks_at_the_target_as_it_is_now(counter):
    here = counter(
        own("container.restart", who=BOB.id, on=Selector(labels=(("env", "dev"),))),
        guards=[Guard(id="guards.0", can=("container.restart",), ask=Ask.CONFIRM, on=Selector(name="dear"))],
    )
    web, prod = here.engine.add("web", labels={"env": "dev"}), here.engine.add("prod", labels={"env": "prod"})
    dear = here.engine.add("dear", labels={"env": "dev"})
    here.engine.asked.clear()
    assert await here.may(BOB, "restart", web) == {"container.restart on web": Verdict.ALLOW}
    assert await here.may(BOB, "container.restart", prod) == {"container.restart on prod": Verdict.DENY}
    assert await here.may(BOB, "restart", dear) == {"container.restart on dear": Verdict.CONFIRM}
    assert await here.may(BOB, "stop", web) == {"container.stop on web": Verdict.DENY}
    assert set(here.engine.asked) == {"list"}
    here.engine.happen(EventKind.REMOVED, web)
    assert await here.may(BOB, "restart", web) == {"container.restart on web": Verdict.DENY}
    here.engine.reachable = False
    assert await here.may(BOB, "restart", dear) == {"container.restart on dear": Verdict.DENY}


async def test_can_without_a_target_is_anything_at_all_but_for_guards_over_everything(counter):
    narrow = own("container.restart", who=BOB.id, on=Selector(name="web"))
    assert await counter(narrow).may(BOB, "restart") == {"container.restart": Verdict.ALLOW}
    assert await counter(narrow).may(BOB, "ls") == {"container.list": Verdict.DENY}
    for ask, verdict in ((Ask.CONFIRM, Verdict.CONFIRM), (Ask.APPROVE, Verdict.APPROVE), (Ask.DENY, Verdict.DENY)):
        braked = counter(narrow, guards=[Guard(id="g", can=("risk:change",), ask=ask)])
        assert await braked.may(BOB, "restart") == {"container.restart": verdict}
    elsewhere = Guard(id="g", can=("*",), ask=Ask.DENY, on=Selector(name="db"))
    assert await counter(narrow, guards=[elsewhere]).may(BOB, "restart") == {"container.restart": Verdict.ALLOW}


async def test_can_knows_commands_aliases_verbs_and_words_that_need_nothing(counter):
    here = counter(own("viewer", who="everyone"))
    assert await here.may(BOB, "list") == await here.may(BOB, "container.list") == {"container.list": Verdict.ALLOW}
    assert await here.may(BOB, "confirm") == {"confirm": Verdict.ALLOW}
    with pytest.raises(errors.UnknownCommand, match="restrat") as caught:
        await here.may(BOB, "restrat")
    assert caught.value.hint == "List all commands with: help"


async def test_help_is_the_catalogue(counter):
    here = counter()
    page = await here.ask(bot_actions.ShowHelp())
    assert [one.name for one in page.commands] == [command.name for command in WORDS]
    (one,) = (await here.ask(bot_actions.ShowHelp(topic="ls"))).commands
    assert one.name == "ps"
    with pytest.raises(errors.Unsupported):
        await here.ask(bot_actions.AnswerQuestion(token="x", yes=True))


# ── the audit trail ──────────────────────────────────────────────────────────────────────────────────────────────────


class Trail:
    """Writes rows as the road does, at times of the test's choosing."""

    def __init__(self, here):
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.counted = []
        self.audit = audit.Audit(here.store, clock=lambda: self.at, count=self.counted.append)

    def line(self, who, line="x"):
        return Invocation(id="i", who=who, line=line, place=OPS, at=self.at, deadline=self.at)

    async def did(self, who, *names, line="restart", minutes=0):
        self.at += timedelta(minutes=minutes)
        plan = [actions.Restart(engine=ref(name).engine, target=ref(name)) for name in names]
        allowed = Decision(verdict=Verdict.ALLOW, rule="g", reason="")
        await self.audit.record(self.line(who, line), "outcome", [(one, "done", "") for one in plan], allowed)

    async def refused(self, who, name, line="stop", rule="default-deny"):
        denied = Decision(verdict=Verdict.DENY, rule=rule, reason="no")
        await self.audit.refusal(self.line(who, line), "container.stop", str(ref(name)), denied)


def ref(name):
    return Ref(
        engine=EngineRef(host="h1", kind="docker"),
        kind=Kind.CONTAINER,
        id=name.encode().hex().ljust(64, "0"),
        name=name,
    )


async def read(here, **more):
    return [
        (one.who, one.target.partition("@")[0], one.phase)
        for one in (await here.ask(bot_actions.ReadAudit(**more))).entries
    ]


async def test_the_audit_is_read_by_person_target_time_and_refusal(counter):
    here = counter()
    trail = Trail(here)
    await trail.did(LEAD, "web", "web-2")
    await trail.did(BOB, "db", minutes=1)
    await trail.refused(BOB, "web")
    await trail.did(OWNER, "api", minutes=1)
    web, web2, db = (LEAD.id, "web", "outcome"), (LEAD.id, "web-2", "outcome"), (BOB.id, "db", "outcome")
    no, api = (BOB.id, "web", "refused"), (OWNER.id, "api", "outcome")
    assert await read(here) == [web, web2, db, no, api]
    assert await read(here, limit=2) == [no, api]
    assert await read(here, who=BOB.id) == await read(here, who="T1/BOB") == await read(here, who="*BOB") == [db, no]
    assert await read(here, who="root") == [api]
    assert await read(here, who="BO") == []
    assert await read(here, target="web") == [web, no]
    assert await read(here, target="web*") == [web, web2, no]
    assert await read(here, target="web@docker/h1*") == [web, no]
    assert await read(here, target="web@docker/h1") == [web, no]
    assert await read(here, target="web@docker/h1", who=BOB.id) == [no]
    assert await read(here, target="web@docker/h2") == await read(here, target="web@docker") == []
    assert await read(here, refused=True) == [no]
    assert await read(here, refused=True, target="db") == []
    since = int(datetime(2026, 1, 1, 0, 1, tzinfo=UTC).timestamp()) * 10**9
    assert await read(here, since_ns=since) == [db, no, api]
    assert await read(here, since_ns=since, who="slack:*", limit=1) == [no]
    assert await read(here, since_ns=since + 3_600 * 10**9) == []
    assert trail.counted == ["outcome"] * 3 + ["refused", "outcome"]


async def test_a_person_on_slack_is_found_by_their_name(counter, monkeypatch):
    here = counter()
    trail = Trail(here)
    rate = RateLimitRule(count=100, period=60)

    async def gives_a_command(who, name, number=itertools.count()):
        await here.store.enter(
            id=f"e{next(number)}", who=who.id, risk="read", rate=rate, record=b"", replica="r", name=name
        )

    other = Identity(id="slack:T1/OTHER", name="root")
    await gives_a_command(LEAD, "Lea Ott")
    await gives_a_command(BOB, "bob.b")
    await gives_a_command(other, "root")  # the name of the console's owner
    for who in (LEAD, BOB, OWNER, other):
        await trail.did(who, "web")
    lea, bob, owner, pretender = ((who.id, "web", "outcome") for who in (LEAD, BOB, OWNER, other))
    for name in ("Lea Ott", "lea ott", "LEA*", "@lea ott"):
        assert await read(here, who=name) == [lea], name
    assert await read(here, who="*b*") == [bob]
    assert await read(here, who="root") == [owner, pretender]
    assert await read(here, who="lea") == []
    assert await read(here, who="bob.b", target="web") == [bob]
    await gives_a_command(BOB, "robert")
    assert await read(here, who="robert") == [bob] and await read(here, who="bob.b") == []
    monkeypatch.setattr(audit_search, "MAX_RANGES", 1)
    assert await read(here, who="*o*") == [lea, bob, owner, pretender]


async def test_equal_refusals_are_one_row_with_a_count(counter):
    here = counter()
    trail = Trail(here)
    for _ in range(3):
        await trail.refused(BOB, "web")
    await trail.refused(BOB, "web", rule="busy")
    await trail.refused(LEAD, "web")
    rows = (await here.ask(bot_actions.ReadAudit(refused=True))).entries
    assert [(row.who, row.rule, row.count) for row in rows] == [
        (BOB.id, "default-deny", 3),
        (BOB.id, "busy", 1),
        (LEAD.id, "default-deny", 1),
    ]


async def test_a_rare_row_is_found_behind_many_without_reading_them(counter, monkeypatch):
    here = counter()
    trail = Trail(here)
    await trail.did(BOB, "needle")
    await trail.refused(BOB, "needle")
    for _ in range(15):
        await trail.did(LEAD, *["hay"] * 400)
    read_rows = []
    for name in ("read_audit", "read_audit_rows"):
        monkeypatch.setattr(here.store, name, counting(getattr(here.store, name), read_rows))
    needle = [(BOB.id, "needle", "outcome"), (BOB.id, "needle", "refused")]
    for more in (
        {"who": BOB.id},
        {"who": "*BOB"},
        {"target": "needle"},
        {"target": "need*"},
        {"target": "*dle"},
        {"target": "needle", "who": BOB.id},
    ):
        assert await read(here, **more) == needle
    assert await read(here, refused=True) == needle[1:]
    assert len(read_rows) == 6 * 2 + 1, "only the rows of the answers are read"
    assert len(await read(here, target="hay", limit=1_100)) == 1_100
    # What is older than the time asked for ends a search, too.
    read_rows.clear()
    assert await read(here, since_ns=int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9) == []
    assert len(read_rows) == audit_search.ROWS_AT_ONCE


def counting(method, read_rows):
    async def call(*args, **more):
        rows = await method(*args, **more)
        read_rows.extend(rows)
        return rows

    return call


async def test_the_audit_says_when_older_rows_were_removed(counter, monkeypatch):
    here = counter()
    here.store._audit_limits = AuditLimits(rows=10)
    trail = Trail(here)
    await trail.did(BOB, "old")
    assert (await here.ask(bot_actions.ReadAudit(who=BOB.id))).reaches_back_to == 0
    for _ in range(3):
        await trail.did(LEAD, *["new"] * 5)
    page = await here.ask(bot_actions.ReadAudit(who=BOB.id))
    assert (page.entries, page.removed, page.complete) == ((), 6, True)
    oldest = (await here.store.read_audit(count=10))[-1].id
    assert page.reaches_back_to == int(oldest.partition("-")[0]) / 1000
    full = await here.ask(bot_actions.ReadAudit(who=LEAD.id, limit=5))
    assert (len(full.entries), full.reaches_back_to) == (5, 0), "no older row could have been shown"
    later = int((page.reaches_back_to + 3_600) * 1e9)
    assert (await here.ask(bot_actions.ReadAudit(who=BOB.id, since_ns=later))).reaches_back_to == 0
    monkeypatch.setattr(audit_search, "MEMBERS_AT_ONCE", 2)
    monkeypatch.setattr(audit_search, "MAX_MEMBERS", 4)
    assert not (await here.ask(bot_actions.ReadAudit(target="n*w", limit=50))).complete


async def test_a_row_that_waited_for_the_store_does_not_hide_newer_ones_written_before_it(counter):
    here = counter()
    trail = Trail(here)
    trail.at = datetime(2026, 1, 2, tzinfo=UTC)
    await trail.did(BOB, "new")
    trail.at = datetime(2026, 1, 1, tzinfo=UTC)
    await trail.did(BOB, "late")
    since = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) * 10**9
    assert await read(here, since_ns=since) == [(BOB.id, "new", "outcome")]


async def test_a_row_of_another_version_is_read_as_far_as_it_is_understood(counter):
    here = counter()
    await here.store.append_audit([{"at": "2030-01-01T00:00:00.000+00:00", "who": "w", "something": "new"}])
    (row,) = (await here.ask(bot_actions.ReadAudit())).entries
    assert (row.who, row.line, row.count) == ("w", "", 1)


async def test_can_says_that_our_store_is_protected(counter):
    mine, project = counter(), "com.docker.compose.project"
    bot = mine.engine.add("bot", labels={project: "deck"})
    store = mine.engine.add("store", labels={project: "deck", "com.docker.compose.service": "redis"})
    assert (await mine.may(OWNER, "stop", store))["container.stop on store"] is Verdict.ALLOW
    mine.policies.replace_configured(Policy(self_name=bot.id[:12], store_host="redis"))
    assert (await mine.may(OWNER, "stop", store))["container.stop on store"] is Verdict.DENY
    assert (await mine.may(OWNER, "logs", store))["container.logs on store"] is Verdict.ALLOW
