"""Starts the pods that the Helm chart renders on a Docker engine, with what a kubelet would give them.

Volumes look as a kubelet makes them: a ConfigMap is a directory that everybody may write to, mounted read-only, whose
files are links into a hidden directory; the files of a Secret belong to root and the pod's group; an empty directory is
writable for all. Users, groups, capabilities and the read-only root file system are those of the pod. The limits and
the service account are left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helpers.helm_chart import Rendered

NODE = "node7"


class Kubelet:
    """Starts the pods of one installation. `secrets`: the keys and texts of each Secret that exists already. `nodes`:
    the directories that stand for those of the node. `images`: the image to use instead of each one."""

    def __init__(
        self,
        docker: Any,
        folder: Path,
        rendered: Rendered,
        *,
        secrets: Mapping[str, Mapping[str, str]],
        nodes: Mapping[str, Path],
        images: Mapping[str, str],
        network: str = "none",
    ) -> None:
        self._docker, self._folder, self._rendered = docker, folder, rendered
        self._secrets, self._nodes, self._images, self._network = secrets, nodes, images, network
        self._pods = rendered.pods()

    def prepare(self, part: str) -> None:
        """Makes the volumes of a pod and runs its init containers."""
        pod = self._pods[part]["spec"]
        group = pod["securityContext"]["fsGroup"]
        for volume in pod.get("volumes", ()):
            self._make(part, volume, group)
        for mount in pod["containers"][0].get("volumeMounts", ()):
            if not self._source(part, mount["name"]).exists():  # a claim: a new disk, given to the pod's group
                disk = self._source(part, mount["name"])
                disk.mkdir()
                os.chown(disk, 0, group)
                disk.chmod(0o2775)
        for container in pod.get("initContainers", ()):
            self._docker("run", "--rm", *self._words(part, container))

    def start(self, part: str, *names: str) -> str:
        """Starts the pod's container, which other pods reach under these names. Returns its name."""
        (container,) = self._pods[part]["spec"]["containers"]
        aliases = [word for name in names for word in ("--network-alias", name)]
        self._docker("run", "-d", "--name", f"pod-{part}", *aliases, *self._words(part, container))
        return f"pod-{part}"

    def run(self, part: str, args: list[str] | None = None, code: int | None = 0) -> str:
        """Runs the pod's container to its end, perhaps with other arguments. Returns its output."""
        (container,) = self._pods[part]["spec"]["containers"]
        changed = container if args is None else {**container, "args": args}
        output: str = self._docker("run", "--rm", *self._words(part, changed), code=code)
        return output

    def probe(self, part: str, kind: str) -> None:
        """Runs a probe that is a command. Raises AssertionError if it fails."""
        (container,) = self._pods[part]["spec"]["containers"]
        self._docker("exec", f"pod-{part}", *container[kind]["exec"]["command"])

    def _words(self, part: str, container: dict[str, Any]) -> list[str]:
        pod = self._pods[part]["spec"]
        shared, own = pod["securityContext"], container["securityContext"]
        words = ["--network", self._network, "--user", f"{shared['runAsUser']}:{shared['runAsGroup']}"]
        for group in (shared["fsGroup"], *shared.get("supplementalGroups", ())):
            words += ["--group-add", str(group)]
        words += ["--read-only"] if own["readOnlyRootFilesystem"] else []
        words += [word for one in own["capabilities"]["drop"] for word in ("--cap-drop", one)]
        words += [] if own["allowPrivilegeEscalation"] else ["--security-opt", "no-new-privileges"]
        for variable in container.get("env", ()):
            value = variable.get("value")
            if value is None:
                assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
                value = NODE
            words += ["-e", f"{variable['name']}={value}"]
        for mount in container.get("volumeMounts", ()):
            source = self._source(part, mount["name"]) / mount.get("subPath", "")
            words += ["-v", f"{source}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}"]
        # In Kubernetes, `command` replaces the image's entrypoint, and then nothing of the image's arguments is kept.
        command, args = container.get("command", []), container.get("args", [])
        words += ["--entrypoint", command[0]] if command else []
        return [*words, self._images[container["image"]], *command[1:], *args]

    def _source(self, part: str, name: str) -> Path:
        hosts = {each["name"]: each["hostPath"] for each in self._pods[part]["spec"]["volumes"] if "hostPath" in each}
        return self._nodes[hosts[name]["path"]] if name in hosts else self._folder / part / name

    def _make(self, part: str, volume: dict[str, Any], group: int) -> None:
        if "hostPath" in volume:
            return
        directory = self._folder / part / volume["name"]
        directory.mkdir(parents=True)
        if "configMap" in volume:
            (found,) = [
                each for each in self._rendered.all("ConfigMap")
                if each["metadata"]["name"] == volume["configMap"]["name"]
            ]  # fmt: skip
            _write(directory, found["data"], 0o644, group)
        elif "secret" in volume:
            data = self._secrets[volume["secret"]["secretName"]]
            items = volume["secret"].get("items") or [{"key": key, "path": key} for key in data]
            _write(
                directory, {item["path"]: data[item["key"]] for item in items}, volume["secret"]["defaultMode"], group
            )
        os.chown(directory, 0, group)
        directory.chmod(0o2777)


def _write(directory: Path, files: Mapping[str, str], mode: int, group: int) -> None:
    hidden = directory / "..2026_11_30_08_00_00.1234567890"
    hidden.mkdir()
    hidden.chmod(0o755)
    (directory / "..data").symlink_to(hidden.name)
    for name, text in files.items():
        (hidden / name).write_text(text)
        os.chown(hidden / name, 0, group)
        (hidden / name).chmod(mode)
        (directory / name).symlink_to(f"..data/{name}")
