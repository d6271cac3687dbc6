"""Summaries of inspected containers: what is in them, from documents that engines sent, and from damaged ones."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.containerd import inspect_summaries
from runtimes.cri import inspect_summaries as cri_inspect_summaries
from runtimes.docker import network_summary
from runtimes.docker_like import inspect_summaries as docker_like_inspect_summaries
from runtimes.oci import inspect_summaries as oci_inspect_summaries
from runtimes.podman import inspect_summaries as podman_inspect_summaries
from runtimes.swarm import node_summary
from tests.helpers.paths import RECORDED
from tests.unit.runtimes.docker_like.rows import ROW


def captured(name: str) -> dict[str, Any]:
    found = json.loads((RECORDED / name).read_text())
    return found[0] if isinstance(found, list) else found


def test_a_container_of_docker_in_short():
    told = docker_like_inspect_summaries.summarise_container(captured("compose-web-1.json"))
    assert told["State"] == "running"
    assert told["Started"] == "2026-11-24T14:53:38Z"
    assert "Ended" not in told
    assert told["Health"] == "starting"
    assert told["Image"] == "localhost/busybox:1"
    assert told["Mounts"].split("\n")[1] == "volume shop_data at /data"
    assert told["Networks"].split("\n")[1] == "shop_other 172.18.0.2 as shop-web-1, web, 15e23e9091ed"
    assert told["Restarts"] == "0; policy no"
    assert "com.docker.compose.project=shop" in told["Labels"].split("\n")
    assert told["Log driver"] == "json-file"
    assert told["Command"] == "/bin/sh -c exec sleep 3600"


def test_a_container_of_podman_in_short():
    told = docker_like_inspect_summaries.summarise_container(captured("podman-4.3-web.json"))
    assert told["State"] == "created"
    assert "bind /srv/files at /host (read only)" in told["Mounts"].split("\n")
    assert told["Command"].startswith("/run/podman-init -- /bin/sh -c")
    assert "Started" not in told and "Health" not in told


def test_an_end_that_podman_has_not_tidied_up_has_its_code():
    told = docker_like_inspect_summaries.summarise_container({"State": {"Status": "stopped", "ExitCode": 3}})
    assert told["State"] == "exited with code 3"


def test_an_end_with_its_code_and_reason_and_what_limits_and_reaches_the_host():
    told = docker_like_inspect_summaries.summarise_container(
        {
            "State": {
                "Status": "exited",
                "ExitCode": 137,
                "OOMKilled": True,
                "FinishedAt": "2026-11-24T14:53:38Z",
                "Health": {
                    "Status": "unhealthy",
                    "FailingStreak": 3,
                    "Log": [{"Output": "old"}, {"Output": "connection\n refused"}],
                },
            },
            "RestartCount": 4,
            "Config": {"Env": ["A=1", "TOKEN=…"], "Image": "nginx"},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None}},
            "HostConfig": {
                "Memory": 64 << 20,
                "NanoCpus": 1_500_000_000,
                "PidsLimit": 100,
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
                "NetworkMode": "host",
                "Privileged": True,
                "CapAdd": ["NET_ADMIN"],
                "Links": ["/web:/insideweb"],
            },
        }
    )
    assert told["State"] == "exited with code 137, killed because its memory was exhausted"
    assert told["Ended"] == "2026-11-24T14:53:38Z"
    assert told["Health"] == "unhealthy, 3 failed in a row; last check: connection refused"
    assert told["Restarts"] == "4; policy on-failure, at most 5"
    assert told["Limits"] == "memory 64 MiB, CPUs 1.5, processes 100"
    assert told["Host access"] == "runs privileged, shares the network of the host, has the capability NET_ADMIN"
    assert told["Ports"] == "0.0.0.0:8080->80/tcp\n443/tcp"
    assert told["Environment"] == "A, TOKEN"
    assert told["Links"] == "/web:/insideweb"
    assert told["Networks"] == "host"


def test_an_image_in_short():
    told = docker_like_inspect_summaries.summarise_image(captured("podman-4.3-image-busybox.json"))
    assert told["Platform"].startswith("linux/")
    assert told["Layers"] == "1"
    assert told["Tags"].startswith("localhost/busybox")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    *(
        "State",
        "Config",
        "HostConfig",
        "NetworkSettings",
        "Mounts",
        "Health",
        "Log",
        "Ports",
        "Networks",
        "Links",
        "Env",
    ),
    *("Labels", "RestartPolicy", "Memory", "NanoCpus", "PidsLimit", "IPAM", "Containers", "subnets", "InfraConfig"),
    *(
        "task",
        "spec",
        "process",
        "linux",
        "resources",
        "image",
        "info",
        "runtimeSpec",
        "mounts",
        "created_at",
        "target",
    ),
    *("manifest", "layers", "config", "metadata", "Spec", "Status", "Description", "ManagerStatus", "Created"),
)
DAMAGED = st.dictionaries(
    st.sampled_from(KEYS), ANY | st.dictionaries(st.sampled_from(KEYS), ANY, max_size=3), max_size=6
)


@settings(max_examples=300, deadline=None)
@given(DAMAGED)
def test_a_damaged_document_hides_only_what_is_damaged(data):
    for told in (
        docker_like_inspect_summaries.summarise_container(data),
        docker_like_inspect_summaries.summarise_image(data),
        docker_like_inspect_summaries.summarise_volume(data),
        network_summary.summarise_network(data),
        podman_inspect_summaries.summarise_network(data),
        podman_inspect_summaries.summarise_pod(data),
        inspect_summaries.summarise_container(data, ROW),
        inspect_summaries.summarise_image(data),
        cri_inspect_summaries.summarise_container(data),
        cri_inspect_summaries.summarise_image(data),
        cri_inspect_summaries.summarise_pod(data),
        oci_inspect_summaries.summarise_container(data, ROW),
        node_summary.make_summary_fields(data),
    ):
        assert all(isinstance(text, str) and text for text in told.values())


@pytest.mark.parametrize("number", [10**400, -1, 1e308, float("inf"), float("nan"), "9" * 400])
def test_absurd_numbers_are_no_times_and_no_limits(number):
    state = {"StartedAt": number, "ExitCode": number, "Status": "exited"}
    told = docker_like_inspect_summaries.summarise_container(
        {"State": state, "HostConfig": {"Memory": number, "NanoCpus": number}}
    )
    assert "Started" not in told
