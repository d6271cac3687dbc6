"""One true line of each command on a real dockerd: words in at the top of the road, the adapter and the daemon at its
end, and what really became of the container."""

import asyncio
import re

import pytest

from bot import plain_text
from bot.access import first_admin
from core.model.replies import Ending
from runtimes import engine_registry
from tests.helpers import json_replies
from tests.helpers.deck import WORDS, Deck
from tests.helpers.waiting import wait_for

# Line, what its reply holds, and the state of `web` afterwards (None: gone). Of each command one of its own examples,
# but for tokens and ids, which are filled in.
LINES = {
    "ps": ("ps web", r"web +(?:up|healthy) · \w+ +shop/front", "running"),
    "card": ("card web", r"Status +Up .*\n(.*\n)*hello", "running"),
    "menu": ("menu", r"Choose what to show", "running"),
    "services": ("services shop", r"shop/front +compose +1/1", "running"),
    "scale": ("scale front=0", r"leaves nothing of shop/front running", "running"),
    "logs": ("logs web --tail 500 -t", r"\d{4}-\d\d-\d\dT\S+Z hello", "running"),
    "job": ("job stop {job}", r"^Stopped", "running"),
    "inspect": (
        "inspect web --format '{{.State.Status}} since {{.State.StartedAt}}'",
        r"^running since 2\d{3}-",
        "running",
    ),
    "events": ("events web --since 10m", r"started( \d+×)? +web", "running"),
    "engines": ("engines docker", r"Storage driver +(overlay2|overlayfs|vfs)", "running"),
    "images": ("images busybox", r"localhost/busybox +1 .* [0-9a-f]{12}", "running"),
    "stats": ("stats", r"web +[\d.]+ +\d", "running"),
    "pull": (
        "pull registry.example/shop/web:2 --engine 'docker/*'",
        r"shop/web:2 was not pulled: .*registry",
        "running",
    ),
    "info": ("info", r"OCI runtime +runc", "running"),
    "top": ("top web", r"sleep 3600", "running"),
    "diff": ("diff web", r"web changed no files|web: ", "running"),
    "exec": (
        "exec web --timeout 120 sh -c 'ls -la / | head -5'",
        r"sh in web ended with code 0",
        "running",
    ),
    "commit": ("commit web", r"web committed as [0-9a-f]{12}", "running"),
    "cp": ("cp web:/etc/hosts", r"localhost", "running"),
    "export": ("export web -o web.tar", r"Slack cannot receive the whole file system", "running"),
    "port": ("port web", r"web: no ports are published or exposed", "running"),
    "wait": ("wait old-web", r"There is no container", "running"),
    "history": ("history nginx:1.27", r"There is no image", "running"),
    "df": ("df docker", r"docker/\S+ +\d", "running"),
    "version": ("version", r"docker/\S+ +\d+\.\d+", "running"),
    "network ls": ("network ls", r"host +host +local .*[0-9a-f]{12}", "running"),
    "network inspect": ("network inspect bridge --raw", r"There is no network", "running"),
    "volume ls": ("volume ls", r"There are no volumes", "running"),
    "volume inspect": ("volume inspect shop_data -f '{{.Mountpoint}}'", r"There is no volume", "running"),
    "image inspect": ("image inspect busybox --raw", r'"Architecture": ', "running"),
    "project ls": ("project ls shop", r"shop +1/1 +front", "running"),
    "service inspect": ("service inspect shop_front", r"does not support service\.inspect", "running"),
    "service create": (
        "service create --name front -p 8080:80 --replicas 2 nginx:1.27",
        r"None of the watched engines manages a Swarm\. Create a Swarm with `swarm init`",
        "running",
    ),
    "service update": (
        "service update --image nginx:1.28 shop_front",
        r"does not support service\.update\. shop/front is not a service of a Swarm\. Change it in its Compose file",
        "running",
    ),
    "service rollback": ("service rollback shop_front", r"does not support service\.rollback", "running"),
    "service rm": ("service rm shop_front", r"does not support service\.remove", "running"),
    "swarm init": ("swarm init --engine docker/prod-1", r"No engine matches", "running"),
    "swarm join-token": ("swarm join-token worker", r"None of the watched engines manages a Swarm", "running"),
    "project restart": ("project restart shop", r"shop restarted in [\d.]+ s, in this order: front", "running"),
    "service ps": ("service ps shop_front", r"does not support task\.list", "running"),
    "service logs": ("service logs shop_front", r"does not support service\.logs\. To see the logs", "running"),
    "node ps": ("node ps worker-1", r"does not support (node|task)\.", "running"),
    "stack ps": ("stack ps shop", r"does not support task\.list", "running"),
    "stack services": ("stack services shop", r"No service matches", "running"),
    "swarm info": ("swarm info", r"None of the watched engines manages a Swarm", "running"),
    "secret ls": ("secret ls", r"does not support secret\.list", "running"),
    "config ls": ("config ls", r"does not support config\.list", "running"),
    "stack ls": ("stack ls", r"does not support stack\.list\. .*Swarm", "running"),
    "namespaces": ("namespaces", r"does not support namespace\.list", "running"),
    "node inspect": ("node inspect worker-1 -f '{{.Spec.Availability}}'", r"does not support (node|task)\.", "running"),
    "pod inspect": ("pod inspect shop", r"does not support pod\.inspect\. Docker has no pods", "running"),
    "nodes": ("nodes", r"does not support node\.list\. .*Swarm", "running"),
    "drain": ("drain worker-1", r"does not support (node|task)\.", "running"),
    "activate": ("activate worker-2", r"does not support (node|task)\.", "running"),
    "pods": ("pods", r"Docker has no pods", "running"),
    "units": ("units", r"does not support unit\.list\. .*Podman", "running"),
    "pod create": ("pod create front --engine podman", r"No engine matches", "running"),
    "pod rm": ("pod rm -f shop", r"does not support pod\.remove\. Docker has no pods", "running"),
    **{
        f"pod {verb}": (f"pod {verb} shop", rf"does not support pod\.{verb}\. Docker has no pods", "running")
        for verb in ("start", "stop", "restart", "pause", "unpause")
    },
    "pod logs": ("pod logs shop", r"There is no pod", "running"),
    "generate systemd": ("generate systemd {name}", r"does not support unit\.draft", "running"),
    "generate quadlet": ("generate quadlet {name}", r"does not support unit\.draft", "running"),
    "quadlet ls": ("quadlet ls", r"does not support unit\.list", "running"),
    "unit install": ("unit install pod-front", r"does not support unit\.install\. Only Podman has", "running"),
    "unit status": ("unit status pod-cart.service", r"does not support unit\.list", "running"),
    "unit enable": (
        "unit enable --now pod-cart.service",
        r"does not support unit\.enable\. Only Podman has",
        "running",
    ),
    **{
        f"unit {verb}": (f"unit {verb} pod-cart.service", r"does not support unit\.", "running")
        for verb in ("start", "stop", "restart", "cat")
    },
    "unit disable": ("unit disable pod-cart.service", r"does not support unit\.disable\. Only Podman has", "running"),
    "linger disable": ("linger disable --engine podman", r"No engine matches", "running"),
    "builder prune": (
        "builder prune --engine docker",
        r"found nothing to remove on docker/",
        "running",
    ),
    "daemon-reload": ("daemon-reload --engine podman", r"No engine matches", "running"),
    "linger show": ("linger show", r"does not support unit\.linger", "running"),
    "linger enable": ("linger enable --engine podman", r"No engine matches", "running"),
    "rename": ("rename web old-web", r"web renamed to old-web", "running"),
    "update": ("update web --memory 512m --cpus 1.5", r"web updated.*memory 512 MiB, cpus 1\.5", "running"),
    "freeze": ("freeze", r"alice has frozen all changes since .*, until somebody lifts it", "running"),
    "frozen": ("frozen", r"Changes are not frozen", "running"),
    "unfreeze": ("unfreeze", r"Changes are not frozen", "running"),
    "run": ("run nginx:1.27 --engine docker/prod-1", r"No engine matches", "running"),
    "create": ("create nginx:1.27 --engine docker/prod-1", r"No engine matches", "running"),
    "tag": ("tag nginx:1.27 registry.example/shop/web:2", r"There is no image", "running"),
    "push": ("push registry.example/shop/web:1", r"There is no image", "running"),
    "rmi": ("rmi nginx:1.27", r"There is no image", "running"),
    "network create": ("network create shop_back --engine docker/prod-1", r"No engine matches", "running"),
    "network connect": ("network connect shop_default web", r"There is no network", "running"),
    "network disconnect": ("network disconnect shop_default web", r"There is no network", "running"),
    "network rm": ("network rm shop_default", r"There is no network", "running"),
    "volume create": ("volume create shop_uploads --engine docker/prod-1", r"No engine matches", "running"),
    "volume prune": ("volume prune --engine docker", r"found nothing to remove on docker/", "running"),
    "network prune": (
        "network prune --engine docker",
        r"found nothing to remove on docker/",
        "running",
    ),
    "image prune": ("image prune --engine docker", r"found nothing to remove on docker/", "running"),
    "container prune": (
        "container prune --engine docker",
        r"found nothing to remove on docker/",
        "running",
    ),
    "system prune": ("system prune --engine docker", r"found nothing to remove on docker/", "running"),
    "image search": ("search nginx", r"The search for nginx failed: .*reaches the registry", "running"),
    "image remote": ("image remote nginx:1.27", r"cannot be reached|did not answer", "running"),
    "image outdated": ("outdated", r"1 running container: 1 is not known", "running"),
    "volume rm": ("volume rm shop_data", r"There is no volume", "running"),
    "silence": ("silence shop/web --for 2h", r"Incidents about shop/web are not posted until", "running"),
    "snooze": ("snooze 3fa92c-1", r"There is no incident", "running"),
    "incident": ("incident 3fa92c", r"There is no incident", "running"),
    "maintenance": ("maintenance list", r"There is no maintenance window", "running"),
    "mute": ("mute me", r"no incident mentions you", "running"),
    "unmute": ("unmute me", r"Incidents mention you again", "running"),
    "silences": ("silences", r"Nothing is silenced", "running"),
    "unsilence": ("unsilence s-3fa92c", r"There is no silence", "running"),
    "incidents": ("incidents", r"No open incident is known", "running"),
    "ack": ("ack 3fa92c", r"There is no incident", "running"),
    "rules": ("rules", r"evaluates no alert rules", "running"),
    "alerts": ("alerts test", r"evaluates no alert rules", "running"),
    "start": ("start web", r"web was already running", "running"),
    "stop": ("stop web --timeout 30", r"web stopped", "exited"),
    "restart": ("restart web", r"web restarted", "running"),
    "kill": ("kill web", r"web killed", "exited"),
    "pause": ("pause web", r"web paused", "paused"),
    "unpause": ("unpause web", r"web was not paused", "running"),
    "rm": ("rm -f web", r"cannot be undone", "running"),
    "confirm": ("confirm {token}", r"web removed", None),
    "cancel": ("cancel {token}", r"nothing was done", "running"),
    "can": ("can web restart", r"container\.restart on web: yes", "running"),
    "claim": ("claim {code}", r"You are an admin now", "running"),
    "grant": ("grant console:alice container.restart --name 'web-*' --host 'prod-*'", r"revoke g-", "running"),
    "grants": ("grants", r"group:sre", "running"),
    "revoke": ("revoke {grant}", r"group:sre", "running"),
    "whoami": ("whoami", r"console:alice", "running"),
    "audit": ("audit", r"grant group:sre operator", "running"),
    "help": ("help logs", r"Usage: logs", "running"),
}

# Where there is something to ask first, or one Docker daemon without a network has not got it.
ENDINGS = {
    **dict.fromkeys(("generate systemd", "rules", "alerts", "export"), Ending.USAGE),
    **dict.fromkeys(("run", "create", "ack", "network create", "volume create", "unsilence"), Ending.NOTHING),
    **dict.fromkeys(("snooze", "incident"), Ending.NOTHING),
    **dict.fromkeys(("tag", "push", "rmi", "network connect", "network disconnect"), Ending.NOTHING),
    **dict.fromkeys(("network rm", "volume rm"), Ending.NOTHING),
    **dict.fromkeys(("generate quadlet", "quadlet ls", "unit status", "linger show"), Ending.USAGE),
    **dict.fromkeys(
        ("pod create", "pod logs", "daemon-reload", "linger enable", "linger disable", "unfreeze"),
        Ending.NOTHING,
    ),
    **dict.fromkeys(
        (
            *(f"pod {verb}" for verb in ("start", "stop", "restart", "pause", "unpause", "rm", "inspect")),
            *(f"unit {verb}" for verb in ("install", "enable", "disable", "start", "stop", "restart", "cat")),
            *("drain", "activate", "node ps", "node inspect"),
        ),
        Ending.USAGE,
    ),
    "rm": Ending.ASKED,
    **dict.fromkeys(("service rm", "service update", "service rollback"), Ending.USAGE),
    "scale": Ending.ASKED,
    **dict.fromkeys(("pull", "image search", "image remote"), Ending.FAILED),
    **dict.fromkeys(
        ("container prune", "image prune", "network prune", "volume prune", "system prune", "builder prune"),
        Ending.NOTHING,
    ),
    **dict.fromkeys(("nodes", "pods", "units", "stack ls", "namespaces", "service inspect"), Ending.USAGE),
    **dict.fromkeys(
        ("service ps", "service logs", "stack ps", "generate systemd", "secret ls", "config ls"), Ending.USAGE
    ),
    **dict.fromkeys(
        (
            "wait",
            "swarm info",
            "swarm init",
            "swarm join-token",
            "service create",
            "history",
            "network inspect",
            "volume inspect",
        ),
        Ending.NOTHING,
    ),
}
FRONT = {"com.docker.compose.project": "shop", "com.docker.compose.service": "front"}


@pytest.fixture
async def deck(valkey, dockerd):
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=dockerd.url))
    async with Deck(valkey.url, [engine]) as made:
        yield made


def test_every_command_has_its_line():
    assert LINES.keys() == WORDS.commands.keys()
    for name, (line, _, _) in LINES.items():
        assert "{" in line.replace("{{", "") or line in WORDS.find(name).examples


@pytest.mark.engine
@pytest.mark.parametrize("name", LINES)
async def test_a_command_on_a_real_daemon(deck, dockerd, name):
    line, shown, state = LINES[name]
    dockerd.api.prune_images({"dangling": True})  # those of other tests
    dockerd.run("web", "echo hello; exec sleep 3600", labels=FRONT)
    wait_for("the first line", lambda: b"hello" in dockerd.api.logs("web"))
    granted = plain_text.render(await deck.say("grant group:sre operator"))
    filled = {"{name}": "web", "{grant}": re.search(r"g-[0-9a-f]{6}", granted)[0]}
    if "{token}" in line:
        filled["{token}"] = (await deck.say("rm -f web")).buttons[0].line.split()[1]
    if "{code}" in line:
        filled["{code}"] = await first_admin.issue_code(deck.store, deck.policies, "slack")
    following = None
    if "{job}" in line:
        following = asyncio.create_task(deck.say("logs web -f"))
        engine = deck.engines[0]
        engine.jobs.new_id = lambda: "4f0c5d2e9b7a"
        filled["{job}"] = f"4f0c5d2e9b7a@{engine.ref}"
        while not await deck.store.job_owner(f"{engine.ref}/4f0c5d2e9b7a"):
            await asyncio.sleep(0.01)
    for key, value in filled.items():
        line = line.replace(key, value)
    reply = await deck.say(line, as_records=True)
    text = plain_text.render(reply)
    if following is not None:
        assert "1 line; was stopped" in plain_text.render(await following)
    assert reply.ending is ENDINGS.get(name, Ending.OK), text
    assert re.search(shown, text, re.MULTILINE), text
    assert json_replies.read(reply)["ending"] == reply.ending

    def left():
        return {row["Names"][0]: row["State"] for row in dockerd.api.containers(all=True)}

    expected = {"/old-web" if name == "rename" else "/web": state} if state else {}
    # Docker 26 lists a container as running for a moment after it has answered that it is stopped.
    wait_for(f"{line} to show in the list", lambda: left() == expected)


@pytest.mark.engine
async def test_a_day_of_one_container(deck, dockerd):
    """Each change in turn, and the daemon's word on it."""
    dockerd.run("web")
    for line, state in (
        ("pause web", "paused"),
        ("unpause web", "running"),
        ("stop web -t 1", "exited"),
        ("start web", "running"),
        ("kill web --signal TERM", "exited"),
    ):
        assert (await deck.say(line)).ending is Ending.OK
        wait_for(f"{line}: {state}", lambda state=state: dockerd.state("web")["Status"] == state)
    asked = await deck.say("rm web")
    assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
    assert dockerd.api.containers(all=True) == []
    gone = await deck.say("logs web")
    assert gone.ending is Ending.NOTHING
    rows = await deck.store.read_audit(count=100)
    ended = [(row.fields["verb"], row.fields["status"]) for row in reversed(rows) if row.fields["phase"] == "outcome"]
    assert ended == [(f"container.{verb}", "done") for verb in ("pause", "unpause", "stop", "start", "kill", "remove")]
