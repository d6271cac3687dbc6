"""What the build of the image copies from its base. tests/image runs what comes of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.image import collect_root
from tests.helpers.requirements import need

LEFT_OUT = "test tkinter ensurepip config-3.12-x86_64-linux-gnu _tkinter.cpython-312-x86_64-linux-gnu.so __pycache__"
LEFT_OUT += " _testcapi.cpython-312-aarch64-linux-gnu.so _ctypes_test.cpython-312-x86_64-linux-gnu.so"


@pytest.mark.parametrize("name", LEFT_OUT.split())
def test_what_no_server_needs_is_left_out(name):
    assert collect_root.left_out(name)


@pytest.mark.parametrize(
    "name", ["unittest", "_ctypes.cpython-312-x86_64-linux-gnu.so", "asyncio", "testing.py", "LICENSE.txt"]
)
def test_what_is_not_meant_stays(name):
    assert not collect_root.left_out(name)


def test_the_libraries_of_a_program_are_found_with_the_loader():
    names = {path.name for path in collect_root.shared_libraries([Path(sys.executable).resolve()])}
    assert "libc.so.6" in names
    assert any(name.startswith("ld-linux") for name in names)


def test_a_library_that_is_missing_ends_the_build(monkeypatch, tmp_path):
    said = "\tlibcafe.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n"
    monkeypatch.setattr(
        collect_root.subprocess, "run", lambda *words, **more: subprocess.CompletedProcess(words, 127, said, "")
    )
    with pytest.raises(SystemExit, match=r"one\.so needs libcafe\.so\.1, which this image does not have"):
        collect_root.shared_libraries([tmp_path / "one.so"])


def test_the_packages_of_what_was_copied_are_recorded_with_their_licences(tmp_path):
    """Where scanners for vulnerabilities look in an image without a package manager."""
    need("docker", "dpkg-query")  # the image is made from Debian's packages
    libc = next(
        path for path in collect_root.shared_libraries([Path(sys.executable).resolve()]) if path.name == "libc.so.6"
    )
    collect_root.record_packages(tmp_path, [libc, Path("/nowhere/at/all")])
    (entry,) = (tmp_path / "var/lib/dpkg/status.d").iterdir()
    assert entry.name == "libc6"
    assert "\nVersion: " in entry.read_text()
    assert Path("/usr/share/doc/libc6/copyright").exists() is (tmp_path / "usr/share/doc/libc6/copyright").exists()


def test_a_path_through_a_link_of_the_top_level_is_copied_once(tmp_path):
    """/lib is a link to /usr/lib on most systems, and in the image too."""
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    original = tmp_path / "original"
    original.write_text("library")
    assert collect_root.inside(tmp_path, Path("/lib/libx.so")) == tmp_path / "usr/lib/libx.so"
    collect_root.copy(original, tmp_path)
    assert (tmp_path / str(original).lstrip("/")).read_text() == "library"


def test_a_program_that_is_not_installed_ends_the_build():
    assert collect_root.find_program("sh").name == "sh"
    with pytest.raises(SystemExit, match="program no-such-program is not installed.*PACKAGES"):
        collect_root.find_program("no-such-program")
