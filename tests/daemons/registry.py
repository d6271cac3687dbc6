"""A private registry on loopback, which engines trust without TLS, and images put into it without any engine.

    with private_registry() as registry:
        name = registry.pushbusybox_layer()          # 127.0.0.1:40123/busybox:1
        registry.push_busybox("tool", "2", layers=[{"etc/tool": b"…"}])

`private_registry(locked=True)` lets in only `USER` with `PASSWORD`. It keeps everything under a temporary folder;
`stop` and `start` take it away and bring it back under the same address.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.helpers.private_root import private_root
from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for

USER, PASSWORD = "mate", "harbour"
_PASSWORD_KEPT = "$2y$05$abcdefghijklmnopqrstuuZ9hITkhSjgdPh1azpD9e5XbVlHeIfui"
PROGRAMS = ("sh", "sleep", "echo", "cat", "seq", "head", "tr", "printf", "true", "false")
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


class Registry:
    """`host` is what image names begin with: `127.0.0.1:PORT`."""

    def __init__(self, root: Path, *, locked: bool = False, tls: tuple[Path, Path] | None = None) -> None:
        """`tls`: the files of a certificate for 127.0.0.1 and its key."""
        self.root, self.locked, self.tls = root, locked, tls
        self.port = free_tcp_port()
        self.host = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.root / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        if self.tls is not None:
            certificate, key = map(str, self.tls)
            settings["http"] = {"addr": self.host, "tls": {"certificate": certificate, "key": key}}
        if self.locked:
            (self.root / "people").write_text(f"{USER}:{_PASSWORD_KEPT}\n")
            settings["auth"] = {"htpasswd": {"realm": "harbour", "path": str(self.root / "people")}}
        (self.root / "settings.yml").write_text(json.dumps(settings))
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", self.root / "settings.yml"], stdout=log, stderr=log, start_new_session=True
            )
        wait_for("the registry to answer", self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"docker-registry ended: {(self.root / 'log').read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://{self.host}/v2/", timeout=2):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 401 or (self.tls is not None and error.code == 400)
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)

    def push_busybox(self, name: str = "busybox", tag: str = "1", *, layers: Sequence[Mapping[str, bytes]] = ()) -> str:
        """Busybox under `name:tag`, with a layer on top of it for each mapping of files. Returns the name to pull it
        by."""
        return self.push(name, tag, [busybox_layer(), *map(_tar, layers)])

    def push(self, name: str, tag: str, layers: Sequence[bytes]) -> str:
        """An image made of these layers, each a tar."""
        archive = self.root / "image.tar"
        # Tests share a daemon: an image under this name must not be the image under another test's name.
        archive.write_bytes(docker_archive(layers, author=f"{name}:{tag}"))
        whole = f"{self.host}/{name}:{tag}"
        who = [f"--dest-creds={USER}:{PASSWORD}"] if self.locked else []
        done = subprocess.run(
            ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", *who,
             f"docker-archive:{archive}", f"docker://{whole}"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return whole

    def digest(self, name: str, tag: str = "1") -> str:
        """`sha256:…` of what a tag points at; empty where there is none."""
        ask = urllib.request.Request(
            f"http://{self.host}/v2/{name}/manifests/{tag}", method="HEAD", headers={"Accept": ", ".join(MANIFESTS)}
        )
        try:
            with urllib.request.urlopen(ask, timeout=10) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError as error:
            error.close()
            return ""

    def blobs(self) -> Sequence[Path]:
        """The files its layers and configurations are in, the largest last."""
        found = (self.root / "data").rglob("blobs/sha256/*/*/data")
        return sorted(found, key=lambda path: path.stat().st_size)


def docker_archive(layers: Sequence[bytes], tags: Sequence[str] = (), *, author: str = "") -> bytes:
    """An image as `docker save` writes it, for whatever loads that. Everything about it is the same each time. Another
    `author` makes another image of the same layers."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "author": author,
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin", "SECRET_OF_IMAGE=hunter2"], "Labels": {"made": "here"}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]},
        }
    ).encode()
    name = hashlib.sha256(config).hexdigest()
    names = [f"{hashlib.sha256(one).hexdigest()}/layer.tar" for one in layers]
    index = json.dumps([{"Config": f"{name}.json", "RepoTags": list(tags), "Layers": names}]).encode()
    return _tar({"manifest.json": index, f"{name}.json": config, **dict(zip(names, layers, strict=True))})


def busybox_layer() -> bytes:
    program = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    return _tar({"bin/busybox": program}, links={f"bin/{name}": "busybox" for name in PROGRAMS}, mode=0o755)


def _tar(files: Mapping[str, bytes], *, links: Mapping[str, str] | None = None, mode: int = 0o644) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return data.getvalue()


class Narrow:
    """Another way to a registry, on which every answer stops after `most` bytes until `open` is called."""

    def __init__(self, registry: Registry, most: int) -> None:
        self._registry, self._most = registry, most
        self._opened = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.host = ""
        self.held = asyncio.Event()
        """Set once an answer stands still."""

    async def __aenter__(self) -> Narrow:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.open()
        self._server.close()
        await asyncio.sleep(0)  # whoever came last is being served
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is let go of

    def open(self) -> None:
        self._opened.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._registry.port)
            writers.append(far_writer)
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer, self._most))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in writers:
                one.close()
                if (transport := one.transport) is not None:
                    transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int = 1 << 60) -> None:
        gone = 0
        while data := await reader.read(65_536):
            gone += len(data)
            if gone > most and not self._opened.is_set():
                self.held.set()
                await self._opened.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@contextlib.contextmanager
def private_registry(*, locked: bool = False, tls: tuple[Path, Path] | None = None) -> Iterator[Registry]:
    need("registry", "docker-registry", "skopeo")
    with private_root() as root:
        registry = Registry(root, locked=locked, tls=tls)
        try:
            registry.start()
            yield registry
        finally:
            registry.stop()
