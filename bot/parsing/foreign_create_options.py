"""Explains options of `docker run`, `podman run` and other create commands that Quarterdeck does not support: the
reason, and the alternative.
"""

from __future__ import annotations

from collections.abc import Mapping

_ATTACH = "Leave the option out: chat cannot attach. Then follow its output with: logs -f NAME."
_FILE = "The file is on your machine: write each of its lines as -e NAME=VALUE or -l NAME=VALUE."
_FILE_WRITTEN = "Leave the option out: the reply shows the id, and nothing is written to your machine."
_HEALTH = "Leave the option out: the engine's usual times apply to --health-cmd."
_HOST = "Leave the option out, or create the container with the engine's own program on the engine's host."
_LIMIT = "Limit the container with --memory or --cpus, or use the engine's own program on the engine's host."
_LOG = "Leave the option out: the engine's own log driver is used."
_LOGIN = "Leave the option out: Quarterdeck uses the login of its own host."
_MOUNT = "Write -v VOLUME:/PATH, or -v VOLUME:/PATH:ro."
_NAME = (
    "Leave the option out: the engine chooses the address, and other containers of the network reach this"
    " container by its name."
)
_NAME_SERVERS = "Leave the option out: the engine's own name servers and host names apply."
_PLATFORM = "Leave the option out: the engine uses the image for its own platform."
_POD = (
    "Write the option for the containers of the pod (run --pod POD), or create the pod with podman on the"
    " engine's host."
)
_PORTS = "Publish each port with -p 8080:80."
_QUIET = "Leave the option out: progress is shown in one message."
_STOP = "Leave the option out: stop NAME -t 60 waits longer, and kill NAME -s SIGNAL sends another signal."
_TRUST = "Leave the option out: the engine's own configuration names the registries that it trusts."
_VOLUME_DRIVER = (
    "Leave the option out: only volumes of the driver local are created, because others can be folders of the host."
)

_OF_CONTAINERS: Mapping[str, tuple[str, ...]] = {
    _ATTACH: ("-a", "--attach", "--detach-keys", "--sig-proxy"),
    _FILE: ("--env-file", "--label-file", "--env-merge", "--env-host"),
    _FILE_WRITTEN: ("--cidfile", "--conmon-pidfile", "--pidfile", "--pod-id-file"),
    _HEALTH: (
        *("--health-interval", "--health-retries", "--health-start-interval", "--health-start-period"),
        *("--health-timeout", "--health-on-failure", "--health-startup-cmd", "--health-startup-interval"),
        *("--health-startup-retries", "--health-startup-success", "--health-startup-timeout", "--no-healthcheck"),
        *("--health-log-destination", "--health-max-log-count", "--health-max-log-size"),
    ),
    _LIMIT: (
        *("--blkio-weight", "--blkio-weight-device", "-c", "--cpu-count", "--cpu-percent", "--cpu-period"),
        *("--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--cpu-shares", "--cpuset-cpus", "--cpuset-mems"),
        *("--device-read-bps", "--device-read-iops", "--device-write-bps", "--device-write-iops"),
        *("--io-maxbandwidth", "--io-maxiops", "--kernel-memory", "--memory-reservation", "--memory-swap"),
        *("--memory-swappiness", "--oom-kill-disable", "--oom-score-adj", "--shm-size", "--shm-size-systemd"),
        *("--storage-opt", "--ulimit"),
    ),
    "Set this limit when the container runs: update NAME --pids-limit 200.": ("--pids-limit",),
    _LOG: ("--log-driver", "--log-opt"),
    _LOGIN: ("--authfile", "--creds", "--decryption-key"),
    _MOUNT: ("--mount", "--tmpfs", "--volume-driver"),
    _NAME: ("--ip", "--ip6", "--link-local-ip", "--mac-address", "--network-alias"),
    _NAME_SERVERS: (
        *("--add-host", "--dns", "--dns-opt", "--dns-option", "--dns-search", "--domainname", "--hostname"),
        *("--hosts-file", "--no-hosts", "--no-hostname"),
    ),
    _PLATFORM: ("--platform", "--arch", "--os", "--variant", "--isolation"),
    _PORTS: ("-P", "--publish-all", "--expose"),
    _QUIET: ("-q", "--quiet"),
    _STOP: ("--stop-signal", "--stop-timeout"),
    _TRUST: ("--disable-content-trust", "--tls-verify", "--cert-dir", "--retry", "--retry-delay"),
    "Remove the container of this name with `rm` first, then give the command again.": ("--replace",),
    "Create the other container first, then this one.": ("--requires",),
    "Write -w PATH with a directory that the image has.": ("--workdir-create",),
    _HOST: (
        *("--annotation", "--cap-drop", "--cgroup-conf", "--cgroup-parent", "--cgroups", "--chrootdirs"),
        *("--device-cgroup-rule", "--gidmap", "--gpus", "--group-add", "--group-entry", "--hostuser", "--http-proxy"),
        *("--init", "--init-ctr", "--init-path", "--passwd", "--passwd-entry", "--passwd-file", "--personality"),
        *("--preserve-fd", "--preserve-fds", "--rdt-class", "--rmi", "--rootfs", "--runtime", "--runtime-flag"),
        *("--sdnotify", "--seccomp-policy", "--secret", "--subgidname", "--subuidname", "--sysctl", "--systemd"),
        *("--tz", "--uidmap", "--umask", "--unsetenv", "--unsetenv-all", "--use-api-socket"),
        *("--pod-infra", "--infra-name", "--module", "--image-volume", "--read-only", "--read-only-tmpfs"),
    ),
}
_OF_PODS = (
    *("--add-host", "--blkio-weight", "--blkio-weight-device", "--cgroup-parent", "--cpu-shares", "-c", "--cpus"),
    *("--cpuset-cpus", "--cpuset-mems", "--device", "--device-read-bps", "--device-write-bps", "--dns", "--dns-option"),
    *("--dns-search", "--exit-policy", "--gidmap", "--gpus", "--hostname", "--hosts-file", "--infra-command"),
    *("--infra-conmon-pidfile", "--infra-image", "--infra-name", "--ip", "--ip6", "--label-file", "--mac-address"),
    *("--memory", "-m", "--memory-swap", "--network-alias", "--no-hostname", "--no-hosts", "--pid", "--replace"),
    *("--restart", "--security-opt", "--share", "--share-parent", "--shm-size", "--shm-size-systemd", "--subgidname"),
    *("--subuidname", "--sysctl", "--uidmap", "--userns", "--uts", "--volume", "-v", "--volumes-from"),
)
_OF_NETWORKS = (
    *("--aux-address", "--config-from", "--config-only", "--ingress", "--ipam-driver", "--ipam-opt", "--ipv4"),
    *("--ipv6", "-o", "--opt", "--disable-dns", "--dns", "--ignore", "--interface-name", "--route"),
)
_OF_VOLUMES = (
    *("-d", "--driver", "-o", "--opt", "--availability", "--group", "--limit-bytes", "--required-bytes", "--scope"),
    *("--secret", "--sharing", "--topology-preferred", "--topology-required", "--type", "--uid", "--gid"),
)

OPTIONS: Mapping[tuple[str, str], str] = {
    **{
        (name, option): why
        for name in ("run", "create")
        for why, options in _OF_CONTAINERS.items()
        for option in options
    },
    **{("pod create", option): _POD for option in _OF_PODS},
    **{("network create", option): _HOST for option in _OF_NETWORKS},
    **{("volume create", option): _VOLUME_DRIVER for option in _OF_VOLUMES},
    ("volume create", "--ignore"): "Leave the option out: a volume that exists already is no failure.",
    **{(name, option): _QUIET for name in ("pull", "push") for option in ("-q", "--quiet")},
    **{(name, option): _LOGIN for name in ("pull", "push", "image search") for option in _OF_CONTAINERS[_LOGIN]},
    **{(name, option): _TRUST for name in ("pull", "push", "image search") for option in _OF_CONTAINERS[_TRUST]},
    **{("pull", option): _PLATFORM for option in _OF_CONTAINERS[_PLATFORM]},
    **{
        ("network connect", option): _NAME
        for option in ("--alias", "--driver-opt", "--gw-priority", "--ip", "--ip6", "--link-local-ip", "--mac-address")
    },
    ("network connect", "--link"): "Leave the option out: containers of one network reach each other by their names.",
}
"""By command and option."""
