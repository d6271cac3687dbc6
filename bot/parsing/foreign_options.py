"""Explains options of other programs' commands that Quarterdeck does not support: the reason, and the alternative."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.parsing import foreign_create_options

_TERMINAL = "Leave the option out: chat has no terminal and no input."
_LIST = (
    *("ps", "images", "pods", "network ls", "volume ls", "services", "nodes", "stack ls", "secret ls", "config ls"),
    *("namespaces", "units", "service ps", "node ps", "stack ps", "stack services", "project ls"),
)
_EXEC_TERMINAL = (
    "Chat has no terminal: leave the option out, and write what the program should do, such as `exec NAME"
    " sh -c 'ls /'`."
)
_EXEC_WAITS = ("-d", "--detach", "-s", "--sync")
_FORMAT = "Leave the option out. `quarterdeck do --json` prints JSON."
_OUTPUT = "Write --format with fields, such as --format '{{.Name}}', or --format json, or -q for ids alone."
_FULL = "Leave the option out: a table shows short ids. See the whole id with: inspect NAME."
_SERVICE = ("service create", "service update", "service rollback")
_WAITS = "Leave the option out: one message shows the progress, and with --detach the command does not wait."
_LEFT_OUT = "Leave the option out, or use `docker service` on a manager."
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
    *("--max-snapshots", "--snapshot-interval", "--task-history-limit"),
)
_LABEL = "Write --label KEY=VALUE instead, or a name or a pattern such as 'web-*'."

_PRUNES = tuple(f"{noun} prune" for noun in ("container", "image", "network", "volume", "system", "builder"))
_NAMES = "A change needs names: write names, a pattern such as 'web-*', or --label."
_CHANGES = ("start", "stop", "restart", "kill", "pause", "unpause", "rm", "wait")
_SIGNAL = "Leave the option out: the container's own stop signal is sent. To send another signal: kill NAME -s SIGNAL."
_ATTACH = "Leave the option out: chat cannot attach. Then follow its output with: logs -f NAME."
_LEAVE = "Leave the option out."
_NO_CHECKPOINT = "Leave the option out: Quarterdeck cannot start a container from a checkpoint."
_PODS = "Leave the option out. Show the containers of a pod with: pod inspect NAME."
_POD_NAMES = "A change of pods needs names: write names or a pattern such as 'shop-*'. List the pods with: pods."
_POD_CHANGES = ("rm", "stop", "start", "restart", "pause", "unpause")
_UNIT = "Leave the option out, and change the file that is shown. A Quadlet file is shown by: generate quadlet NAME."
_UNIT_OPTIONS = (
    *("--after", "--container-prefix", "-e", "--env", "--format", "--no-header", "--pod-prefix", "--requires"),
    *("--restart-sec", "--separator", "--start-timeout", "--stop-timeout", "--template", "--wants"),
)
_FORCE = ("-f", "--force", "-t", "--time")
_ALL = ("-a", "--all")
_ASKED = "Leave the option out: Quarterdeck always shows what it will remove, and asks for a confirmation."

# By option: the explanation for every command that does not have the option itself.
EVERYWHERE: Mapping[str, str] = {
    **dict.fromkeys(("-i", "-t", "--interactive", "--tty"), _TERMINAL),
    "-d": "Leave the option out: Quarterdeck starts containers in the background.",
    "--detach": "Leave the option out: Quarterdeck starts containers in the background.",
    "--no-trunc": _FULL,
    "--color": "Leave the option out: chat has no colours.",
    "--context": "Choose the engine with --engine NAME or --host NAME.",
    "--connection": "Choose the engine with --engine NAME or --host NAME.",
    "-H": "Choose the engine with --host NAME or --engine NAME.",
    "--latest": "Write the name of the container. List the containers with: ps -a.",
    "--sort": "Leave the option out.",
    "--size": "Leave the option out. Disk usage is shown by: df.",
    "-s": "Leave the option out. Disk usage is shown by: df.",
    "--dry-run": "Leave the option out: what a change ends or removes is shown before you confirm it.",
    "--cidfile": "Write the name or the id itself.",
    "--pod-id-file": "Write the name or the id itself.",
    "--namespace": "Write --label containerd.namespace=NAME.",
}

# By command and option, before EVERYWHERE.
COMMANDS: Mapping[tuple[str, str], str] = {
    **foreign_create_options.OPTIONS,
    **{(name, option): _LABEL for name in _CHANGES if name != "rm" for option in ("-f", "--filter")},
    ("rm", "--filter"): _LABEL,
    **{(name, option): _NAMES for name in _CHANGES if name not in ("rm", "restart") for option in _ALL},
    **{(name, "--running"): _NAMES for name in _CHANGES if name != "rm"},
    ("rm", "--depend"): _NAMES,
    **{(name, "--ignore"): _LEAVE for name in (*_CHANGES, "rmi")},
    **{(name, option): _SIGNAL for name in ("stop", "restart") for option in ("-s", "--signal")},
    **{("start", option): _NO_CHECKPOINT for option in ("--checkpoint", "--checkpoint-dir")},
    **{("start", option): _ATTACH for option in ("-a", "--attach", "--detach-keys", "--sig-proxy")},
    **{
        ("wait", option): "Leave the option out: the command `wait` always waits for the end."
        for option in ("--condition", "--interval")
    },
    **{("rmi", option): _LEAVE for option in ("--no-prune", "--platform")},
    **{("push", option): "Name one tag: push shop/web:1." for option in ("-a", "--all-tags")},
    **{
        ("push", option): "Leave the option out: the engine chooses the value."
        for option in (
            *("--platform", "--compress", "--compression-format", "--compression-level", "--digestfile", "-f"),
            *("--format", "--remove-signatures", "--sign-by", "--sign-by-sigstore", "--sign-by-sigstore-private-key"),
            *("--sign-passphrase-file", "--encrypt-layer", "--encryption-key", "--force-compression", "--rm"),
        )
    },
    **{("history", option): _LEAVE for option in ("--format", "-H", "--human", "--platform", "-q", "--quiet")},
    **{(name, option): _FORMAT for name in ("version", "df", "diff") for option in ("-f", "--format")},
    **{
        (
            "network rm",
            option,
        ): "Leave the option out. Disconnect the network's containers first, then confirm the removal."
        for option in _FORCE
    },
    **{
        ("volume rm", option): "Leave the option out. Remove the volume's containers first, then confirm the removal."
        for option in _FORCE
    },
    **{("network disconnect", option): _LEAVE for option in _FORCE},
    **{
        (name, option): "Remove all unused volumes with: volume prune -a." for name in ("volume rm",) for option in _ALL
    },
    **{("volume inspect", option): "List all of them with: volume ls." for option in _ALL},
    **{
        ("network inspect", option): "Leave the option out, or add --raw, which shows everything."
        for option in ("-v", "--verbose")
    },
    **{(name, "--no-resolve"): _LEAVE for name in ("service ps", "node ps", "stack ps", "service logs")},
    **{("service logs", option): _LEAVE for option in ("--details", "--no-task-ids", "--raw")},
    **{("services", option): "Leave the option out: the names are shown." for option in ("-q", "--quiet")},
    ("volume ls", "--cluster"): _LEAVE,
    ("image inspect", "--platform"): "Show another platform with: image remote NAME --platform OS/ARCHITECTURE.",
    ("service create", "--health-start-interval"): _LEFT_OUT,
    **{
        ("service update", option): _LEFT_OUT
        for option in (
            *("--credential-spec", "--generic-resource-rm", "--health-start-interval", "--host-add", "--host-rm"),
            *("--isolation", "--max-concurrent", "--oom-score-adj"),
        )
    },
    ("ps", "--external"): "Leave the option out: only containers of the engine are listed.",
    ("ps", "--sync"): "Leave the option out, or write --fresh, which asks the engine.",
    ("ps", "--ns"): "Show the namespaces of a container with: inspect NAME --raw.",
    ("ps", "-p"): "List pods with: pods.",
    ("ps", "-w"): "Give the command again, or see what happens with: events.",
    ("images", "--history"): "Show the steps of an image with: history NAME.",
    ("images", "-n"): _FORMAT,
    ("logs", "--names"): "Leave the option out: lines of several containers begin with their names.",
    ("exec", "-l"): "Write the name of the container. List the containers with: ps -a.",
    **{("exec", option): _LEAVE for option in ("--preserve-fd", "--preserve-fds")},
    ("ps", "--services"): "List services with: services.",
    ("ps", "--status"): "Write --state: ps --state exited.",
    ("ps", "--orphans"): _LEAVE,
    ("logs", "--index"): "Name the container itself. List the containers of a project with: ps PROJECT.",
    **{("logs", option): _LEAVE for option in ("--no-color", "--no-log-prefix")},
    (
        "restart",
        "--no-deps",
    ): "Leave the option out: only the named targets are restarted. To restart a project in the order of its"
    " dependencies: project restart NAME.",
    ("events", "--stream"): "Leave the option out, or follow the events with: events -f.",
    ("system prune", "--build"): _LEAVE,
    ("image prune", "--build-cache"): "Remove the build cache with: builder prune.",
    **{(name, "-n"): _FORMAT for name in ("network ls", "volume ls", "secret ls", "pods")},
    **{("pods", option): _PODS for option in ("--ctr-ids", "--ctr-names", "--ctr-status", "--ns")},
    **{("pod logs", option): "Name the container instead: logs NAME." for option in ("-c", "--container", "--names")},
    **{(f"pod {verb}", option): _POD_NAMES for verb in _POD_CHANGES if verb != "restart" for option in _ALL},
    **{(f"pod {verb}", "--ignore"): _LEAVE for verb in _POD_CHANGES},
    ("pod rm", "--time"): "Leave the option out. To give the pod time, stop the pod first: pod stop NAME -t 30.",
    **{("generate systemd", option): _UNIT for option in _UNIT_OPTIONS},
    ("exec", "--cidfile"): "Write the name or the id itself.",
    **{("commit", option): _LEAVE for option in ("--iidfile", "--include-volumes", "--squash", "--config")},
    ("cp", "--overwrite"): "Leave the option out: Quarterdeck copies files out of containers, not into them.",
    **{("stats", option): _LEAVE for option in ("-i", "--interval", "--no-reset")},
    **{("port", option): "Write names or a pattern: port 'web-*'." for option in _ALL},
    **{
        ("top", option): "Leave the option out: the command `top` shows the engine's own columns."
        for option in ("-o", "-e", "-f", "-x")
    },
    ("image search", "--compatible"): _LEAVE,
    **{(name, "--external"): _LEAVE for name in ("image prune", "builder prune", "system prune")},
    **{(name, option): _OUTPUT for name in _LIST for option in ("-o", "--output", "--noheading")},
    **{(name, option): _LABEL for name in _LIST if name not in ("ps", "services") for option in ("--filter", "-f")},
    **{("services", option): "Write a name or a pattern instead, such as 'web-*'." for option in ("--filter", "-f")},
    **{(name, option): _ASKED for name in _PRUNES for option in ("-f", "--force")},
    **{(name, "--filter"): "Write --until 24h instead. To choose by label, use `rm` or `rmi`." for name in _PRUNES},
    ("image search", "--filter"): "Leave the option out. The reply shows which images are official.",
    ("image search", "-f"): "Leave the option out. The reply shows which images are official.",
    ("image search", "--format"): _FORMAT,
    ("image search", "--no-trunc"): "Leave the option out. Show all of one image with: image remote NAME.",
    ("image search", "--list-tags"): "Leave the option out. Show the tags of an image with: image remote NAME.",
    ("image remote", "--raw"): "Leave the option out. The reply shows the digests of the image and of its layers.",
    ("image remote", "--config"): "Leave the option out. The reply shows the labels and the command of the image.",
    ("image remote", "--creds"): "Leave the option out: Quarterdeck uses the login of its own host.",
    (
        "image remote",
        "--tls-verify",
    ): "Leave the option out. If the registry has no TLS, write it with http:// under `registries` in"
    " quarterdeck.yaml.",
    ("image remote", "--format"): "Leave the option out. `quarterdeck do --json` prints JSON.",
    ("images", "--filter"): "Write --dangling, --label, or a name or pattern instead: images --dangling.",
    ("images", "-f"): "Write --dangling, --label, or a name or pattern instead: images --dangling.",
    ("volume ls", "--filter"): "Write --label, --driver or a name. List the unused volumes with: volume prune.",
    ("volume ls", "-f"): "Write --label, --driver or a name. List the unused volumes with: volume prune.",
    ("builder prune", "--keep-storage"): "Write --until 24h, or -a to remove the whole build cache.",
    ("builder prune", "--reserved-space"): "Write --until 24h, or -a to remove the whole build cache.",
    ("ps", "--pod"): "List pods with: pods.",
    ("ps", "--watch"): "Give the command again, or see what happens with: events.",
    ("images", "--digests"): "Show the digests of an image with: image inspect NAME.",
    ("images", "--tree"): "Show the platforms of an image with: image inspect NAME.",
    ("service logs", "--until"): "Write --since and --tail: service logs shop_web --since 14:05 --tail 200.",
    ("logs", "--details"): "Leave the option out. Labels are shown by: inspect NAME.",
    ("stats", "--no-stream"): "Leave the option out: the command `stats` shows one reading and ends.",
    ("stats", "--all"): "Leave the option out: only running containers use CPU and memory.",
    ("stats", "-a"): "Leave the option out: only running containers use CPU and memory.",
    ("stats", "--format"): _FORMAT,
    ("events", "--filter"): "Write a name, --type or --action: events web --action died.",
    ("events", "--format"): _FORMAT,
    (
        "rm",
        "--time",
    ): "Leave the option out: `rm -f` kills the container at once. To give the container time, stop it"
    " first: stop NAME -t 30.",
    ("rm", "--ignore"): "Leave the option out: a container that was removed before is not an error.",
    ("rm", "--link"): "Create the container again without --link.",
    **{
        (
            "update",
            option,
        ): "Write --memory, --cpus, --pids-limit or --restart. Other settings are set when the container is created."
        for option in (
            *("--memory-swap", "--memory-reservation", "--cpu-shares", "-c", "--cpu-quota", "--cpu-period"),
            *("--cpuset-cpus", "--cpuset-mems", "--blkio-weight", "--kernel-memory", "--cpu-rt-period"),
            *("--cpu-rt-runtime", "--memory-swappiness", "--blkio-weight-device", "--device-read-bps"),
            *("--device-read-iops", "--device-write-bps", "--device-write-iops", "--env", "--unsetenv"),
            *("--health-cmd", "--health-interval", "--health-retries", "--health-timeout", "--no-healthcheck"),
            *("--health-log-destination", "--health-max-log-count", "--health-max-log-size", "--health-on-failure"),
            *("--health-start-period", "--health-startup-cmd", "--health-startup-interval"),
            *("--health-startup-retries", "--health-startup-success", "--health-startup-timeout"),
        )
    },
    ("events", "--stats"): "Show the usage of containers with: stats NAME.",
    ("events", "--interval"): "Show the usage of containers with: stats NAME.",
    ("generate systemd", "--restart-policy"): "Leave the option out. Show a Quadlet file with: generate quadlet NAME.",
    ("unit status", "-l"): "Leave the option out: nothing is shortened.",
    ("unit status", "-n"): "Show the log of its container with: logs NAME --tail 20.",
    ("linger show", "-p"): "Leave the option out: only lingering is shown.",
    ("linger show", "--property"): "Leave the option out: only lingering is shown.",
    ("rmi", "-a"): "Write names or a pattern. Remove all unused images with: image prune -a.",
    ("rmi", "--all"): "Write names or a pattern. Remove all unused images with: image prune -a.",
    ("rmi", "--prune"): "Remove all unused images with: image prune -a.",
    ("stop", "-a"): "A change needs names: write names, a pattern or --label.",
    ("stop", "--all"): "A change needs names: write names, a pattern or --label.",
    ("start", "-a"): _ATTACH,
    ("start", "--attach"): _ATTACH,
    ("pull", "-q"): "Leave the option out: progress is shown in one message.",
    ("pull", "--quiet"): "Leave the option out: progress is shown in one message.",
    ("pull", "--platform"): "Leave the option out: the engine pulls the image for its own platform.",
    ("pull", "-a"): "Name one tag: pull busybox:1.36.",
    ("pull", "--all-tags"): "Name one tag: pull busybox:1.36.",
    ("info", "--debug"): "Leave the option out. The whole answer of an engine is shown by: info NAME --raw.",
    ("info", "-D"): "Leave the option out. The whole answer of an engine is shown by: info NAME --raw.",
    **{(name, option): _WAITS for name in _SERVICE for option in ("-q", "--quiet")},
    **{("service create", option): _LEFT_OUT for option in _CREATE_ONLY},
    **{("service update", f"{option}-add"): _LEFT_OUT for option in _CREATE_ONLY},
    ("service create", "--env-file"): "The file is on your machine: write --env NAME=VALUE for each line.",
    ("service create", "--no-resolve-image"): "Leave the option out: all nodes get the same digest.",
    ("service update", "--no-resolve-image"): "Leave the option out: all nodes get the same digest.",
    **{("service update", f"--{name}"): f"Write --{name}-add, or --{name}-rm." for name in _UPDATED_LISTS},
    **{
        ("swarm init", option): "Leave the option out, or use `docker swarm init` on the engine's own host."
        for option in _INIT
    },
    **{
        ("swarm join-token", option): "Leave the option out: the reply shows the whole command to type."
        for option in ("-q", "--quiet")
    },
    **{("exec", option): _EXEC_TERMINAL for option in ("-i", "-t", "--interactive", "--tty", "--detach-keys")},
    **{
        ("exec", option): "Leave the option out: the command `exec` waits until the program has ended."
        for option in _EXEC_WAITS
    },
    ("exec", "--privileged"): "Leave the option out: it would give the program all rights on the host.",
    ("exec", "--env-file"): "Write the variables themselves: -e NAME=VALUE.",
    ("exec", "--exec-id"): "Leave the option and its value out.",
    ("exec", "--index"): "Name the container itself. List the containers of a project with: ps PROJECT.",
    ("cp", "-L"): "Copy the path that the link leads to. The reply shows it.",
    ("cp", "--follow-link"): "Copy the path that the link leads to. The reply shows it.",
    **{
        ("cp", option): "Leave the option out: only the content of the file is copied."
        for option in ("-a", "--archive")
    },
    **{(name, option): "Leave the option out." for name in ("cp", "commit") for option in ("-q", "--quiet")},
    **{
        ("commit", option): "Leave the option out: the engine chooses the format."
        for option in ("-f", "--format", "-s")
    },
    ("df", "-v"): "List the parts with `images`, `ps -a` and `volume ls`.",
    ("df", "--verbose"): "List the parts with `images`, `ps -a` and `volume ls`.",
}


def explain_option(command: str, option: str, having: Iterable[str]) -> str:
    """Returns what to write instead of an option; empty if nothing is known about it. `having`: the options that the
    command has."""
    found = COMMANDS.get((command, option)) or EVERYWHERE.get(option, "")
    if "--format" in having and option in ("-o", "--output"):
        return "Write --format with fields, or --raw for JSON."
    return found
