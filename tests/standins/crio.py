"""A stand-in for CRI-O, which Debian does not package: a gRPC server with CRI-O's behaviour, and processes as
containers.

CRI-O differs from containerd in these points, as found on CRI-O 1.37:

- Events: GetContainerEvents ends at once without an error unless `pod_events` is on. Each event is sent to all clients,
  one after the other, so that a slow one blocks the others. Up to 1,000 events from before the first client are kept
  for it. Pods send only STARTED and STOPPED. RemovePodSandbox sends no DELETED for the pod or its containers;
  RemoveContainer does. An event lists only containers with the label of their pod's uid.
- Containers: the list's time of creation is 40 to 155 ms before the status's, and moves with each restart of the
  daemon. The list names the image that was asked for, the status any tag of it; `image_ref` is a digest and `image_id`
  the id. A container needs the image as the user wrote it. A program that does not exist is refused when the container
  is created. The exit code may be -1 at first. OOMKilled is a reason of the end only, also with code 0 if a child was
  killed. Pods have the label `io.kubernetes.container.name=POD`, and those of their name, namespace and uid.
- exec: a program that takes too long ends with code -1 and `command timed out`; one that does not exist is refused as
  UNKNOWN, and an ended container as NOT_FOUND.
- Logs: times end with `+00:00`; all lines of one write have the same; a line is tagged P whenever a write did not end
  with a newline.
- Usage: without a limit, almost 2^63 bytes are available on cgroup v1, and 0 on version 2.
- Images: one tag can be removed alone, and an image in use by any container is refused. The verbose information is
  short.

Each container is a process group with a folder of its own as its root.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from runtimes.proto import cri_pb2 as cri
from tests.daemons.cri import Ground, layer
from tests.daemons.docker import IMAGE
from tests.helpers.private_root import private_root
from tests.helpers.requirements import need
from tests.standins.proto import kubelet_pb2 as kubelet

CREATED, RUNNING, EXITED = range(3)
KEPT = 1000  # events
UID = "io.kubernetes.pod.uid"
UNREAD = 8  # messages a client may be behind before sending to it waits
NOT_FOUND, INTERNAL = "NOT_FOUND", "UNKNOWN"


class Refused(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Box:
    """One container."""

    def __init__(
        self, container_id: str, pod: str, config: kubelet.ContainerConfig, *, log: Path | None, root: Path
    ) -> None:
        self.id, self.pod, self.config, self.log, self.root = container_id, pod, config, log, root
        self.image_id = ""
        self.state, self.created, self.started, self.finished = CREATED, time.time_ns(), 0, 0
        self.exit_code: int = 0
        self.reason = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.ended = threading.Event()


class Crio(Ground):
    """`hang`: while it is set, no request is answered. `broken`: ids whose status cannot be read. `cgroup`: the version
    of cgroups on its machine."""

    init = ()
    name, release = "cri-o", "1.37.0"

    def __init__(self, root: Path, *, pod_events: bool) -> None:
        super().__init__(root)
        self.pod_events = pod_events
        self.hang, self.broken = threading.Event(), set()
        self.asked: list[str] = []
        self._boxes: dict[str, Box] = {}
        self._pods: dict[str, tuple[kubelet.PodSandboxConfig, int, int]] = {}  # config, state, created
        self._images: dict[str, cri.Image] = {}
        self._listeners: list[queue.Queue[cri.ContainerEventResponse | None]] = []
        self._events: queue.Queue[cri.ContainerEventResponse | None] = queue.Queue(maxsize=KEPT)
        self._lock = threading.RLock()
        self._server: Any = None
        self._broadcaster: threading.Thread | None = None
        self._starts = 0
        self.cgroup = 1
        self.not_ready = ""
        self.odd_event = 0
        self.unread_exit_codes: set[str] = set()

    # ── the process ──────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        with tarfile.open(fileobj=io.BytesIO(layer())) as tar:
            tar.extractall(self.root / "image", filter="fully_trusted")
        for name, number in (("null", 3), ("zero", 5)):
            os.mknod(self.root / "image/dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, number))
        image_id = sha256(b"busybox").hexdigest()
        digest = f"{IMAGE.rpartition(':')[0]}@sha256:{sha256(b'manifest').hexdigest()}"
        self._images[image_id] = cri.Image(id=image_id, repo_tags=[IMAGE], repo_digests=[digest], size=2 << 20)

    def start(self) -> None:
        import grpc

        self._starts += 1
        self._server = grpc.server(futures.ThreadPoolExecutor(64, thread_name_prefix="crio"))
        self._server.add_generic_rpc_handlers((_Methods(self),))
        self.socket.unlink(missing_ok=True)
        assert self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def kill(self) -> None:
        """Ends the server as SIGKILL would. Containers continue to run."""
        self.kubelet.close()
        for listener in self._listeners:
            with contextlib.suppress(queue.Full):
                listener.put_nowait(None)
        self._server.stop(0).wait()
        if self._broadcaster is not None:
            self._events.put(None)
            self._broadcaster.join(10)
        self._broadcaster, self._events = None, queue.Queue(maxsize=KEPT)

    def end(self) -> None:
        self.hang.clear()
        with contextlib.suppress(Exception):
            self.clear()
        for box in self._boxes.values():
            self._signal(box, signal.SIGKILL)
        self.kill()

    def pause(self, name: str) -> None:
        self._signal(self._boxes[self.id(name)], signal.SIGSTOP)

    def unpause(self, name: str) -> None:
        self._signal(self._boxes[self.id(name)], signal.SIGCONT)

    def version(self) -> str:
        return f"{self.name} {self.release}"

    # ── what tests do to it ──────────────────────────────────────────────────────────────────────────────────────

    def create_many(self, count: int) -> None:
        """Creates that many running containers, one per pod, without processes."""
        with self._lock:
            for number in range(count):
                pod, container_id = secrets.token_hex(32), secrets.token_hex(32)
                metadata = cri.PodSandboxMetadata(name=f"many-{number}", namespace="crowd", uid=pod)
                self._pods[pod] = (kubelet.PodSandboxConfig(metadata=metadata), 0, time.time_ns())
                config = kubelet.ContainerConfig(metadata=cri.ContainerMetadata(name="one"))
                box = Box(container_id, pod, config, log=None, root=self.root)
                box.state, box.started = RUNNING, time.time_ns()
                self._boxes[container_id] = box

    def send_events(self, container_id: str, count: int) -> None:
        """Sends that many events about one container as fast as possible, and drops none."""
        box = self._boxes[container_id]
        for _ in range(count):
            self._events.put(self._event(box, 1))

    def out_of_memory(self, name: str) -> None:
        box = self._boxes[self.id(name)]
        box.reason = "OOMKilled"
        self._signal(box, signal.SIGKILL)
        box.ended.wait(10)

    def child_out_of_memory(self, name: str) -> None:
        """A child of the container's program is killed; the program itself lives on."""
        self._boxes[self.id(name)].reason = "OOMKilled"

    def unknown_state(self, name: str, number: int) -> None:
        self._boxes[self.id(name)].state = number

    # ── RuntimeService ───────────────────────────────────────────────────────────────────────────────────────────

    def rpc_version(self, request: cri.VersionRequest) -> cri.VersionResponse:
        return cri.VersionResponse(
            version="0.1.0", runtime_name=self.name, runtime_version=self.release, runtime_api_version="v1"
        )

    def rpc_status(self, request: cri.StatusRequest) -> cri.StatusResponse:
        network = cri.RuntimeCondition(type="NetworkReady", status=not self.not_ready)
        if self.not_ready:
            network.reason, network.message = "NetworkPluginNotReady", self.not_ready
        conditions = [cri.RuntimeCondition(type="RuntimeReady", status=True), network]
        info = {"config": json.dumps({"sandboxImage": "pause", "crio": {"DefaultRuntime": "crun"}})}
        return cri.StatusResponse(status=cri.RuntimeStatus(conditions=conditions), info=info if request.verbose else {})

    def rpc_runtime_config(self, request: cri.RuntimeConfigRequest) -> cri.RuntimeConfigResponse:
        return cri.RuntimeConfigResponse(linux=cri.LinuxRuntimeConfiguration(cgroup_driver=0))

    def rpc_run_pod_sandbox(self, request: kubelet.RunPodSandboxRequest) -> kubelet.RunPodSandboxResponse:
        pod = secrets.token_hex(32)
        Path(request.config.log_directory).mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._pods[pod] = (request.config, 0, time.time_ns())
        self._send_pod_event(pod, 1)
        return kubelet.RunPodSandboxResponse(pod_sandbox_id=pod)

    def rpc_stop_pod_sandbox(self, request: cri.StopPodSandboxRequest) -> cri.Nothing:
        with self._lock:
            known = self._pods.get(request.pod_sandbox_id)
        if known is not None:
            for box in self._boxes_of(request.pod_sandbox_id):
                self._end(box, 0)
            with self._lock:
                self._pods[request.pod_sandbox_id] = (known[0], 1, known[2])
            self._send_pod_event(request.pod_sandbox_id, 2)
        return cri.Nothing()

    def rpc_remove_pod_sandbox(self, request: cri.RemovePodSandboxRequest) -> cri.Nothing:
        for box in self._boxes_of(request.pod_sandbox_id):
            self._remove(box, send=False)
        with self._lock:
            self._pods.pop(request.pod_sandbox_id, None)
        return cri.Nothing()

    def rpc_list_pod_sandbox(self, request: cri.ListPodSandboxRequest) -> cri.ListPodSandboxResponse:
        with self._lock:
            items = [
                cri.PodSandbox(
                    id=pod, metadata=config.metadata, state=state, created_at=created, labels=_pod_labels(config)
                )
                for pod, (config, state, created) in self._pods.items()
            ]
        return cri.ListPodSandboxResponse(items=items)

    def rpc_pod_sandbox_status(self, request: cri.PodSandboxStatusRequest) -> cri.PodSandboxStatusResponse:
        info = {"info": json.dumps({"image": "pause", "pid": 1})} if request.verbose else {}
        return cri.PodSandboxStatusResponse(status=self._pod_status(request.pod_sandbox_id), info=info)

    def rpc_create_container(self, request: kubelet.CreateContainerRequest) -> kubelet.CreateContainerResponse:
        if not request.config.image.user_specified_image:
            raise Refused(INTERNAL, "user specified image not specified, cannot verify image signature")
        image = self._image(request.config.image.image)
        if image is None:
            raise Refused(INTERNAL, "no such image")
        if (missing := _missing_program(self.root / "image", request.config.command)) is not None:
            raise Refused(INTERNAL, f"container create failed: {missing}")
        container_id = secrets.token_hex(32)
        root = self.root / "run" / container_id[:12]
        shutil.copytree(self.root / "image/bin", root / "bin", symlinks=True, copy_function=os.link)
        for name, number in (("null", 3), ("zero", 5)):
            (root / "dev").mkdir(exist_ok=True)
            os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, number))
        log = Path(request.sandbox_config.log_directory) / request.config.log_path
        box = Box(container_id, request.pod_sandbox_id, request.config, log=log, root=root)
        box.image_id = image.id
        with self._lock:
            self._boxes[container_id] = box
        self._send_event(box, 0)
        return kubelet.CreateContainerResponse(container_id=container_id)

    def rpc_start_container(self, request: cri.StartContainerRequest) -> cri.Nothing:
        box = self._box(request.container_id)
        if box.state != CREATED:
            raise Refused(INTERNAL, f"container {box.id} is not in created state: stopped")
        environment = {pair.key: pair.value.decode() for pair in box.config.envs}
        box.process = subprocess.Popen(
            ["chroot", box.root, *box.config.command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if box.config.tty else subprocess.PIPE,
            env={"PATH": "/bin:/usr/sbin:/usr/bin", **environment}, start_new_session=True,
        )  # fmt: skip
        assert box.log is not None
        box.log.touch()
        box.state, box.started = RUNNING, time.time_ns()
        threading.Thread(target=self._keep, args=(box,), name=f"conmon {box.id[:12]}", daemon=True).start()
        self._send_event(box, 1)
        return cri.Nothing()

    def rpc_stop_container(self, request: cri.StopContainerRequest) -> cri.Nothing:
        with self._lock:
            box = self._boxes.get(request.container_id)
        if box is not None:
            self._end(box, request.timeout)
        return cri.Nothing()

    def rpc_update_container_resources(self, request: cri.UpdateContainerResourcesRequest) -> cri.Nothing:
        box = self._box(request.container_id)
        with self._lock:
            if box.state != RUNNING:
                raise Refused(INTERNAL, f"container {box.id} is not running or created state: stopped")
            if request.linux.memory_limit_in_bytes:
                box.config.linux.resources.memory_limit_in_bytes = request.linux.memory_limit_in_bytes
        return cri.Nothing()

    def memory_limit(self, name: str) -> int:
        with self._lock:
            return next(_limit(box) for box in self._boxes.values() if box.config.metadata.name == name)

    def rpc_remove_container(self, request: cri.RemoveContainerRequest) -> cri.Nothing:
        with self._lock:
            box = self._boxes.get(request.container_id)
        if box is not None:
            self._remove(box)
        return cri.Nothing()

    def rpc_list_containers(self, request: cri.ListContainersRequest) -> cri.ListContainersResponse:
        with self._lock:
            boxes = list(self._boxes.values())
        return cri.ListContainersResponse(
            containers=[
                cri.Container(
                    id=box.id,
                    pod_sandbox_id=box.pod,
                    metadata=box.config.metadata,
                    image=cri.ImageSpec(image=box.config.image.image),
                    image_ref=self._image_ref(box),
                    image_id=box.image_id,
                    state=box.state,
                    created_at=box.created - self._list_lag(box),
                    labels=box.config.labels,
                )
                for box in boxes
            ]
        )

    def rpc_container_status(self, request: cri.ContainerStatusRequest) -> cri.ContainerStatusResponse:
        box = self._box(request.container_id)
        if box.id in self.broken:
            raise Refused(INTERNAL, "getting container metadata: unexpected end of JSON input")
        environment = ["PATH=/bin", *(f"{pair.key}={pair.value.decode()}" for pair in box.config.envs)]
        words = {
            "sandboxID": box.pod,
            "pid": box.process.pid if box.process else 0,
            "runtimeSpec": {"process": {"args": list(box.config.command), "env": environment}},
            "privileged": False,
        }
        info = {"info": json.dumps(words)} if request.verbose else {}
        return cri.ContainerStatusResponse(status=self._status(box), info=info)

    def rpc_exec_sync(self, request: cri.ExecSyncRequest) -> cri.ExecSyncResponse:
        box = self._box(request.container_id)
        if box.state != RUNNING:
            raise Refused(NOT_FOUND, "container is not created or running: container is stopped")
        if (missing := _missing_program(box.root, request.cmd)) is not None:
            raise Refused(INTERNAL, f"command error: {missing}, stdout: , stderr: , exit code -1")
        process = subprocess.Popen(
            ["chroot", box.root, *request.cmd],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": "/bin:/usr/sbin:/usr/bin"}, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=request.timeout or None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return cri.ExecSyncResponse(exit_code=-1, stderr=b"command timed out")
        return cri.ExecSyncResponse(stdout=out, stderr=err, exit_code=process.returncode)

    def rpc_list_container_stats(self, request: cri.ListContainerStatsRequest) -> cri.ListContainerStatsResponse:
        with self._lock:
            boxes = [box for box in self._boxes.values() if box.state == RUNNING]
        now = time.time_ns()
        return cri.ListContainerStatsResponse(
            stats=[
                cri.ContainerStats(
                    attributes=cri.ContainerAttributes(id=box.id),
                    cpu=cri.CpuUsage(timestamp=now, usage_core_nano_seconds=cri.UInt64Value(value=used)),
                    memory=cri.MemoryUsage(
                        timestamp=now,
                        working_set_bytes=cri.UInt64Value(value=held),
                        available_bytes=cri.UInt64Value(value=max(0, (_limit(box) or self._no_limit()) - held)),
                    ),
                )
                for box in boxes
                for used, held in [_use(box)]
            ]
        )

    # ── ImageService ─────────────────────────────────────────────────────────────────────────────────────────────

    def rpc_list_images(self, request: cri.ListImagesRequest) -> cri.ListImagesResponse:
        return cri.ListImagesResponse(images=list(self._images.values()))

    def rpc_image_status(self, request: cri.ImageStatusRequest) -> cri.ImageStatusResponse:
        found = self._image(request.image.image)
        if found is None:
            return cri.ImageStatusResponse()
        info = {"info": json.dumps({"imageSpec": {"config": {"Env": ["TOKEN=hunter2"]}}})} if request.verbose else {}
        return cri.ImageStatusResponse(image=found, info=info)

    def rpc_pull_image(self, request: cri.PullImageRequest, context: Any) -> cri.PullImageResponse:
        """Pulls with skopeo, which uses the same library as CRI-O."""
        name = request.image.image
        login = [f"--src-creds={request.auth.username}:{request.auth.password}"] if request.auth.username else []
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            process = subprocess.Popen(
                ["skopeo", "copy", "--quiet", "--src-tls-verify=false", *login, f"docker://{name}", f"dir:{folder}/it"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.stderr is not None
            with process.stderr as words:
                while process.poll() is None:
                    if not context.is_active():
                        process.kill()
                    time.sleep(0.02)
                said = words.read()
            if process.returncode:
                raise Refused(INTERNAL, _pull_failure(said.rpartition('msg="')[2].strip().strip('"')[-500:]))
            written = (Path(folder) / "it/manifest.json").read_bytes()
        manifest = json.loads(written)
        image_id = manifest["config"]["digest"].removeprefix("sha256:")
        repository = name.partition("@")[0]
        tagged = ":" in repository.rpartition("/")[2]
        place = repository.rpartition(":")[0] if tagged else repository
        with self._lock:
            for other in self._images.values():
                if name in other.repo_tags:
                    other.repo_tags.remove(name)
            image = self._images.setdefault(image_id, cri.Image(id=image_id))
            image.size = sum(layer["size"] for layer in manifest["layers"])
            if tagged and "@" not in name and name not in image.repo_tags:
                image.repo_tags.append(name)
            if (digest := f"{place}@sha256:{sha256(written).hexdigest()}") not in image.repo_digests:
                image.repo_digests.append(digest)
        return cri.PullImageResponse(image_ref=image_id)

    def rpc_remove_image(self, request: cri.RemoveImageRequest) -> cri.Nothing:
        word = request.image.image
        with self._lock:
            found = self._image(word)
            if found is not None and word in found.repo_tags and len(found.repo_tags) > 1:
                found.repo_tags.remove(word)
            elif found is not None:
                if any(box.image_id == found.id for box in self._boxes.values()):
                    raise Refused(INTERNAL, "image is in use by a container")
                del self._images[found.id]
        return cri.Nothing()

    def rpc_image_fs_info(self, request: cri.ImageFsInfoRequest) -> cri.ImageFsInfoResponse:
        place = cri.FilesystemIdentifier(mountpoint="/var/lib/containers/storage/overlay-images")
        return cri.ImageFsInfoResponse(image_filesystems=[cri.FilesystemUsage(fs_id=place)])

    def tag(self, old: str, new: str) -> None:
        image = self._image(old)
        assert image is not None
        image.repo_tags.append(new)

    def _image(self, word: str) -> cri.Image | None:
        return next((one for one in self._images.values() if word in (one.id, *one.repo_tags, *one.repo_digests)), None)

    def _image_ref(self, box: Box) -> str:
        found = self._images.get(box.image_id)
        return found.repo_digests[0] if found is not None and found.repo_digests else box.image_id

    def _any_tag(self, box: Box) -> str:
        found = self._images.get(box.image_id)
        return found.repo_tags[-1] if found is not None and found.repo_tags else box.image_id

    def _list_lag(self, box: Box) -> int:
        """How much earlier the list says that a container was created, in nanoseconds."""
        return (40 + (int(box.id[:4] or "0", 16) + 37 * self._starts) % 116) * 1_000_000

    def _no_limit(self) -> int:
        return 9_223_372_036_854_771_712 if self.cgroup == 1 else 0

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def events(self, context: Any) -> Iterator[cri.ContainerEventResponse]:
        self.asked.append("GetContainerEvents")
        if not self.pod_events:
            return
        listener: queue.Queue[cri.ContainerEventResponse | None] = queue.Queue(maxsize=UNREAD)
        with self._lock:
            self._listeners.append(listener)
            if self._broadcaster is None:
                self._broadcaster = threading.Thread(target=self._broadcast, name="crio broadcast", daemon=True)
                self._broadcaster.start()
        try:
            while context.is_active():
                with contextlib.suppress(queue.Empty):
                    if (event := listener.get(timeout=0.1)) is None:
                        return
                    yield event
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def _broadcast(self) -> None:
        while (event := self._events.get()) is not None:
            with self._lock:
                listeners = list(self._listeners)
            for listener in listeners:
                while listener in self._listeners:
                    with contextlib.suppress(queue.Full):
                        listener.put(event, timeout=0.1)
                        break

    def _send_event(self, box: Box, kind: int) -> None:
        if self.pod_events and box.pod in self._pods:
            self._put(self._event(box, kind))

    def _event(self, box: Box, kind: int) -> cri.ContainerEventResponse:
        with self._lock:
            statuses = [self._status(one) for one in self._boxes_of(box.pod) if UID in one.config.labels]
        return cri.ContainerEventResponse(
            container_id=box.id,
            container_event_type=self.odd_event or kind,
            created_at=time.time_ns(),
            pod_sandbox_status=self._pod_status(box.pod),
            containers_statuses=statuses,
        )

    def _send_pod_event(self, pod: str, kind: int) -> None:
        event = cri.ContainerEventResponse(
            container_id=pod,
            container_event_type=kind,
            created_at=time.time_ns(),
            pod_sandbox_status=self._pod_status(pod),
        )
        self._put(event)

    def _put(self, event: cri.ContainerEventResponse) -> None:
        if self.pod_events:
            with contextlib.suppress(queue.Full):  # dropped, as CRI-O does
                self._events.put_nowait(event)

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _box(self, container_id: str) -> Box:
        with self._lock:
            if container_id in self._boxes:
                return self._boxes[container_id]
        raise Refused(
            NOT_FOUND, f'could not find container "{container_id}": container with ID starting with … not found'
        )

    def _boxes_of(self, pod: str) -> list[Box]:
        with self._lock:
            return [box for box in self._boxes.values() if box.pod == pod]

    def _pod_status(self, pod: str) -> cri.PodSandboxStatus:
        with self._lock:
            known = self._pods.get(pod)
        if known is None:
            raise Refused(NOT_FOUND, f'could not find pod "{pod}"')
        config, state, created = known
        return cri.PodSandboxStatus(
            id=pod,
            metadata=config.metadata,
            state=state,
            created_at=created,
            labels=_pod_labels(config),
            network=cri.PodSandboxNetworkStatus(ip="10.88.0.7"),
        )

    def _status(self, box: Box) -> cri.ContainerStatus:
        reason = box.reason
        if box.state == EXITED and not reason:
            reason = "Completed" if box.exit_code == 0 else "Error"
        return cri.ContainerStatus(
            id=box.id,
            metadata=box.config.metadata,
            state=box.state,
            created_at=box.created,
            started_at=box.started,
            finished_at=box.finished,
            exit_code=-1 if box.id in self.unread_exit_codes else box.exit_code,
            image=cri.ImageSpec(image=self._any_tag(box)),
            image_ref=self._image_ref(box),
            image_id=box.image_id,
            reason=reason if box.state == EXITED else "",
            labels=box.config.labels,
            annotations=box.config.annotations,
            log_path=str(box.log or ""),
        )

    def _keep(self, box: Box) -> None:
        """Does the work of conmon: writes both streams into the log, then stores how the process ended."""
        assert box.process is not None and box.log is not None
        lock = threading.Lock()
        streams = [("stdout", box.process.stdout), ("stderr", box.process.stderr)]
        writers = [
            threading.Thread(target=_copy, args=(stream, name, box.log, lock), daemon=True)
            for name, stream in streams
            if stream is not None
        ]
        for writer in writers:
            writer.start()
        code = box.process.wait()
        with contextlib.suppress(OSError):
            os.killpg(box.process.pid, signal.SIGKILL)  # what it left behind goes with it
        for writer in writers:
            writer.join()
        box.exit_code, box.finished, box.state = code if code >= 0 else 128 - code, time.time_ns(), EXITED
        box.ended.set()
        self._send_event(box, 2)

    def _end(self, box: Box, timeout: int) -> None:
        if box.state != RUNNING or box.process is None:
            return
        if timeout:
            self._signal(box, signal.SIGTERM)
            if box.ended.wait(timeout):
                return
        self._signal(box, signal.SIGKILL)
        box.ended.wait(10)

    def _remove(self, box: Box, *, send: bool = True) -> None:
        self._end(box, 0)
        with self._lock:
            if self._boxes.pop(box.id, None) is None:
                return
        if send:
            self._send_event(box, 3)
        if box.process is not None:
            shutil.rmtree(box.root, ignore_errors=True)

    def _signal(self, box: Box, number: int) -> None:
        if box.process is not None and box.process.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(box.process.pid, number)


def _pod_labels(config: kubelet.PodSandboxConfig) -> dict[str, str]:
    return {
        **config.labels,
        "io.kubernetes.container.name": "POD",
        "io.kubernetes.pod.name": config.metadata.name,
        "io.kubernetes.pod.namespace": config.metadata.namespace,
        UID: config.metadata.uid,
    }


def _missing_program(root: Path, command: Sequence[str]) -> str | None:
    """What the OCI runtime says of a program that is not there."""
    places = [command[0]] if "/" in command[0] else [f"/bin/{command[0]}"]
    if any(os.path.lexists(f"{root}{place}") for place in places):
        return None
    return f"executable file `{command[0]}` not found in $PATH: No such file or directory"


def _pull_failure(said: str) -> str:
    if "connection refused" in said or "no such host" in said:
        return f"RegistryUnavailable: {said}"
    return (
        f"unable to pull image or OCI artifact: pull image err: {said}; artifact err: provided artifact is a container"
        " image"
    )


def _limit(box: Box) -> int:
    limit: int = box.config.linux.resources.memory_limit_in_bytes
    return limit


def _use(box: Box) -> tuple[int, int]:
    """CPU nanoseconds and bytes of all its processes, which are one session."""
    used = held = 0
    for entry in Path("/proc").iterdir():
        if box.process is not None and entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(words[3]) == box.process.pid:
                    used += (int(words[11]) + int(words[12])) * 10_000_000
                    held += int(words[21]) * 4096
    return used, held


def _copy(stream: io.BufferedReader, name: str, log: Path, lock: threading.Lock) -> None:
    with stream, log.open("ab", buffering=0) as file:
        while chunk := stream.read1(8192):
            lines, now = chunk.split(b"\n"), time.time_ns()
            at = f"{datetime.fromtimestamp(now // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{now % 10**9:09d}+00:00"
            for number, line in enumerate(lines):
                whole = number < len(lines) - 1
                if whole or line:
                    with lock:
                        file.write(f"{at} {name} {'F' if whole else 'P'} ".encode() + line + b"\n")


class _Methods:
    """The server's methods by name. The type of a request has the method's name with `Request` appended."""

    def __init__(self, crio: Crio) -> None:
        self._crio = crio

    def service(self, details: Any) -> Any:
        import grpc

        name = details.method.rpartition("/")[2]
        if name == "GetContainerEvents":
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._crio.events(context),
                request_deserializer=cri.GetEventsRequest.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        method = getattr(self._crio, "rpc" + re.sub("([A-Z])", r"_\1", name).lower(), None)
        request = getattr(cri, f"{name}Request", None) or getattr(kubelet, f"{name}Request", None)
        if method is None or request is None:
            return None

        def answer(asked: Any, context: Any) -> Any:
            self._crio.asked.append(name)
            while self._crio.hang.is_set() and context.is_active():
                time.sleep(0.02)
            try:
                return method(asked, context) if name == "PullImage" else method(asked)
            except Refused as error:
                return context.abort(getattr(grpc.StatusCode, error.code), error.text)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


@contextlib.contextmanager
def private_crio(*, pod_events: bool = True) -> Iterator[Crio]:
    need("cri", "busybox", "catatonit", "chroot", "skopeo", root=True)
    with private_root() as root:
        daemon = Crio(root, pod_events=pod_events)
        try:
            daemon.prepare()
            daemon.start()
            yield daemon
        finally:
            daemon.end()
