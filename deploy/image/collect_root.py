"""Collects the root file system of the image in a folder: the interpreter, its library, and what they need.

Runs while the image is built, in the image it copies from: `python3 collect_root.py FOLDER PACKAGES [PROGRAM …]`.
PACKAGES is a folder of programs and extension modules that run in the image; it is not copied, but the shared libraries
that it needs are. Each PROGRAM, such as ssh, is copied too. The result has no shell and no package manager. Where the
system has Debian's list of packages, the result has the entry of each package that a file was copied from, where
scanners for vulnerabilities look for it, and its licence. Ends with a sentence if a library or program is missing.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

# Parts of the standard library that no server needs, and the modules that need a library only for them.
LEFT_OUT = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "tkinter", "turtledemo", "turtle.py", "dbm", "curses", "distutils",
}  # fmt: skip
LEFT_OUT_PATTERN = re.compile(
    r"config-.*|_(ctypes_)?test.*\.so|xx.*\.so|_?(tkinter|dbm|gdbm|curses|curses_panel|nis|crypt|ossaudiodev"
    r"|readline)\..*\.so"
)
# The C library loads these on demand, so no program links them. A newer C library contains the first four.
OPENED_LATER = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libdl.so.2", "libgcc_s.so.1")
SYSTEM_FILES = ("etc/os-release", "etc/debian_version", "etc/ssl/certs/ca-certificates.crt")
TIME_ZONES = "usr/share/zoneinfo"
# Duplicates of the zones in other formats.
OTHER_TIME_ZONES = {"posix", "right", "posixrules", "tzdata.zi", "leap-seconds.list", "leapseconds"}
USER = "quarterdeck:x:10001:10001::/var/lib/quarterdeck:/bin/false"
FOLDERS = ("dev", "etc/quarterdeck", "proc", "root", "run", "sys", "usr", "var/lib")
SAME_FOLDERS = ("bin", "lib", "lib64", "sbin")  # of the top level: links to those below usr on many systems


def collect_root_files(target: Path, packages: Path, programs: Sequence[str], source: Path = Path("/")) -> None:
    """Fills `target`, which must not exist."""
    for folder in FOLDERS:
        (target / folder).mkdir(parents=True)
    (target / "tmp").mkdir(mode=0o1777)
    (target / "tmp").chmod(0o1777)
    for name in SAME_FOLDERS:
        if (source / name).is_symlink():
            (target / name).symlink_to((source / name).readlink())
            (target / (source / name).readlink()).mkdir(parents=True, exist_ok=True)
    interpreter = copy_python(target)
    wanted = [find_program(name) for name in programs]
    libraries = shared_libraries([interpreter, *elf_files(target / "usr/local"), *elf_files(packages), *wanted])
    own = (str(packages), sysconfig.get_path("stdlib"))
    copied = [copy(path, target) for path in (*libraries, *wanted) if not str(path).startswith(own)]
    copied += copy_system_files(target, source)
    write_accounts(target)
    record_packages(target, copied)


def copy_python(target: Path) -> Path:
    """Copies the interpreter, under both its names, and its compiled library. Returns the program."""
    program = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    copy(program, target)
    (inside(target, program.parent) / "python3").symlink_to(program.name)
    library = Path(sysconfig.get_path("stdlib"))
    kept = inside(target, library)
    shutil.copytree(library, kept, symlinks=True, ignore=lambda _, names: [name for name in names if left_out(name)])
    # Nobody can change it later. It does not depend on file times, so that every build has the same result.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(kept, quiet=1, stripdir=str(target), prependdir="/", invalidation_mode=mode):
        sys.exit(f"A part of the standard library in {library} cannot be compiled.")
    return program


def find_program(name: str) -> Path:
    """Ends the build if it is not installed."""
    found = shutil.which(name)
    if found is None:
        sys.exit(f"The program {name} is not installed. Name the Debian package that has it: --build-arg PACKAGES=…")
    return Path(found)


def left_out(name: str) -> bool:
    return name in LEFT_OUT or LEFT_OUT_PATTERN.fullmatch(name) is not None


def elf_files(folder: Path) -> Iterator[Path]:
    """Every program and library below that folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def shared_libraries(files: Sequence[Path]) -> Sequence[Path]:
    """The path of each library that one of the files loads, and of the loader. A file may load none."""
    loader = next(
        (path for folder in ("/lib64", "/lib", "/usr/lib") for path in Path(folder).glob("ld-linux*.so.*")), None
    )
    if loader is None:
        sys.exit(
            "This image has no loader of the GNU C library. Build from an image of Debian, such as python:3.12-slim."
        )
    found: dict[Path, None] = {}
    for file in files:
        said = subprocess.run([loader, "--list", file], capture_output=True, text=True, check=False).stdout
        if missing := re.findall(r"(\S+) => not found", said):
            sys.exit(
                f"{file} needs {', '.join(missing)}, which this image does not have. Install it in the first stage."
            )
        found |= dict.fromkeys(Path(path) for path in re.findall(r"(/\S+) \(0x", said))
    home = next(path.parent for path in found if path.name == "libc.so.6")
    return [*found, *(home / name for name in OPENED_LATER if (home / name).exists())]


def copy_system_files(target: Path, source: Path) -> Sequence[Path]:
    """Copies certificates, time zones and the name of the system, if they exist."""
    zones = [
        path for path in (source / TIME_ZONES).rglob("*")
        if path.is_file() and not OTHER_TIME_ZONES.intersection(path.relative_to(source / TIME_ZONES).parts)
    ]  # fmt: skip
    return [copy(path, target) for path in (*(source / name for name in SYSTEM_FILES), *sorted(zones)) if path.exists()]


def write_accounts(target: Path) -> None:
    """Writes the users: root, and the user that runs Quarterdeck."""
    (target / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/false\n{USER}\n")
    (target / "etc/group").write_text("root:x:0:\nquarterdeck:x:10001:\n")
    (target / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def record_packages(target: Path, copied: Sequence[Path]) -> None:
    """The entry and the licence of each Debian package that one of these files belongs to."""
    if shutil.which("dpkg-query") is None:
        return
    paths = {name for path in copied for name in spellings(path)}
    # Fails for the spellings that it does not know.
    said = subprocess.run(
        ["dpkg-query", "--search", *sorted(paths)], capture_output=True, text=True, check=False
    ).stdout
    for package in sorted({line.partition(": ")[0] for line in said.splitlines() if not line.startswith("diversion ")}):
        entry = subprocess.run(["dpkg-query", "--status", package], capture_output=True, text=True, check=True).stdout
        name = package.partition(":")[0]
        file = target / "var/lib/dpkg/status.d" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(entry)
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            copy(licence, target)


def spellings(path: Path) -> Sequence[str]:
    """The paths that the list of packages may have for it: /lib and /usr/lib are one folder."""
    words = {str(path), str(path.resolve())}
    words |= {word.removeprefix("/usr") for word in words} | {f"/usr{word}" for word in words if word[:4] == "/lib"}
    return sorted(words)


def copy(path: Path, target: Path) -> Path:
    """Copies the file that this path means to the same path below `target`. Returns the path."""
    place = inside(target, path)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), place)
    return path


def inside(target: Path, path: Path) -> Path:
    """Where a path is below `target`, whose own links count."""
    first, *rest = path.parts[1:]
    folder = target / first
    return (folder.resolve() if folder.is_symlink() else folder).joinpath(*rest)


if __name__ == "__main__":
    os.umask(0o022)
    collect_root_files(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
