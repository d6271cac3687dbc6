"""What is typed for a service is what its specification says, and an update changes nothing else."""

import copy

import pytest

from core import errors
from core.model.host_access import MountPoint
from core.model.refs import EngineRef, Kind, Ref
from core.model.service_actions import CreateService, UpdateService
from core.model.service_settings import (
    Amount,
    HealthCheck,
    LogDriver,
    MountedValue,
    NameServers,
    PublishedPort,
    Removals,
    Rollout,
    ServiceSettings,
    TaskRestarts,
)
from runtimes.swarm import service_specs, spec_conflicts
from runtimes.swarm.service_updates import PinnedImage

ENGINE = EngineRef(host="k1", kind="swarm")
WEB = Ref(engine=ENGINE, kind=Kind.SERVICE, id="web1", name="web")
KEY = Ref(engine=ENGINE, kind=Kind.SECRET, id="s1", name="key")
CONF = Ref(engine=ENGINE, kind=Kind.CONFIG, id="c1", name="conf")
SECOND = 1_000_000_000


def new(labels=None, **more):
    image = PinnedImage(name="nginx:1@sha256:aa")
    return service_specs.new_spec(CreateService(engine=ENGINE, image="nginx:1", **more), image, labels or {})


def changed(spec, *, image=None, networks=None, **more):
    before = copy.deepcopy(spec)
    found = service_specs.changed_spec(UpdateService(engine=ENGINE, target=WEB, **more), spec, image, networks or {})
    assert spec == before
    return found


def test_a_service_without_settings_has_the_defaults_of_the_swarm():
    spec = new(labels={"quarterdeck.request": "r"})
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}} and spec["Labels"] == {"quarterdeck.request": "r"}
    assert spec["TaskTemplate"] == {"ContainerSpec": {"Image": "nginx:1@sha256:aa"}, "Placement": {}}
    assert not {"Name", "EndpointSpec", "UpdateConfig", "RollbackConfig"} & spec.keys()
    assert new(mode="global")["Mode"] == {"Global": {}}
    assert new(mode="replicated-job", replicas=3)["Mode"]["ReplicatedJob"]["TotalCompletions"] == 3
    assert new(mode="global-job")["Mode"] == {"GlobalJob": {}}


def test_each_setting_is_where_the_swarm_reads_it():
    settings = ServiceSettings(
        command=("sleep", "3600"),
        entrypoint=("/bin/sh", "-c"),
        environment=(("A", "1=2"), ("B", "")),
        labels=(("team", "a"),),
        container_labels=(("in", "side"),),
        ports=(PublishedPort(target=80, published=8080), PublishedPort(target=53, protocol="udp", on_host=True)),
        networks=("front",),
        mounts=(
            MountPoint(target="/data", source="data", read_only=True),
            MountPoint(target="/etc", source="/etc"),
            MountPoint(target="/run", tmpfs=True),
        ),
        secrets=(MountedValue(target=KEY, path="/key", uid="5", mode=0o400),),
        configs=(MountedValue(target=CONF),),
        constraints=("node.role==worker",),
        limits=Amount(cpus=1.5, memory="64m", pids=50),
        reservations=Amount(cpus=0.5),
        user="1000",
        workdir="/srv",
        hostname="h",
        stop_signal="INT",
        stop_grace=20.0,
        read_only=True,
        init=True,
        capabilities=("NET_ADMIN",),
        dropped_capabilities=("CHOWN",),
        restarts=TaskRestarts(condition="on-failure", max_attempts=3),
        update=Rollout(parallelism=2, delay=1.5, failure_action="rollback", order="start-first", max_failure_ratio=0.5),
        rollback=Rollout(parallelism=0, monitor=3.0),
        health=HealthCheck(command="test -f /ok", interval=5.0, retries=2),
        endpoint_mode="vip",
        preferences=("spread=node.labels.zone",),
        max_per_node=2,
        name_servers=NameServers(addresses=("10.0.0.53",), searches=("corp",), options=("ndots:2",)),
        sysctls=(("net.core.somaxconn", "99"),),
        ulimits=("nofile=1024:2048", "nproc=64"),
        groups=("audio",),
        log_driver=LogDriver(name="json-file", options=(("max-size", "1m"),)),
    )
    spec = new(name="web", settings=settings, replicas=2)
    template = spec["TaskTemplate"]
    assert template["ContainerSpec"] == {
        "Image": "nginx:1@sha256:aa",
        "Command": ["/bin/sh", "-c"],
        "Args": ["sleep", "3600"],
        "Env": ["A=1=2", "B="],
        "Labels": {"in": "side"},
        "Mounts": [
            {"Target": "/data", "Source": "data", "Type": "volume", "ReadOnly": True},
            {"Target": "/etc", "Source": "/etc", "Type": "bind", "ReadOnly": False},
            {"Target": "/run", "Source": None, "Type": "tmpfs", "ReadOnly": False},
        ],
        "Secrets": [
            {
                "SecretID": "s1",
                "SecretName": "key",
                "File": {"Name": "/key", "UID": "5", "GID": "0", "Mode": 0o400},
            }
        ],
        "Configs": [
            {"ConfigID": "c1", "ConfigName": "conf", "File": {"Name": "conf", "UID": "0", "GID": "0", "Mode": 0o444}}
        ],
        "User": "1000",
        "Dir": "/srv",
        "Hostname": "h",
        "StopSignal": "INT",
        "StopGracePeriod": 20 * SECOND,
        "ReadOnly": True,
        "Init": True,
        "CapabilityAdd": ["NET_ADMIN"],
        "CapabilityDrop": ["CHOWN"],
        "Healthcheck": {"Test": ["CMD-SHELL", "test -f /ok"], "Interval": 5 * SECOND, "Retries": 2},
        "DNSConfig": {"Nameservers": ["10.0.0.53"], "Search": ["corp"], "Options": ["ndots:2"]},
        "Sysctls": {"net.core.somaxconn": "99"},
        "Groups": ["audio"],
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "nproc", "Soft": 64, "Hard": 64}],
    }
    assert template["Resources"] == {
        "Limits": {"NanoCPUs": 1_500_000_000, "MemoryBytes": 64 << 20, "Pids": 50},
        "Reservations": {"NanoCPUs": 500_000_000},
    }
    assert template["RestartPolicy"] == {
        "Condition": "on-failure",
        "Delay": 5 * SECOND,
        "MaxAttempts": 3,
        "Window": 0,
    }
    assert template["Placement"] == {
        "Constraints": ["node.role==worker"],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
        "MaxReplicas": 2,
    }
    assert template["LogDriver"] == {"Name": "json-file", "Options": {"max-size": "1m"}}
    assert [one["Target"] for one in template["Networks"]] == ["front"]
    assert spec["UpdateConfig"] == {
        "Parallelism": 2,
        "Delay": 1_500_000_000,
        "FailureAction": "rollback",
        "MaxFailureRatio": 0.5,
        "Order": "start-first",
    }
    assert spec["RollbackConfig"] == {"Parallelism": 0, "FailureAction": "pause", "Monitor": 3 * SECOND}
    assert spec["EndpointSpec"] == {
        "Mode": "vip",
        "Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress", "PublishedPort": 8080},
            {"Protocol": "udp", "TargetPort": 53, "PublishMode": "host"},
        ],
    }
    assert (spec["Name"], spec["Labels"], spec["Mode"]) == ("web", {"team": "a"}, {"Replicated": {"Replicas": 2}})
    # What is set already is not changed by setting it again.
    again = changed(spec, settings=settings, networks={"front": "front"})
    assert spec_conflicts.find_changed_settings(spec, again) == frozenset()


def test_each_list_is_taken_away_again_and_the_rest_stays():
    given = ServiceSettings(
        preferences=("spread=node.labels.zone", "spread=node.labels.rack"),
        name_servers=NameServers(addresses=("10.0.0.53", "10.0.0.54"), searches=("corp",), options=("ndots:2",)),
        sysctls=(("net.core.somaxconn", "99"),),
        ulimits=("nofile=1024", "nproc=64"),
        groups=("audio", "video"),
        limits=Amount(pids=50),
    )
    spec = new(settings=given)
    gone = Removals(
        preferences=("spread=node.labels.zone",),
        name_servers=NameServers(addresses=("10.0.0.53",), searches=("corp",)),
        sysctls=("net.core.somaxconn",),
        ulimits=("nproc",),
        groups=("video",),
    )
    template = changed(spec, removals=gone, settings=ServiceSettings(limits=Amount(pids=0)))["TaskTemplate"]
    container = template["ContainerSpec"]
    assert template["Placement"]["Preferences"] == [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}]
    assert container["DNSConfig"] == {"Nameservers": ["10.0.0.54"], "Search": [], "Options": ["ndots:2"]}
    assert (container["Sysctls"], container["Groups"]) == ({}, ["audio"])
    assert container["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 1024}]
    assert template["Resources"]["Limits"] == {"Pids": 0}


def test_on_the_hosts_network_there_is_no_virtual_address():
    assert new(settings=ServiceSettings(networks=("host",)))["EndpointSpec"] == {"Mode": "dnsrr"}


FULL = {
    "Name": "web",
    "Labels": {"team": "a", "env": "dev"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "nginx:1",
            "Env": ["A=1", "B=2"],
            "Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"}],
            "Secrets": [{"SecretID": "s0", "SecretName": "old", "File": {"Name": "old"}}],
            "Unknown": {"to": "us"},
        },
        "Resources": {"Limits": {"MemoryBytes": 1, "Pids": 5}},
        "Placement": {"Constraints": ["node.role==worker"], "Platforms": [{"OS": "linux"}]},
        "Networks": [{"Target": "n1", "Aliases": ["x"]}],
        "ForceUpdate": 3,
        "LogDriver": {"Name": "local"},
    },
    "Mode": {"Replicated": {"Replicas": 2}},
    "UpdateConfig": {"Parallelism": 4, "FailureAction": "continue", "Order": "start-first"},
    "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080}]},
}


@pytest.mark.parametrize(
    ("more", "paths"),
    [
        ({"settings": ServiceSettings(environment=(("A", "9"),))}, {"TaskTemplate.ContainerSpec.Env"}),
        ({"removals": Removals(environment=("A", "B"))}, {"TaskTemplate.ContainerSpec.Env"}),
        ({"removals": Removals(mounts=("/data",))}, {"TaskTemplate.ContainerSpec.Mounts"}),
        ({"removals": Removals(secrets=("old",))}, {"TaskTemplate.ContainerSpec.Secrets"}),
        ({"removals": Removals(labels=("env",))}, {"Labels.env"}),
        ({"removals": Removals(constraints=("node.role==worker",))}, {"TaskTemplate.Placement.Constraints"}),
        ({"removals": Removals(networks=("front",))}, {"TaskTemplate.Networks"}),
        ({"removals": Removals(ports=("80",))}, {"EndpointSpec.Ports"}),
        ({"removals": Removals(ports=("80/udp",))}, set()),
        ({"settings": ServiceSettings(limits=Amount(cpus=1.0))}, {"TaskTemplate.Resources.Limits.NanoCPUs"}),
        ({"settings": ServiceSettings(limits=Amount(memory="0"))}, {"TaskTemplate.Resources.Limits.MemoryBytes"}),
        ({"settings": ServiceSettings(update=Rollout(delay=2.0))}, {"UpdateConfig.Delay"}),
        ({"settings": ServiceSettings(networks=("front",))}, set()),
        ({"settings": ServiceSettings(networks=("back",))}, {"TaskTemplate.Networks"}),
        (
            {"settings": ServiceSettings(health=HealthCheck(disabled=True))},
            {"TaskTemplate.ContainerSpec.Healthcheck.Test"},
        ),
        ({"settings": ServiceSettings(max_per_node=1)}, {"TaskTemplate.Placement.MaxReplicas"}),
        ({"settings": ServiceSettings(log_driver=LogDriver(name="none"))}, {"TaskTemplate.LogDriver.Name"}),
        ({"removals": Removals(groups=("audio",), ulimits=("nofile",), sysctls=("net.x",))}, set()),
        ({"replicas": 5}, {"Mode.Replicated.Replicas"}),
        ({"replicas": 0}, {"Mode.Replicated.Replicas"}),
        ({"force": True}, {"TaskTemplate.ForceUpdate"}),
        (
            {"image": PinnedImage(name="nginx:2@sha256:b", platforms=(("arm64", "linux"),))},
            {"TaskTemplate.ContainerSpec.Image", "TaskTemplate.Placement.Platforms"},
        ),
        (
            {"image": PinnedImage(name="nginx:2")},
            {"TaskTemplate.ContainerSpec.Image", "TaskTemplate.Placement.Platforms"},
        ),
        ({}, set()),
    ],
)
def test_an_update_changes_what_it_names_and_nothing_else(more, paths):
    found = changed(FULL, networks={"n1": "front"}, **more)
    assert spec_conflicts.find_changed_settings(FULL, found) == paths


def test_an_entry_replaces_the_one_with_the_same_name_path_or_port():
    settings = ServiceSettings(
        environment=(("B", "3"), ("C", "4")),
        mounts=(MountPoint(target="/data", source="other"),),
        ports=(PublishedPort(target=81, published=8080), PublishedPort(target=82, published=8082)),
        secrets=(MountedValue(target=KEY, path="old"),),
    )
    found = changed(FULL, settings=settings)
    container = found["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["A=1", "B=3", "C=4"]
    assert [(one["Target"], one["Source"]) for one in container["Mounts"]] == [("/data", "other")]
    assert [one["SecretName"] for one in container["Secrets"]] == ["key"]
    assert [(one["PublishedPort"], one["TargetPort"]) for one in found["EndpointSpec"]["Ports"]] == [
        (8080, 81),
        (8082, 82),
    ]
    assert container["Unknown"] == {"to": "us"} and found["TaskTemplate"]["LogDriver"] == {"Name": "local"}


def test_what_the_package_refuses_is_a_sentence():
    with pytest.raises(errors.BadUsage, match="order must be either") as told:
        new(settings=ServiceSettings(update=Rollout(order="sideways")))
    assert "help service create" in told.value.hint
    with pytest.raises(errors.BadUsage) as told:
        changed(FULL, settings=ServiceSettings(limits=Amount(memory="much")))
    assert "help service update" in told.value.hint
