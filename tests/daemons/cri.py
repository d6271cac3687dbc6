"""Starts a private containerd with its CRI plugin and a CNI bridge of its own, and sends it the requests of a kubelet.

The requests come from a gRPC client that is not Quarterdeck's own. Everything is below a temporary root: state, images,
logs of pods, network namespaces. The bridge is named after the root and is removed with it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from runtimes.proto import cri_pb2 as cri
from tests.daemons.docker import IMAGE
from tests.helpers.private_root import private_root
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for
from tests.standins.proto import kubelet_pb2 as kubelet

PAUSE = "localhost/pause:1"
COMPOSE_PROJECT, COMPOSE_SERVICE = "com.docker.compose.project", "com.docker.compose.service"
STATES = {0: "created", 1: "running", 2: "exited", 3: "unknown"}
PROGRAMS = ("sh", "sleep", "echo", "cat", "seq", "head", "tr", "printf", "true", "false", "env", "id")


class Kubelet:
    """Sends the requests of a kubelet, one after the other. `folder` is for the logs of pods."""

    runtime, images = "/runtime.v1.RuntimeService", "/runtime.v1.ImageService"

    def __init__(self, socket: Path, folder: Path, cgroup: str) -> None:
        self._socket, self._folder, self._cgroup = socket, folder, cgroup
        self._channel: Any = None
        self._made = 0

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def ask(self, method: str, request: Any, answer: Any = cri.Nothing, seconds: float = 60.0) -> Any:
        import grpc

        if self._channel is None:
            options = (("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1))
            self._channel = grpc.insecure_channel(f"unix:{self._socket}", options=options)
        service = self.images if "Image" in method else self.runtime
        call = self._channel.unary_unary(
            f"{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return call(request, timeout=seconds)

    def pod(
        self, name: str, namespace: str = "default", *, labels: Mapping[str, str] | None = None, attempt: int = 0
    ) -> tuple[str, kubelet.PodSandboxConfig]:
        self._made += 1
        uid = f"00000000-0000-4000-8000-{self._made:012d}"
        config = kubelet.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, uid=uid, namespace=namespace, attempt=attempt),
            log_directory=str(self._folder / f"{namespace}_{name}_{uid}"),
            labels={
                **(labels or {}),
                "io.kubernetes.pod.name": name,
                "io.kubernetes.pod.namespace": namespace,
                "io.kubernetes.pod.uid": uid,
            },
            linux=kubelet.LinuxPodSandboxConfig(
                cgroup_parent=self._cgroup,
                security_context=kubelet.LinuxSandboxSecurityContext(
                    namespace_options=kubelet.NamespaceOption(pid=1),
                ),
            ),
        )
        made = self.ask("RunPodSandbox", kubelet.RunPodSandboxRequest(config=config), kubelet.RunPodSandboxResponse)
        return made.pod_sandbox_id, config

    def container(
        self,
        pod: tuple[str, kubelet.PodSandboxConfig],
        name: str,
        command: Sequence[str],
        *,
        attempt: int = 0,
        environment: Mapping[str, str] | None = None,
        tty: bool = False,
        memory: int = 0,
        start: bool = True,
        image: str = IMAGE,
        annotations: Mapping[str, str] | None = None,
        labelled: bool = True,
    ) -> str:
        """`labelled`: with the labels that a kubelet gives its containers."""
        sandbox, config = pod
        (Path(config.log_directory) / name).mkdir(parents=True, exist_ok=True)
        request = kubelet.CreateContainerRequest(
            pod_sandbox_id=sandbox,
            sandbox_config=config,
            config=kubelet.ContainerConfig(
                metadata=cri.ContainerMetadata(name=name, attempt=attempt),
                image=cri.ImageSpec(image=image, user_specified_image=image),
                command=list(command),
                envs=[kubelet.KeyValue(key=key, value=value.encode()) for key, value in (environment or {}).items()],
                labels={
                    "io.kubernetes.container.name": name,
                    "io.kubernetes.pod.name": config.metadata.name,
                    "io.kubernetes.pod.namespace": config.metadata.namespace,
                    "io.kubernetes.pod.uid": config.metadata.uid,
                }
                if labelled
                else {},
                annotations=annotations or {},
                log_path=f"{name}/{attempt}.log",
                tty=tty,
                linux=kubelet.LinuxContainerConfig(
                    resources=kubelet.LinuxContainerResources(
                        memory_limit_in_bytes=memory, memory_swap_limit_in_bytes=memory
                    ),
                    security_context=kubelet.LinuxContainerSecurityContext(
                        namespace_options=kubelet.NamespaceOption(pid=1)
                    ),
                ),
            ),
        )
        made: str = self.ask("CreateContainer", request, kubelet.CreateContainerResponse).container_id
        if start:
            self.ask("StartContainer", cri.StartContainerRequest(container_id=made))
        return made

    def container_status(self, container: str) -> cri.ContainerStatus:
        request = cri.ContainerStatusRequest(container_id=container)
        status: cri.ContainerStatus = self.ask("ContainerStatus", request, cri.ContainerStatusResponse).status
        return status

    def pods(self) -> Sequence[cri.PodSandbox]:
        found: Sequence[cri.PodSandbox] = self.ask(
            "ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse
        ).items
        return found

    def remove_pod(self, pod: str) -> None:
        self.ask("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=pod))
        self.ask("RemovePodSandbox", cri.RemovePodSandboxRequest(pod_sandbox_id=pod))


class Ground:
    """What the contract tests need of a CRI engine, done with a kubelet's requests. A container's pod has the
    container's name, or it is the pod of the project and service in its labels."""

    kind = "cri"
    init: Sequence[str] = ("/bin/catatonit", "--")
    """What passes signals on to a script."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "c.sock"
        self.url = f"unix://{self.socket}"
        self.cgroup = f"/{root.name}"
        self.kubelet = Kubelet(self.socket, root / "logs", self.cgroup)
        self.made: dict[str, tuple[str, str]] = {}  # by name: container and what it is called

    def run(
        self,
        name: str,
        script: str = "exec sleep 3600",
        *,
        start: bool = True,
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        tty: bool = False,
        init: bool = True,
        **more: Any,
    ) -> str:
        given = dict(labels or {})
        namespace, pod_name = given.pop(COMPOSE_PROJECT, "default"), given.pop(COMPOSE_SERVICE, name)
        pod = self.kubelet.pod(pod_name, namespace, labels=given)
        command = [*(self.init if init else ()), "/bin/sh", "-c", script]
        made = self.kubelet.container(pod, name, command, environment=environment, tty=tty, start=start, **more)
        self.made[name] = (made, f"{namespace}/{pod_name}/{name}")
        return made

    def called(self, name: str) -> str:
        return self.made[name][1]

    def id(self, name: str) -> str:
        return self.made[name][0]

    def wait(self, name: str) -> int:
        wait_for(f"{name} to end", lambda: self.status(name) == "exited")
        return self.kubelet.container_status(self.id(name)).exit_code

    def stop(self, name: str) -> None:
        self.kubelet.ask("StopContainer", cri.StopContainerRequest(container_id=self.id(name), timeout=5))

    def remove(self, name: str) -> None:
        self.kubelet.ask("RemoveContainer", cri.RemoveContainerRequest(container_id=self.id(name)))

    def status(self, name: str) -> str:
        return STATES[self.kubelet.container_status(self.id(name)).state]

    def started(self, name: str) -> int:
        return self.kubelet.container_status(self.id(name)).started_at

    def exec(self, name: str, argv: Sequence[str]) -> cri.ExecSyncResponse:
        request = cri.ExecSyncRequest(container_id=self.id(name), cmd=list(argv), timeout=20)
        told: cri.ExecSyncResponse = self.kubelet.ask("ExecSync", request, cri.ExecSyncResponse)
        return told

    def log(self, name: str) -> Path:
        return Path(self.kubelet.container_status(self.id(name)).log_path)

    def clear(self) -> None:
        for pod in self.kubelet.pods():
            self.kubelet.remove_pod(pod.id)
        self.made.clear()


class Crid(Ground):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.process: subprocess.Popen[bytes] | None = None
        self.bridge = f"qd{sha256(str(root).encode()).hexdigest()[:8]}"

    def prepare(self) -> None:
        number = int.from_bytes(sha256(str(self.root).encode()).digest()[:2], "big")
        (self.root / "net.d").mkdir()
        network = {
            "cniVersion": "0.4.0",
            "name": self.bridge,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": self.bridge,
                    "isGateway": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self.root / "ipam"),
                        "ranges": [[{"subnet": f"10.{200 + number % 50}.{number >> 8}.0/24"}]],
                    },
                }
            ],
        }
        (self.root / "net.d/10-bridge.conflist").write_text(json.dumps(network))
        (self.root / "config.toml").write_text(
            f"""
version = 2
root = "{self.root}/data"
state = "{self.root}/state"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.root}/net.d"
"""
        )

    def start(self) -> None:
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["containerd", "-c", self.root / "config.toml"], stdout=log, stderr=log, start_new_session=True
            )
        wait_for("containerd's CRI to be ready", self._ready)

    def _ready(self) -> bool:
        import grpc

        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"containerd ended: {(self.root / 'log').read_text()[-2000:]}")
        try:
            told = self.kubelet.ask("Status", cri.StatusRequest(), cri.StatusResponse, 2.0)
        except grpc.RpcError:
            self.kubelet.close()
            return False
        return all(one.status for one in told.status.conditions)

    def load_images(self) -> None:
        archive = self.root / "images.tar"
        archive.write_bytes(images())
        subprocess.run(["ctr", "-a", self.socket, "-n", "k8s.io", "images", "import", archive],
                       check=True, capture_output=True)  # fmt: skip
        wait_for("CRI to know the images", self._has_images)

    def _has_images(self) -> bool:
        told = self.kubelet.ask("ListImages", cri.ListImagesRequest(), cri.ListImagesResponse)
        return {PAUSE, IMAGE} <= {tag for image in told.images for tag in image.repo_tags}

    def pause(self, name: str) -> None:
        self._task("pause", name)

    def unpause(self, name: str) -> None:
        self._task("resume", name)

    def _task(self, word: str, name: str) -> None:
        """What CRI has no word for."""
        subprocess.run(["ctr", "-a", self.socket, "-n", "k8s.io", "tasks", word, self.id(name)],
                       check=True, capture_output=True)  # fmt: skip

    def version(self) -> str:
        said = subprocess.run(["containerd", "--version"], check=True, capture_output=True, text=True).stdout
        return f"containerd {said.split()[2]}"

    def kill(self) -> None:
        """Sends SIGKILL to the daemon. Its containers continue to run."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        self.kubelet.close()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Exception):
                self.clear()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
        self.kubelet.close()
        subprocess.run(["ip", "link", "delete", self.bridge], check=False, capture_output=True)

    def remove_control_groups(self) -> None:
        # Other groups on this machine come and go meanwhile: only our own ones are walked through.
        base = Path("/sys/fs/cgroup")
        for top in (base, *base.iterdir()):
            for folder, _, _ in os.walk(f"{top}{self.cgroup}", topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def layer() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(shutil.which("busybox") or "/bin/busybox", arcname="bin/busybox")
        tar.add(shutil.which("catatonit") or "/usr/bin/catatonit", arcname="bin/catatonit")
        for name in PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "etc", "proc", "sys", "dev"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
    return data.getvalue()


def images() -> bytes:
    """A Docker archive with busybox, and with the pause image."""
    rootfs = layer()
    files, manifest = {"layer.tar": rootfs}, []
    for tag, command in ((IMAGE, ["/bin/sh"]), (PAUSE, ["/bin/sleep", "2147483647"])):
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": command, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(rootfs).hexdigest()}"]},
        }
        name = f"{sha256(tag.encode()).hexdigest()}.json"
        files[name] = json.dumps(config).encode()
        manifest.append({"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


@contextlib.contextmanager
def private_crid() -> Iterator[Crid]:
    need("cri", "containerd", "ctr", "runc", "catatonit", "busybox", "ip", root=True)
    need("cri", "/usr/lib/cni/bridge", "/usr/lib/cni/host-local")
    with private_root() as root:
        daemon = Crid(root)
        try:
            daemon.prepare()
            daemon.start()
            daemon.load_images()
            yield daemon
        finally:
            daemon.end()
    daemon.remove_control_groups()
