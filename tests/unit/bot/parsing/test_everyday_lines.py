"""The everyday lines of docker, podman, crictl and systemd, each typed whole: what it does, or the sentence that says
why not and what does. Lines whose command does not exist yet are in MISSING; that table shrinks."""

from __future__ import annotations

import asyncio
import re

import pytest

from bot import plain_text
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.model.services import Service
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

NO_TERMINAL = r"run has no option -i\. Leave the option out: chat has no terminal and no input\."
DOES = (
    ("docker pull", r"pull needs IMAGE", Ending.USAGE),
    ("docker rmi", r"rmi needs TARGET", Ending.USAGE),
    ("docker create", r"create needs IMAGE", Ending.USAGE),
    ("docker run", r"run needs IMAGE", Ending.USAGE),
    ("docker search", r"search needs TERM", Ending.USAGE),
    ("docker commit", r"commit needs CONTAINER", Ending.USAGE),
    ("docker logs -f     Fetch the logs of a container", r"^logs needs a target\. For example: logs web", Ending.USAGE),
    ("docker ps          List running containers", r"WebA", Ending.OK),
    ("docker ps --help", r"^Usage: ps", Ending.OK),
    ("docker network --help", r"^network connect +connect .*[\s\S]*^network rm +remove", Ending.OK),
    ("help service", r"^service create +create a Swarm service", Ending.OK),
    ("docker <command> --help", r"“<command>” is only a placeholder\. .*List the commands with: help", Ending.USAGE),
    ("docker images -a", r"^REPOSITORY +TAG +SIZE", Ending.OK),
    ("docker logs WebA", r"ready for connections", Ending.OK),
    ("docker logs -f WebA // shows new lines as they come", r"Followed WebA", Ending.OK),
    ("docker ps", r"WebA", Ending.OK),
    ("docker ps -a", r"old", Ending.OK),
    ("docker pull busybox --host prod-1 --engine docker", r"busybox:latest pulled", Ending.OK),
    ("docker rm old", r"Remove old on .* cannot be undone", Ending.ASKED),
    ("docker start WebA", r"WebA was already running", Ending.OK),
    ("docker stop WebA", r"WebA stopped", Ending.OK),
    ("docker start|stop WebA", r"“start\|stop” is a placeholder for one of several words", Ending.USAGE),
    ("docker stats", r"WebA +0\.5", Ending.OK),
    ("docker inspect WebA", r"^State +running", Ending.OK),
    ("docker create nginx", r"a new container created", Ending.OK),
    ("docker run hello-world", r"a new container started", Ending.OK),
    ("docker run --name hi hello-world", r"hi started", Ending.OK),
    ("docker run -d --name WebB nginx // in the background", r"WebB started", Ending.OK),
    ("docker run -d --name WebA nginx // once more", r"the name WebA is already in use", Ending.FAILED),
    ("docker run --name example --link WebA:insideweb busybox // two that talk", r"example started", Ending.OK),
    ("docker run --name example --link WebA busybox // without an alias", r"example started", Ending.OK),
    ("podman run -d --name made_container -p 80:8080 busybox", r"made_container started", Ending.OK),
    ("docker inspect bridge // a network of that name", r"^Driver +bridge", Ending.OK),
    ("docker inspect data", r"^Path +/volumes/data", Ending.OK),
    ("docker inspect nosuch", r"There is no container “nosuch”", Ending.NOTHING),
    ("docker inspect -f '{{range .Mounts}}{{end}}' WebA", r"is not supported in a format", Ending.USAGE),
    ("docker inspect --type image nginx", r"nginx", Ending.OK),
    (
        "docker network create --driver bridge --attachable --scope local --subnet 192.168.1.0/24"
        " --ip-range 192.168.1.128/25 lows-network",
        r"lows-network created",
        Ending.OK,
    ),
    ("docker rmi busybox --engine docker", r"Nothing was done: busybox:1 is used by busybox and old\.", Ending.FAILED),
    ("docker tag nginx:1 busybox:2", r"nginx:1 tagged", Ending.OK),
    ("podman rmi busybox", r"busybox:1 is used by ended, shop-web and test_container\.", Ending.FAILED),
    ("docker network ls", r"^bridge +bridge +local", Ending.OK),
    ("docker network ls --filter driver=bridge --filter scope=local", r"^bridge +bridge +local", Ending.OK),
    ("docker network ls --scope swarm", r"No network matches", Ending.OK),
    ("docker volume ls -f driver=local", r"^data +local", Ending.OK),
    ("docker network inspect bridge", r"^Driver +bridge", Ending.OK),
    ("docker network inspect [bridge|host|local]", r"is a placeholder for one of several words", Ending.USAGE),
    ("docker volume ls", r"^data +local", Ending.OK),
    ("docker swarm init // services from now on", r"swarm init .* opens a port of this host", Ending.ASKED),
    ("docker swarm join-token worker", r"docker swarm join --token \S+ 10\.0\.0\.1:2377", Ending.OK),
    ("docker service create -p 8080:80 --name hello busybox", r"hello created", Ending.OK),
    (
        "docker service create -p 8080:80 --name hello-world busybox // again",
        r"hello-world already exists",
        Ending.FAILED,
    ),
    ("docker service update --image busybox:2 hello-world", r"replaces the tasks of hello-world", Ending.ASKED),
    ("docker service update --replicas 2 hello-world", r"hello-world updated", Ending.OK),
    ("docker service rollback hello-world", r"replaces the tasks of hello-world", Ending.ASKED),
    ("docker service rm hello-world", r"Remove the service .* cannot be undone", Ending.ASKED),
    ("node drain manager-1", r"drain .*manager-1", Ending.ASKED),
    ("node activate manager-1", r"manager-1 was active already", Ending.OK),
    ("docker node ls", r"^manager-1 +ready", Ending.OK),
    ("docker node ps manager-1", r"^hello-world\.1 ", Ending.OK),
    ("docker node inspect --pretty manager-1", r"manager", Ending.OK),
    ("docker service ls", r"^hello-world +replicated +1/1", Ending.OK),
    ("docker service ps hello-world", r"^hello-world\.1 ", Ending.OK),
    ("docker service logs hello-world", r"hello-world\.1 \| is up", Ending.OK),
    ("docker service inspect --pretty hello-world // for people", r"^Mode +replicated", Ending.OK),
    ("docker service scale hello-world=3 // three replicas", r"hello-world scaled from 1 to 3", Ending.OK),
    ('docker inspect --format "{{.State.Running}}" busybox // one field', r"^true$", Ending.OK),
    ('docker inspect -f "{{.HostConfig.Links}}" busybox // its links', r'^\["/web:/insideweb"\]$', Ending.OK),
    ("docker commit WebA // creates an image of a running container", r"WebA committed as [0-9a-f]{12}", Ending.OK),
    ("docker commit WebA nginx_base", r"WebA committed as [0-9a-f]{12} \(nginx_base:latest\)", Ending.OK),
    ("docker container commit -m remark WebA", r"Give the image a name with: tag [0-9a-f]{12} NAME", Ending.OK),
    ("docker commit nginx_base // of a running container", r"There is no container “nginx_base”", Ending.NOTHING),
    ("docker logs -f webA // another case", r"There is no container “webA”.*WebA", Ending.NOTHING),
    ("docker images // is the new image there?", r"nginx", Ending.OK),
    ("docker exec WebA echo hi", r"^hi$", Ending.OK),
    ("docker exec -u root -w /tmp -e A=b WebA env // its variables", r"^A=b$", Ending.OK),
    ("podman exec test_container false", r"false in test_container ended with code 1", Ending.FAILED),
    ("crictl exec pause true", r"There is no container “pause”", Ending.NOTHING),
    ("docker cp WebA:/etc/hosts", r"^127\.0\.0\.1 localhost$", Ending.OK),
    ("podman cp test_container:/bin/true", r"The file is not shown, because it is not text", Ending.OK),
    ("podman info", r"^podman/h2$", Ending.OK),
    ("podman ps --all", r"test_container", Ending.OK),
    ("podman images", r"busybox", Ending.OK),
    ("podman pull busybox", r"busybox:latest pulled", Ending.OK),
    ("podman start test_container", r"test_container was already running", Ending.OK),
    ("podman stop test_container", r"test_container stopped", Ending.OK),
    ("podmam rm -a", r"There is no command “podmam”\. Did you mean podman\?", Ending.USAGE),
    ("podman rm -a", r"^Remove ended on .*cannot be undone", Ending.ASKED),
    ("docker rm -f -a", r"-a and -f cannot be combined", Ending.USAGE),
    ("docker rename old older", r"old renamed to older", Ending.OK),
    ("docker update --memory 512m --cpus 1.5 --pids-limit 200 --restart always WebA", r"WebA updated", Ending.OK),
    ("skopeo inspect busybox", r"^Digest +sha256:", Ending.OK),
    ("skopeo inspect docker://busybox:1", r"^Name +docker\.io/library/busybox:1", Ending.OK),
    ("skopeo list-tags docker://busybox", r"^Tags +1, latest", Ending.OK),
    ("docker manifest inspect busybox", r"^Platforms +linux/amd64, linux/arm64", Ending.OK),
    ("docker search nginx", r"^nginx +Official build of Nginx", Ending.OK),
    ("docker search --limit 5 nginx // the first five", r"^nginx +Official", Ending.OK),
    ("docker images -f dangling=true", r"No image matches|There are no images", Ending.OK),
    ("docker container prune", r"container +old", Ending.ASKED),
    ("docker container prune -f", r"Quarterdeck always shows what it will remove", Ending.USAGE),
    (
        "docker image prune -a --filter until=24h",
        r"`image prune` found nothing to remove that is older than 1d on docker/prod-1",
        Ending.NOTHING,
    ),
    ("docker network prune", r"found nothing to remove on docker/prod-1", Ending.NOTHING),
    ("docker volume prune --all", r"volume +data", Ending.ASKED),
    ("docker system prune", r"this removes 1 container", Ending.ASKED),
    (
        "podman generate systemd --name test_container --files --new",
        r"No file was written\. .* unit install",
        Ending.OK,
    ),
    ("podman generate systemd --name test_container --files --new", r"^\[Service\]", Ending.OK),
    ("less ~/.config/systemd/user/test_container.service", r"^ContainerName=test_container", Ending.OK),
    ("cat /etc/systemd/system/test_container.service", r"^ContainerName=test_container", Ending.OK),
    ("systemctl --user cat test_container.service", r"^ContainerName=test_container", Ending.OK),
    ("systemctl --user status test_container.service", r"^State +active", Ending.OK),
    ("systemctl --user restart test_container.service", r"removes its container", Ending.ASKED),
    ("systemctl --user daemon-reload", r"reloaded", Ending.OK),
    ("systemctl --user enable  --now test_container.service", r"removes its container", Ending.ASKED),
    ("loginctl enable-linger", r"lingering is enabled for alice", Ending.OK),
    ("loginctl show-user alice", r"alice +no", Ending.OK),
    ("loginctl disable-linger", r"ends all units and containers of podman/h2 as soon as", Ending.ASKED),
    ("systemctl --user disable test_container.service", r"test_container\.service disabled", Ending.OK),
    ("systemctl --user disable --now test_container.service", r"removes its container", Ending.ASKED),
    ("docker builder prune", r"found nothing to remove on docker/prod-1", Ending.NOTHING),
    ("docker buildx prune -a", r"found nothing to remove on docker/prod-1", Ending.NOTHING),
    ("docker swarm join-token --rotate worker", r"makes the present worker token useless", Ending.ASKED),
    ("docker update --memory unlimited --cpus 0 --pids-limit=-1 WebA", r"memory unlimited, cpus unl", Ending.OK),
    (
        "docker service create --name spread --placement-pref spread=node.labels.zone --dns 10.0.0.53"
        " --sysctl net.core.somaxconn=99 --log-driver json-file --log-opt max-size=1m busybox",
        r"spread created",
        Ending.OK,
    ),
    ("podman pod ls", r"^shop ", Ending.OK),
    ("podman pod create --name more", r"more created", Ending.OK),
    ("podman pod start shop", r"shop was already running", Ending.OK),
    ("podman pod stop shop", r"shop stopped", Ending.OK),
    ("podman pod restart shop", r"shop restarted", Ending.OK),
    ("podman pod logs shop", r"from within the pod", Ending.OK),
    ("podman pod rm -f shop", r"cannot be undone", Ending.ASKED),
    ("podman quadlet list", r"^test_container\.service", Ending.OK),
    ("docker compose ls", r"There are no Compose projects", Ending.OK),
    ("crictl info", r"^cri/h3$", Ending.OK),
    ("crictl pods", r"^web-7f", Ending.OK),
    ("crictl ps", r"app", Ending.OK),
    ("crictl logs app", r"within cri", Ending.OK),
    ("crictl stats", r"app", Ending.OK),
    ("crictl stopp web-7f", r"web-7f stopped", Ending.OK),
    ("ctr namespaces ls", r"^k8s\.io", Ending.OK),
    ("ctr -n default images ls", r"busybox", Ending.OK),
    ("ctr images", r"busybox", Ending.OK),
    ("ctr tasks", r"task-1", Ending.OK),
    ("ctr tasks ls", r"task-1", Ending.OK),
    ("runc list", r"low-1", Ending.OK),
    ("runc state low-1", r"^State +running", Ending.OK),
    ("runc events low-1 --since 10m", r"started +low-1", Ending.OK),
    ("runc events --stats low-1", r"Show the usage of containers with: stats NAME", Ending.USAGE),
    ("crictl images", r"busybox", Ending.OK),
    ("crictl pull busybox", r"busybox:latest pulled", Ending.OK),
)

# Not yet, or never: the sentence.
MISSING = (
    ("docker exec WebA /bin/sh // a shell inside", r"/bin/sh alone would wait for input, and `exec` cannot send any\."),
    ("docker exec WebA /bin/sh | bash", r"“\|” belongs to a shell, and exec starts the program without one\."),
    ("docker <subcommand> --help", r"“<subcommand>” is only a placeholder"),
    (
        "docker rm <id>   Remove one or more containers",
        r"“<id>” is only a placeholder\. .*List the containers with: ps -a\.",
    ),
    ("docker start|stop <id>", r"is a placeholder for one of several words"),
    ("docker exec <id> /bin/sh | bash", r"“<id>” is only a placeholder"),
    ("docker exec ef875hdhsd /bin/sh // opens up a shell", r"/bin/sh alone would wait for input"),
    ("docker service ps <service_name>", r"“<service_name>” is only a placeholder\. .*List them with: services\."),
    ("docker service logs <service_name>", r"“<service_name>” is only a placeholder"),
    ("docker service inspect --pretty <service_name> // for people", r"“<service_name>” is only a placeholder"),
    ("docker service scale <service_name>=3 // three", r"“<service_name>” is only a placeholder"),
    ("docker run -it --name example --link <container_to_link_to>:<link alias> busybox", NO_TERMINAL),
    ("podman run -it <image>", NO_TERMINAL),
    ("podman run -d --name test_container <image>", r"“<image>” is only a placeholder"),
    ("podman rmi <image>", r"“<image>” is only a placeholder"),
    ("skopeo inspect <image>", r"“<image>” is only a placeholder"),
    ("docker-compose down", r"“down”: Quarterdeck has no Compose files"),
    ("skopeo delete docker://busybox:1", r"“delete”: Quarterdeck removes nothing from a registry"),
    (
        "docker exec -it WebA bash",
        r"exec has no option -i\. Chat has no terminal: leave the option out, and write what",
    ),
    (
        "docker exec -d WebA sleep 60",
        r"exec has no option -d\. Leave the option out: the command `exec` waits until the program has ended",
    ),
    ("docker exec --privileged WebA ls", r"Leave the option out: it would give the program all rights on the host"),
    ("docker cp ./app.conf WebA:/etc/app.conf", r"copies files out of containers, not into them\."),
    ("docker cp WebA:/etc/hosts ./hosts", r"Slack cannot save \./hosts on your machine\."),
    ("docker cp -L WebA:/etc/hosts", r"cp has no option -L\. Copy the path that the link leads to\."),
    ("docker export WebA", r"works only at a console: Slack cannot receive the whole file system of a container\."),
    ("docker run --name busy -it busybox /bin/sh // with a terminal", NO_TERMINAL),
    ("docker run -it --name example --link <container>:<alias> busybox", NO_TERMINAL),
    ("docker run -it --name example --link web:insideweb busybox // two that talk", NO_TERMINAL),
    ("docker run -it --name example --link web busybox // without an alias", NO_TERMINAL),
    ("docker run -it --network lows-network --name network-explorer alpine:3.8 sh", NO_TERMINAL),
    ("docker node update --availability drain manager-1", r"“node update”: .*Use `drain NODE` or `activate NODE`"),
    ("docker node promote manager-1", r"“node promote”: Quarterdeck starts a Swarm .*Use `docker node` on a manager"),
    (
        "docker service create -it busybox",
        r"service create has no option -i\. Leave the option out: chat has no terminal",
    ),
    ("podman run -it busybox", NO_TERMINAL),
    ("podman exec -it test_container /bin/bash", r"exec has no option -i\. Chat has no terminal"),
    ("mkdir ~/.config/systemd/user", r"“mkdir”: Quarterdeck is not a shell on the host.*unit install NAME"),
    ("less ~/.ssh/id_rsa", r"“less”: Quarterdeck is not a shell on the host.* `unit cat NAME`"),
    (
        "loginctl show-user cloud_user | grep linger",
        r"“\|” belongs to a shell.* Leave out “.” and everything after it",
    ),
    ("systemctl --user mask test_container.service", r"“mask”: .*unit disable NAME"),
    ("docker volume ls -f dangling=true", r"List the unused volumes with: volume prune"),
    ("docker builder prune -f", r"Quarterdeck always shows what it will remove"),
    ("docker network create --engine docker --driver host mine", r"A network cannot have the driver “host”"),
    ("docker network create --engine docker --driver none mine", r"A network cannot have the driver “none”"),
    ("podman pod prune", r"“pod prune”: .*pod rm NAME"),
    ("podman pod top shop", r"“pod top”: .*top NAME"),
    ("podman run -d --name test_container -p 80:8080 <image>", r"“<image>” is only a placeholder"),
    ("podman pull <image>", r"“<image>” is only a placeholder\. Write the name of an image\. List them with: images\."),
    ("docker tag <new_image_id> <image_name>", r"“<new_image_id>” is only a placeholder"),
)


@pytest.fixture
def engines():
    docker, podman = FakeRuntime("prod-1", kind="docker", lacks=("unit.*", "pod.*")), FakeRuntime("h2", kind="podman")
    cri, swarm = (
        FakeRuntime(
            "h3", kind="cri", lacks=("container.create", "network.*", "volume.*", "swarm.*", "unit.*", "*.prune*")
        ),
        FakeRuntime(
            "c1",
            kind="swarm",
            lacks=(
                "container.*",
                "image.*",
                "network.create",
                "volume.create",
                "swarm.init",
                "unit.*",
                "pod.*",
                "*.prune*",
            ),
        ),
    )
    docker.add("WebA", image="nginx:1", log=("ready for connections",))
    docker.add("old", start=False)
    docker.host_configs[docker.add("busybox").id] = {"Links": ["/web:/insideweb"]}
    docker.add_network("bridge")
    docker.add_volume("data")
    container = podman.add("test_container", image="busybox:1")
    podman.add_unit(container)
    podman.add("ended", start=False)
    podman.add_pod("shop", podman.add("shop-web", log=("from within the pod",)))
    cri.add_pod("web-7f", cri.add("app", log=("within cri",)))
    cri.add_image("busybox:1")
    node = swarm.add_node("manager-1", role="manager")
    service = Ref(engine=swarm.ref, kind=Kind.SERVICE, id="hello-world", name="hello-world")
    swarm.swarm.append(
        Service(
            ref=service, mode="replicated", image="busybox", running=1, desired=1, labels=({},), service="hello-world"
        )
    )
    swarm.add_task("hello-world", node)
    low = (
        "container.create",
        "network.*",
        "volume.*",
        "unit.*",
        "pod.*",
        "service.*",
        "swarm.*",
        "project.*",
        "*.prune*",
    )
    containerd, oci = FakeRuntime("h4", kind="containerd", lacks=low), FakeRuntime("h5", kind="oci", lacks=low)
    containerd.add("task-1", image="busybox:1", labels={"containerd.namespace": "default"})
    containerd.add_image("busybox:1", labels={"containerd.namespace": "default"})
    oci.add("low-1")
    return docker, podman, cri, swarm, containerd, oci


@pytest.mark.parametrize(("line", "shown", "ending"), DOES, ids=[line for line, _, _ in DOES])
async def test_a_line_does_what_it_does_at_its_own_prompt(valkey, engines, line, shown, ending):
    docker, podman, *_ = engines
    if line.startswith("docker"):
        # Where several engines can, the reply asks which.
        podman.lacks = ("container.create", "network.create", "swarm.*", "*.prune*")
    async with Deck(valkey.url, engines) as deck:
        if " -f WebA" in line:
            web = next(row.ref for row in docker.containers.values() if row.ref.name == "WebA")
            asyncio.get_running_loop().call_later(0.1, docker.happen, EventKind.DIED, web)
        reply = await deck.say(line)
    text = plain_text.render(reply)
    assert re.search(shown, text, re.MULTILINE), text
    assert reply.ending is ending, text


@pytest.mark.parametrize(("line", "sentence"), MISSING, ids=[line for line, _ in MISSING])
async def test_a_line_that_does_not_work_here_says_why_and_what_does(valkey, engines, line, sentence):
    async with Deck(valkey.url, engines) as deck:
        reply = await deck.say(line)
    text = plain_text.render(reply)
    assert re.search(sentence, text), text
    assert reply.ending is Ending.USAGE
    assert "change" not in [asked for engine in engines for asked in engine.asked]
    # A sentence, or a command after its colon.
    assert re.search(r"(\.|: [a-z].*)$", text.rstrip()) and "\n" not in text.rstrip()
