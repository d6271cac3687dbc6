"""What a request takes from its host is said in words, and nothing is said of a request that takes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.model import host_access
from core.model.actions import InspectContainer
from core.model.create_container import CreateContainer, Link
from core.model.host_access import HostAccess, MountPoint, Namespace, ReachHost
from core.model.inside_containers import Exec
from core.model.refs import EngineRef, Kind, Ref
from core.model.secrets_and_configs import UseConfig, UseSecret
from core.model.service_actions import CreateService, UpdateService
from core.model.service_settings import MountedValue, ServiceSettings

ENGINE = EngineRef(host="host7", kind="docker")
DB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="d" * 64, name="db")
SERVICE = Ref(engine=ENGINE, kind=Kind.SERVICE, id="s", name="web")


@pytest.mark.parametrize(
    ("access", "reaches"),
    [
        (HostAccess(), ()),
        (HostAccess(mounts=(MountPoint(target="/data", source="data"), MountPoint(target="/tmp"))), ()),
        (HostAccess(mounts=(MountPoint(target="/x", source="/"),)), ("mounts / of the host",)),
        (HostAccess(mounts=(MountPoint(target="/x", source="/etc", read_only=True),)), ("mounts /etc of the host",)),
        (
            HostAccess(mounts=(MountPoint(target="/s", source="/var/run/docker.sock"),)),
            ("mounts the engine's socket /var/run/docker.sock",),
        ),
        (HostAccess(namespaces=(Namespace(kind="network"),)), ("shares the network of the host",)),
        (HostAccess(namespaces=(Namespace(kind="pid", container=DB),)), ("shares the processes of db",)),
        (
            HostAccess(namespaces=tuple(Namespace(kind=kind) for kind in ("ipc", "uts", "userns", "cgroupns"))),
            (
                "shares the shared memory of the host",
                "shares the host name of the host",
                "shares the users of the host",
                "shares the control groups of the host",
            ),
        ),
        (HostAccess(privileged=True), ("runs privileged",)),
        *((HostAccess(log_driver=name), ()) for name in ("", "json-file", "local", "none")),
        (HostAccess(log_driver="gelf"), ("sends its output away by the log driver gelf",)),
        (
            HostAccess(pod=Ref(engine=ENGINE, kind=Kind.POD, id="p", name="shop")),
            ("shares the namespaces of the pod shop",),
        ),
        (HostAccess(capabilities=("SYS_ADMIN",)), ("has the capability SYS_ADMIN",)),
        (HostAccess(devices=("/dev/sda:/dev/x",)), ("uses the device /dev/sda of the host",)),
        (HostAccess(devices=("b *:* rwm",)), ("uses the device b *:* rwm of the host",)),
        (HostAccess(security_options=("seccomp=unconfined",)), ("changes its security by seccomp=unconfined",)),
        (HostAccess(volumes_from=(DB,)), ("mounts the volumes of db",)),
    ],
)
def test_each_reach_is_said(access: HostAccess, reaches: tuple[str, ...]) -> None:
    assert host_access.reaches_of(access) == reaches
    action = CreateContainer(engine=ENGINE, image="busybox", name="new", labels=(("team", "a"),), access=access)
    asked = [each for each in action.needs() if isinstance(each, ReachHost)]
    assert [each.reaches for each in asked] == ([reaches] if reaches else [])
    for each in asked:
        assert (each.verb, each.targets()) == ("host.reach", action.targets())
        now = datetime(2026, 11, 1, tzinfo=UTC)
        facts = each.prospective_facts(each.targets()[0], now)
        assert facts is not None and (facts.labels, facts.at, facts.image) == ({"team": "a"}, now, "busybox")


def test_every_field_that_a_request_can_set_is_a_reach() -> None:
    """A field that is added to HostAccess is not forgotten."""
    values = {
        "mounts": (MountPoint(target="/x", source="/x"),),
        "namespaces": (Namespace(kind="pid"),),
        "volumes_from": (DB,),
        "devices": ("/dev/x",),
        "capabilities": ("X",),
        "security_options": ("x",),
        "privileged": True,
        "pod": Ref(engine=ENGINE, kind=Kind.POD, id="p", name="shop"),
        "log_driver": "syslog",
    }
    assert set(values) == set(HostAccess.__dataclass_fields__)
    for name, value in values.items():
        assert host_access.reaches_of(HostAccess(**{name: value})), name  # type: ignore[arg-type]


def test_whoever_joins_or_links_a_container_needs_what_that_shows() -> None:
    joining = HostAccess(namespaces=(Namespace(kind="pid", container=DB),), volumes_from=(DB,))
    action = CreateContainer(engine=ENGINE, image="busybox", access=joining, links=(Link(target=DB, alias="db"),))
    kinds = [(type(each), each.targets()[0]) for each in action.needs()]
    assert kinds[1:] == [(Exec, DB), (InspectContainer, DB)]


def test_a_service_on_the_hosts_network_and_one_that_reached_the_host_before() -> None:
    def made(settings: ServiceSettings) -> CreateService:
        return CreateService(engine=ENGINE, name="web", image="nginx", settings=settings)

    (need,) = made(ServiceSettings(networks=("front", "host"))).needs()
    assert isinstance(need, ReachHost) and need.reaches == ("shares the network of the host",)
    assert not made(ServiceSettings(networks=("front",), mounts=(MountPoint(target="/x", source="data"),))).needs()
    (need,) = made(
        ServiceSettings(mounts=(MountPoint(target="/x", source="/etc"),), capabilities=("NET_ADMIN",))
    ).needs()
    assert isinstance(need, ReachHost)
    assert need.reaches == ("mounts /etc of the host", "has the capability NET_ADMIN")
    other = ServiceSettings(image="nginx")
    update = UpdateService(engine=ENGINE, target=SERVICE, settings=other, reaches=("mounts / of the host",))
    assert [each.targets() for each in update.needs()] == [(SERVICE,)]
    assert not UpdateService(engine=ENGINE, target=SERVICE, settings=other).needs()


def test_whoever_gives_a_secret_to_a_service_can_read_it() -> None:
    secret = Ref(engine=ENGINE, kind=Kind.SECRET, id="s1", name="key")
    config = Ref(engine=ENGINE, kind=Kind.CONFIG, id="c1", name="conf")
    settings = ServiceSettings(secrets=(MountedValue(target=secret),), configs=(MountedValue(target=config),))
    for action in (
        CreateService(engine=ENGINE, name="web", image="nginx", settings=settings),
        UpdateService(engine=ENGINE, target=SERVICE, settings=settings),
    ):
        assert [(type(each), each.targets()) for each in action.needs()] == [
            (UseSecret, (secret,)),
            (UseConfig, (config,)),
        ]
