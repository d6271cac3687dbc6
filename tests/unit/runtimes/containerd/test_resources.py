"""The small parts of containerd's adapter: names of images, metrics, and what the kernel reports."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import any_pb2

from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_usage import Usage
from runtimes.containerd import image_names, pull, stats
from runtimes.kernel import cpu_percent, procfs
from runtimes.proto import containerd_cgroup1_pb2, containerd_cgroup2_pb2, containerd_types_pb2
from runtimes.transport import connect

WEB = Ref(engine=EngineRef(host="h", kind="containerd"), kind=Kind.CONTAINER, id="default/web", name="web")


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("team/app:2", "docker.io/team/app:2"),
        ("localhost/app", "localhost/app:latest"),
        ("registry.example:5000/a/b:1", "registry.example:5000/a/b:1"),
        ("nginx@sha256:" + "a" * 64, "docker.io/library/nginx@sha256:" + "a" * 64),
    ],
)
def test_names_of_images_are_written_out_as_clients_do(name: str, full: str) -> None:
    assert image_names.expand_image_name(name) == full


def test_names_of_an_image_are_tags_digests_or_neither() -> None:
    digest = "sha256:" + "b" * 64
    names = ["docker.io/library/nginx:1", "sha256:" + "a" * 64, f"docker.io/library/other@{digest}", "not a name"]
    tags, digests = image_names.tags_and_digests(names, digest)
    assert tags == ["docker.io/library/nginx:1", "not a name"]
    assert digests == [f"docker.io/library/nginx@{digest}", f"docker.io/library/other@{digest}"]


def metric(message: Any) -> containerd_types_pb2.Metric:
    data = any_pb2.Any(type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString())
    return containerd_types_pb2.Metric(id="web", data=data)


def v2(seconds: float) -> containerd_types_pb2.Metric:
    told = containerd_cgroup2_pb2.Metrics()
    told.cpu.usage_usec = int(seconds * 1e6)
    told.memory.usage, told.memory.inactive_file, told.memory.usage_limit = 300, 100, 1 << 63
    told.pids.current = 4
    told.io.usage.add(rbytes=5, wbytes=6)
    told.io.usage.add(rbytes=10)
    told.network.add(rx_bytes=1, tx_bytes=2)
    return metric(told)


def test_metrics_of_version_2() -> None:
    shares = cpu_percent.CpuPercent()
    first = stats.decode_metric(WEB, v2(10), shares, 100.0)
    assert first == Usage(
        ref=WEB, cpu_seconds=10.0, memory=200, network_received=1, network_sent=2, block_read=15, block_written=6,
        processes=4,
    )  # fmt: skip
    assert stats.decode_metric(WEB, v2(11), shares, 102.0).cpu_percent == pytest.approx(50.0)


def test_metrics_of_version_1() -> None:
    told = containerd_cgroup1_pb2.Metrics()
    told.cpu.usage.total = 2_000_000_000
    told.memory.usage.usage, told.memory.usage.limit, told.memory.total_inactive_file = 300, 1000, 400
    for op, value in (("Read", 5), ("Write", 6), ("Sync", 11), ("Total", 11), ("read", 1)):
        told.blkio.io_service_bytes_recursive.add(op=op, value=value)
    found = stats.decode_metric(WEB, metric(told), cpu_percent.CpuPercent(), 1.0)
    assert (found.cpu_seconds, found.memory, found.memory_limit) == (2.0, 0, 1000)
    assert (found.block_read, found.block_written, found.processes, found.network_sent) == (6, 6, None, None)


@pytest.mark.parametrize(
    "data", [any_pb2.Any(), any_pb2.Any(type_url="io.containerd.cgroups.v2.Metrics", value=b"\xff")]
)
def test_metrics_nobody_knows_tell_nothing(data: any_pb2.Any) -> None:
    told = containerd_types_pb2.Metric(id="web", data=data)
    assert stats.decode_metric(WEB, told, cpu_percent.CpuPercent(), 1.0) == Usage(ref=WEB)


def test_the_kernel_tells_when_a_process_began_and_who_listens(short_tmp: Path) -> None:
    began = procfs.process_start_time(os.getpid())
    assert began is not None and 0 <= time.time() - began < 3600
    assert procfs.process_start_time(0) is None
    assert procfs.process_start_time(2**30) is None
    assert procfs.pid_namespace() == procfs.pid_namespace(str(os.getpid()))
    assert procfs.pid_namespace("none") is None
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(short_tmp / "d.sock"))
        door.listen(1)
        assert connect.peer_credentials(str(short_tmp / "d.sock")) == (os.getpid(), os.getuid())
    assert connect.peer_credentials(str(short_tmp / "none.sock")) == (0, None)


def test_recorded_processes_and_control_groups(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    words = " ".join(["S", *["1"] * 18, "250", "0"])
    (tmp_path / "7/stat").write_text(f"7 (a ) (b) c) {words}")
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1000\n")
    assert procfs.process_start_time(7, str(tmp_path)) == 1000 + 250 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "7/stat").write_text("7 (short) S")
    assert procfs.process_start_time(7, str(tmp_path)) is None
    assert procfs.cgroup_version(str(tmp_path)) == ""
    (tmp_path / "memory").mkdir()
    assert procfs.cgroup_version(str(tmp_path)) == "1"
    (tmp_path / "cgroup.controllers").touch()
    assert procfs.cgroup_version(str(tmp_path)) == "2"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"layer-sha256:a": (5_000_000, 5_000_000), "layer-sha256:b": (1, 2_000_000)}, "1 of 2 layers, 5.0 of 7.0 MB"),
        ({"layer-sha256:a": (1_000_000, 2_000_000), "config-sha256:c": (9, 9)}, "0 of 1 layer, 1.0 of 2.0 MB"),
        ({"manifest-sha256:m": (500, 1_000_000)}, "0.0 of 1.0 MB"),
    ],
)
def test_a_pull_tells_its_layers_and_its_size(parts: dict[str, tuple[int, int]], text: str) -> None:
    assert pull.progress_text(parts) == text
