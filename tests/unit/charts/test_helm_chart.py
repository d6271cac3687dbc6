"""The Helm chart, rendered with each documented values file: valid objects with the least rights."""

import json
import tomllib

import helm_python
import kubernetes_validate
import pytest
import yaml

from tests.helpers import pod_security
from tests.helpers.helm_chart import BOT, CHART, EXAMPLES, Rendered, containers, example, merged
from tests.helpers.paths import ROOT

OLDEST, NEWEST = "1.25", "1.37"
FROM_OPERATOR = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}  # Kubernetes has no schema for them
NAMES = [file.stem for file in EXAMPLES]
# The rights that an exporter needs beyond the level “restricted”: the directory of the engine's socket.
BEYOND_RESTRICTED = {"exporter-crio": {"volumes.hostPath", "seLinuxOptions"}}


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def rendered(name):
    return Rendered(example(name))


def test_helm_finds_no_fault(name):
    report = helm_python.lint(CHART, example(name), strict=True, kube_version=f"v{NEWEST}.0")
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_each_object_is_one_that_kubernetes_knows(rendered, version):
    kinds = set()
    for found in rendered.objects:
        kinds.add(found["kind"])
        if found["kind"] not in FROM_OPERATOR:
            kubernetes_validate.validate(found, version, strict=True)
    assert "ServiceAccount" in kinds


def test_names_are_unique_and_every_object_is_in_the_namespace_of_the_release(rendered):
    names = [(found["kind"], found["metadata"]["name"]) for found in rendered.objects]
    assert len(names) == len(set(names))
    assert {found["metadata"]["namespace"] for found in rendered.objects} == {"ops"}
    assert all(found["metadata"]["labels"]["app.kubernetes.io/instance"] == "deck" for found in rendered.objects)


def test_pods_have_the_least_rights(name, rendered):
    for part, pod in rendered.pods().items():
        beyond = BEYOND_RESTRICTED.get(name, {"volumes.hostPath"}) if part == "exporter" else set()
        assert pod_security.violations(pod["spec"]) == beyond, part
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]
        host = [mount for mount in pod["spec"].get("volumes", ()) if "hostPath" in mount]
        mounts = {mount["name"]: mount for mount in pod["spec"]["containers"][0].get("volumeMounts", ())}
        assert all(mounts[volume["name"]]["readOnly"] for volume in host)


def test_every_mount_has_its_volume_and_every_port_its_name(rendered):
    for pod in rendered.pods().values():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        claims = {"data"} if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "redis" else set()
        for container in containers(pod):
            mounts = container.get("volumeMounts", ())
            assert {mount["name"] for mount in mounts} <= volumes | claims
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
            named = {port["name"] for port in container.get("ports", ())}
            probes = [
                container[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe") if probe in container
            ]
            assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= named


def test_every_service_and_policy_selects_pods_that_exist(rendered):
    pods = [pod["metadata"]["labels"] for pod in rendered.pods().values()]
    selectors = [service["spec"]["selector"] for service in rendered.all("Service")]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in rendered.all("NetworkPolicy")]
    selectors += [monitor["spec"]["selector"]["matchLabels"] for monitor in rendered.all("PodMonitor")]
    selectors += [
        each["spec"]["selector"]["matchLabels"]
        for each in rendered.objects
        if each["kind"] in ("Deployment", "DaemonSet", "StatefulSet")
    ]
    assert selectors
    for selector in selectors:
        assert [labels for labels in pods if selector.items() <= labels.items()]
    services = [service["metadata"]["labels"] for service in rendered.all("Service")]
    for monitor in rendered.all("ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        assert len([labels for labels in services if selector.items() <= labels.items()]) == 1


def test_no_secret_is_in_the_objects(rendered):
    """A Secret is created for the generated password only, and nothing else has that password."""
    secrets = rendered.all("Secret")
    assert len(secrets) == len(rendered.all("StatefulSet")) - ("quarterdeck-redis-url" in json.dumps(rendered.objects))
    for secret in secrets:
        assert list(secret["data"]) == ["url"]
        assert json.dumps(rendered.objects).count(secret["data"]["url"]) == 1


def test_one_value_names_the_image(rendered):
    images = {
        container["image"] for part, pod in rendered.pods().items() if part != "redis" for container in containers(pod)
    }
    assert len(images) == 1
    assert images.pop().startswith("registry.example.com/ops/quarterdeck")
    assert "WARNING: the image" not in rendered.notes


# ── what the parts have ──────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_registry_the_image_is_the_one_that_make_image_builds_and_the_notes_warn():
    rendered = Rendered(BOT)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert containers(rendered.pods()["bot"])[0]["image"] == f"localhost/quarterdeck:{version}"
    assert "IMAGE ?= localhost/quarterdeck:" in (ROOT / "Makefile").read_text()
    assert "which nodes cannot pull from a registry" in rendered.notes
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_there_is_one_bot_and_a_new_one_starts_after_the_old_one_has_ended():
    bot = Rendered(BOT).one("Deployment")["spec"]
    assert (bot["replicas"], bot["strategy"]) == (1, {"type": "Recreate"})


def test_another_configuration_is_another_pod():
    def checksum(values):
        return Rendered(values).pods()["bot"]["metadata"]["annotations"]["checksum/config"]

    assert checksum(BOT) == checksum(BOT) != checksum(merged(BOT, {"bot": {"config": {"log": {"level": "debug"}}}}))


def test_the_exporter_is_no_root_and_gets_the_socket_by_the_group_of_its_owner():
    pod = Rendered(example("exporter-containerd")).pods()["exporter"]
    rights = pod["spec"]["securityContext"]
    assert (rights["runAsUser"], rights["supplementalGroups"], rights["runAsNonRoot"]) == (10001, [0], True)
    (socket,) = [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]
    assert socket["hostPath"] == {"path": "/run/containerd", "type": "Directory"}
    (mount,) = [mount for mount in pod["spec"]["containers"][0]["volumeMounts"] if mount["name"] == "socket"]
    assert (mount["mountPath"], mount["readOnly"], mount["mountPropagation"]) == (
        "/run/containerd",
        True,
        "HostToContainer",
    )
    (host,) = pod["spec"]["containers"][0]["env"]
    assert (host["name"], host["valueFrom"]["fieldRef"]["fieldPath"]) == ("QUARTERDECK_HOST", "spec.nodeName")


def test_an_exporter_may_run_as_root_where_the_socket_belongs_to_its_user_alone():
    values = merged(example("exporter-containerd"), {"exporter": {"runAsUser": 0, "supplementalGroups": []}})
    pod = Rendered(values).pods()["exporter"]
    assert pod_security.violations(pod["spec"]) == {"volumes.hostPath", "runAsNonRoot", "runAsUser"}
    assert pod["spec"]["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_user_can_be_left_to_the_cluster():
    none = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
    rights = Rendered(merged(BOT, {"podSecurityContext": none})).pods()["bot"]["spec"]["securityContext"]
    assert rights == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_slack_reaches_one_path_of_the_bot_and_nothing_else():
    rendered = Rendered(example("slack-http"))
    (rule,) = rendered.one("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("deck.example.com", "/slack/events", "Exact")
    assert path["backend"]["service"] == {"name": "deck-quarterdeck-bot", "port": {"name": "slack"}}
    ports = {port["name"]: port["port"] for port in rendered.one("Service", "-bot")["spec"]["ports"]}
    assert ports == {"metrics": 9108, "slack": 3000}
    assert "https://deck.example.com/slack/events" in rendered.notes
    assert {port["name"] for port in Rendered(BOT).one("Service", "-bot")["spec"]["ports"]} == {"metrics"}


def ports_of(rules):
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_connections_go_only_where_the_configuration_says():
    rendered = Rendered(example("everything"))
    names = {53, 5353}
    bot, exporter, redis = (rendered.one("NetworkPolicy", f"-{part}")["spec"] for part in ("bot", "exporter", "redis"))
    assert ports_of(bot["egress"]) == names | {443, 2376, 6379}
    assert ports_of(exporter["egress"]) == names | {9093}
    assert redis["egress"] == []
    assert [
        each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in redis["ingress"][0]["from"]
    ] == ["bot"]
    assert ports_of(bot["ingress"]) == ports_of(exporter["ingress"]) == {9108}

    alone = Rendered(example("exporter-containerd")).one("NetworkPolicy")["spec"]
    assert (alone["egress"], alone["policyTypes"]) == ([], ["Ingress", "Egress"])
    own = Rendered(example("external-redis")).one("NetworkPolicy")["spec"]
    assert ports_of(own["egress"]) == names | {443, 2376, 6380, 3128}
    addresses = {
        "engines": [{"url": "ssh://ops@build7"}, {"url": "tcp://[fd00::7]:2377"}],
        "heartbeat": {"url": "http://hc.example.com/ping"},
    }
    more = Rendered({"bot": {"config": addresses}}).one("NetworkPolicy", "-bot")["spec"]
    assert ports_of(more["egress"]) == names | {443, 22, 2377, 80, 6379}
    free = Rendered(merged(BOT, {"networkPolicy": {"restrictEgress": False}})).one("NetworkPolicy", "-bot")["spec"]
    assert "egress" not in free
    assert free["policyTypes"] == ["Ingress"]


def test_the_test_pod_may_always_ask():
    for policy in Rendered(example("exporter-crio")).all("NetworkPolicy"):
        components = [
            each.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
            for each in policy["spec"]["ingress"][0]["from"]
        ]
        assert components == [None, "test"]


@pytest.mark.parametrize("release", ["quarterdeck", "a-release-with-a-very-long-name-indeed-53-characters"])
def test_names_fit_whatever_the_release_is_called(release):
    rendered = Rendered(example("everything"), release=release)
    for found in rendered.objects:
        kubernetes_validate.validate(found, NEWEST, strict=True) if found["kind"] not in FROM_OPERATOR else None
        assert len(found["metadata"]["name"]) <= 63
    assert rendered.one("Deployment")["metadata"]["name"].startswith(release[:48])
    assert "quarterdeck-quarterdeck" not in json.dumps(rendered.objects)
