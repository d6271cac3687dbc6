"""Podman's programs, health checks, use, images, pods, networks and volumes, as root and as an ordinary user."""

import asyncio
import re
from pathlib import Path

import pytest

from core import errors
from core.model import (
    actions,
    event_actions,
    images,
    inside_containers,
    networks_and_volumes,
    pods,
    prune,
    resource_usage,
)
from core.model.background_jobs import ReadJob, StopJob
from core.model.create_container import CreateContainer
from core.model.events import EventKind
from core.model.host_access import HostAccess
from core.model.refs import Kind, Ref
from core.model.removal_blockers import FindUsers
from core.model.replies import Status
from tests.daemons.docker import IMAGE
from tests.helpers import servers
from tests.helpers.podman_calls import Desk
from tests.helpers.waiting import free_tcp_port


@pytest.fixture(params=["podmand", "rootless_podmand"])
async def desk(request):
    daemon = request.getfixturevalue(request.param)
    made = Desk(daemon.url, name="default" if not daemon.uid else str(daemon.uid))
    made.daemon = daemon
    yield made
    await made.runtime.aclose()


async def test_it_tells_whose_it_is_and_what_it_is_made_of(desk):
    told = await desk.do(actions.DescribeEngine)
    assert told.runtime.startswith("runc 1.")
    assert (told.events, told.api) == ("file", told.version)
    if desk.daemon.uid:
        assert (told.user, told.ref.name) == (f"{desk.daemon.user} ({desk.daemon.uid})", str(desk.daemon.uid))
        assert any("cgroup v1" in note for note in told.notes) == (told.cgroup == "1")
    else:
        assert (told.user, told.notes) == ("", ())
    info = await desk.do(actions.ShowInfo)
    assert info.data["version"]["Version"] == told.version


async def test_a_program_gives_both_its_streams_and_its_code(desk):
    await asyncio.to_thread(desk.daemon.run, "it")
    it = await desk.ref("it")
    done = await desk.do(inside_containers.Exec, target=it, command=("/bin/sh", "-c", "echo out; echo err >&2; exit 5"))
    assert (done.exit_code, done.stdout, done.stderr, done.cut) == (5, "out\n", "err\n", 0)
    done = await desk.do(inside_containers.Exec, target=it, command=("/bin/sh", "-c", "head -c 100000 /dev/zero"))
    assert (done.exit_code, len(done.stdout), done.cut) == (0, 65_536, 100_000 - 65_536)
    done = await desk.do(inside_containers.Exec, target=it, command=("/nope",))
    assert done.exit_code == 127
    assert "no such file" in done.stderr
    with pytest.raises(errors.TimedOut, match="is still running") as caught:
        await desk.do(inside_containers.Exec, target=it, command=("/bin/sleep", "60"), timeout=1)
    assert caught.value.sent
    await asyncio.to_thread(desk.daemon.stop, "it")
    with pytest.raises(errors.Rejected, match="running"):
        await desk.do(inside_containers.Exec, target=it, command=("/bin/true",))


async def test_a_health_check_is_made_when_asked_for(desk):
    check = ("--health-cmd", "test -e /well", "--health-retries", "1")
    await asyncio.to_thread(desk.daemon.run, "it", more=check)
    await asyncio.to_thread(desk.daemon.run, "bare")
    it = await desk.ref("it")
    assert (await desk.do(actions.CheckHealth, target=it)).detail.startswith("unhealthy")
    assert next(row for row in (await desk.do(actions.ListContainers)).rows if row.ref == it).health == "unhealthy"
    await asyncio.to_thread(desk.daemon.exec, "it", ["/bin/sh", "-c", ": > /well"])
    outcome = await desk.do(actions.CheckHealth, target=it)
    assert (outcome.status, outcome.detail.startswith("healthy")) == (Status.DONE, True)
    assert (await desk.runtime.describe([it.id], 60))[it.id].health == "healthy"
    with pytest.raises(errors.UserError, match="bare has no health check"):
        await desk.do(actions.CheckHealth, target=await desk.ref("bare"))


async def test_use_is_told_or_why_it_cannot_be(desk):
    await asyncio.to_thread(desk.daemon.run, "busy", "while :; do :; done")
    await asyncio.to_thread(desk.daemon.run, "ended", "exit 0")
    await asyncio.to_thread(desk.daemon.wait, "ended")
    first = await desk.do(resource_usage.ReadUsage)
    if desk.daemon.uid and (await desk.do(actions.DescribeEngine)).cgroup == "1":
        assert (first.rows, "cgroup v1" in first.missing) == ((), True)
        return
    (row,) = first.rows
    assert (row.ref.name, row.memory_limit, first.missing) == ("busy", None, "")
    assert row.memory > 0 and row.processes >= 1 and 0 < row.cpu_percent < 250
    assert row.cpu_seconds > 0
    again = row
    async with asyncio.timeout(60):  # a busy machine may not run the container at all between two readings
        while again.cpu_seconds == row.cpu_seconds:
            (again,) = (await desk.do(resource_usage.ReadUsage, only=(row.ref.id,))).rows
    assert again.cpu_seconds > row.cpu_seconds
    assert (await desk.do(resource_usage.ReadUsage, only=("none",))).rows == ()


async def test_memory_that_ran_out_is_told_by_the_inspection_as_far_as_podman_knows(podmand):
    """conmon sees it on cgroup v2, and on v1 where that is mounted whole; no event tells of it."""
    desk = Desk(podmand.url)
    await asyncio.to_thread(
        podmand.run, "it", "x=a; while :; do x=$x$x; done", more=("--memory", "20m", "--memory-swap", "20m"), init=False
    )
    assert await asyncio.to_thread(podmand.wait, "it") == 137
    it = await desk.ref("it")
    row = (await desk.runtime.describe([it.id], 60))[it.id]
    known = (await asyncio.to_thread(podmand.inspect, "it"))["State"]["OOMKilled"]
    assert (row.oom_killed, row.exit_code) == (known, 137)
    assert not [
        event for event in (await desk.do(event_actions.ListEvents, since_ns=1)).rows if event.kind is EventKind.OOM
    ]
    await desk.runtime.aclose()


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_images_are_tagged_pushed_pulled_and_removed(desk, registry):
    name = f"{registry.host}/u{desk.daemon.uid}/thing:1"
    (busybox,) = [row for row in (await desk.do(images.ListImages)).rows if IMAGE in row.tags]
    assert busybox.size > 500_000 and busybox.created_at > 1.7e9 and busybox.ref.kind is Kind.IMAGE
    await desk.do(images.TagImage, target=busybox.ref, tag=name)
    assert {IMAGE, name} == set((await desk.do(images.ListImages)).rows[0].tags)
    pushed = Ref(engine=desk.runtime.ref, kind=Kind.IMAGE, id=busybox.ref.id, name=name)
    outcome, told = await desk.job(images.PushImage, target=pushed)
    assert (outcome.status, "sha256:" in outcome.detail) == (Status.DONE, True), outcome
    assert any("Copying" in text or "Writing" in text for text in told)
    # One of two tags goes; the image stays.
    assert (await desk.do(images.RemoveImage, target=pushed)).status == Status.DONE
    assert (await desk.do(images.ListImages)).rows[0].tags == (IMAGE,)
    outcome, _ = await desk.job(images.PullImage, image=name)
    assert (outcome.status, outcome.detail.startswith("sha256:")) == (Status.DONE, True), outcome
    document = await desk.do(images.InspectImage, target=pushed)
    assert name in document.data["RepoTags"]
    tar = str(desk.daemon.root / "tmp/busybox.tar")
    # By its id it goes with all its tags.
    await asyncio.to_thread(desk.daemon.cli, "import", "--change", "LABEL other=1", tar, "localhost/other:1")
    (other,) = [row for row in (await desk.do(images.ListImages)).rows if "localhost/other:1" in row.tags]
    await desk.do(images.TagImage, target=other.ref, tag="localhost/more:2")
    by_id = Ref(engine=desk.runtime.ref, kind=Kind.IMAGE, id=other.ref.id, name=other.ref.id[:12])
    await desk.do(images.RemoveImage, target=by_id)
    assert other.ref.id not in [row.ref.id for row in (await desk.do(images.ListImages)).rows]
    with pytest.raises(errors.NotFound, match="has no image"):
        await desk.do(images.RemoveImage, target=by_id)
    await desk.do(images.RemoveImage, target=pushed)


async def test_an_image_that_was_pulled_by_its_digest_has_that_name_and_goes_with_it(desk, registry):
    content = {f"of-{desk.daemon.uid}": b"x"}
    name = registry.push_busybox(f"digested-{desk.daemon.uid}", layers=[content])
    outcome, _ = await desk.job(images.PullImage, image=name)
    named = next(row.ref for row in (await desk.do(images.ListImages)).rows if name in row.tags)
    await desk.do(images.RemoveImage, target=named)
    outcome, _ = await desk.job(images.PullImage, image=f"{name.rpartition(':')[0]}@{outcome.detail}")
    assert outcome.status == Status.DONE, outcome
    row = next(one for one in (await desk.do(prune.FindUnused)).rows if one.ref.id == named.id)
    assert not row.spare and any("@sha256:" in one for one in row.names), row
    for tag in ("localhost/one:1", "localhost/two:2"):
        await desk.do(images.TagImage, target=named, tag=tag)
    by_id = Ref(engine=desk.runtime.ref, kind=Kind.IMAGE, id=named.id, name=named.id[:12])
    assert (await desk.do(images.RemoveImage, target=by_id)).detail == "the image is gone"
    assert named.id not in [one.ref.id for one in (await desk.do(images.ListImages)).rows]


@pytest.mark.parametrize(
    ("options", "reach"),
    [
        # With a program that mounts overlays, Podman shows the place of the overlay instead.
        (("-v", "/etc:/host:O"), r"mounts (/etc|/.+/userdata/overlay/\d+/merge) of the host"),
        (("--security-opt", "unmask=ALL"), "changes its security by unmask=ALL"),
        (("--device-cgroup-rule", "b *:* rwm"), r"uses the device b \*:\* rwm of the host"),
    ],
)
async def test_what_a_container_takes_from_its_host_is_found(podmand, options, reach):
    desk = Desk(podmand.url)
    try:
        await asyncio.to_thread(podmand.run, "it", more=options)
        found = await desk.do(actions.InspectContainer, target=await desk.ref("it"))
        assert any(re.fullmatch(reach, told) for told in found.reaches), found.reaches
        assert all(re.fullmatch(reach, told, re.IGNORECASE) for told in found.reaches), found.reaches
    finally:
        await desk.runtime.aclose()


async def test_a_pull_that_fails_says_why_and_what_would_help(desk, registry, locked_registry):
    outcome, _ = await desk.job(images.PullImage, image=f"{registry.host}/none")
    assert (outcome.status, "Check the spelling" in outcome.detail) == (Status.FAILED, True), outcome
    outcome, _ = await desk.job(images.PullImage, image=locked_registry.push_busybox("secret"))
    assert (outcome.status, "podman login" in outcome.detail) == (Status.FAILED, True), outcome
    outcome, _ = await desk.job(images.PullImage, image=f"127.0.0.1:{free_tcp_port()}/none")
    assert (outcome.status, "refused" in outcome.detail) == (Status.FAILED, True)


async def test_a_pull_is_stopped_when_told(desk):
    """Its registry accepts, and says nothing."""
    async with servers.serving(servers.never) as port:
        started = await desk.do(images.PullImage, image=f"127.0.0.1:{port}/thing")
        await desk.do(ReadJob, job=started.job, wait=0.3)
        assert (await desk.do(StopJob, job=started.job, who="t")).status == Status.DONE
        page = await desk.do(ReadJob, job=started.job)
        assert page.outcome.status == Status.UNKNOWN
    assert (await desk.do(actions.DescribeEngine)).fault == ""


async def test_force_takes_no_running_container_along(desk):
    tar = str(desk.daemon.root / "tmp/busybox.tar")
    await asyncio.to_thread(desk.daemon.cli, "import", "--change", "LABEL other=1", tar, "localhost/other:1")
    image = next(row for row in (await desk.do(images.ListImages)).rows if "localhost/other:1" in row.tags)
    await asyncio.to_thread(desk.daemon.cli, "run", "-d", "--name", "it", "localhost/other:1", "/bin/sleep", "3600")
    for force in (False, True):
        with pytest.raises(errors.Rejected, match="in use|used by"):
            await desk.do(images.RemoveImage, target=image.ref, force=force)
    assert await asyncio.to_thread(desk.daemon.status, "it") == "running"
    await asyncio.to_thread(desk.daemon.cli, "stop", "-t", "0", "it")
    assert (await desk.do(images.RemoveImage, target=image.ref, force=True)).status == Status.DONE


# ── pods, networks, volumes ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_pod_is_created_and_removed(desk):
    labels, create = (("env", "prod"),), pods.CreatePod
    outcome = await desk.do(create, name="fresh", labels=labels, infra=False)
    assert outcome.status == Status.DONE
    pod = next(row for row in (await desk.do(pods.ListPods)).rows if row.ref.name == "fresh")
    assert pod.ref.id.startswith(outcome.detail)
    assert (pod.state, pod.labels["env"], pod.members) == ("created", "prod", ())
    with pytest.raises(errors.Rejected, match="in use|already exists"):
        await desk.do(create, name="fresh", infra=False)
    for wrong in ({"name": "-f"}, {"name": "x", "network": "host"}, {"name": "x", "network": "ns:/proc/1/ns/net"},
                  {"name": "x", "infra": False, "ports": ("80:80",)}):  # fmt: skip
        with pytest.raises(errors.BadUsage):
            await desk.do(create, **wrong)
    await asyncio.to_thread(desk.daemon.run, "within", more=("--pod", "fresh"))
    assert (await desk.do(pods.RemovePod, target=pod.ref, force=True)).status == Status.DONE
    assert "fresh" not in {row.ref.name for row in (await desk.do(pods.ListPods)).rows}
    assert "within" not in {row.ref.name for row in (await desk.do(actions.ListContainers)).rows}


async def test_a_container_is_run_in_a_pod(desk):
    """And shares its network, so that it needs the word of the engine's owner."""
    await asyncio.to_thread(desk.daemon.cli, "pod", "create", "--name", "joined", "--network", "none")
    (pod,) = [row for row in (await desk.do(pods.ListPods)).rows if row.ref.name == "joined"]
    asked = {
        "image": IMAGE,
        "name": "in-a-pod",
        "command": ("/bin/sh", "-c", "exec sleep 3600"),
        "pull": "never",
        "access": HostAccess(pod=pod.ref),
    }
    with pytest.raises(errors.Disallowed, match=r"host\.reach"):
        await desk.do(CreateContainer, **asked)
    desk.runtime._allow = ("*", "host.reach")
    outcome, _ = await desk.job(CreateContainer, **asked)
    assert outcome.status == Status.DONE, outcome
    (pod,) = [row for row in (await desk.do(pods.ListPods)).rows if row.ref.name == "joined"]
    assert (await desk.ref("in-a-pod")).id in pod.members
    found = await asyncio.to_thread(desk.daemon.inspect, "in-a-pod")
    assert found["Pod"] == pod.ref.id
    assert "--pod joined" in " ".join(found["Config"]["CreateCommand"])
    assert (await desk.do(pods.RemovePod, target=pod.ref, force=True)).status == Status.DONE


async def until_ready(desk, name, runs):
    """Waits until the script of a container has said so often that its trap is set: a signal before that is lost."""
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(desk.daemon.logs, name)).count("ready") < runs:
            await asyncio.sleep(0.05)


async def test_a_pod_says_which_of_its_containers_had_to_be_killed(desk):
    cli = desk.daemon.cli
    await asyncio.to_thread(cli, "pod", "create", "--name", "mixed", "--infra=false")
    for name, trap, seconds in (("deaf", "", "1"), ("polite", "exit", "60")):
        script = f"trap '{trap}' TERM; echo ready; while :; do sleep 0.1; done"
        await asyncio.to_thread(
            desk.daemon.run, name, script, more=("--pod", "mixed", "--stop-timeout", seconds), init=False
        )
    (pod,) = [row for row in (await desk.do(pods.ListPods)).rows if row.ref.name == "mixed"]
    for runs, verb in enumerate((pods.RestartPod, pods.StopPod), start=1):
        await until_ready(desk, "polite", runs)
        outcome = await desk.do(verb, target=pod.ref)
        assert (outcome.status, outcome.killed) == (Status.DONE, ("deaf",)), outcome
        assert outcome.detail == "deaf did not end in time and was killed"


async def test_a_pod_lives_and_ends_as_one(desk):
    cli = desk.daemon.cli
    await asyncio.to_thread(cli, "pod", "create", "--name", "pair", "--infra=false", "--label", "env=prod")
    for name in ("one", "two"):
        await asyncio.to_thread(desk.daemon.run, name, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done",
                                more=("--pod", "pair", "--stop-timeout", "20"), init=False)  # fmt: skip
    (pod,) = (await desk.do(pods.ListPods)).rows
    known = {(await desk.ref(name)).id for name in ("one", "two")}
    assert (pod.ref.kind, pod.ref.name, pod.state, pod.running) == (Kind.POD, "pair", "running", 2)
    assert (pod.labels, set(pod.members)) == ({"env": "prod"}, known)
    assert (await desk.do(pods.InspectPod, target=pod.ref)).data["Name"] == "pair"
    pausing = not desk.daemon.uid or (await desk.do(actions.DescribeEngine)).cgroup == "2"
    if pausing:
        assert (await desk.do(pods.PausePod, target=pod.ref)).status == Status.DONE
        assert await asyncio.to_thread(desk.daemon.status, "one") == "paused"
        assert (await desk.do(pods.UnpausePod, target=pod.ref)).status == Status.DONE
    else:
        with pytest.raises(errors.Unsupported, match="cgroup v2"):
            await desk.do(pods.PausePod, target=pod.ref)
    started = await asyncio.to_thread(desk.daemon.started, "one")
    for name in ("one", "two"):
        await until_ready(desk, name, 1)
    assert (await desk.do(pods.RestartPod, target=pod.ref)).status == Status.DONE
    assert await asyncio.to_thread(desk.daemon.started, "one") != started
    with pytest.raises(errors.Rejected, match="without force"):
        await desk.do(pods.RemovePod, target=pod.ref)
    for name in ("one", "two"):
        await until_ready(desk, name, 2)
    assert [(await desk.do(pods.StopPod, target=pod.ref)).status for _ in range(2)] == [Status.DONE, Status.NOOP]
    for name in ("one", "two"):
        assert await asyncio.to_thread(desk.daemon.wait, name) == 7  # each had its own time
    assert [(await desk.do(pods.StartPod, target=pod.ref)).status for _ in range(2)] == [Status.DONE, Status.NOOP]
    assert (await desk.do(pods.RemovePod, target=pod.ref, force=True)).status == Status.DONE
    with pytest.raises(errors.NotFound, match="has no pod pair"):
        await desk.do(pods.InspectPod, target=pod.ref)


@pytest.mark.parametrize(
    "options", [("--requires", "base"), ("--network", "container:base"), ("--ipc", "container:base")]
)
async def test_a_container_on_which_another_depends_stays_and_the_other_is_named(desk, options):
    await asyncio.to_thread(desk.daemon.run, "base", more=("--ipc", "shareable"))
    await asyncio.to_thread(desk.daemon.run, "other")
    await asyncio.to_thread(desk.daemon.run, "web", more=options)
    base, other, web = [await desk.ref(name) for name in ("base", "other", "web")]
    found = await desk.do(FindUsers, resources=(base, other, web))
    assert [(use.target, use.user, use.running, use.forcible) for use in found.rows] == [(base, web, True, False)]
    for force in (False, True):
        with pytest.raises(errors.Rejected):
            await desk.do(actions.Remove, target=base, force=force)
    assert (await desk.do(actions.Remove, target=web, force=True)).status == Status.DONE
    assert not (await desk.do(FindUsers, resources=(base,))).rows
    assert (await desk.do(actions.Remove, target=base, force=True)).status == Status.DONE


async def test_containers_that_depend_on_each_other_are_removed_by_one_command(desk):
    names = ["base", "web", "log"]
    await asyncio.to_thread(desk.daemon.run, "base")
    await asyncio.to_thread(desk.daemon.run, "web", more=("--requires", "base"))
    await asyncio.to_thread(desk.daemon.run, "log", more=("--requires", "web"))
    refs = [await desk.ref(name) for name in names]
    done = await asyncio.gather(*(desk.do(actions.Remove, target=ref, force=True) for ref in refs))
    assert [one.status for one in done] == [Status.DONE] * 3
    listed = (await desk.do(actions.ListContainers)).rows
    assert not {row.ref.name for row in listed} & set(names)


async def test_the_container_that_holds_the_network_of_a_pod_goes_with_it_only(podmand):
    made = Desk(podmand.url)
    options = ("--infra-image", IMAGE, "--infra-command", "sleep 3600", "--infra-name", "held")
    await asyncio.to_thread(podmand.cli, "pod", "create", "--name", "holding", *options)
    await asyncio.to_thread(podmand.run, "within", more=("--pod", "holding"))
    (pod,) = [row for row in (await made.do(pods.ListPods)).rows if row.ref.name == "holding"]
    held, within = await made.ref("held"), await made.ref("within")
    found = await made.do(FindUsers, resources=(held, within))
    assert [(use.target, use.user) for use in found.rows] == [(held, pod.ref)]
    with pytest.raises(errors.Rejected, match="without removing the pod"):
        await made.do(actions.Remove, target=held, force=True)
    assert (await made.do(pods.RemovePod, target=pod.ref, force=True)).status == Status.DONE
    await made.runtime.aclose()


async def test_podman_ends_nothing_that_is_paused(podmand):
    """What change_applicability says of Podman."""
    made = Desk(podmand.url)
    await asyncio.to_thread(podmand.run, "it")
    it = await made.ref("it")
    await made.do(actions.Pause, target=it)
    for verb in (actions.Stop, actions.Restart):
        with pytest.raises(errors.EngineError):
            await made.do(verb, target=it, timeout=1)
        assert await asyncio.to_thread(podmand.status, "it") == "paused"
    assert (await made.do(actions.Unpause, target=it)).status == Status.DONE
    assert (await made.do(actions.Stop, target=it, timeout=1)).status == Status.DONE
    await made.runtime.aclose()


async def test_networks_and_volumes_are_told_and_removed(desk):
    cli = desk.daemon.cli
    await asyncio.to_thread(
        cli, "network", "create", "--subnet", "10.99.7.0/24", "--internal", "--label", "a=b", "inner"
    )
    await asyncio.to_thread(cli, "volume", "create", "--label", "a=b", "data")
    network = next(row for row in (await desk.do(networks_and_volumes.ListNetworks)).rows if row.ref.name == "inner")
    assert (network.driver, network.subnets, network.internal, network.labels) == (
        "bridge",
        ("10.99.7.0/24",),
        True,
        {"a": "b"},
    )
    assert (await desk.do(networks_and_volumes.InspectNetwork, target=network.ref)).data["name"] == "inner"
    (volume,) = (await desk.do(networks_and_volumes.ListVolumes)).rows
    assert (volume.ref.name, volume.driver, volume.labels) == ("data", "local", {"a": "b"})
    assert Path(volume.place).is_dir() and volume.created_at > 1.7e9
    assert (await desk.do(networks_and_volumes.InspectVolume, target=volume.ref)).data["Name"] == "data"
    default = next(row for row in (await desk.do(networks_and_volumes.ListNetworks)).rows if row.ref.name == "podman")
    with pytest.raises(errors.Rejected, match="default network"):
        await desk.do(networks_and_volumes.RemoveNetwork, target=default.ref)
    for action, thing, kind in (
        (networks_and_volumes.RemoveNetwork, network.ref, "network"),
        (networks_and_volumes.RemoveVolume, volume.ref, "volume"),
    ):
        assert (await desk.do(action, target=thing)).status == Status.DONE
        with pytest.raises(errors.NotFound, match=f"has no {kind}"):
            await desk.do(action, target=thing)
