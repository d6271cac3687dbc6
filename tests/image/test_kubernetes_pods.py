"""The pods of the Helm chart on a real engine: the image, with the users, rights and mounts that a cluster gives it."""

from pathlib import Path

import pytest

from tests.helpers.helm_chart import Rendered, example, merged
from tests.helpers.kubelet import Kubelet
from tests.helpers.waiting import wait_for
from tests.image.conftest import IMAGE, STORE

pytestmark = pytest.mark.timeout(600)

PASSWORD = "c0ffee" * 8
READ = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9108{}').read().decode())"
SECRETS = {
    "quarterdeck-redis-url": {"url": f"redis://:{PASSWORD}@deck-quarterdeck-redis:6379/0"},
    "quarterdeck-slack": {
        "bot-token": "xoxb-1111111111-1111111111-abcdefabcdef",
        "signing-secret": "0123456789abcdef" * 2,
    },
    "quarterdeck-engines": {"ca.pem": "-", "cert.pem": "-", "key.pem": "-"},
    "quarterdeck-alertmanager": {"token": "a-token-of-an-alertmanager"},
}


@pytest.fixture
def kubelet(stage, tmp_path):
    def made(values, nodes=None):
        image = {"image": {"repository": IMAGE.rpartition(":")[0], "tag": IMAGE.rpartition(":")[2], "digest": ""}}
        rendered = Rendered(merged(values, image))
        images = {IMAGE: IMAGE, "valkey/valkey:8-bookworm": STORE}
        return Kubelet(
            stage.docker, tmp_path, rendered, secrets=SECRETS, nodes=nodes or {}, images=images, network="cluster"
        )

    stage.docker("network", "create", "cluster")
    return made


def page(stage, pod, path):
    return stage.docker("exec", pod, "python3", "-c", READ.format(path))


def shows(stage, pod, path, text):
    try:
        return text in page(stage, pod, path)
    except AssertionError:  # it does not listen yet, or the status is 503
        return False


def passes(pods, part, probe):
    try:
        pods.probe(part, probe)
    except AssertionError:  # it is not ready yet
        return False
    return True


def test_an_exporter_watches_its_node_without_being_root_and_changes_nothing(stage, kubelet, own_crio):
    own_crio.run("web", "sleep 600")
    own_crio.root.chmod(0o755)
    own_crio.socket.chmod(0o660)  # as CRI-O makes it
    nodes = {"/run/crio": own_crio.socket.parent, "/var/log/pods": own_crio.root}
    values = merged(example("exporter-crio"), {"exporter": {"socket": f"/run/crio/{own_crio.socket.name}"}})
    pods = kubelet(values, nodes)
    pods.prepare("exporter")
    pod = pods.start("exporter", "deck-quarterdeck-exporter")
    wait_for("readiness", lambda: shows(stage, pod, "/readyz", '"ready": true'))
    # The pod of `helm test` asks from another pod.
    assert '"ready": true' in pods.run("test")

    status = Path(f"/proc/{stage.inspect(pod)['State']['Pid']}/status").read_text()
    facts = {name: words.split() for name, _, words in (line.partition(":") for line in status.splitlines())}
    assert (facts["Uid"], facts["CapEff"], facts["NoNewPrivs"]) == (["10001"] * 4, ["0" * 16], ["1"])
    name = own_crio.called("web")
    labels = f'{{host="node7",engine="cri",name="{name}"'
    assert shows(stage, pod, "/metrics", f'quarterdeck_container_state{labels},state="running"}} 1')
    usage = f"quarterdeck_container_cpu_usage_seconds_total{labels}}}"
    wait_for("the usage", lambda: shows(stage, pod, "/metrics", usage))
    assert shows(stage, pod, "/metrics", "quarterdeck_store_up 1")

    said = stage.talk(pod, "ps", f"stop {name}", f"exec {name} ls", f"rm -f {name}", "1")
    assert said.count("The configuration of cri/node7 does not allow") == 3, said
    assert own_crio.status("web") == "running"
    log = stage.docker("logs", pod)
    assert "Traceback" not in log
    assert not [
        line for line in log.splitlines() if "can be read by" in line or "is not read" in line or "not used" in line
    ]


def test_a_bot_trusts_what_is_mounted_and_keeps_its_grants_in_the_charts_store(stage, kubelet):
    # No engine and no Slack can be reached from here; the store can.
    pods = kubelet(
        merged(example("everything"), {"bot": {"slack": {"existingSecret": ""}}, "test": {"timeoutSeconds": 1}})
    )
    pods.prepare("redis")
    store = pods.start("redis", "deck-quarterdeck-redis")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        wait_for(probe, lambda probe=probe: passes(pods, "redis", probe))
    client = ("exec", store, "sh", "-c", "$(command -v valkey-cli || command -v redis-cli) ping")
    assert "NOAUTH" in stage.docker(*client)
    assert PASSWORD not in stage.docker("top", store, "-o", "pid,args")

    pods.prepare("bot")
    checked = pods.run("bot", ["check"])
    assert "The configuration is valid." in checked
    assert "your own" in checked
    assert "warning" not in checked
    bot = pods.start("bot", "deck-quarterdeck-bot")
    wait_for("the store", lambda: shows(stage, bot, "/metrics", "quarterdeck_store_up 1"))
    stage.talk(bot, "grant console:bob viewer")
    stage.docker("rm", "-f", bot)
    pods.start("bot", "deck-quarterdeck-bot")
    wait_for("the store", lambda: shows(stage, bot, "/metrics", "quarterdeck_store_up 1"))
    assert "console:bob" in stage.talk(bot, "grants")
    assert "is not ready" in pods.run("test", code=1)  # its engine cannot be reached
    assert "Traceback" not in stage.docker("logs", bot)


def test_the_secrets_of_http_mode_are_read_from_their_mounts(kubelet):
    pods = kubelet(merged(example("slack-http"), {"redis": {"existingSecret": "quarterdeck-redis-url"}}))
    pods.prepare("bot")
    checked = pods.run("bot", ["check"])
    assert "http, /ship" in checked
    assert "warning" not in checked
