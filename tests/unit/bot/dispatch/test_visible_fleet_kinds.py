"""Every kind of thing is found, judged and filtered as containers are; what holds something of ours is left alone."""

import re
import typing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bot.dispatch import visible_fleet, visible_rows
from core import errors
from core.model import (
    actions,
    event_actions,
    images,
    inside_containers,
    list_action_by_kind,
    networks_and_volumes,
    pods,
    resource_usage,
    service_actions,
    service_settings,
    swarm,
    units,
)
from core.model.events import EventKind
from core.model.invocation import Identity, Place
from core.model.policy import Ask, Grant, Guard, Policy, Verdict
from core.model.policy_selectors import Selector
from core.model.refs import Kind, Ref
from core.model.services import Service
from core.ports import Call, Query
from runtimes.base.base_adapter import does
from runtimes.inventory.fleet import Fleet
from tests.fake_engine.engine import FakeRuntime

BOB = Identity(id="slack:T1/BOB", name="bob")
OPS = Place(channel="#ops")
DEV = Selector(labels=(("env", "dev"),))
DEV_ONLY = Grant(id="dev", who="everyone", can=("*",), on=DEV)
ALL = Grant(id="all", who="everyone", can=("*",))
READS = Grant(id="reads", who="everyone", can=("risk:read",))


class Parted(FakeRuntime):
    """It also tells of networks, volumes and namespaces."""

    @does(networks_and_volumes.ListNetworks)
    async def list_networks(self, action, seconds):
        await self._answer("networks", seconds)
        rows = (
            networks_and_volumes.Network(ref=self.of(Kind.NETWORK, f"n-{env}"), driver="bridge", labels={"env": env})
            for env in ENVS
        )
        return networks_and_volumes.Networks(rows=tuple(rows))

    @does(networks_and_volumes.ListVolumes)
    async def list_volumes(self, action, seconds):
        await self._answer("volumes", seconds)
        rows = (
            networks_and_volumes.Volume(ref=self.of(Kind.VOLUME, f"v-{env}"), driver="local", labels={"env": env})
            for env in ENVS
        )
        return networks_and_volumes.Volumes(rows=tuple(rows))

    @does(networks_and_volumes.ListNamespaces)
    async def list_namespaces(self, action, seconds):
        await self._answer("namespaces", seconds)
        rows = (
            networks_and_volumes.Namespace(name=f"s-{env}", containers=1, images=0, labels={"env": env}) for env in ENVS
        )
        return networks_and_volumes.Namespaces(rows=tuple(rows))

    def of(self, kind, name):
        return Ref(engine=self.ref, kind=kind, id=name, name=name)


ENVS = ("dev", "prod")


class Yard:
    """One of everything for dev and for prod on the first engine; another engine that knows containers only."""

    def __init__(self):
        self.one = Parted("h1", kind="docker")
        self.two = FakeRuntime("h2", kind="docker", lacks=("image.*", "pod.*", "node.*", "unit.*", "task.*", "*.stats"))
        for env in ENVS:
            labels = {"env": env}
            container = self.one.add(f"c-{env}", image=f"i-{env}:1", labels=labels)
            self.one.add_image(f"i-{env}:1", labels=labels)
            self.one.add_pod(f"p-{env}", container, labels=labels)
            node = self.one.add_node(f"m-{env}", labels=labels)
            self.one.add_task(f"t-{env}", node, labels=labels)
            self.one.add_unit(container)
            self.one.swarm.append(
                Service(
                    ref=self.one.of(Kind.SERVICE, f"x-{env}"),
                    mode="replicated",
                    image="i",
                    running=1,
                    desired=1,
                    labels=(labels,),
                    project=f"k-{env}",
                )
            )
        self.fleet = Fleet([self.one, self.two])

    def seen_by(self, *grants, guards=(), **more):
        now = datetime.now(UTC)
        call = Call(id="c", who=BOB.id, deadline=now + timedelta(seconds=20), invocation="i")
        policy = Policy(grants=grants, guards=tuple(guards), **more)
        return visible_fleet.VisibleFleet(engines=self.fleet, in_force=policy, who=BOB, place=OPS, call=call, now=now)

    async def filtered(self, view, action):
        return await view.filter(action, await self.fleet.run(action, view.call))

    def container(self, name):
        return next(row.ref for row in self.one.containers.values() if row.ref.name == name)


@pytest.fixture
def yard():
    return Yard()


async def find(view, word, kind):
    (ref,) = await view.find(Query(names=(word,), kind=kind))
    return ref


LETTERS = {Kind.CONTAINER: "c", Kind.IMAGE: "i", Kind.POD: "p", Kind.NODE: "m", Kind.TASK: "t", Kind.SERVICE: "x"}
LETTERS |= {Kind.NETWORK: "n", Kind.VOLUME: "v", Kind.NAMESPACE: "s", Kind.STACK: "k"}
FOUND = sorted(LETTERS.keys() - {Kind.NAMESPACE, Kind.STACK})


@pytest.mark.parametrize("kind", FOUND)
async def test_what_may_not_be_listed_of_any_kind_does_not_exist(yard, kind):
    letter = LETTERS[kind]
    view = yard.seen_by(DEV_ONLY)
    assert [ref.name for ref in await view.find(Query(names=("*",), kind=kind))] == [
        (await find(view, f"{letter}-d", kind)).name
    ]
    with pytest.raises(errors.NotFound) as hidden:
        await view.find(Query(names=(f"{letter}-prod",), kind=kind))
    with pytest.raises(errors.NotFound) as absent:
        await view.find(Query(names=(f"{letter}-prob",), kind=kind))
    assert hidden.value.full_message() == absent.value.full_message().replace("prob", "prod")
    both = await yard.seen_by(ALL).find(Query(names=("*",), kind=kind))
    assert len(both) == 2
    assert {ref.kind for ref in both} == {kind}


@pytest.mark.parametrize("kind", sorted(LETTERS))
async def test_rows_of_each_list_are_judged_one_by_one(yard, kind):
    action = list_action_by_kind.make_list_action(kind, yard.one.ref)
    whole = await yard.fleet.run(action, yard.seen_by(ALL).call)
    assert len(whole.rows) == 2
    assert (await yard.filtered(yard.seen_by(ALL), action)) == whole
    kept = (await yard.filtered(yard.seen_by(DEV_ONLY), action)).rows
    assert [re.split("[:.]", list_action_by_kind.row_ref(row, yard.one.ref).name)[0] for row in kept] == [
        f"{LETTERS[kind]}-dev"
    ]
    assert (await yard.filtered(yard.seen_by(), action)).rows == ()
    prod = Guard(id="g", can=("*",), ask=Ask.DENY, on=Selector(labels=(("env", "prod"),)))
    assert (await yard.filtered(yard.seen_by(ALL, guards=[prod]), action)).rows == kept


async def test_what_has_no_labels_of_its_own_is_judged_by_name(yard):
    by_name = Grant(id="n", who="everyone", can=("*.list",), on=Selector(name="c-dev*"))
    kept = (await yard.filtered(yard.seen_by(by_name), units.ListUnits(engine=yard.one.ref))).rows
    assert [row.ref.name for row in kept] == ["c-dev.service"]


async def test_what_a_container_uses_is_judged_on_the_container(yard):
    may = Grant(id="s", who="everyone", can=("container.stats",), on=DEV)
    kept = await yard.filtered(yard.seen_by(may), resource_usage.ReadUsage(engine=yard.one.ref))
    assert [row.ref.name for row in kept.rows] == ["c-dev"]
    named = Grant(id="s", who="everyone", can=("container.stats",), on=Selector(name="c-prod"))
    kept = await yard.filtered(yard.seen_by(named), resource_usage.ReadUsage(engine=yard.one.ref))
    assert [row.ref.name for row in kept.rows] == ["c-prod"]
    # Only the engine that was asked is listed for it: another that hangs costs nothing here.
    yard.two.asked.clear()
    await yard.filtered(yard.seen_by(may), resource_usage.ReadUsage(engine=yard.one.ref))
    assert yard.two.asked == []


def test_every_list_there_is_has_rows_that_can_be_judged():
    known = {*list_action_by_kind.LISTS.values(), actions.DescribeEngine, *visible_rows.ABOUT_RESOURCES}
    assert {kind for kind in actions.all_actions() if kind.listing} == known
    for kind, listed in list_action_by_kind.LISTS.items():
        (base,) = listed.__orig_bases__
        (told,) = typing.get_args(base)
        row = typing.get_args(typing.get_type_hints(told)["rows"])[0]
        assert callable(row.facts), kind
        assert {"ref", "kind"} & {*row.__struct_fields__, *vars(row)}, kind


async def test_an_engine_that_lacks_the_verb_is_left_out_and_one_that_is_away_is_said(yard):
    view = yard.seen_by(ALL)
    with pytest.raises(errors.NotFound, match="There is no pod"):
        await find(view, "elsewhere", Kind.POD)
    yard.one.reachable = False
    with pytest.raises(errors.Unreachable, match="docker/h1 did not answer"):
        await find(yard.seen_by(ALL), "p-dev", Kind.POD)


@pytest.mark.parametrize("kind", FOUND)
async def test_looking_again_needs_the_same_thing_to_be_there(yard, kind):
    ref = await find(yard.seen_by(ALL), f"{LETTERS[kind]}-d", kind)
    plan = (Touching(engine=ref.engine, target=ref),)
    again = yard.seen_by(DEV_ONLY)
    await again.refresh(plan)
    assert again.decide(plan[0], ref).verdict is Verdict.ALLOW
    gone = msgspec.structs.replace(ref, id="0" * 8)
    with pytest.raises(errors.Expired, match="was removed after you gave the command. Nothing was done"):
        await again.refresh((Touching(engine=ref.engine, target=gone),))
    yard.one.reachable = False
    with pytest.raises(errors.Unreachable):
        await yard.seen_by(ALL).refresh(plan)


class Touching(actions.TargetAction):
    verb = ""


# ── pulling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def pull(yard, name, engine=None):
    action = images.PullImage(engine=engine or yard.one.ref, image=name)
    (ref,) = action.targets()
    return action, ref


@pytest.mark.parametrize(
    ("on", "name", "verdict"),
    [
        (Selector(), "busybox", Verdict.ALLOW),
        (Selector(engine="docker"), "busybox", Verdict.ALLOW),
        (Selector(engine="docker/h1"), "busybox", Verdict.ALLOW),
        (Selector(host="h1"), "busybox", Verdict.ALLOW),
        (Selector(host="h2"), "busybox", Verdict.DENY),
        (Selector(engine="podman"), "busybox", Verdict.DENY),
        (Selector(name="registry.example/*"), "registry.example/web:1", Verdict.ALLOW),
        (Selector(name="registry.example/*"), "busybox", Verdict.DENY),
        (Selector(name="busybox:*"), "busybox", Verdict.ALLOW),
        (Selector(name="busybox:latest"), "docker.io/library/busybox", Verdict.ALLOW),
        (Selector(name="docker.io/*"), "busybox", Verdict.ALLOW),
        # Nobody has seen its labels yet, and it is part of no project.
        (DEV, "i-dev:1", Verdict.DENY),
        (Selector(project="shop"), "busybox", Verdict.DENY),
    ],
)
async def test_a_pull_is_decided_on_the_name_that_is_asked_for_and_where_it_goes(yard, on, name, verdict):
    view = yard.seen_by(Grant(id="g", who="everyone", can=("image.pull",), on=on))
    assert view.decide(*pull(yard, name)).verdict is verdict
    # A question about it asked earlier is still about the same, there or not.
    action, _ = pull(yard, name)
    await view.refresh((action,))


@pytest.mark.parametrize(
    ("on", "braked"),
    [
        (Selector(name="busybox*"), True),
        (Selector(name="docker.io/library/busybox:*"), True),
        (Selector(name="web*"), False),
        (Selector(labels=(("env", "prod"),)), True),
        (Selector(project="shop"), False),
        (Selector(host="h2"), False),
    ],
)
@pytest.mark.parametrize(
    "spelled", ["busybox", "busybox:latest", "docker.io/busybox", "docker.io/library/busybox:latest"]
)
async def test_no_guard_is_passed_by_another_spelling_nor_by_labels_nobody_knows(yard, on, braked, spelled):
    view = yard.seen_by(ALL, guards=[Guard(id="g", can=("image.pull",), ask=Ask.APPROVE, on=on)])
    assert (view.decide(*pull(yard, spelled)).verdict is Verdict.APPROVE) is braked


def test_two_pulls_of_one_engine_are_two_things_however_one_is_spelled(yard):
    refs = [pull(yard, name)[1] for name in ("busybox", "docker.io/library/busybox:latest", "nginx")]
    assert refs[0] == refs[1] != refs[2]
    assert str(refs[0]) == "busybox:latest@docker/h1"


async def test_only_engines_that_can_and_where_one_may_are_offered(yard):
    offered = Query(verb="image.pull")
    assert yard.seen_by(ALL).engines(offered) == [yard.one.ref]
    third = FakeRuntime("h3", kind="docker")
    yard.fleet = Fleet([yard.one, yard.two, third])
    assert yard.seen_by(ALL).engines(offered) == [yard.one.ref, third.ref]
    here = Grant(id="g", who="everyone", can=("image.pull",), on=Selector(host="h3"))
    assert yard.seen_by(here, READS).engines(offered) == [third.ref]
    # Who may nowhere learns of one only, and is refused there.
    assert yard.seen_by(READS).engines(offered) == [yard.one.ref]
    assert yard.seen_by(ALL).engines(Query(verb="image.pull", host="h2")) == [yard.two.ref]


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_image_of_several_tags_is_allowed_under_each_or_not_at_all(yard):
    yard.one.tags["other:1"] = yard.one.tags["i-dev:1"]
    named = Grant(id="g", who="everyone", can=("image.remove",), on=Selector(name="i-*"))
    view = yard.seen_by(named, READS)
    for word in ("i-dev:1", yard.one.tags["i-dev:1"][7:20]):
        ref = await find(view, word, Kind.IMAGE)
        assert view.decide(images.RemoveImage(engine=ref.engine, target=ref), ref).verdict is Verdict.DENY
    alone = await find(view, "i-prod:1", Kind.IMAGE)
    assert view.decide(images.RemoveImage(engine=alone.engine, target=alone), alone).verdict is Verdict.ALLOW


async def test_a_guard_over_a_name_holds_for_who_types_the_id(yard):
    prod = Guard(id="g", can=("image.*",), ask=Ask.APPROVE, on=Selector(name="i-prod:*"))
    view = yard.seen_by(ALL, guards=[prod])
    ref = await find(view, yard.one.tags["i-prod:1"][7:20], Kind.IMAGE)
    assert view.decide(images.RemoveImage(engine=ref.engine, target=ref), ref).verdict is Verdict.APPROVE


async def test_a_new_tag_has_to_be_allowed_too(yard):
    view = yard.seen_by(Grant(id="g", who="everyone", can=("image.tag",), on=Selector(name="i-dev:*")), READS)
    ref = await find(view, "i-dev", Kind.IMAGE)
    for tag, verdict in (("i-dev:2", Verdict.ALLOW), ("i-prod:2", Verdict.DENY)):
        action = images.TagImage(engine=ref.engine, target=ref, tag=tag)
        decided = [view.decide(action, one).verdict for one in action.targets()]
        assert max(decided) is verdict
        await view.refresh((action,))


async def test_a_service_to_be_made_is_decided_on_what_is_asked_for_it_to_be(yard):
    for labels, verdict in (((("env", "dev"),), Verdict.ALLOW), ((("env", "prod"),), Verdict.DENY), ((), Verdict.DENY)):
        settings = service_settings.ServiceSettings(labels=labels)
        action = service_actions.CreateService(engine=yard.one.ref, name="new", image="i", settings=settings)
        (ref,) = action.targets()
        assert yard.seen_by(DEV_ONLY).decide(action, ref).verdict is verdict


# ── what holds something of ours ─────────────────────────────────────────────────────────────────────────────────────


def ending(kind, ref):
    """All that would end what a thing holds."""
    of = {
        Kind.POD: (pods.StopPod, pods.RestartPod, pods.PausePod, pods.RemovePod),
        Kind.UNIT: (units.StopUnit, units.RestartUnit),
        Kind.NODE: (swarm.DrainNode,),
        Kind.SERVICE: (service_actions.RemoveService, service_actions.RollBackService),
    }[kind]
    return [action(engine=ref.engine, target=ref) for action in of]


def harmless(kind, ref):
    of = {Kind.POD: pods.StartPod, Kind.UNIT: units.StartUnit, Kind.NODE: swarm.ActivateNode}
    return of[kind](engine=ref.engine, target=ref)


def held(yard):
    """The thing of each kind that holds the container c-dev."""
    row = yard.one.containers[yard.container("c-dev").id]
    node = next(ref for ref, node in yard.one.nodes.items() if node.ref.name == "m-dev")
    labels = row.labels | {"com.docker.swarm.node.id": node}
    yard.one.containers[row.ref.id] = msgspec.structs.replace(row, labels=labels)
    yard.one.swarm[0] = msgspec.structs.replace(yard.one.swarm[0], members=(row.ref.id,))
    return row.ref


HOLDERS = [(Kind.POD, "p-dev", "p-prod"), (Kind.UNIT, "c-dev", "c-prod"), (Kind.NODE, "m-dev", "m-prod")]
HOLDERS += [(Kind.SERVICE, "x-dev", "x-prod")]


@pytest.mark.parametrize("why", ["ours", "by the beginning of its id", "our store", "protected"])
@pytest.mark.parametrize(("kind", "word", "other"), HOLDERS, ids=[kind for kind, *_ in HOLDERS])
async def test_what_holds_something_of_ours_is_neither_stopped_nor_removed(yard, kind, word, other, why):
    container, more = held(yard), {}
    match why:
        case "ours":
            more = {"self_ids": frozenset({container.id})}
        case "by the beginning of its id":
            more = {"self_name": container.id[:12]}
        case "our store":
            me = yard.one.add("deck")
            more = {"self_ids": frozenset({me.id}), "store_host": "c-dev"}
        case _:
            row = yard.one.containers[container.id]
            labels = row.labels | {"quarterdeck.protected": "true"}
            yard.one.containers[container.id] = msgspec.structs.replace(row, labels=labels)
    view = yard.seen_by(ALL, **more)
    ref, free = await find(view, word, kind), await find(view, other, kind)
    for action in ending(kind, ref):
        assert (view.decide(action, ref).verdict, view.decide(action, ref).rule) == (Verdict.DENY, "self-protection")
    for action in ending(kind, free):
        assert view.decide(action, free).verdict is Verdict.ALLOW
    if kind is not Kind.SERVICE:
        assert view.decide(harmless(kind, ref), ref).verdict is Verdict.ALLOW
    again = yard.seen_by(ALL, **more)
    await again.refresh(ending(kind, ref))
    assert again.decide(ending(kind, ref)[0], ref).rule == "self-protection"


async def test_programs_are_not_run_where_our_secrets_are(yard):
    mine = yard.container("c-dev")
    view = yard.seen_by(ALL, self_ids=frozenset({mine.id}))
    for name, verdict in (("c-dev", Verdict.DENY), ("c-prod", Verdict.ALLOW)):
        ref = await find(view, name, Kind.CONTAINER)
        assert (
            view.decide(inside_containers.Exec(engine=ref.engine, target=ref, command=("env",)), ref).verdict is verdict
        )


async def test_where_it_cannot_be_known_what_a_thing_holds_it_is_not_stopped(yard):
    class Half(Parted):
        @does(actions.ListContainers)
        async def list_containers(self, action, seconds):
            raise errors.TimedOut("docker/h1 did not answer within 10 s.", sent=True)

    half = Half("h1", kind="docker")
    half.add_pod("p-dev", half.add("c-dev"))
    yard.fleet = Fleet([half])
    view = yard.seen_by(ALL)
    ref = await find(view, "p-dev", Kind.POD)
    assert view.decide(pods.InspectPod(engine=ref.engine, target=ref), ref).verdict is Verdict.ALLOW
    with pytest.raises(errors.TimedOut):
        view.decide(pods.StopPod(engine=ref.engine, target=ref), ref)


async def test_an_owner_who_forbids_to_list_containers_leaves_what_the_pod_itself_tells(yard):
    closed = FakeRuntime("h1", kind="docker", allow=("pod.*",))
    mine = closed.add("deck")
    closed.add_pod("ours", mine)
    closed.add_pod("theirs", closed.add("web"))
    yard.fleet = Fleet([closed])
    view = yard.seen_by(ALL, self_ids=frozenset({mine.id}))
    for name, verdict in (("ours", Verdict.DENY), ("theirs", Verdict.ALLOW)):
        ref = await find(view, name, Kind.POD)
        assert view.decide(pods.StopPod(engine=ref.engine, target=ref), ref).verdict is verdict


async def test_events_of_other_things_are_judged_on_them(yard):
    (row, *_) = yard.one._pods.values()
    yard.one.tell(msgspec.structs.replace(yard.one.ring[-1], subject=row.ref, type="pod", kind=EventKind.OTHER))
    told = await yard.filtered(yard.seen_by(DEV_ONLY), event_actions.ListEvents(engine=yard.one.ref))
    assert {event.subject.name for event in told.rows} == {"c-dev", "p-dev"}


async def test_a_swarms_node_is_not_drained_while_an_engine_that_may_hold_its_containers_is_silent(yard):
    class Mute(FakeRuntime):
        @does(actions.ListContainers)
        async def list_containers(self, action, seconds):
            raise errors.TimedOut("docker/h2 did not answer within 10 s.", sent=True)

    cluster = FakeRuntime("k1", kind="swarm", lacks=("container.*",))
    cluster.add_node("m1")
    for other, raises in ((Mute("h2", kind="docker"), True), (FakeRuntime("h2", kind="docker"), False)):
        yard.fleet = Fleet([cluster, other])
        view = yard.seen_by(ALL)
        ref = await find(view, "m1", Kind.NODE)
        action = swarm.DrainNode(engine=ref.engine, target=ref)
        if raises:
            with pytest.raises(errors.TimedOut):
                view.decide(action, ref)
        else:
            assert view.decide(action, ref).verdict is Verdict.ALLOW


@pytest.mark.parametrize("known_by", ["the end of its id", "its own id"])
async def test_we_know_ourselves_where_an_engine_gives_other_ids(yard, known_by):
    me = yard.container("c-dev")
    row = yard.one.containers.pop(me.id)
    bare = "a" * 64
    renamed = msgspec.structs.replace(me, id=f"moby/{bare}" if known_by == "the end of its id" else "f" * 64)
    own = "" if known_by == "the end of its id" else bare
    yard.one.containers[renamed.id] = msgspec.structs.replace(row, ref=renamed, own_id=own)
    for more in ({"self_ids": frozenset({bare})}, {"self_name": bare[:12]}):
        view = yard.seen_by(ALL, **more)
        ref = await find(view, "c-dev", Kind.CONTAINER)
        stop = actions.Stop(engine=ref.engine, target=ref)
        assert view.decide(stop, ref).rule == "self-protection"
