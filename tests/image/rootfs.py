"""Base images without a registry: root file systems made of what this machine has, as tars an engine can import.

`python` stands in for the official Python image: this interpreter and its standard library under /usr/local, without
symbols as there, pip, a C library, certificates, time zones, `strip`, busybox for the rest. `store` stands in for
Valkey's: the server and its client. Programs keep no more of this machine than the shared libraries they name.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

BUSYBOX = "sh cat chmod chown cp cut dirname echo env false grep head id ln ls mkdir mv printf ps rm sed sleep stat "
BUSYBOX += "tail test touch tr true"
# Named by wheels or opened by the C library at need, and part of every Debian image.
LOADED_LATER = [f"lib{name}.so.2" for name in ("nss_dns", "nss_files", "resolv", "dl")]
LOADED_LATER += ["libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libpthread.so.0"]
LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo")


class Tree:
    """A root file system on its way into a tar; everything in it belongs to root and can be read by all."""

    def __init__(self) -> None:
        self.data = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self.data, mode="w")
        self._libraries: dict[str, Path] = {}
        for folder in (
            "bin",
            "dev",
            "etc",
            "opt",
            "proc",
            "root",
            "run",
            "sys",
            "usr",
            "usr/local",
            "usr/local/bin",
            "var",
        ):
            self.folder(folder)
        self.folder("tmp", 0o1777)
        self.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.text("etc/group", "root:x:0:\n")
        self.text("etc/nsswitch.conf", "hosts: files dns\n")
        self.file(Path(shutil.which("busybox") or "/bin/busybox"), "bin/busybox")
        for name in BUSYBOX.split():
            self.link(f"bin/{name}", "busybox")

    def folder(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        made = tarfile.TarInfo(name)
        made.type, made.mode, made.uid, made.gid = tarfile.DIRTYPE, mode, owner, owner
        self._tar.addfile(made)

    def text(self, name: str, text: str) -> None:
        made = tarfile.TarInfo(name)
        made.size, made.mode = len(text.encode()), 0o644
        self._tar.addfile(made, io.BytesIO(text.encode()))

    def link(self, name: str, target: str) -> None:
        made = tarfile.TarInfo(name)
        made.type, made.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(made)

    def file(self, source: Path, name: str) -> None:
        """With the shared libraries it names, where it names any."""
        self._tar.add(source.resolve(), name, filter=_roots)
        with source.open("rb") as read:
            program = read.read(4) == b"\x7fELF"
        if program:
            self._libraries |= _libraries(source)

    def stripped(self, source: Path, name: str) -> None:
        """A program or library without what only debuggers read."""
        self._libraries |= _libraries(source)
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run(["strip", "--strip-unneeded", "-o", file.name, source], check=True)
            Path(file.name).chmod(0o755)
            self._tar.add(file.name, name, filter=_roots)

    def python_files(self, source: Path, name: str, leave_out: Iterable[str] = ()) -> None:
        """A folder of modules, extension modules among them, without bytecode."""
        unwanted = {"__pycache__", *leave_out}
        for path in sorted(source.rglob("*")):
            inside = path.relative_to(source)
            if not unwanted.intersection(inside.parts) and path.is_file():
                (self.stripped if path.suffix == ".so" else self.file)(path, f"{name}/{inside}")

    def packed(self) -> bytes:
        # Beside the C library, where the loader looks without being told; the loader itself where programs name it.
        home = self._libraries["libc.so.6"].parent
        for name in LOADED_LATER:
            if (home / name).exists():
                self._libraries.setdefault(name, home / name)
        for name, path in list(self._libraries.items()):
            place = path if name.startswith("ld-") else home / name
            add = self.stripped if name.startswith("libpython") else self.file
            add(path.resolve(), str(place).lstrip("/"))
        self._tar.close()
        return self.data.getvalue()


def python() -> bytes:
    import pip

    tree, version = Tree(), f"python{sys.version_info.major}.{sys.version_info.minor}"
    tree.stripped(Path(sys.base_prefix) / "bin" / version, f"usr/local/bin/{version}")
    tree.file(Path(shutil.which("strip") or "strip"), "usr/bin/strip")
    for certificates in (Path("/etc/ssl/certs/ca-certificates.crt"), *Path("/usr/share/zoneinfo/Europe").glob("B*")):
        if certificates.exists():
            tree.file(certificates, str(certificates).lstrip("/"))
    tree.link("usr/local/bin/python3", version)
    library = Path(sysconfig.get_path("stdlib"))
    tree.python_files(
        library, f"usr/local/lib/{version}", {*LEFT_OUT, *(path.name for path in library.glob("config-*"))}
    )
    for folder in ("site-packages", "dist-packages"):  # where Debian's own Python looks
        tree.python_files(Path(pip.__path__[0]), f"usr/local/lib/{version}/{folder}/pip")
    return tree.packed()


def store() -> bytes:
    tree = Tree()
    for program, name in (("redis-server", "valkey-server"), ("redis-cli", "valkey-cli")):
        tree.file(Path(shutil.which(program) or program), f"usr/local/bin/{name}")
    tree.folder("data", owner=999)  # as in the official images
    return tree.packed()


def _libraries(program: Path) -> dict[str, Path]:
    """Name and path of each shared library it needs, those of its libraries included."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return {Path(path).name: Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


def _roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o111 else 0o644
    return entry
