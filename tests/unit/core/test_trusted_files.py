"""Which files somebody else could change."""

import grp
import os
import pwd
import stat
import struct
from pathlib import Path

import pytest

from core import trusted_files

OTHER, NOBODY = 12_345, 0xFFFF_FFFF
why = trusted_files.find_reason_for_distrust

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "conf").mkdir(mode=0o755)
    (tmp_path / "conf").chmod(0o755)
    (tmp_path / "conf/a").write_text("x")
    (tmp_path / "conf/a").chmod(0o644)
    return tmp_path / "conf"


def test_our_own_file_is_trusted_and_so_is_one_that_is_not_there(folder, monkeypatch):
    assert why(folder / "a") == ""
    assert why(folder / "none") == why(folder / "none/below") == ""
    monkeypatch.chdir(folder)
    assert why(Path("a")) == why(Path("../conf/a")) == ""
    assert why(Path("/etc/passwd")) == why(Path("/dev/null")) == ""


def test_an_empty_device_is_trusted_whoever_owns_it(folder):
    os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(folder / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    for name in ("null", "zero"):
        os.chown(folder / name, OTHER, OTHER)
    assert why(folder / "null") == "" and why(folder / "zero") == f"belongs to uid {OTHER}"


@pytest.mark.parametrize("level", ["file", "folder", "above"])
def test_what_belongs_to_somebody_else_is_not(folder, level, monkeypatch):
    changed = {"file": folder / "a", "folder": folder, "above": folder.parent}[level]
    os.chown(changed, OTHER, OTHER)
    assert "belongs to uid 12345" in why(folder / "a")
    assert level == "file" or str(changed) in why(folder / "a")
    monkeypatch.chdir(folder)
    assert "belongs to uid 12345" in why(Path("a"))
    if level != "file":
        assert "belongs to uid 12345" in why(Path("../conf/a"))
    os.chown(changed, 0, 0)


@pytest.mark.parametrize("level", ["file", "folder", "above"])
@pytest.mark.parametrize(("mode", "who"), [(0o702, "everyone"), (0o720, "the group mail"), (0o770, "the group mail")])
def test_what_others_can_write_to_is_not(folder, level, mode, who):
    changed = {"file": folder / "a", "folder": folder, "above": folder.parent}[level]
    os.chown(changed, 0, grp.getgrnam("mail").gr_gid)
    changed.chmod(mode)
    assert (
        f"by {who}" in why(folder / "a")
        if level == "file"
        else f"{changed}, to which {who} can write" in why(folder / "a")
    )
    changed.chmod(mode & 0o755)
    assert why(folder / "a") == ""


def test_a_sticky_folder_is_trusted_but_not_what_others_put_there(folder):
    folder.chmod(0o1777)
    assert why(folder / "a") == ""
    os.chown(folder / "a", OTHER, OTHER)
    assert why(folder / "a") == "belongs to uid 12345"
    (folder / "a").unlink()
    (folder / "real").write_text("x")
    (folder / "a").symlink_to("real")
    assert why(folder / "a") == ""
    os.lchown(folder / "a", OTHER, OTHER)
    assert f"the link {folder}/a, which belongs to uid 12345" in why(folder / "a")


def test_links_are_followed_and_every_folder_on_the_way_counts(folder, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "through").symlink_to(folder)
    (tmp_path / "b").symlink_to(theirs / "through/a")
    assert why(tmp_path / "b") == ""
    os.chown(theirs, OTHER, OTHER)
    assert str(theirs) in why(tmp_path / "b")
    (tmp_path / "loop").symlink_to("loop")
    assert "too many" in why(tmp_path / "loop")


def test_the_owners_private_group_may_write_but_no_other_and_no_list(folder, monkeypatch):
    user = next(each for each in pwd.getpwall() if each.pw_uid not in (0, 65534) and each.pw_uid == each.pw_gid)
    monkeypatch.setattr(os, "geteuid", lambda: user.pw_uid)
    os.chown(folder / "a", user.pw_uid, user.pw_gid)
    (folder / "a").chmod(0o664)
    assert why(folder / "a") == ""
    os.chown(folder / "a", user.pw_uid, grp.getgrnam("users").gr_gid)
    assert why(folder / "a") == "can be changed by the group users"
    os.chown(folder / "a", 0, 0)
    assert why(folder / "a") == ""
    user_obj, user_12345, group_obj, mask, other = (
        (1, 6, NOBODY),
        (2, 6, OTHER),
        (4, 4, NOBODY),
        (16, 6, NOBODY),
        (32, 4, NOBODY),
    )
    entries = (user_obj, user_12345, group_obj, mask, other)
    access_list = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
    try:
        os.setxattr(folder / "a", "system.posix_acl_access", access_list)
    except OSError:
        pytest.skip("the file system has no access control lists")
    assert why(folder / "a") == "can be changed by the group root"


def test_whoever_mounts_a_file_into_a_container_decides_about_it(folder, monkeypatch):
    """As of a file `-v ./a:/etc/quarterdeck/a` of the host's user, and of a folder with a file of the same user."""
    os.chown(folder / "a", OTHER, OTHER)
    assert why(folder / "a")
    mounted = [folder / "a"]
    monkeypatch.setattr(trusted_files, "bind_mount_owners", lambda: {str(one): os.lstat(one).st_uid for one in mounted})
    assert why(folder / "a") == ""
    os.chown(folder, OTHER, OTHER)
    assert why(folder / "a")
    mounted[:] = [folder]
    assert why(folder / "a") == ""
    os.chown(folder / "a", OTHER + 1, OTHER)
    assert why(folder / "a") == "belongs to uid 12346"


def test_bind_mounts_are_read_and_whole_file_systems_are_not_among_them(tmp_path, monkeypatch):
    (tmp_path / "a b").mkdir()
    os.chown(tmp_path / "a b", OTHER, OTHER)
    (tmp_path / "home").mkdir()
    table = tmp_path / "mountinfo"
    table.write_text(
        f"1 0 8:1 /home/bob/conf {tmp_path}/a\\040b ro - ext4 /dev/sda1 rw\n"
        f"2 0 8:2 / {tmp_path}/home rw - ext4 /dev/sdb1 rw\n"
        f"3 0 8:1 /gone {tmp_path}/gone rw - ext4 /dev/sda1 rw\n"
        "4 0 0:1 /image / rw - overlay overlay rw\n"
    )
    monkeypatch.setattr(trusted_files, "_MOUNTS", table)
    assert trusted_files.bind_mount_owners() == {f"{tmp_path}/a b": OTHER}
