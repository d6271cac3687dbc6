"""What is typed for `service create` and `service update` is what the Swarm is asked for."""

import pytest

from bot import plain_text
from core.model.host_access import MountPoint
from core.model.refs import Kind
from core.model.replies import Ending
from core.model.service_actions import RollBackService, UpdateService
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
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck


@pytest.fixture
def swarm():
    made = FakeRuntime("c1", kind="swarm", lacks=("container.*", "image.*"))
    made.add_stored(Kind.SECRET, "key")
    made.add_stored(Kind.CONFIG, "conf")
    return made


def text(reply):
    return plain_text.render(reply, width=160)


async def typed(valkey, swarm, *lines):
    """The actions that the lines lead to; each question is answered with yes."""
    async with Deck(valkey.url, (swarm,)) as deck:
        for line in lines:
            reply = await deck.say(line)
            if reply.ending is Ending.ASKED:
                reply = await deck.say(reply.buttons[0].line)
            assert reply.ending is Ending.OK, text(reply)
    return swarm.changed


async def test_what_is_typed_for_a_new_service_is_what_the_swarm_is_asked_for(valkey, swarm):
    line = (
        "docker service create --name web --replicas 2 -p 8080:80 -p 9000-9001:53-54/udp"
        " --publish published=443,target=8443,mode=host -e A=1=2 -e B= -l team=a --container-label in=side"
        " --network front --network name=back --mount type=volume,source=data,target=/data,readonly"
        " --mount type=tmpfs,dst=/run --mount target=/cache --secret source=key,target=/key,uid=5,mode=0400"
        " --config conf --constraint node.role==worker --limit-cpu 1.5 --limit-memory 64m --reserve-cpu 0.5"
        " -u 1000 -w /srv --hostname h --entrypoint '/bin/sh -c' --stop-signal INT --stop-grace-period 1m30s"
        " --read-only --init --cap-drop CHOWN --endpoint-mode vip --restart-condition on-failure --restart-delay 500ms"
        " --restart-max-attempts 3 --update-parallelism 2 --update-delay 10s --update-failure-action rollback"
        " --update-order start-first --update-monitor 5s --update-max-failure-ratio 0.5 --rollback-parallelism 0"
        " --health-cmd 'test -f /ok' --health-interval 5s --health-timeout 1s --health-retries 2"
        " --health-start-period 0 --placement-pref spread=node.labels.zone --dns 10.0.0.53 --dns-search corp"
        " --dns-option ndots:2 --sysctl net.core.somaxconn=99 --ulimit nofile=1024:2048 --group audio --limit-pids 50"
        " --replicas-max-per-node 2 --log-driver json-file --log-opt max-size=1m"
        " --with-registry-auth -d --timeout 60 registry.example/app:2 -- -c 'echo $HOME'"
    )
    (made,) = await typed(valkey, swarm, line)
    secret, config = swarm.stored[Kind.SECRET][0].ref, swarm.stored[Kind.CONFIG][0].ref
    assert (made.name, made.image, made.replicas, made.mode) == ("web", "registry.example/app:2", 2, "replicated")
    assert (made.wait, made.timeout) == (False, 60)
    assert made.settings == ServiceSettings(
        command=("-c", "echo $HOME"),
        entrypoint=("/bin/sh", "-c"),
        environment=(("A", "1=2"), ("B", "")),
        labels=(("team", "a"),),
        container_labels=(("in", "side"),),
        ports=(
            PublishedPort(target=80, published=8080),
            PublishedPort(target=53, published=9000, protocol="udp"),
            PublishedPort(target=54, published=9001, protocol="udp"),
            PublishedPort(target=8443, published=443, on_host=True),
        ),
        networks=("front", "back"),
        mounts=(
            MountPoint(target="/data", source="data", read_only=True),
            MountPoint(target="/run", tmpfs=True),
            MountPoint(target="/cache"),
        ),
        secrets=(MountedValue(target=secret, path="/key", uid="5", mode=0o400),),
        configs=(MountedValue(target=config),),
        constraints=("node.role==worker",),
        limits=Amount(cpus=1.5, memory="64m", pids=50),
        reservations=Amount(cpus=0.5),
        user="1000",
        workdir="/srv",
        hostname="h",
        stop_signal="INT",
        stop_grace=90.0,
        read_only=True,
        init=True,
        dropped_capabilities=("CHOWN",),
        restarts=TaskRestarts(condition="on-failure", delay=0.5, max_attempts=3),
        update=Rollout(
            parallelism=2,
            delay=10.0,
            failure_action="rollback",
            monitor=5.0,
            max_failure_ratio=0.5,
            order="start-first",
        ),
        rollback=Rollout(parallelism=0),
        health=HealthCheck(command="test -f /ok", interval=5.0, timeout=1.0, retries=2, start_period=0.0),
        endpoint_mode="vip",
        preferences=("spread=node.labels.zone",),
        max_per_node=2,
        name_servers=NameServers(addresses=("10.0.0.53",), searches=("corp",), options=("ndots:2",)),
        sysctls=(("net.core.somaxconn", "99"),),
        ulimits=("nofile=1024:2048",),
        groups=("audio",),
        log_driver=LogDriver(name="json-file", options=(("max-size", "1m"),)),
    )


async def test_what_is_typed_for_an_update_is_what_the_swarm_is_asked_for(valkey, swarm):
    _, made, plain, forced, back, removed = await typed(
        valkey,
        swarm,
        "service create --name web nginx:1",
        "docker service update --image nginx:2 --args 'nginx -g \"daemon off;\"' --env-add A=1 --env-rm B"
        " --publish-add 80 --publish-rm 81 --label-rm team --mount-rm /data --secret-add key --network-rm front"
        " --constraint-rm a==b --placement-pref-rm spread=node.labels.zone --dns-rm 10.0.0.53 --dns-search-rm corp"
        " --dns-option-rm ndots:2 --sysctl-rm net.core.somaxconn --ulimit-rm nofile --group-rm audio"
        " --limit-memory 0 --update-parallelism 0 --update-delay 0s --no-healthcheck"
        " --replicas 3 web",
        "service update web --replicas 0",
        "service update --force -d web",
        "service update --rollback web",
        "docker service remove web",
    )
    assert isinstance(made, UpdateService)
    assert (made.replicas, made.force, made.wait) == (3, False, True)
    assert made.settings == ServiceSettings(
        image="nginx:2",
        command=("nginx", "-g", "daemon off;"),
        environment=(("A", "1"),),
        ports=(PublishedPort(target=80),),
        secrets=(MountedValue(target=swarm.stored[Kind.SECRET][0].ref),),
        limits=Amount(memory="0"),
        update=Rollout(parallelism=0, delay=0.0),
        health=HealthCheck(disabled=True),
    )
    assert made.removals == Removals(
        environment=("B",),
        labels=("team",),
        ports=("81",),
        networks=("front",),
        mounts=("/data",),
        constraints=("a==b",),
        preferences=("spread=node.labels.zone",),
        name_servers=NameServers(addresses=("10.0.0.53",), searches=("corp",), options=("ndots:2",)),
        sysctls=("net.core.somaxconn",),
        ulimits=("nofile",),
        groups=("audio",),
    )
    assert (plain.replicas, plain.settings, plain.changes_tasks) == (0, ServiceSettings(), False)
    assert (forced.force, forced.wait) == (True, False)
    assert isinstance(back, RollBackService) and removed.verb == "service.remove"
    assert swarm.swarm == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("service create", "service create needs IMAGE"),
        ("service create -it busybox", "chat has no terminal"),
        ("service create -p 80:x busybox", "--publish cannot be “80:x”"),
        ("service create -p 80-81:90 busybox", "two ranges of the same length"),
        ("service create -p 1-65535:1-65535 busybox", "two ranges of the same length"),
        ("service create -p 99999:80 busybox", "is not a port that can be published"),
        ("service create -p 80:80/icmp busybox", "is not a port that can be published"),
        ("service create -p target=80,mode=magic busybox", "Write mode=ingress or mode=host"),
        ("service create --mount /data busybox", "is not a valid part of --mount"),
        ("service create --mount type=bind,source=./x,target=/x busybox", "with whole paths"),
        ("service create --mount type=volume,source=/etc,target=/x busybox", "or type=bind for a path of the host"),
        ("service create --mount type=npipe,target=/x busybox", "Write type=volume, type=bind or type=tmpfs"),
        ("service create --mount type=tmpfs,source=a,target=/x busybox", "without a source"),
        ("service create --mount target=/x,target=/y busybox", "“target=/y” sets target a second time in --mount"),
        ("service create --mount source=a,target=/x,volume-opt=device=/etc busybox", "is not a valid part of --mount"),
        ("service create --secret nosuch busybox", "nosuch"),
        (
            "service create --secret target=/x busybox",
            "“target=/x” names no secret. Write NAME, or source=NAME,target=PATH.",
        ),
        (
            "service create --secret source=key,mode=999 busybox",
            "The mode of a secret cannot be “999”. Write the permission bits",
        ),
        ("service create --network back,alias=x busybox", "--network cannot be"),
        ("service create --network container:web busybox", "--network cannot be"),
        ("service create --mode global --replicas 2 busybox", "A global service has no number of replicas"),
        ("service create --mode sometimes busybox", "--mode"),
        ("service create --replicas lots busybox", "--replicas cannot be"),
        ("service create --replicas -1 busybox", "--replicas cannot be"),
        ("service create -e HOME busybox", "has no value"),
        ("service create --limit-memory lots busybox", "--limit-memory cannot be"),
        ("service create --update-delay 10 busybox", "--update-delay cannot be “10”"),
        ("service create --update-max-failure-ratio 2 busybox", "Write a number from 0 to 1"),
        ("service create --name 'a b' busybox", "cannot be the name of a service"),
        ("service create --name=-x busybox", "cannot be the name of a service"),
        ("service create BusyBox", "is not the name of an image"),
        ("service create --no-healthcheck --health-retries 2 busybox", "cannot be combined"),
        ('service create --entrypoint "\'x" busybox', "cannot be split into words: a quote is not closed"),
        ("service create --sysctl kernel.core_pattern=x busybox", "only of some settings"),
        ("service create --sysctl vm.swappiness=1 busybox", "only of some settings"),
        ("service create --sysctl net.core.somaxconn busybox", "has no value"),
        ("service create --dns corp busybox", "The name server “corp” is not an IP address"),
        ("service create --ulimit nofile busybox", "Write NAME=SOFT or NAME=SOFT:HARD"),
        ("service create --placement-pref zone busybox", "such as spread=node.labels.zone"),
        ("service create --log-opt max-size=1m busybox", "--log-opt needs --log-driver. Add the driver"),
        ("service create --limit-pids some busybox", "--limit-pids cannot be"),
        ("service create --generic-resource gpu=1 busybox", "or use `docker service` on a manager"),
        ("service update --dns 10.0.0.53 web", "Write --dns-add, or --dns-rm"),
        ("service update web", "The command `service update` needs something to change"),
        ("service update --rollback --force web", "--rollback cannot be combined with another change"),
        ("service update --env A=1 web", "Write --env-add, or --env-rm"),
        ("service update --image nginx:2", "service update needs TARGET"),
        ("service update --image nginx:2 nosuch", "There is no service “nosuch”"),
        ("service rm", "service rm needs TARGET"),
        ("swarm join-token king", "Write one of these: worker, manager"),
        ("swarm join --token x 10.0.0.1", "does not change who belongs to it"),
    ],
)
async def test_bad_words_are_a_sentence_and_reach_no_swarm(valkey, swarm, line, words):
    async with Deck(valkey.url, (swarm,)) as deck:
        await deck.say("service create --name web nginx:1")
        swarm.asked.clear()
        reply = await deck.say(line)
        assert words in text(reply), text(reply)
        assert reply.ending in (Ending.USAGE, Ending.NOTHING) and len(swarm.changed) == 1
        assert "change" not in swarm.asked


async def test_where_there_is_no_swarm_the_reply_says_how_to_start_one(valkey):
    async with Deck(valkey.url, (FakeRuntime("prod-1", kind="docker"), FakeRuntime("h2", kind="podman"))) as deck:
        for line in ("service create nginx", "swarm join-token worker"):
            reply = await deck.say(line)
            assert "None of the watched engines manages a Swarm. Create a Swarm with `swarm init`" in text(reply)
            assert reply.ending is Ending.NOTHING


async def test_of_several_swarms_one_is_chosen(valkey, swarm):
    other = FakeRuntime("c2", kind="swarm")
    async with Deck(valkey.url, (swarm, other)) as deck:
        assert "but 2 are selected: swarm/c1, swarm/c2" in text(await deck.say("service create nginx"))
        for line in ("service create nginx --engine swarm/c2", "service create --engine swarm/c2 nginx"):
            assert (await deck.say(line)).ending is Ending.OK
    assert len(other.swarm) == 2 and not swarm.swarm
