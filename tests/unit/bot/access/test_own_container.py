"""Our own container's id, from what kernels and engines really show; and nobody else's."""

import pytest

from bot.access import own_container, protected_resources

OWN, OTHER = "4f" * 32, "ab" * 32

CGROUPS = {
    "v1, docker": f"12:pids:/docker/{OWN}\n11:memory:/docker/{OWN}\n1:name=systemd:/docker/{OWN}\n",
    "v1, systemd driver": f"12:pids:/system.slice/docker-{OWN}.scope\n",
    "v2, host cgroup namespace": f"0::/system.slice/docker-{OWN}.scope\n",
    "v2, podman": f"0::/machine.slice/libpod-{OWN}.scope/container\n",
    "kubernetes": f"0::/kubepods.slice/kubepods-pod12.slice/cri-containerd-{OWN}.scope\n",
}
PLAIN = "0::/user.slice/user-0.slice/session-1.scope\n"
MOUNTS = """\
700 600 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X
701 700 8:1 /var/lib/docker/containers/{own}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
702 700 8:1 /var/lib/docker/containers/{own}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
703 700 8:1 /var/lib/docker/containers/{own}/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
"""
STRANGE = f"704 700 8:1 /var/lib/docker/containers/{OTHER} /watched/{OTHER} ro,relatime - ext4 /dev/{OTHER} rw\n"


@pytest.mark.parametrize("text", CGROUPS.values(), ids=CGROUPS)
def test_the_cgroup_tells(text):
    assert own_container.ids_in_cgroup(text) == {OWN}


def test_the_mounts_tell_where_the_cgroup_is_a_namespace_of_its_own(tmp_path):
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "mountinfo").write_text(MOUNTS.format(own=OWN))
    assert own_container.find_own_container_ids(tmp_path) == {OWN}


def test_other_containers_folders_mounted_to_be_watched_are_not_us():
    assert own_container.ids_in_mountinfo(MOUNTS.format(own=OWN) + STRANGE) == {OWN}
    assert own_container.ids_in_mountinfo(STRANGE) == set()


def test_a_container_within_a_container_is_both(tmp_path):
    (tmp_path / "cgroup").write_text(f"0::/docker/{OTHER}/docker/{OWN}\n")
    (tmp_path / "mountinfo").write_text(MOUNTS.format(own=OWN))
    assert own_container.find_own_container_ids(tmp_path) == {OWN, OTHER}


@pytest.mark.parametrize(
    "text", [PLAIN, "", "0::/docker/" + "4f" * 31, "0::/x/" + "4f" * 33, "0::/x/" + "4F" * 32, "nonsense"]
)
def test_a_plain_host_is_no_container(tmp_path, text):
    (tmp_path / "cgroup").write_text(text)
    assert own_container.find_own_container_ids(tmp_path) == frozenset()
    assert own_container.find_own_container_ids(tmp_path / "no such folder") == frozenset()


def test_mounts_cut_short_or_odd_are_no_reason_to_stop():
    assert own_container.ids_in_mountinfo("701 700 8:1\n /etc/hosts \n" + MOUNTS.format(own=OWN)) == {OWN}


@pytest.mark.parametrize(
    ("hostname", "own"), [(OWN[:12], OWN[:12]), ("db7", ""), ("feedfacebeef.local", ""), (OWN[:13], ""), ("", "")]
)
def test_a_host_name_that_begins_an_id_is_a_hint(hostname, own):
    assert own_container.container_id_prefix(hostname) == own


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("redis://:secret@redis:6379/0", "redis"),
        ("rediss://user:p%40ss@Store.internal:6380/1", "store.internal"),
        ("redis://localhost:6379", ""),
        ("redis://127.0.0.1:6379", ""),
        ("redis://[::1]:6379/0", ""),
        ("unix:///run/store.sock", ""),
        ("unix://relative/store.sock", ""),
        ("", ""),
    ],
)
def test_the_stores_address_names_its_host(url, host):
    assert protected_resources.store_host(url) == host
