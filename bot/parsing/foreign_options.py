"""Explains options of other programs' commands that a command here does not have: why, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_TERMINAL = "Chat has no terminal and no input: leave it out."
_LIST = (
    *("ps", "images", "pods", "network ls", "volume ls", "services", "nodes", "stack ls", "secret ls", "config ls"),
    *("namespaces", "units", "service ps", "node ps", "stack ps", "stack services", "project ls"),
)
_EXEC_TERMINAL = (
    "Chat has no terminal: write what the program shall do, such as exec NAME sh -c 'ls /', and leave it out."
)
_EXEC_WAITS = ("-d", "--detach", "-s", "--sync")
_FORMAT = "A list is a table in chat: leave it out, or use -q for ids alone. `quarterdeck do --json` prints JSON."
_FULL = "A table shows short ids: leave it out. inspect NAME shows the whole id."
_SERVICE = ("service create", "service update", "service rollback")
_WAITS = "Leave it out: progress is shown in one message, and with --detach nothing is waited for."
_LEFT_OUT = "Leave it out, or use docker service on a manager."
_CREATE_ONLY = (
    *("--generic-resource", "--isolation", "--credential-spec", "--tty", "--max-concurrent", "--oom-score-adj"),
)
_UPDATED_LISTS = (
    *("env", "publish", "label", "container-label", "network", "mount", "secret", "config", "constraint"),
    *("placement-pref", "dns", "dns-search", "dns-option", "sysctl", "ulimit", "group"),
)
_INIT = (
    *("--force-new-cluster", "--autolock", "--external-ca", "--data-path-addr", "--data-path-port", "--availability"),
    *("--default-addr-pool", "--default-addr-pool-mask-length", "--cert-expiry", "--dispatcher-heartbeat"),
)
_LABEL = "Write --label KEY=VALUE instead, or a name or a pattern such as 'web-*'."

_PRUNES = tuple(f"{noun} prune" for noun in ("container", "image", "network", "volume", "system", "builder"))
_ASKED = "What goes is always shown and confirmed first: leave it out."

# By option: the explanation for every command that does not have the option itself.
EVERYWHERE: Mapping[str, str] = {
    **dict.fromkeys(("-i", "-t", "--interactive", "--tty"), _TERMINAL),
    "-d": "Everything that is started here runs in the background: leave it out.",
    "--detach": "Everything that is started here runs in the background: leave it out.",
    "--no-trunc": _FULL,
    "--color": "Chat has no colours: leave it out.",
    "--context": "Choose the engine with --engine NAME or --host NAME.",
    "-H": "Choose the engine with --host NAME or --engine NAME.",
    "--latest": "Write the name of the container. ps -a lists them.",
    "--sort": "Leave it out.",
    "--size": "Leave it out. Disk usage is shown by: df.",
    "--namespace": "Write --label containerd.namespace=NAME.",
}

# By command and option, before EVERYWHERE.
COMMANDS: Mapping[tuple[str, str], str] = {
    **{(name, option): _FORMAT for name in _LIST for option in ("--format", "-o", "--output", "--noheading")},
    **{(name, option): _LABEL for name in _LIST for option in ("--filter", "-f")},
    **{(name, option): _ASKED for name in _PRUNES for option in ("-f", "--force")},
    **{(name, "--filter"): "Write --until 24h instead; to choose by label, use rm or rmi." for name in _PRUNES},
    ("image search", "--filter"): "Leave it out. The reply says which images are official.",
    ("image search", "-f"): "Leave it out. The reply says which images are official.",
    ("image search", "--format"): _FORMAT,
    ("image search", "--no-trunc"): "Leave it out. Show all of one image with: image remote NAME.",
    ("image search", "--list-tags"): "Leave it out. Show the tags of an image with: image remote NAME.",
    ("image remote", "--raw"): "Leave it out. The reply shows the digests of the image and of its layers.",
    ("image remote", "--config"): "Leave it out. The reply shows the labels and the command of the image.",
    ("image remote", "--creds"): "Quarterdeck uses the login of its own host: leave it out.",
    ("image remote", "--tls-verify"): "Name a registry without TLS with http:// in `registries`: leave it out.",
    ("image remote", "--format"): "Leave it out. `quarterdeck do --json` prints JSON.",
    ("ps", "--filter"): "Write --state, --health, --label, or a name or pattern instead: ps --state exited 'web-*'.",
    ("ps", "-f"): "Write --state, --health, --label, or a name or pattern instead: ps --state exited 'web-*'.",
    ("images", "--filter"): "Write --dangling, --label, or a name or pattern instead: images --dangling.",
    ("images", "-f"): "Write --dangling, --label, or a name or pattern instead: images --dangling.",
    ("volume ls", "--filter"): "Write --label, --driver or a name. What nothing uses is shown by: volume prune.",
    ("volume ls", "-f"): "Write --label, --driver or a name. What nothing uses is shown by: volume prune.",
    ("builder prune", "--keep-storage"): "Write --until 24h, or -a for all of it.",
    ("builder prune", "--reserved-space"): "Write --until 24h, or -a for all of it.",
    ("ps", "-n"): "Write names or a pattern instead: ps 'web-*'.",
    ("ps", "--last"): "Write names or a pattern instead: ps 'web-*'.",
    ("ps", "--pod"): "List pods with: pods.",
    ("ps", "--watch"): "Give the command again, or see what happens with: events.",
    ("images", "--digests"): "Show the digests of an image with: image inspect NAME.",
    ("images", "--tree"): "Show the platforms of an image with: image inspect NAME.",
    ("logs", "--details"): "Leave it out. Labels are shown by: inspect NAME.",
    ("stats", "--no-stream"): "stats shows one reading and ends: leave it out.",
    ("stats", "--all"): "Only running containers use something: leave it out.",
    ("stats", "-a"): "Only running containers use something: leave it out.",
    ("stats", "--format"): _FORMAT,
    ("events", "--filter"): "Write a name, --type or --action: events web --action died.",
    ("events", "--format"): _FORMAT,
    ("rm", "--time"): "Leave it out: rm -f kills at once. Stop it with time first: stop NAME -t 30.",
    ("rm", "--ignore"): "Leave it out: a container that is gone already is no failure.",
    ("rm", "--link"): "Create the container again without --link.",
    **dict.fromkeys(
        (("pod rm", "-a"), ("pod rm", "--all"), ("pod stop", "-a"), ("pod start", "-a"), ("pod restart", "-a")),
        "A change of pods takes names: pods lists them; write names or a pattern such as 'shop-*'.",
    ),
    **{
        ("update", option): "Write --memory, --cpus, --pids-limit or --restart. Others are set when it is created."
        for option in (
            *("--memory-swap", "--memory-reservation", "--cpu-shares", "-c", "--cpu-quota", "--cpu-period"),
            *("--cpuset-cpus", "--cpuset-mems", "--blkio-weight", "--kernel-memory", "--cpu-rt-period"),
        )
    },
    ("events", "--stats"): "Show what containers use with: stats NAME.",
    ("events", "--interval"): "Show what containers use with: stats NAME.",
    ("generate systemd", "--restart-policy"): "Leave it out. A Quadlet file is shown by: generate quadlet NAME.",
    ("unit status", "-l"): "Leave it out: nothing is shortened.",
    ("unit status", "-n"): "Show the log of its container with: logs NAME --tail 20.",
    ("linger show", "-p"): "Leave it out: only lingering is shown.",
    ("linger show", "--property"): "Leave it out: only lingering is shown.",
    ("rmi", "-a"): "Remove all unused images with: image prune -a. Otherwise write names or a pattern.",
    ("rmi", "--all"): "Remove all unused images with: image prune -a. Otherwise write names or a pattern.",
    ("rmi", "--prune"): "Remove all unused images with: image prune -a.",
    ("stop", "-a"): "A change takes names: write names, a pattern or --label.",
    ("stop", "--all"): "A change takes names: write names, a pattern or --label.",
    ("start", "-a"): "Chat cannot attach: leave it out, then follow its output with: logs -f NAME.",
    ("start", "--attach"): "Chat cannot attach: leave it out, then follow its output with: logs -f NAME.",
    ("pull", "-q"): "Leave it out: progress is shown in one message.",
    ("pull", "--quiet"): "Leave it out: progress is shown in one message.",
    ("pull", "--platform"): "Leave it out: the engine pulls the image for its own platform.",
    ("pull", "-a"): "Name one tag: pull busybox:1.36.",
    ("pull", "--all-tags"): "Name one tag: pull busybox:1.36.",
    ("info", "--debug"): "Leave it out. The whole answer of an engine is shown by: info NAME --raw.",
    ("info", "-D"): "Leave it out. The whole answer of an engine is shown by: info NAME --raw.",
    **{(name, option): _WAITS for name in _SERVICE for option in ("-q", "--quiet")},
    **{("service create", option): _LEFT_OUT for option in _CREATE_ONLY},
    **{("service update", f"{option}-add"): _LEFT_OUT for option in _CREATE_ONLY},
    ("service create", "--env-file"): "The file is on your machine: write --env NAME=VALUE for each line.",
    ("service create", "--no-resolve-image"): "Leave it out: all nodes get the same digest.",
    ("service update", "--no-resolve-image"): "Leave it out: all nodes get the same digest.",
    **{("service update", f"--{name}"): f"Write --{name}-add, or --{name}-rm." for name in _UPDATED_LISTS},
    **{("swarm init", option): "Leave it out, or use docker swarm init on the engine's own host." for option in _INIT},
    **{("swarm join-token", option): "Leave it out: the line to type is shown." for option in ("-q", "--quiet")},
    **{("exec", option): _EXEC_TERMINAL for option in ("-i", "-t", "--interactive", "--tty", "--detach-keys")},
    **{("exec", option): "exec waits until the program has ended: leave it out." for option in _EXEC_WAITS},
    ("exec", "--privileged"): "It would give the program all rights on the host: leave it out.",
    ("exec", "--env-file"): "Write the variables themselves: -e NAME=VALUE.",
    ("exec", "--exec-id"): "Leave it and its value out.",
    ("exec", "--index"): "Name the container itself; ps PROJECT lists them.",
    ("cp", "-L"): "Copy the path that the link leads to. The reply shows it.",
    ("cp", "--follow-link"): "Copy the path that the link leads to. The reply shows it.",
    **{("cp", option): "Only the content of the file is copied: leave it out." for option in ("-a", "--archive")},
    **{(name, option): "Leave it out." for name in ("cp", "commit") for option in ("-q", "--quiet")},
    **{("commit", option): "Leave it out: the engine chooses the format." for option in ("-f", "--format", "-s")},
    ("df", "-v"): "List the parts with: images, ps -a, volume ls.",
    ("df", "--verbose"): "List the parts with: images, ps -a, volume ls.",
}


def explain_option(command: str, option: str, having: Iterable[str]) -> str:
    """Returns what to write instead of an option; empty if nothing is known about it. `having`: the options that the
    command has."""
    found = COMMANDS.get((command, option)) or EVERYWHERE.get(option, "")
    if "--format" in having and option in ("-o", "--output"):
        return "Write --format with fields, or --raw for JSON."
    return found
