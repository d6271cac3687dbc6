"""Lines of docker, podman, crictl and others, typed whole: which line of ours each is, and what the others are told."""

from __future__ import annotations

import re

import pytest

from bot.parsing import foreign_commands, foreign_options, parser, unsupported_commands
from commands.catalogue import load_catalogue
from core import errors
from core.text import command_line

WORDS = load_catalogue()


def ours(line):
    return parser.parse(line, WORDS).line


def refusal(line):
    with pytest.raises(errors.UserError) as caught:
        parser.parse(line, WORDS)
    return caught.value.full_message()


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("docker ps", "ps"),
        ("docker ps -a", "ps -a"),
        ("$ sudo docker ps", "ps"),
        ("/deck docker ps", "ps"),
        ("Docker PS", "ps"),
        ("docker", "menu"),
        ("docker --help", "help"),
        ("docker ps --help", "help ps"),
        ("docker container ls --help", "help ps"),
        ("docker network --help", "help network"),
        ("podman pod --help", "help pod"),
        ("help docker network", "help network"),
        ("docker container ls -a", "ps -a"),
        ("docker container list", "ps"),
        ("docker ps --filter status=exited -a", "ps --filter status=exited -a"),
        ("docker ps -f name=web -n 5", "ps -f name=web -n 5"),
        ("docker network ls --filter driver=bridge -q", "network ls --driver bridge -q"),
        ("docker images --filter dangling=true", "images --dangling"),
        ("docker volume ls --filter name=data -q", "volume ls *data* -q"),
        ("docker events --filter type=network --filter event=connect", "events --type network --action connect"),
        ("docker ps -- -f status=exited", "ps -- -f status=exited"),
        ("container ls", "ps"),
        ("docker container inspect web", "inspect web"),
        ("docker container restart web -t 3", "restart web -t 3"),
        ("docker image ls busybox", "images busybox"),
        ("docker image pull busybox", "pull busybox"),
        ("docker service ls", "services"),
        ("docker service scale shop/web=3", "scale shop/web=3"),
        ("docker node ls", "nodes"),
        ("docker compose ps", "ps"),
        ("docker-compose restart web", "restart web"),
        ("docker rm -f web // the old one", "rm -f web"),
        ("docker logs -f web # follow", "logs -f web"),
        ("docker ps          List running containers", "ps"),
        ("docker images -a   List all images/repositories", "images -a"),
        ("podman pod ps\tList pods and their state", "pods --engine podman"),
        ("docker stop          WebA WebB List", "stop WebA WebB List"),
        ("docker exec web echo    List of things", "exec web echo List of things"),
        ("restart          Start web", "restart Start web"),
        ("docker inspect --format '{{.State.Running}}' web", 'inspect --format "{{.State.Running}}" web'),
        ("podman ps --all", "ps --engine podman --all"),
        ("podman ps --engine podman/1001", "ps --engine podman/1001"),
        ("podman pod ps", "pods --engine podman"),
        ("podman images", "images --engine podman"),
        ("nerdctl ps", "ps --engine containerd"),
        ("nerdctl -n shop ps -a", "ps --engine containerd --label containerd.namespace=shop -a"),
        ("ctr -n k8s.io c ls", "ps --engine cri -a"),
        ("ctr --namespace=k8s.io containers list", "ps --engine cri -a"),
        ("ctr -n moby t ls", "ps --engine docker"),
        ("ctr i ls", "images --engine containerd"),
        ("ctr task kill web", "kill --engine containerd web"),
        ("ctr -n shop t pause web", "pause --engine containerd --label containerd.namespace=shop web"),
        ("crictl ps -a", "ps --engine cri -a"),
        ("crictl pods", "pods --engine cri"),
        ("crictl images", "images --engine cri"),
        ("crictl pull busybox", "pull --engine cri busybox"),
        ("crictl logs -f web", "logs --engine cri -f web"),
        ("crictl stats", "stats --engine cri"),
        ("runc list", "ps --engine oci -a"),
        ("sudo crun state web", "inspect --engine oci web"),
        ("runc resume web", "unpause --engine oci web"),
        ("systemctl --user restart web.service", "unit restart web.service"),
        ("systemctl status", "unit status"),
        ("skopeo inspect docker://docker.io/library/busybox:1", "image remote docker.io/library/busybox:1"),
        ("docker manifest inspect busybox:1", "image remote busybox:1"),
        ("docker image search web", "image search web"),
        ("docker container prune --filter until=24h", "container prune --until 24h"),
        ("podman volume prune --filter until=24h", "volume prune --engine podman --until 24h"),
        ("docker service ps shop_web", "service ps shop_web"),
        ("docker service logs -f shop_web", "service logs -f shop_web"),
        ("docker service inspect --pretty shop_web", "service inspect --pretty shop_web"),
        ("docker node ps worker-1", "node ps worker-1"),
        ("docker stack services shop", "stack services shop"),
        ("docker top web", "top web"),
        ("docker container port web 80", "port web 80"),
        ("docker container wait web", "wait web"),
        ("docker image history nginx", "history nginx"),
        ("docker history nginx", "history nginx"),
        ("docker diff web", "diff web"),
        ("docker system df", "df"),
        ("crictl imagefsinfo", "df --engine cri"),
        ("runc ps web", "top --engine oci web"),
        ("ctr t ps web", "top --engine containerd web"),
        ("podman top web", "top --engine podman web"),
        ("podman pod create --name shop", "pod create --engine podman --name shop"),
        ("podman pod start shop", "pod start --engine podman shop"),
        ("podman rename web web-2", "rename --engine podman web web-2"),
        ("docker container update --memory 1g web", "update --memory 1g web"),
        ("systemctl --user daemon-reload", "daemon-reload"),
        ("systemctl --user enable --now web.service", "unit enable --now web.service"),
        ("systemctl --user status web.service", "unit status web.service"),
        ("systemctl --user cat web.service", "unit cat web.service"),
        ("less ~/.config/systemd/user/web.service", "unit cat web.service"),
        ("sudo less /etc/systemd/system/container-web.service", "unit cat container-web.service"),
        ("systemctl --user disable --now web.service", "unit disable --now web.service"),
        ("loginctl enable-linger", "linger enable --engine podman"),
        ("loginctl disable-linger alice", "linger disable --engine podman alice"),
        ("loginctl enable-linger alice", "linger enable --engine podman alice"),
        ("loginctl show-user alice", "linger show --engine podman alice"),
        ("crictl stopp web", "pod stop --engine cri web"),
        ("crictl rmp web", "pod rm --engine cri web"),
        ("ctr tasks", "ps --engine containerd"),
        ("ctr c", "ps --engine containerd -a"),
        ("ctr namespaces", "namespaces --engine containerd"),
        ("podman quadlet list", "quadlet ls --engine podman"),
        ("help docker", "help"),
        ("help docker container ls", "help container ls"),
        ("help podman pod ps", "help pods"),
        ("docker help network ls", "help network ls"),
    ],
)
def test_a_line_of_another_program_is_ours(typed, line):
    assert ours(typed) == line
    assert parser.parse(line, WORDS) == parser.parse(typed, WORDS)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("docker build .", "There is no command “build”: Quarterdeck does not build images"),
        ("build", "There is no command “build”: Quarterdeck does not build images"),
        ("docker container attach web", "“attach”: Chat has no terminal. Follow the output with: logs -f NAME."),
        ("podman pod prune", "“pod prune”: Quarterdeck does not prune pods"),
        ("podman play kube x.yaml", "“play kube”: Quarterdeck does not run Kubernetes files"),
        ("docker stack deploy -c x.yaml shop", "“stack deploy”: Quarterdeck does not deploy stacks"),
        ("docker compose up -d", "“compose up”: Quarterdeck has no Compose files"),
        ("docker login", "Quarterdeck has no logins of its own"),
        ("systemctl --user mask web.service", "Stop systemd from starting the unit at boot: unit disable NAME"),
        ("less ~/.config/systemd/user/../../../.ssh/id.service", "“less”: Quarterdeck is not a shell on the host"),
        ("less /etc/passwd", "unit cat NAME"),
        ("podman update --memory-swap 1g web", "Write --memory, --cpus, --pids-limit or --restart."),
        ("podman pod rm -a", "A change of pods needs names"),
        ("kubectl get pods", "not the Kubernetes API"),
        ("help docker build", "“build”: Quarterdeck does not build images"),
        ("docker frobnicate", "There is no command “frobnicate”. List all commands with: help"),
        ("podmam rm -a", "There is no command “podmam”"),
        (
            "docker -H tcp://x:2375 ps",
            "Quarterdeck does not support the option -H of docker. Quarterdeck chooses engines by name",
        ),
        ("docker --context prod ps", "NAME or --host NAME after the command. List the engines with: engines"),
        ("crictl -r unix:///run/crio.sock ps", "Quarterdeck does not support the option -r of crictl."),
        (
            "docker compose -p shop ps",
            "“compose”: Quarterdeck finds a project by its name. Name the project as the target: `ps shop`",
        ),
        (
            "docker rm $(docker ps -aq)",
            "“$(docker” belongs to a shell, and Quarterdeck runs no shell. Write the names themselves",
        ),
        ("docker ps 2>/dev/null", "“2>/dev/null” belongs to a shell"),
        ("docker rm <id>", "“<id>” is only a placeholder. Write the name"),
        ("docker start|stop web", "“start|stop” is a placeholder for one of several words. Write one of them, such as"),
        ("docker logs [web|api]", "“[web|api]” is a placeholder for one of several words."),
        ("docker ps | grep web", "“|” belongs to a shell"),
        ("ps && rm -f web", "“&&” belongs to a shell"),
        ("docker images --no-trunc", "images has no option --no-trunc. Leave the option out: a table shows short ids"),
        ("docker stats --format '{{.Name}}'", "stats has no option --format. Leave the option out."),
        ("docker images -o json", "images has no option -o. Write --format with fields"),
        ("docker service logs web --until 1h", "service logs has no option --until. Write --since and --tail"),
        ("docker ps --filter", "--filter needs a value. Write --filter KEY=VALUE."),
        ("docker images --filter dangling=false", "images has no option --filter."),
        ("docker stats --no-stream", "Leave the option out: the command `stats` shows one reading and ends."),
        ("docker logs -it web", "logs has no option -i. Leave the option out: chat has no terminal and no input."),
        ("docker stop -a", "A change needs names"),
    ],
)
def test_what_does_not_exist_here_is_said_in_a_sentence_with_its_cure(typed, sentence):
    assert sentence in refusal(typed)


def test_after_two_dashes_and_in_an_own_line_every_word_is_a_name():
    assert parser.parse("logs -- '|' '<id>'", WORDS).args["target"] == ("|", "<id>")
    assert parser.parse("ps docker", WORDS).args["target"] == ("docker",)


def test_nothing_is_explained_that_a_command_can_do():
    """An option that a command has is never explained, and a table names only commands and programs that exist."""
    for (name, option), text in foreign_options.COMMANDS.items():
        command = WORDS.names.get(name)
        assert text.endswith(".")
        if command is not None:
            spellings = {arg.name for arg in command.args} | {f"-{arg.short}" for arg in command.args}
            assert option not in spellings, (name, option)
    for why, instead in (*unsupported_commands.MISSING.values(), *unsupported_commands.PROGRAMS.values()):
        assert not why.endswith(".") and instead.endswith(".") and instead[0].isupper()


def test_each_translation_leads_to_a_command_or_to_a_reason():
    for program in foreign_commands.FOREIGN_PROGRAMS.values():
        for phrase in (*program.commands.values(), *foreign_commands.NOUN_VERBS.values()):
            words = phrase.split()
            exists = " ".join(words[:2]) in WORDS.names or words[0] in WORDS.names
            assert exists or phrase in unsupported_commands.MISSING, phrase


@pytest.mark.parametrize("name", sorted({**unsupported_commands.MISSING, **unsupported_commands.PROGRAMS}))
def test_what_helps_instead_is_a_line_that_works(name):
    """Each line that a hint names after a colon is understood, with its placeholders as names."""
    _, instead = {**unsupported_commands.MISSING, **unsupported_commands.PROGRAMS}[name]
    for lines in re.findall(r"with: ([^;]*)\.", instead):
        for line in lines.split(", "):
            words = command_line.split_command_line(re.sub(r"\b(NAME|IMAGE|PROJECT|NODE)\b", "web", line))
            parser.parse(command_line.quote(words), WORDS)
