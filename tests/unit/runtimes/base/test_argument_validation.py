"""Arguments that no engine could use are refused before an engine is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core import errors
from core.model import actions, images, inside_containers, pods, swarm
from core.model import networks_and_volumes as parts
from core.model.create_container import CreateContainer
from core.model.host_access import HostAccess, MountPoint
from core.model.refs import EngineRef, Kind, Ref
from core.model.rename_and_update import UpdateContainer
from core.model.replies import Status
from core.model.results import Outcome
from core.model.service_actions import CreateService, UpdateService
from core.model.service_settings import ServiceSettings
from core.ports import Call
from runtimes.base import argument_validation
from runtimes.base.base_adapter import BaseAdapter, does

ENGINE = EngineRef(host="h", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="4f2a", name="web")
DIGEST = "sha256:" + "a" * 64


def on(kind: Any, target: Ref = WEB, **fields: Any) -> actions.Action[Any]:
    action: actions.Action[Any] = kind(engine=ENGINE, target=target, **fields)
    return action


def image(name: str, id_: str = DIGEST) -> Ref:
    return Ref(engine=ENGINE, kind=Kind.IMAGE, id=id_, name=name)


def container(mount: MountPoint) -> CreateContainer:
    return CreateContainer(engine=ENGINE, image="busybox", access=HostAccess(mounts=(mount,)))


def network(**fields: Any) -> parts.CreateNetwork:
    return parts.CreateNetwork(engine=ENGINE, **{"name": "back", **fields})


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (on(inside_containers.Exec, command=()), "The command names no program to run in web."),
        (on(inside_containers.Exec, command=("",)), "The command names no program to run in web."),
        (on(inside_containers.Exec, command=("ls", "a\0b")), "An argument contains a null byte."),
        (on(inside_containers.Exec, command=("ls",), timeout=-1), "A timeout in seconds cannot be -1."),
        (on(inside_containers.Exec, command=("ls",), workdir="tmp"), "The directory “tmp” is not absolute."),
        (
            on(inside_containers.Exec, command=("ls",), environment=(("A=B", "c"),)),
            "“A=B” cannot be the name of a variable.",
        ),
        (on(inside_containers.CopyFile, path=""), "“” must be an absolute path without “..”."),
        (
            on(inside_containers.CopyFile, path="etc/hosts"),
            "“etc/hosts” must be an absolute path without “..”.",
        ),
        (on(inside_containers.CopyFile, path="/a/../b"), "“/a/../b” must be an absolute path without “..”."),
        (
            on(inside_containers.CommitContainer, tag=f"a@{DIGEST}"),
            f"The new name “a@sha256:{'a' * 50}…” cannot contain a digest (@sha256:…).",
        ),
        (on(inside_containers.CommitContainer, tag="A b"), "“A b” is not the name of an image."),
        (
            on(inside_containers.CommitContainer, message="a\0"),
            "The message, author and changes of an image cannot contain a null byte.",
        ),
        (on(actions.Kill, signal="NOPE"), "“NOPE” is not a signal."),
        (on(actions.Kill, signal=""), "“” is not a signal."),
        (on(actions.Stop, timeout=-1), "A timeout in seconds cannot be -1."),
        (on(actions.Restart, timeout=-5), "A timeout in seconds cannot be -5."),
        (on(pods.StopPod, timeout=-1), "A timeout in seconds cannot be -1."),
        (on(actions.ReadLogs, tail=-1), "The number of lines cannot be -1."),
        (on(swarm.ReadServiceLogs, tail=-1), "The number of lines cannot be -1."),
        (on(actions.Scale, replicas=-1), "The number of replicas cannot be -1."),
        (images.PullImage(engine=ENGINE, image="A b"), "“A b” is not the name of an image."),
        (on(images.PushImage, image("")), "The image aaaaaaaaaaaa has no name, so it cannot be pushed."),
        (on(images.PushImage, image("a" * 12)), "The image aaaaaaaaaaaa has no name, so it cannot be pushed."),
        (on(images.PushImage, image(DIGEST)), "The image aaaaaaaaaaaa has no name, so it cannot be pushed."),
        (on(images.PushImage, image(f"app@{DIGEST}", "b")), f"app@{DIGEST} has no tag to push."),
        (
            on(images.TagImage, image("app:1"), tag=f"app@{DIGEST}"),
            f"The new name “app@sha256:{'a' * 48}…” cannot contain a digest (@sha256:…).",
        ),
        (on(images.TagImage, image("app:1"), tag="App"), "“App” is not the name of an image."),
        (CreateService(engine=ENGINE, name="s", image=""), "“” is not the name of an image."),
        (
            container(MountPoint(target="x", source="data")),
            "The mount of “data” at “x” is not valid: in the container, it needs an absolute path.",
        ),
        (
            container(MountPoint(target="/x", source="../etc")),
            "The mount of “../etc” at “/x” is not valid: “../etc” is neither a volume's name nor an absolute path.",
        ),
        (network(name="a b"), "“a b” cannot be the name of a network."),
        (network(name="host"), "“host” is reserved and cannot be the name of a network."),
        (network(subnet="10.9"), "--subnet cannot be “10.9”."),
        (network(subnet="10.9.0.0/16", gateway="10.9.0.300"), "--gateway cannot be “10.9.0.300”."),
        (network(gateway="10.9.0.1"), "--gateway needs --subnet."),
        (
            network(subnet="10.9.0.0/16", ip_range="10.8.0.0/24"),
            "--ip-range is 10.8.0.0/24, which is not in the subnet 10.9.0.0/16.",
        ),
        (
            network(subnet="10.9.0.0/16", gateway="fe80::1"),
            "--gateway is fe80::1, which is not in the subnet 10.9.0.0/16.",
        ),
        (network(subnet="10.9.0.0/16", ip_range="10.9.0.0/31"), "--ip-range 10.9.0.0/31 has fewer than 4 addresses."),
        (network(driver="magic"), "A network cannot have the driver “magic”."),
        (on(UpdateContainer, memory=1 << 60), f"The limit of memory, in bytes, cannot be {1 << 60}."),
        (on(UpdateContainer, cpus=10_000.0), "The limit of processors cannot be 10000.0."),
        (parts.CreateVolume(engine=ENGINE, name="../x"), "“../x” cannot be the name of a volume."),
        (on(UpdateService, settings=ServiceSettings(image="a:b:c")), "“a:b:c” is not the name of an image."),
    ],
)
def test_what_is_refused(action: actions.Action[Any], message: str) -> None:
    with pytest.raises(errors.BadUsage) as caught:
        argument_validation.validate_arguments(action)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    "action",
    [
        on(inside_containers.Exec, command=("ls", "")),
        on(inside_containers.CopyFile, path="/a..b/..."),
        on(inside_containers.CommitContainer, tag="app:1"),
        on(actions.Kill, signal="RTMIN+3"),
        on(actions.Stop, timeout=0),
        on(actions.ReadLogs, tail=0),
        on(actions.Scale, replicas=0),
        on(images.PushImage, image("app:1")),
        on(images.TagImage, image("", "a"), tag="registry.example:5000/app:2"),
        on(actions.Start),
    ],
)
def test_what_is_not(action: actions.Action[Any]) -> None:
    argument_validation.validate_arguments(action)


async def test_an_adapter_refuses_before_its_engine_is_called() -> None:
    called = []

    class Engine(BaseAdapter):
        @does(actions.Kill)
        async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
            called.append(action.signal)
            return Outcome(status=Status.DONE)

    call = Call(id="c", who="u", deadline=datetime.now(UTC) + timedelta(seconds=5), invocation="i")
    engine = Engine(ENGINE)
    with pytest.raises(errors.BadUsage):
        await engine.run(on(actions.Kill, signal="NOPE"), call)
    await engine.run(on(actions.Kill, signal="HUP"), call)
    assert called == ["HUP"]
