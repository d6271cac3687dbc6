"""What one asker may see: hidden things do not exist, facts are as old as the look that found them, plans keep their
targets."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bot.dispatch import visible_fleet
from core import errors
from core.model import actions, bot_actions, event_actions, swarm
from core.model.events import EventKind
from core.model.invocation import Identity, Place
from core.model.policy import Ask, Grant, Guard, Policy, Verdict
from core.model.policy_selectors import Selector
from core.model.refs import Kind
from core.ports import Call, Query
from runtimes.base.base_adapter import does
from runtimes.inventory.fleet import Fleet
from tests.fake_engine.engine import FakeRuntime

BOB = Identity(id="slack:T1/BOB", name="bob")
OPS = Place(channel="#ops")
DEV = Selector(labels=(("env", "dev"),))
DEV_ONLY = Grant(id="dev", who="everyone", can=("*",), on=DEV)
ALL = Grant(id="all", who="everyone", can=("*",))
ALL_READS = Grant(id="reads", who="everyone", can=("risk:read",))


class Yard:
    """Two engines: dev and prod containers on the first, one more on the second."""

    def __init__(self):
        self.one, self.two = FakeRuntime("h1", kind="docker"), FakeRuntime("h2", kind="docker")
        self.web = self.one.add("web", labels={"env": "dev"})
        self.dear = self.one.add("web-p", labels={"env": "prod"})
        self.far = self.two.add("far", labels={"env": "dev"})
        self.fleet = Fleet([self.one, self.two])

    def seen_by(self, *grants, guards=(), now=None, who=BOB, **more):
        now = now or datetime.now(UTC)
        call = Call(id="c", who=who.id, deadline=datetime.now(UTC) + timedelta(seconds=20), invocation="i")
        policy = Policy(grants=grants, guards=tuple(guards), **more)
        return visible_fleet.VisibleFleet(engines=self.fleet, in_force=policy, who=who, place=OPS, call=call, now=now)


@pytest.fixture
def yard():
    return Yard()


async def names(view, *words, **more):
    return [ref.name for ref in await view.find(Query(names=words, **more))]


async def test_what_may_not_be_listed_is_neither_found_nor_suggested(yard):
    view = yard.seen_by(DEV_ONLY)
    assert await names(view, labels=("env",)) == ["web", "far"]
    assert await names(view, "*") == ["web", "far"]
    with pytest.raises(errors.NotFound) as hidden:
        await view.find(Query(names=("web-p",)))
    with pytest.raises(errors.NotFound) as absent:
        await view.find(Query(names=("web-q",)))
    assert hidden.value.full_message() == absent.value.full_message().replace("web-q", "web-p")
    assert hidden.value.hint == "Did you mean web?"
    # A prefix that means one visible thing is not made ambiguous by a hidden one.
    assert await names(view, "we") == ["web"]
    with pytest.raises(errors.Ambiguous):
        await yard.seen_by(ALL).find(Query(names=("we",)))


async def test_who_may_list_nothing_finds_nothing(yard):
    for grants in ((), (Grant(id="g", who="everyone", can=("container.restart",)),)):
        with pytest.raises(errors.NotFound):
            await yard.seen_by(*grants).find(Query(names=("web",)))


async def test_a_deny_guard_hides_and_a_guard_that_asks_does_not(yard):
    def guard(ask):
        return Guard(id="g", can=("container.list",), ask=ask, on=DEV)

    assert await names(yard.seen_by(ALL, guards=[guard(Ask.DENY)]), "*") == ["web-p"]
    for ask in (Ask.CONFIRM, Ask.APPROVE):
        assert len(await names(yard.seen_by(ALL, guards=[guard(ask)]), "*")) == 3


async def test_a_target_is_judged_on_the_facts_it_was_found_with(yard):
    may = Grant(id="r", who="everyone", can=("container.restart",), on=DEV)
    look = Grant(id="l", who="everyone", can=("container.list",))
    view = yard.seen_by(may, look)
    restart = actions.Restart(engine=yard.web.engine, target=yard.web)
    # Not found by this view: nothing is known of it, so no grant that needs facts holds.
    assert view.decide(restart, yard.web).verdict is Verdict.DENY
    web, dear = await view.find(Query(names=("web", "web-p")))
    assert view.decide(restart, web).verdict is Verdict.ALLOW
    assert view.decide(restart, dear).verdict is Verdict.DENY
    assert yard.one.asked == ["list"]


async def test_a_list_is_allowed_as_a_whole_and_its_rows_one_by_one(yard):
    view = yard.seen_by(DEV_ONLY)
    action = actions.ListContainers(engine=yard.one.ref)
    whole = await yard.fleet.run(action, view.call)
    assert view.decide(action, action.targets()[0]).verdict is Verdict.ALLOW
    kept = await view.filter(action, whole)
    assert [row.ref.name for row in kept.rows] == ["web"]
    assert (kept.source, kept.age) == (whole.source, whole.age)
    assert await yard.seen_by(ALL).filter(action, whole) is whole
    assert (await yard.seen_by().filter(action, whole)).rows == ()
    assert yard.seen_by().decide(action, action.targets()[0]).verdict is Verdict.DENY


async def test_events_of_hidden_and_of_vanished_things_are_hidden_where_facts_decide(yard):
    gone = yard.one.add("gone", labels={"env": "dev"})
    yard.one.happen(EventKind.REMOVED, gone)
    action = event_actions.ListEvents(engine=yard.one.ref)
    told = await yard.fleet.run(action, yard.seen_by(ALL).call)
    assert {event.subject.name for event in told.rows} == {"web", "web-p", "gone"}
    assert {event.subject.name for event in (await yard.seen_by(DEV_ONLY).filter(action, told)).rows} == {"web"}
    by_name = Grant(id="n", who="everyone", can=("event.list",), on=Selector(name="gone"))
    assert {event.subject.name for event in (await yard.seen_by(by_name).filter(action, told)).rows} == {"gone"}
    assert await yard.seen_by(ALL).filter(action, told) is told
    assert await yard.seen_by(ALL).filter(actions.ReadLogs(engine=yard.one.ref, target=yard.web), "page") == "page"


async def test_an_engine_that_is_away_is_said_and_hides_only_its_own(yard):
    yard.two.reachable = False
    view = yard.seen_by(ALL)
    assert await names(view, "web") == ["web"]
    with pytest.raises(errors.Unreachable, match="docker/h2 did not answer"):
        await view.find(Query(names=("far",)))
    assert [str(ref) for ref in view.engines(Query())] == ["docker/h1", "docker/h2"]
    with pytest.raises(errors.NotFound, match="No engine matches"):
        await view.find(Query(names=("web",), host="nowhere"))


async def test_looking_again_is_fresh_and_never_moves_a_plan_to_another_thing_of_that_name(yard):
    view = yard.seen_by(ALL)
    plan = (actions.Remove(engine=yard.web.engine, target=yard.web),)
    with yard.one.untold():
        yard.one.happen(EventKind.DIED, yard.web, exit_code="0")
    await view.refresh(plan)
    assert view.decide(plan[0], yard.web).verdict is Verdict.ALLOW
    assert view._subjects_of(yard.web)[0][1].state == "exited"
    yard.one.happen(EventKind.REMOVED, yard.web)
    yard.one.add("web", labels={"env": "dev"})
    with pytest.raises(errors.Expired, match=r"web \(.{12}\) was removed") as caught:
        await view.refresh(plan)
    assert "another resource has this name" in caught.value.hint
    yard.one.reachable = False
    with pytest.raises(errors.Unreachable):
        await view.refresh(plan)


async def test_looking_again_asks_no_engine_about_the_desk(yard):
    view = yard.seen_by(ALL)
    yard.one.asked.clear()
    await view.refresh((bot_actions.ListGrants(),))
    assert yard.one.asked == []


async def test_protected_containers_are_protected_by_the_facts_just_found(yard):
    yard.one.add("vault", labels={"quarterdeck.protected": "true"})
    view = yard.seen_by(ALL)
    (vault,) = await view.find(Query(names=("vault",)))
    decision = view.decide(actions.Stop(engine=vault.engine, target=vault), vault)
    assert (decision.verdict, decision.rule) == (Verdict.DENY, "self-protection")


async def test_our_store_is_protected_wherever_the_look_that_found_it_came_from(yard):
    project = "com.docker.compose.project"
    bot = yard.one.add("bot", labels={project: "deck", "com.docker.compose.service": "bot"})
    store = yard.one.add("store", labels={project: "deck", "com.docker.compose.service": "redis"})
    held = {"self_ids": frozenset({bot.id}), "store_host": "redis"}

    def rule(view, ref):
        return view.decide(actions.Stop(engine=ref.engine, target=ref), ref).rule

    found = yard.seen_by(ALL, **held)
    assert await names(found, "store", "web") == ["store", "web"]
    assert (rule(found, store), rule(found, yard.web)) == ("self-protection", "all")
    again = yard.seen_by(ALL, **held)
    await again.refresh([actions.Stop(engine=store.engine, target=store)])
    assert rule(again, store) == "self-protection"
    stranger = yard.seen_by(ALL)
    await stranger.find(Query(names=("store",)))
    assert rule(stranger, store) == "all"


async def test_an_engine_is_shown_to_whom_it_is_granted(yard):
    view = yard.seen_by(Grant(id="one", who="everyone", can=("viewer",), on=Selector(host="h1")))
    shown = []
    for engine in (yard.one, yard.two):
        action = actions.DescribeEngine(engine=engine.ref)
        assert view.decide(action, action.targets()[0]).verdict is Verdict.ALLOW
        shown.append(await view.filter(action, await yard.fleet.run(action, view.call)))
    assert [engine and str(engine.ref) for engine in shown] == ["docker/h1", None]
    with pytest.raises(errors.NotFound) as caught:
        view.engines(Query(engine="h3"))
    assert "docker/h1" in caught.value.hint
    assert "h2" not in caught.value.full_message()
    with pytest.raises(errors.NotFound) as caught:
        yard.seen_by(DEV_ONLY).engines(Query(engine="h3"))
    assert caught.value.hint == ""


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def part(number, **labels):
    return {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": str(number),
        **labels,
    }


async def service(view, word="shop/web"):
    (ref,) = await view.find(Query(names=(word,), kind=Kind.SERVICE))
    return ref


def to(ref, replicas):
    return actions.Scale(engine=ref.engine, target=ref, replicas=replicas)


async def test_a_service_is_decided_on_its_project_its_name_and_its_labels(yard):
    yard.one.add("shop-web-1", labels=part(1, env="dev"))
    for on, verdict in (
        (Selector(project="shop"), Verdict.ALLOW),
        (Selector(service="web"), Verdict.ALLOW),
        (Selector(name="shop/*"), Verdict.ALLOW),
        (DEV, Verdict.ALLOW),
        (Selector(project="blog"), Verdict.DENY),
        (Selector(labels=(("env", "prod"),)), Verdict.DENY),
    ):
        view = yard.seen_by(ALL_READS, Grant(id="s", who="everyone", can=("service.scale",), on=on))
        ref = await service(view)
        assert view.decide(to(ref, 3), ref).verdict is verdict, on
    # Never found by this view: nothing is known of it.
    blind = yard.seen_by(Grant(id="s", who="everyone", can=("service.scale",), on=DEV))
    assert blind.decide(to(ref, 3), ref).verdict is Verdict.DENY


async def test_every_part_of_a_service_must_be_allowed_and_any_may_brake_it(yard):
    yard.one.add("shop-web-1", labels=part(1, env="dev"))
    yard.one.add("shop-web-2", labels=part(2, env="prod"))
    view = yard.seen_by(ALL_READS, Grant(id="s", who="everyone", can=("service.scale",), on=DEV))
    ref = await service(view)
    assert view.decide(to(ref, 3), ref).verdict is Verdict.DENY
    prod = Guard(id="prod", can=("service.scale",), ask=Ask.APPROVE, on=Selector(labels=(("env", "prod"),)))
    view = yard.seen_by(ALL, guards=[prod])
    ref = await service(view)
    assert view.decide(to(ref, 3), ref).verdict is Verdict.APPROVE


async def test_a_service_one_may_not_list_does_not_exist(yard):
    yard.one.add("shop-web-1", labels=part(1, env="prod"))
    view = yard.seen_by(DEV_ONLY)
    with pytest.raises(errors.NotFound) as hidden:
        await service(view)
    with pytest.raises(errors.NotFound) as absent:
        await service(view, "shop/wob")
    assert hidden.value.full_message() == absent.value.full_message().replace("shop/wob", "shop/web")
    listing = actions.ListServices(engine=yard.one.ref)
    whole = await yard.fleet.run(listing, view.call)
    assert [row.ref.name for row in whole.rows] == ["shop/web"]
    assert (await view.filter(listing, whole)).rows == ()
    assert await yard.seen_by(ALL).filter(listing, whole) == whole


async def test_a_service_with_our_own_or_a_protected_container_is_never_scaled(yard):
    yard.one.add("shop-web-1", labels=part(1))
    mine = yard.one.add("shop-web-2", labels=part(2))
    view = yard.seen_by(ALL, self_ids=frozenset({mine.id}))
    ref = await service(view)
    decision = view.decide(to(ref, 1), ref)
    assert (decision.verdict, decision.rule) == (Verdict.DENY, "self-protection")
    yard.two.add("blog-web-1", labels=part(1) | {"com.docker.compose.project": "blog", "quarterdeck.protected": "true"})
    view = yard.seen_by(ALL)
    ref = await service(view, "blog/web")
    assert view.decide(to(ref, 0), ref).rule == "self-protection"


async def test_the_service_that_holds_our_store_is_never_scaled(yard):
    mine = yard.one.add("shop-bot-1", labels=part(1) | {"com.docker.compose.service": "bot"})
    yard.one.add("shop-valkey-1", labels=part(1) | {"com.docker.compose.service": "valkey"})
    view = yard.seen_by(ALL, self_ids=frozenset({mine.id}), store_host="valkey")
    ref = await service(view, "valkey")
    assert view.decide(to(ref, 0), ref).rule == "self-protection"


async def test_looking_again_at_a_service_is_fresh_and_needs_it_to_be_there(yard):
    first = yard.one.add("shop-web-1", labels=part(1))
    view = yard.seen_by(ALL)
    ref = await service(view)
    yard.one.add("shop-web-2", labels=part(2, **{"quarterdeck.protected": "true"}))
    await view.refresh((to(ref, 0),))
    assert view.decide(to(ref, 0), ref).verdict is Verdict.DENY
    for row in list(yard.one.containers.values()):
        if row.labels.get("com.docker.compose.project"):
            yard.one.happen(EventKind.REMOVED, row.ref)
    assert first.id not in yard.one.containers
    with pytest.raises(errors.Expired, match="shop/web was removed"):
        await view.refresh((to(ref, 0),))
    yard.one.reachable = False
    with pytest.raises(errors.Unreachable):
        await view.refresh((to(ref, 0),))


async def test_an_engine_that_is_away_is_said_where_a_service_is_looked_for(yard):
    yard.one.add("shop-web-1", labels=part(1))
    yard.two.reachable = False
    view = yard.seen_by(ALL)
    await service(view)
    with pytest.raises(errors.Unreachable, match="docker/h2 did not answer"):
        await service(view, "blog/web")


VIEWER = Grant(id="viewers", who="everyone", can=("viewer", "operator"))
ADMIN = Grant(id="admins", who=BOB.id, can=("admin",))


async def decisions(view, action, *words, **more):
    return {
        ref.name: view.decide(action(engine=ref.engine, target=ref), ref)
        for ref in await view.find(Query(names=words, **more))
    }


@pytest.mark.parametrize("action", [actions.ReadLogs, actions.InspectContainer])
async def test_a_viewer_reads_neither_our_container_nor_our_store_on_any_engine_that_lists_them(yard, action):
    me = yard.one.add("bot", labels={"com.docker.compose.project": "deck", "com.docker.compose.service": "bot"})
    redis = {"com.docker.compose.project": "deck", "com.docker.compose.service": "redis"}
    store = yard.one.add("deck-redis-1", labels=redis)
    marked = yard.one.add("vault", labels={"quarterdeck.protected": "true"})
    below = FakeRuntime("h1", kind="containerd")
    for ref in (me, store, marked):
        row = below.containers[below.add(f"moby/{ref.id}").id]
        renamed = msgspec.structs.replace(row.ref, id=f"moby/{ref.id}")
        below.containers[renamed.id] = msgspec.structs.replace(row, ref=renamed)
        del below.containers[row.ref.id]
    yard.fleet = Fleet([yard.one, yard.two, below])
    known = {"self_ids": frozenset({me.id}), "store_host": "redis"}
    for more in ({}, {"engine": "containerd"}, {"host": "h1", "engine": "containerd"}):
        seen = await decisions(yard.seen_by(VIEWER, **known), action, "*", every_match=True, **more)
        refused = {name for name, decision in seen.items() if decision.rule == "own-container"}
        docker = {"bot", "deck-redis-1"} if not more else set()
        assert refused == docker | {f"moby/{me.id}", f"moby/{store.id}"}
        seen = await decisions(yard.seen_by(VIEWER, ADMIN, **known), action, "*", every_match=True, **more)
        assert {decision.verdict for decision in seen.values()} == {Verdict.ALLOW}
        # What protects a container on one engine protects it on every other.
        seen = await decisions(yard.seen_by(ADMIN, **known), actions.Stop, "moby/*", **more)
        assert {decision.rule for decision in seen.values()} == {"self-protection"}


async def test_a_service_of_ours_is_read_by_admins_only_and_an_unknown_one_by_nobody_else(yard):
    class Mute(FakeRuntime):
        @does(actions.ListContainers)
        async def list_containers(self, action, seconds):
            raise errors.TimedOut("docker/h1 did not answer within 10 s.", sent=True)

    labels = {"com.docker.compose.project": "deck", "com.docker.compose.service": "bot"}
    me = yard.one.add("bot", labels=labels)
    known = {"self_ids": frozenset({me.id})}
    service = {"kind": Kind.SERVICE, "every_match": True}
    seen = await decisions(yard.seen_by(VIEWER, **known), swarm.ReadServiceLogs, "deck/bot", **service)
    assert [decision.rule for decision in seen.values()] == ["own-container"]
    yard.two.add("shop-api-1", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "api"})
    yard.fleet = Fleet([yard.two, Mute("h1", kind="podman", lacks=("service.*",))])
    with pytest.raises(errors.TimedOut):
        await decisions(yard.seen_by(VIEWER, **known), swarm.ReadServiceLogs, "api", **service)
    for view in (yard.seen_by(VIEWER), yard.seen_by(VIEWER, ADMIN, **known)):
        seen = await decisions(view, swarm.ReadServiceLogs, "api", **service)
        assert {decision.verdict for decision in seen.values()} == {Verdict.ALLOW}
