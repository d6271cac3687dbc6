"""Checks whether somebody else can change a file that Quarterdeck is about to trust, such as its configuration.

Such a file decides what Quarterdeck does with its permissions. So the file, each directory above it, and each symbolic
link in its path must belong to root or to Quarterdeck's own user, and nobody else may write to them. A directory with
the sticky bit, such as /tmp, is accepted: there, nobody can replace the files of others. A read-only file system is
accepted too. Inside a container, the owner of a bind mount's root is also trusted, because the person who made the
mount chose that file. The check and the later use of a path do not race: nobody who could replace the file passes the
check.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections import deque
from collections.abc import Mapping, Set
from pathlib import Path

from core import untrusted_files

MAX_LINKS = 40
_DESCRIPTORS = ("/dev/fd", "/dev/stdin", "/proc/self/fd")  # passed on by whoever started this process
_NULL = os.makedev(1, 3)  # the number of /dev/null on Linux
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")  # the kernel writes spaces and the like so


def find_reason_for_distrust(path: Path) -> str:
    """Returns why a file must not be trusted, as the end of a sentence about the file, such as “belongs to bob”.
    Returns an empty string for a trusted file, and for one that does not exist or cannot be found: reading it reports
    that."""
    absolute = Path.cwd() / path
    if any(absolute.is_relative_to(each) for each in _DESCRIPTORS):
        return ""
    try:
        return _why(absolute, {0, os.geteuid()}, bind_mount_owners())
    except OSError:
        return ""


def hint(what: str = "file") -> str:
    """Returns what to do about an untrusted file or directory."""
    user = untrusted_files.user_name(os.geteuid())
    users = "root" if user == "root" else f"{user} or root"
    return f"Give the {what} and all folders above it to {users} (chown), and let nobody else write there (chmod go-w)."


def bind_mount_owners() -> Mapping[str, int]:
    """Returns the owner of each bind mount's root by its path. A mount of a whole file system is left out."""
    owners = {}
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no Linux
        return {}
    for line in lines:
        fields = line.split()
        if len(fields) > 4 and fields[3] != "/" and fields[4] != "/":
            point = _OCTAL.sub(lambda escaped: chr(int(escaped[1], 8)), fields[4])
            try:
                owners[point] = os.lstat(point).st_uid
            except OSError:
                continue
    return owners


def _why(path: Path, trusted: Set[int], mounts: Mapping[str, int]) -> str:
    current, parts, links = Path("/"), deque(path.parts[1:]), 0
    reason = _why_entry(current, os.lstat(current), trusted, is_last=not parts)
    while parts and not reason:
        part = parts.popleft()
        if part == "..":
            current = current.parent
            continue
        current /= part
        if str(current) in mounts:
            trusted = {*trusted, mounts[str(current)]}
        found = os.lstat(current)
        reason = _why_entry(current, found, trusted, is_last=not parts)
        if stat.S_ISLNK(found.st_mode) and not reason:
            links += 1
            if links > MAX_LINKS:
                return "has too many symbolic links in its path"
            target = current.readlink()
            current = Path("/") if target.is_absolute() else current.parent
            parts.extendleft(part for part in reversed(target.parts) if part != "/")
    return reason


def _why_entry(path: Path, found: os.stat_result, trusted: Set[int], *, is_last: bool) -> str:
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL:
        return ""  # it is empty, whoever owns it: crun gives it to the user of a container that has it as its output
    is_link = stat.S_ISLNK(found.st_mode)
    name = "" if is_last and not is_link else f" {path}"
    kind = "link" if is_link else "folder"
    if found.st_uid not in trusted:
        owner = untrusted_files.user_name(found.st_uid)
        return f"is in or below the {kind}{name}, which belongs to {owner}" if name else f"belongs to {owner}"
    if is_link or not _writable_by_others(path, found):
        return ""
    who = "everyone" if found.st_mode & stat.S_IWOTH else f"the group {_group_name(found.st_gid)}"
    return f"is in or below the folder{name}, to which {who} can write" if name else f"can be changed by {who}"


def _writable_by_others(path: Path, found: os.stat_result) -> bool:
    mode = found.st_mode
    if stat.S_ISCHR(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return False
    if not (mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_private_group(path, found))):
        return False
    return not os.statvfs(path).f_flag & os.ST_RDONLY


def _is_private_group(path: Path, found: os.stat_result) -> bool:
    """Returns whether a group consists of root or of the owner alone, as the group that each user has by default."""
    if _has_acl(path):  # then the mode shows what the list grants to others
        return False
    if found.st_gid == 0:
        return True
    try:
        group, owner = grp.getgrgid(found.st_gid), pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return found.st_gid == found.st_uid  # a user of the host, seen from a container
    if group.gr_name == owner:
        return set(group.gr_mem) <= {owner, "root"}
    # Debian gives /usr/local to a group that has no members unless the administrator adds some.
    return group.gr_name == "staff" and found.st_uid == 0 and set(group.gr_mem) <= {"root"}


def _has_acl(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except (OSError, AttributeError):  # AttributeError: no Linux
        return False


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
