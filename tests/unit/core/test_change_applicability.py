"""What the state of a target means for each change, and how it reads."""

import msgspec
import pytest

from core.model import change_applicability
from core.model.actions import Kill, Pause, Remove, Restart, Scale, Start, Stop, Unpause
from core.model.change_applicability import ChangeFit
from core.model.containers import Container
from core.model.images import Image, RemoveImage
from core.model.pods import Pod, RemovePod, RestartPod, StopPod
from core.model.refs import EngineRef, Kind, Ref
from core.model.services import Service
from core.model.swarm import ActivateNode, DrainNode, Node
from core.model.units import DisableUnit, EnableUnit, RestartUnit, StartUnit, StopUnit, Unit

ENGINE = EngineRef(host="h1", kind="docker")
NOW = 1_000_000.0


def ref(kind=Kind.CONTAINER):
    return Ref(engine=ENGINE, kind=kind, id="1" * 64, name="web")


def container(state, status="", **more):
    return Container(
        ref=ref(), image="i", image_id="", command="", state=state, status=status, created_at=0.0, labels={}, **more
    )


def service(running, desired, mode="replicated", members=()):
    one = ref(Kind.SERVICE)
    return Service(ref=one, mode=mode, image="i", running=running, desired=desired, labels=(), members=members)


def pod(state, running):
    return Pod(ref=ref(Kind.POD), state=state, created_at=0.0, labels={}, members=("a", "b"), running=running)


def unit(active, enabled="", sub="running"):
    return Unit(ref=ref(Kind.UNIT), active=active, sub=sub, enabled=enabled)


def node(availability, tasks):
    one = ref(Kind.NODE)
    return Node(ref=one, state="ready", availability=availability, role="worker", tasks=tasks)


def image(containers, *tags):
    return Image(ref=ref(Kind.IMAGE), tags=tags, containers=containers)


@pytest.mark.parametrize(
    ("action", "row", "fit"),
    [
        (Start, container("running"), ChangeFit.DONE),
        (Start, container("exited"), ChangeFit.ACTS),
        (Start, container("paused"), ChangeFit.REFUSED),
        *((Stop, container(state), ChangeFit.DONE) for state in ("exited", "created", "dead")),
        *((Stop, container(state), ChangeFit.ACTS) for state in ("running", "paused", "restarting", "removing", "odd")),
        (Kill, container("exited"), ChangeFit.DONE),
        (Restart, container("exited"), ChangeFit.IDLE),
        (Restart, container("restarting"), ChangeFit.ACTS),
        (Pause, container("paused"), ChangeFit.DONE),
        (Pause, container("created"), ChangeFit.IDLE),
        (Unpause, container("running"), ChangeFit.DONE),
        (Unpause, container("paused"), ChangeFit.ACTS),
        *((Remove, container(state), ChangeFit.REFUSED) for state in ("running", "paused", "restarting")),
        *((Remove, container(state), ChangeFit.ACTS) for state in ("exited", "created", "dead", "odd")),
        (StopPod, pod("exited", 0), ChangeFit.DONE),
        (StopPod, pod("degraded", 1), ChangeFit.ACTS),
        (RemovePod, pod("degraded", 1), ChangeFit.REFUSED),
        (RemovePod, pod("exited", 0), ChangeFit.ACTS),
        (StartUnit, unit("active"), ChangeFit.DONE),
        (StartUnit, unit("active", sub="exited"), ChangeFit.ACTS),
        (StopUnit, unit("inactive"), ChangeFit.DONE),
        (StopUnit, unit("failed"), ChangeFit.ACTS),
        (RestartUnit, unit("failed"), ChangeFit.IDLE),
        (EnableUnit, unit("inactive", "enabled"), ChangeFit.DONE),
        (EnableUnit, unit("inactive", "generated"), ChangeFit.ACTS),
        (DisableUnit, unit("active", "disabled"), ChangeFit.DONE),
        (DrainNode, node("drain", 0), ChangeFit.DONE),
        (DrainNode, node("drain", 2), ChangeFit.ACTS),
        (ActivateNode, node("active", 0), ChangeFit.DONE),
        (RemoveImage, image(2, "web:1"), ChangeFit.REFUSED),
        (RemoveImage, image(2, "web:1", "web:2"), ChangeFit.ACTS),
        (RemoveImage, image(None, "web:1"), ChangeFit.ACTS),
    ],
)
def test_what_a_change_can_do_with_its_target(action, row, fit):
    made = action(engine=ENGINE, target=row.ref)
    assert change_applicability.find(made, row).fit is fit
    assert change_applicability.find(made, None).fit is ChangeFit.ACTS


def test_force_and_now_do_more():
    running = container("running")
    assert (
        change_applicability.find(Remove(engine=ENGINE, target=running.ref, force=True), running).fit is ChangeFit.ACTS
    )
    enabled = unit("inactive", "enabled")
    assert (
        change_applicability.find(EnableUnit(engine=ENGINE, target=enabled.ref, now=True), enabled).fit
        is ChangeFit.ACTS
    )


@pytest.mark.parametrize(
    ("row", "replicas", "fit"),
    [
        (service(3, 3), 3, ChangeFit.DONE),
        (service(2, 3), 3, ChangeFit.ACTS),
        (service(0, 0), 0, ChangeFit.DONE),
        (service(1, None, "swarm"), 1, ChangeFit.ACTS),
        (service(1, 1, "compose", ("a",)), 1, ChangeFit.DONE),
        (service(1, 1, "compose", ("a", "b")), 1, ChangeFit.ACTS),
    ],
)
def test_a_service_that_has_its_replicas_is_not_scaled(row, replicas, fit):
    assert change_applicability.find(Scale(engine=ENGINE, target=row.ref, replicas=replicas), row).fit is fit


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (container("exited", "Exited (0) 2 hours ago"), "exited 2 hours ago"),
        (container("exited", "Exited (137) About an hour ago"), "exited about an hour ago, exit code 137"),
        (container("running", "Up 3 minutes (healthy)"), "up 3 minutes, healthy"),
        (container("running", "Up 3 minutes (health: starting)"), "up 3 minutes, starting"),
        (container("created", "Created"), "never started"),
        (container("exited", "", finished_at=NOW - 7_300), "exited 2 hours ago"),
        (container("running"), "running"),
        (pod("degraded", 1), "degraded, 1 of 2 containers running"),
        (service(2, 3), "2 of 3 replicas running"),
        (unit("active", "enabled"), "active, enabled"),
        (node("active", 1), "ready, active, 1 task running"),
        (image(0), "used by 0 containers"),
    ],
)
def test_states_read_as_people_say_them(row, text):
    assert change_applicability.describe(row, NOW) == text


PODMAN = EngineRef(host="h1", kind="podman")


@pytest.mark.parametrize(
    ("action", "kind", "phrase", "hint"),
    [
        (Stop, Kind.CONTAINER, "is paused", "Resume it with: unpause NAME"),
        (Restart, Kind.CONTAINER, "is paused", "Resume it with: unpause NAME"),
        (StopPod, Kind.POD, "is paused", "Resume it with: pod unpause NAME"),
        (RestartPod, Kind.POD, "is paused", "Resume it with: pod unpause NAME"),
        (RemovePod, Kind.POD, "is paused", "Resume and stop it first, or remove it with: pod rm -f NAME"),
    ],
)
def test_podman_ends_nothing_that_is_paused(action, kind, phrase, hint):
    row = container("paused") if kind is Kind.CONTAINER else pod("paused", 0)
    target = msgspec.structs.replace(row.ref, engine=PODMAN)
    row = msgspec.structs.replace(row, ref=target)
    found = change_applicability.find(action(engine=PODMAN, target=target), row)
    assert (found.fit, found.phrase, found.hint) == (ChangeFit.REFUSED, phrase, hint)


@pytest.mark.parametrize("action", [Kill, Unpause])
def test_podman_kills_and_resumes_what_is_paused(action):
    target = msgspec.structs.replace(ref(), engine=PODMAN)
    row = msgspec.structs.replace(container("paused"), ref=target)
    assert change_applicability.find(action(engine=PODMAN, target=target), row).fit is ChangeFit.ACTS
