"""What engines answered when they were asked for their disk use, shortened."""

from __future__ import annotations

from runtimes.proto import cri_pb2
from tests.helpers.sample_answers import encoded

# Docker 20.10 and 26.1 answer alike; 26.1 sends no BuilderSize.
DOCKER = encoded(
    {
        "LayersSize": 1982326,
        "Images": [{"Containers": 1, "Id": "sha256:558f", "RepoTags": ["localhost/busybox:1"], "Size": 1982326}],
        "Containers": [{"Id": "a35a", "Names": ["/web"], "SizeRw": 3000, "SizeRootFs": 1985326}, {"Id": "b46b"}],
        "Volumes": [
            {"Name": "spare", "Driver": "local", "UsageData": {"RefCount": 0, "Size": 500}},
            {"Name": "used", "Driver": "local", "UsageData": {"RefCount": 2, "Size": 1500}},
            {"Name": "far", "Driver": "nfs", "UsageData": {"RefCount": 1, "Size": -1}},
        ],
        "BuildCache": [
            {"ID": "a", "Type": "regular", "Shared": False, "Size": 700},
            {"ID": "b", "Type": "regular", "Shared": True, "Size": 300},
        ],
        "BuilderSize": 0,
    },
    {"LayersSize": 0, "Images": [], "Containers": None, "Volumes": None, "BuildCache": None},
)
# Podman 5.4, and 4.3, which does not send the size of all images.
PODMAN = encoded(
    {
        "ImagesSize": 2009492,
        "Images": [
            {"ImageID": "1e68", "Tag": "1", "Size": 1997895, "SharedSize": 1997895, "UniqueSize": 0, "Containers": 1},
            {"ImageID": "a61e", "Tag": "1", "Size": 2008397, "SharedSize": 1997895, "UniqueSize": 10502},
        ],
        "Containers": [{"ContainerID": "3b4e", "Size": 2016043, "RWSize": 18148, "Names": "web"}],
        "Volumes": [
            {"VolumeName": "spare", "Links": 0, "Size": 500, "ReclaimableSize": 500},
            {"VolumeName": "used", "Links": 1, "Size": 1500, "ReclaimableSize": 0},
        ],
    },
    {
        "Images": [
            {"ImageID": "cff4", "Tag": "1", "Size": 1997895, "SharedSize": 1997895, "UniqueSize": 0, "Containers": 1},
            {"ImageID": "2b7b", "Tag": "1", "Size": 2008411, "SharedSize": 1997895, "UniqueSize": 10516},
        ],
        "Containers": [{"ContainerID": "8792", "Size": 1982326, "RWSize": 3012, "Names": "web"}],
        "Volumes": [],
    },
    {
        "Images": [
            {"ImageID": "cff4", "Tag": "1", "Size": 1997895, "SharedSize": 0, "UniqueSize": 1997895},
            {"ImageID": "cff4", "Tag": "2", "Size": 1997895, "SharedSize": 0, "UniqueSize": 1997895},
        ],
        "Containers": None,
        "Volumes": None,
    },
)


def file_systems(images: dict[str, int], containers: dict[str, int] | None = None) -> cri_pb2.ImageFsInfoResponse:
    """What a CRI engine answers: bytes used by mount point."""

    def usages(given: dict[str, int]) -> list[cri_pb2.FilesystemUsage]:
        return [
            cri_pb2.FilesystemUsage(
                fs_id=cri_pb2.FilesystemIdentifier(mountpoint=path), used_bytes=cri_pb2.UInt64Value(value=used)
            )
            for path, used in given.items()
        ]

    return cri_pb2.ImageFsInfoResponse(image_filesystems=usages(images), container_filesystems=usages(containers or {}))
