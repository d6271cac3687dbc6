"""What actions do besides what their verb says: the table has every verb, and each rule is true of what engines do."""

import dataclasses
from datetime import UTC, datetime

import msgspec
import pytest

from core.model import (
    action_codec,
    actions,
    effect_factory,
    effects,
    images,
    inside_containers,
    pods,
    service_actions,
    swarm,
    target_facts,
    units,
)
from core.model.actions import Effect, Risk
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.service_settings import Amount, PublishedPort, Removals, Rollout, ServiceSettings
from core.model.services import Service

DOCKER = EngineRef(host="h1", kind="docker")
SWARM = EngineRef(host="c1", kind="swarm")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ref(name, kind=Kind.CONTAINER, engine=DOCKER):
    return Ref(engine=engine, kind=kind, id=f"id-{name}", name=name)


def container(name, *, labels=None, state="running", auto_remove=False):
    return Container(
        ref=ref(name),
        image="i",
        image_id="",
        command="",
        state=state,
        status="",
        created_at=0,
        labels=labels or {},
        auto_remove=auto_remove,
    )


def service(*members, mode="compose", desired=None, engine=DOCKER):
    return Service(
        ref=ref("shop/web", Kind.SERVICE, engine),
        mode=mode,
        image="i",
        running=1,
        desired=desired,
        labels=({},),
        members=tuple(f"id-{name}" for name in members),
    )


def worked_out(action, row=None, containers=(), **more):
    known = target_facts.TargetFacts(row=row, containers=containers, **more)
    done = effects.with_effects(action, known)
    assert {one.verb for one in done.effects} <= set(effects.TABLE[action.verb].does)
    return [(one.verb, one.ref.name, one.risk, one.certain) for one in done.effects]


def test_the_table_has_every_verb_that_changes_something_and_no_other():
    changing = {kind.verb for kind in actions.all_actions() if kind.risk is not Risk.READ}
    assert effects.TABLE.keys() == changing


REMOVED_KINDS = ("container", "volume", "network", "image")


def test_what_an_effect_is_has_the_risk_of_its_verb():
    risks = {kind.verb: kind.risk for kind in actions.all_actions()}
    for verb in effects.TABLE:
        assert effect_factory.make_effect(verb, ref("web")).risk is (
            risks[verb] if verb.endswith(".remove") and verb.partition(".")[0] in REMOVED_KINDS else Risk.CHANGE
        )
    used = {
        "container.stop",
        "container.restart",
        "container.start",
        "container.pause",
        "container.unpause",
        "image.tag",
    }
    assert {risks[verb] for verb in used} == {Risk.CHANGE}
    for verb in (*used, "container.remove", "volume.remove"):
        assert effect_factory.make_effect(verb, ref("web")).ends is effects.TABLE[verb].ends
    assert risks["container.remove"] is risks["volume.remove"] is Risk.DESTROY


REMOVED = ("container.remove", "web", Risk.DESTROY, True)
MAYBE_REMOVED = ("container.remove", "web", Risk.DESTROY, False)


@pytest.mark.parametrize("kind", [actions.Stop, actions.Kill])
def test_a_container_with_rm_is_removed_when_it_ends(kind):
    action = kind(engine=DOCKER, target=ref("web"))
    assert worked_out(action, container("web")) == []
    assert worked_out(action, container("web", auto_remove=True)) == [
        REMOVED,
        ("volume.remove", "web", Risk.DESTROY, True),
    ]
    for row in (container("web", auto_remove=None), container("web", auto_remove=True, state="created"), None):
        assert worked_out(action, row)[0] == MAYBE_REMOVED
    done = effects.with_effects(action, target_facts.TargetFacts(row=container("web", auto_remove=True)))
    assert done.confirm_reason() == "removes web, because it was created with --rm"
    assert done.destroys() and done.risk is Risk.CHANGE


def test_a_harmless_signal_may_end_a_container_and_a_restart_removes_it_on_podman_alone():
    row = container("web", auto_remove=True)
    hup = actions.Kill(engine=DOCKER, target=row.ref, signal="HUP")
    assert worked_out(hup, row)[0] == MAYBE_REMOVED
    assert effects.with_effects(hup, target_facts.TargetFacts(row=row)).confirm_reason() == ""
    assert worked_out(inside_containers.Exec(engine=DOCKER, target=row.ref, command=("sh",)), row)[0] == MAYBE_REMOVED
    checked = actions.CheckHealth(engine=DOCKER, target=row.ref)
    assert worked_out(checked, row) == [MAYBE_REMOVED, ("volume.remove", "web", Risk.DESTROY, False)]
    assert worked_out(checked, container("web")) == []
    assert worked_out(actions.Restart(engine=DOCKER, target=row.ref), row) == []
    podman = EngineRef(host="h1", kind="podman")
    assert REMOVED in worked_out(actions.Restart(engine=podman, target=row.ref), row)
    assert worked_out(actions.Restart(engine=podman, target=row.ref), container("web")) == []


def test_removing_with_volumes_removes_volumes():
    assert worked_out(actions.Remove(engine=DOCKER, target=ref("web"), force=True), container("web")) == []
    assert worked_out(actions.Remove(engine=DOCKER, target=ref("web"), volumes=True), container("web")) == [
        ("volume.remove", "web", Risk.DESTROY, True)
    ]


def scale(replicas, row):
    return actions.Scale(engine=row.ref.engine, target=row.ref, replicas=replicas)


def test_scaling_a_compose_service_down_removes_the_last_ones_and_up_starts_the_stopped():
    row = service("web-1", "web-2", "web-3")
    rows = [container(f"web-{number}") for number in (3, 2, 1)]
    assert worked_out(scale(1, row), row, rows) == [
        ("container.remove", "web-3", Risk.DESTROY, True),
        ("container.remove", "web-2", Risk.DESTROY, True),
    ]
    assert worked_out(scale(3, row), row, rows) == worked_out(scale(7, row), row, rows) == []
    rows[0] = container("web-3", state="exited")
    assert worked_out(scale(3, row), row, rows) == [("container.start", "web-3", Risk.CHANGE, True)]
    # One that is in no list yet is removed all the same.
    assert worked_out(scale(2, row), row, rows[1:]) == [("container.remove", "id-web-3", Risk.DESTROY, True)]
    done = effects.with_effects(scale(1, row), target_facts.TargetFacts(row=row, containers=rows))
    assert done.confirm_reason() == "removes web-3, web-2"
    assert done.removable() == {"id-web-3", "id-web-2"}
    assert [member.name for member in done.members] == ["web-1", "web-2", "web-3"]
    assert action_codec.decode_action(action_codec.encode_action(done)) == done


def test_scaling_a_swarm_service_down_destroys_and_up_does_not():
    row = service("web.1", "elsewhere", mode="replicated", desired=3, engine=SWARM)
    here = [container("web.1")]
    assert worked_out(scale(4, row), row, here) == worked_out(scale(3, row), row, here) == []
    assert worked_out(scale(2, row), row, here) == [
        ("service.scale", "shop/web", Risk.DESTROY, True),
        ("container.remove", "web.1", Risk.DESTROY, False),
        ("volume.remove", "web.1", Risk.DESTROY, False),
    ]
    done = effects.with_effects(scale(2, row), target_facts.TargetFacts(row=row, containers=here))
    assert done.confirm_reason() == "ends tasks of shop/web" and done.effects[0].ends
    assert worked_out(scale(4, row)) == [("service.scale", "shop/web", Risk.DESTROY, False)]


def test_a_service_that_is_removed_updated_or_rolled_back_loses_its_containers():
    row = service("web.1", mode="replicated", desired=1, engine=SWARM)
    for action in (
        service_actions.RemoveService(engine=SWARM, target=row.ref),
        service_actions.UpdateService(engine=SWARM, target=row.ref, settings=ServiceSettings(image="i:2")),
        service_actions.UpdateService(engine=SWARM, target=row.ref, force=True),
        service_actions.RollBackService(engine=SWARM, target=row.ref),
    ):
        assert worked_out(action, row, [container("web.1")]) == [
            (action.verb, "shop/web", Risk.DESTROY, True),
            ("container.remove", "web.1", Risk.DESTROY, True),
            ("volume.remove", "web.1", Risk.DESTROY, True),
        ]


ENDED_TASKS = ["service.update", "container.remove", "volume.remove"]
REPLACES = "replaces the tasks of shop/web: data outside of volumes is lost"


@pytest.mark.parametrize(
    ("settings", "more", "effects_of", "reason"),
    [
        (ServiceSettings(labels=(("team", "a"),)), {}, [], ""),
        (ServiceSettings(update=Rollout(parallelism=2)), {"replicas": 4}, [], ""),
        (ServiceSettings(), {"replicas": 2}, ENDED_TASKS, "ends tasks of shop/web"),
        (
            ServiceSettings(),
            {"replicas": 0},
            ENDED_TASKS,
            "leaves nothing of shop/web running",
        ),
        *(
            (settings, more, ENDED_TASKS, REPLACES)
            for settings, more in (
                (ServiceSettings(limits=Amount(memory="1g")), {}),
                (ServiceSettings(ports=(PublishedPort(target=80),)), {}),
                (ServiceSettings(endpoint_mode="dnsrr"), {}),
                (ServiceSettings(), {"removals": Removals(environment=("A",))}),
                (ServiceSettings(), {"removals": Removals(ports=("80",))}),
            )
        ),
    ],
)
def test_an_update_ends_tasks_only_if_it_changes_them(settings, more, effects_of, reason):
    row = service("web.1", mode="replicated", desired=3, engine=SWARM)
    action = service_actions.UpdateService(engine=SWARM, target=row.ref, settings=settings, **more)
    assert [verb for verb, *_ in worked_out(action, row, [container("web.1")])] == effects_of
    done = effects.with_effects(action, target_facts.TargetFacts(row=row, containers=[container("web.1")]))
    assert done.confirm_reason() == reason
    assert action_codec.decode_action(action_codec.encode_action(done)) == done


def test_what_a_service_reaches_is_written_into_the_change_of_it():
    row = msgspec.structs.replace(
        service(mode="replicated", desired=1, engine=SWARM),
        reaches=("mounts /etc of the host",),
        earlier_reaches=("mounts / of the host", "mounts /etc of the host"),
    )
    known = target_facts.TargetFacts(row=row)

    def needed(action):
        return [each.reaches for each in effects.with_effects(action, known).needs()]

    update = service_actions.UpdateService(engine=SWARM, target=row.ref)
    assert needed(dataclasses.replace(update, settings=ServiceSettings(image="i:2"))) == [row.reaches]
    assert needed(dataclasses.replace(update, removals=Removals(environment=("A",)))) == [row.reaches]
    assert needed(dataclasses.replace(update, settings=ServiceSettings(limits=Amount(cpus=1.0)))) == []
    assert needed(dataclasses.replace(update, replicas=4, force=True)) == []
    added = dataclasses.replace(update, settings=ServiceSettings(capabilities=("SYS_ADMIN",)))
    assert needed(added) == [("has the capability SYS_ADMIN", "mounts /etc of the host")]
    assert needed(service_actions.RollBackService(engine=SWARM, target=row.ref)) == [("mounts / of the host",)]


def test_a_drained_node_loses_its_containers_and_the_tasks_that_nobody_lists_here():
    node = swarm.Node(ref=ref("n1", Kind.NODE, SWARM), state="ready", availability="active", role="worker")
    mine = container("web.1", labels={"com.docker.swarm.node.id": node.ref.id})
    tasks = [
        swarm.Task(
            ref=ref(name, Kind.TASK, SWARM), service="web", service_id="s", state=state, desired=state, at=0, node=at
        )
        for name, state, at in (("t1", "running", "n1"), ("t2", "failed", "n1"), ("t3", "running", "n2"))
    ]
    drain = swarm.DrainNode(engine=SWARM, target=node.ref)
    assert [one[:2] for one in worked_out(drain, node, [mine, container("other")], tasks=tasks)] == [
        ("container.remove", "web.1"),
        ("volume.remove", "web.1"),
        ("container.remove", "t1"),
        ("volume.remove", "t1"),
    ]


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        (pods.StartPod, "container.start"),
        (pods.StopPod, "container.stop"),
        (pods.RestartPod, "container.restart"),
        (pods.PausePod, "container.pause"),
        (pods.UnpausePod, "container.unpause"),
        (pods.RemovePod, "container.remove"),
    ],
)
def test_what_is_done_to_a_pod_is_done_to_its_containers(kind, verb):
    row = pods.Pod(ref=ref("shop", Kind.POD), state="running", created_at=0, labels={}, members=("id-web", "id-new"))
    action = kind(engine=DOCKER, target=row.ref)
    found = [one[:2] for one in worked_out(action, row, [container("web")])]
    assert found[0] == (verb, "web") and (verb, "id-new") in found
    removed = [one for one in worked_out(action, row, [container("web", auto_remove=True)]) if one == REMOVED]
    assert bool(removed) == (kind in (pods.StopPod, pods.RestartPod, pods.RemovePod))


def test_podman_removes_a_pod_with_the_anonymous_volumes_of_its_containers():
    podman = EngineRef(host="h1", kind="podman")
    row = pods.Pod(ref=ref("shop", Kind.POD, podman), state="running", created_at=0, labels={}, members=("id-web",))
    action = pods.RemovePod(engine=podman, target=row.ref)
    here = [msgspec.structs.replace(container("web"), ref=ref("web", engine=podman))]
    assert worked_out(action, row, here) == [REMOVED, ("volume.remove", "web", Risk.DESTROY, True)]
    assert [one[:2] + one[3:] for one in worked_out(action)] == [
        ("container.remove", "shop", False),
        ("volume.remove", "shop", False),
    ]
    on_cri = dataclasses.replace(action, engine=EngineRef(host="h1", kind="cri"))
    assert worked_out(on_cri, row, here) == [REMOVED]


@pytest.mark.parametrize("kind", [units.StopUnit, units.RestartUnit, units.StartUnit])
def test_a_generated_unit_removes_its_container_and_another_if_it_has_rm(kind):
    def row(enabled):
        return units.Unit(
            ref=ref("web.service", Kind.UNIT), active="active", sub="", enabled=enabled, members=("id-web",)
        )

    action = kind(engine=DOCKER, target=ref("web.service", Kind.UNIT))
    verb = action.verb.replace("unit", "container")
    assert worked_out(action, row("generated"), [container("web")])[:2] == [(verb, "web", Risk.CHANGE, True), REMOVED]
    assert worked_out(action, row("enabled"), [container("web")]) == [(verb, "web", Risk.CHANGE, True)]
    assert REMOVED in worked_out(action, row("enabled"), [container("web", auto_remove=True)])
    unknown = {(verb, "web.service", False), ("container.remove", "web.service", False)}
    assert {(name, on, sure) for name, on, _, sure in worked_out(action)} == unknown
    # An active unit whose containers do not name it, such as those of a Kubernetes file.
    silent = units.Unit(ref=action.target, active="active", sub="running", enabled="generated")
    assert {(name, on, sure) for name, on, _, sure in worked_out(action, silent)} == unknown
    assert worked_out(action, msgspec.structs.replace(silent, active="inactive")) == []


def test_a_pull_moves_the_tag_of_an_image_that_has_it_in_any_spelling():
    held = images.Image(ref=ref("nginx:1", Kind.IMAGE), tags=("docker.io/library/nginx:1", "web:2"))
    pull = images.PullImage(engine=DOCKER, image="nginx:1")
    moved = [("image.tag", "docker.io/library/nginx:1", Risk.CHANGE, False)]
    assert worked_out(pull, images=[held]) == moved
    assert worked_out(images.PullImage(engine=DOCKER, image="nginx"), images=[held]) == []
    assert worked_out(images.PullImage(engine=DOCKER, image=f"nginx@sha256:{'a' * 64}"), images=[held]) == []
    assert (
        worked_out(images.TagImage(engine=DOCKER, target=ref("x", Kind.IMAGE), tag="nginx:1"), images=[held]) == moved
    )
    assert [one[0] for one in worked_out(pull, images=None)] == ["image.tag"]


def test_only_what_was_not_named_before_is_new():
    row = service("web-1", "web-2", "web-3")
    before = effects.with_effects(scale(2, row), target_facts.TargetFacts(row=row))
    assert effects.new_removals(before, before) == []
    grown = service("web-1", "web-2", "web-3", "web-4")
    now = effects.with_effects(scale(2, row), target_facts.TargetFacts(row=grown))
    assert [one.id for one in effects.new_removals(before, now)] == ["id-web-4"]
    fewer = effects.with_effects(scale(2, row), target_facts.TargetFacts(row=service("web-1", "web-2")))
    assert effects.new_removals(before, fewer) == []


def test_a_container_belongs_to_its_service_and_node():
    row = container(
        "web",
        labels={
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.swarm.service.id": "s1",
            "com.docker.swarm.node.id": "n1",
        },
    )
    done = effects.with_effects(actions.Restart(engine=DOCKER, target=row.ref), target_facts.TargetFacts(row=row))
    shown = [(group.engine.kind, group.kind, group.id) for group in done.groups]
    assert shown == [("docker", Kind.SERVICE, "shop/web"), ("swarm", Kind.SERVICE, "s1"), ("swarm", Kind.NODE, "n1")]
    assert effects.groups(container("alone")) == effects.groups(None) == ()


def test_the_word_of_guards_covers_whatever_ends_something():
    assert {"container.stop", "container.kill", "container.pause", "container.remove", "node.drain"} <= effects.ENDS
    assert not effects.ENDS & {"container.start", "service.scale", "image.pull", "unit.start"}
    assert Effect(verb="v", risk=Risk.CHANGE, ref=ref("web")).certain
