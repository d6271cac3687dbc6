"""What engines report about their disk use, decoded: what is counted once, and what is not known."""

from __future__ import annotations

import pytest

from core.model.disk_use import DiskUse
from runtimes.cri import disk_use as cri
from runtimes.docker import disk_use as docker
from runtimes.formats import json_decoder
from runtimes.podman import disk_use as podman
from tests.helpers.disk_use_answers import DOCKER, PODMAN, file_systems
from tests.helpers.sample_answers import encoded


def decoded_docker(body: bytes) -> DiskUse:
    return docker.decode(json_decoder.decode_json(docker.Report, body))


def decoded_podman(body: bytes) -> DiskUse:
    return podman.decode(json_decoder.decode_json(podman.Report, body))


def test_docker() -> None:
    assert decoded_docker(DOCKER[0]) == DiskUse(
        images=1982326, volumes=2000, unused_volumes=1, build_cache=700, writable=3000
    )
    assert decoded_docker(DOCKER[1]) == DiskUse(images=0, volumes=0, unused_volumes=0, build_cache=0, writable=0)


def test_docker_volumes_of_unknown_size_only_have_no_size() -> None:
    (body,) = encoded({"LayersSize": 1, "Volumes": [{"UsageData": {"RefCount": -1, "Size": -1}}, {"UsageData": None}]})
    assert (decoded_docker(body).volumes, decoded_docker(body).unused_volumes) == (None, 0)


def test_negative_sizes_of_a_lying_daemon_count_as_nothing() -> None:
    (body,) = encoded({"LayersSize": -5, "Containers": [{"SizeRw": -7}], "BuildCache": [{"Size": -9}]})
    found = decoded_docker(body)
    assert (found.images, found.writable, found.build_cache) == (0, 0, 0)


@pytest.mark.parametrize(
    ("body", "images"), [(PODMAN[0], 2009492), (PODMAN[1], None), (PODMAN[2], 1997895)], ids=["5.4", "4.3", "4.3 alone"]
)
def test_podman_images(body: bytes, images: int | None) -> None:
    found = decoded_podman(body)
    assert found.images == images
    assert found.build_cache is None


def test_podman() -> None:
    found = decoded_podman(PODMAN[0])
    assert (found.volumes, found.unused_volumes, found.writable) == (2000, 1, 18148)


def test_cri_counts_one_file_system_once() -> None:
    assert cri.decode(file_systems({"/images": 5}, {"/images": 5})) == DiskUse(images=5)
    assert cri.decode(file_systems({"/images": 5}, {"/containers": 6})) == DiskUse(images=5, writable=6)
    assert cri.decode(file_systems({})) == DiskUse()
