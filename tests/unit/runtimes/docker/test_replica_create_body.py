"""One more container like one that docker compose 2.26 made on Docker 20.10, as its inspection was recorded."""

import copy
import json

import pytest

from core import errors
from runtimes.docker import replica_create_body
from tests.helpers.paths import RECORDED as RECORDED_DIR

RECORDED = json.loads((RECORDED_DIR / "compose-web-1.json").read_text())


@pytest.fixture
def web():
    return copy.deepcopy(RECORDED)


def made(data, number=4, image="localhost/busybox:1"):
    return replica_create_body.build_replica_create_body(data, f"shop-web-{number}", number, image)


def test_what_compose_would_have_sent(web):
    body, more = made(web)
    assert body["Labels"] == web["Config"]["Labels"] | {"com.docker.compose.container-number": "4"}
    assert "Hostname" not in body
    assert {key: body[key] for key in ("Cmd", "Healthcheck", "Image")} == {
        key: web["Config"][key] for key in ("Cmd", "Healthcheck", "Image")
    }
    assert body["HostConfig"]["Mounts"] == web["HostConfig"]["Mounts"]
    assert body["HostConfig"]["Init"] is True
    assert body["NetworkingConfig"] == {
        "EndpointsConfig": {
            "shop_default": {"Aliases": ["shop-web-4", "web", "front"], "Links": None, "DriverOpts": None}
        }
    }
    assert more == {"shop_other": {"Aliases": ["shop-web-4", "web"], "Links": None, "DriverOpts": None}}


def test_what_belongs_to_one_alone_is_left_behind(web):
    volume = "e" * 64
    web["Config"]["MacAddress"] = "02:42:ac:11:00:03"
    web["Config"]["Labels"]["com.docker.compose.replace"] = "shop-web-1"
    web["HostConfig"]["Binds"] = [f"{volume}:/scratch:rw", "shop_logs:/logs", "/etc/shop:/etc/shop:ro"]
    web["HostConfig"]["Mounts"] = [
        {"Type": "volume", "Source": volume, "Target": "/cache"},
        {"Type": "volume", "Source": "shop_data", "Target": "/data"},
        {"Type": "bind", "Source": "/srv", "Target": "/srv"},
    ]
    web["NetworkSettings"]["Networks"]["shop_default"]["IPAMConfig"] = {"IPv4Address": "172.17.0.50"}
    body, _ = made(web, image="sha256:abc")
    assert body["Image"] == "sha256:abc"
    assert "MacAddress" not in body
    assert "com.docker.compose.replace" not in body["Labels"]
    assert body["HostConfig"]["Binds"] == ["shop_logs:/logs", "/etc/shop:/etc/shop:ro"]
    assert body["Volumes"] == {"/scratch": {}}
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "volume", "Target": "/cache"},
        {"Type": "volume", "Source": "shop_data", "Target": "/data"},
        {"Type": "bind", "Source": "/srv", "Target": "/srv"},
    ]
    assert "172.17" not in json.dumps(body)


@pytest.mark.parametrize("mode", ["none", "host", "container:" + "a" * 64])
def test_what_has_no_endpoint_of_its_own_is_connected_to_nothing(web, mode):
    web["HostConfig"]["NetworkMode"] = mode
    web["NetworkSettings"]["Networks"] = {mode: {}} if mode in ("none", "host") else {}
    body, more = made(web)
    assert body["NetworkingConfig"] == {"EndpointsConfig": {}} and more == {}
    assert body["HostConfig"]["NetworkMode"] == mode


def test_a_host_name_set_by_hand_stays(web):
    web["Config"]["Hostname"] = "shop"
    assert made(web)[0]["Hostname"] == "shop"


@pytest.mark.parametrize("port", ["", "0", "8000-8010"])
def test_ports_the_engine_may_choose_can_be_had_by_several(web, port):
    web["HostConfig"]["PortBindings"] = {"80/tcp": [{"HostIp": "", "HostPort": port}], "81/tcp": None}
    replica_create_body.check_can_replicate("shop-web-1", web)


def test_what_only_one_can_have_is_refused_with_its_cure(web):
    web["HostConfig"]["PortBindings"] = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    with pytest.raises(
        errors.UserError,
        match="shop-web-1 publishes 80/tcp on port 8080 of the host, which only one container can use",
    ) as caught:
        replica_create_body.check_can_replicate("shop-web-1", web)
    assert "8000-8010:80" in caught.value.hint
    with pytest.raises(errors.UserError, match="sets the container name front-door") as caught:
        replica_create_body.check_can_replicate("front-door", RECORDED)
    assert "container_name" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("shop-web-1", "-"),
        ("shop_web_1", "_"),
        ("shop_web_1_3f2a1b9c8d7e", "_"),
        ("0123456789ab_shop-web-1", "-"),
        ("shop-web", ""),
        ("web", ""),
        ("abc_shop-web-1", ""),
        ("shop-web-2", ""),
    ],
)
def test_a_replica_is_known_by_its_name(name, mark):
    assert replica_create_body.name_separator(name, RECORDED["Config"]["Labels"]) == mark
