"""The values of the Helm chart: documented, refused with a clear sentence where wrong, and accepted by the product."""

import fnmatch
import json
import re

import helm_python
import pytest
import yaml

from bot import engine_addresses
from collectors import rule_catalogue
from commands.catalogue import load_catalogue
from core.config import load
from core.model import actions
from core.model.policy_selectors import Selector
from tests.helpers.helm_chart import BOT, CHART, EXAMPLES, MOUNTED_SECRETS, Rendered, example, merged
from tests.helpers.paths import ROOT

EXPORTER = {"bot": {"enabled": False}, "exporter": {"enabled": True}}
SECRETS = {
    "store/url": "rediss://quarterdeck:c0ffeec0ffee@redis.example.com:6380/0",
    "slack/bot-token": "xoxb-1111111111-1111111111-abcdefabcdef",
    "slack/app-token": "xapp-1-A0000000000-1111111111-abcdefabcdef",
    "slack/signing-secret": "0123456789abcdef0123456789abcdef",
    "alertmanager/token": "a-token-of-an-alertmanager",
    "engines/ca.pem": "-",
    "engines/cert.pem": "-",
    "engines/key.pem": "-",
}
PARTS = [
    (file.stem, part)
    for file in EXAMPLES
    for part, default in (("bot", True), ("exporter", False))
    if example(file.stem).get(part, {}).get("enabled", default)
]


def loaded(rendered, part, folder):
    """What the product makes of the configuration that a pod gets, with the pod's secrets in a folder."""
    for name, text in SECRETS.items():
        (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    file = folder / "quarterdeck.yaml"
    file.write_text(rendered.configuration(part).replace(MOUNTED_SECRETS, str(folder)))
    file.chmod(0o600)
    return load.load(file, {})


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_the_product_accepts_the_configuration_of_every_example(name, part, tmp_path):
    rendered = Rendered(example(name))
    settings = loaded(rendered, part, tmp_path)
    assert settings.warnings == ()
    load.check_slack_commands(settings, load_catalogue().names)
    rules = rule_catalogue.load_rules()
    load.check_rules(settings, [rule.name for rule in rules])
    addresses = engine_addresses.read_engine_addresses(settings)
    assert str(settings.metrics.listen) == ":9108"
    assert str(settings.state) == "/var/lib/quarterdeck"
    container = rendered.pods()[part]["spec"]["containers"][0]
    if part == "bot":
        assert settings.store.url.get_secret_value() == SECRETS["store/url"]
        assert all(address.url.startswith("tcp://") and address.tls for address in addresses)
        assert settings.slack.mode == ("http" if name == "slack-http" else "socket")
    else:
        (address,) = addresses
        assert (address.kind, settings.store.url, settings.slack) == ("cri", None, None)
        assert not {"container.stop", "container.exec", "image.pull", "host.reach"} & _allowed(address.allow)
    # Every file that the configuration names is in a mount of the pod, and every mount is of use.
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    named = re.findall(rf"{MOUNTED_SECRETS}/[\w./-]+", rendered.configuration(part))
    assert all(any(path.startswith(f"{mount}/") for mount in mounts) for path in named)
    secret_mounts = [mount for mount in mounts if mount.startswith(MOUNTED_SECRETS)]
    assert all(any(path.startswith(f"{mount}/") for path in named) for mount in secret_mounts)


def _allowed(patterns):
    return {
        action.verb for action in actions.all_actions() for one in patterns if fnmatch.fnmatchcase(action.verb, one)
    }


def test_settings_of_every_kind_arrive_as_they_were_written(tmp_path):
    written = """
    history: {keep: 1000000, keep_for: 24h}
    upkeep: {disk_use: off}
    routes:
      - {to: C0345CDEF, quiet: {from: "22:00", to: "07:00", zone: Europe/Berlin}}
    grants:
      - {who: "group:sre", can: [operator], on: {label.env: "*"}}
    rules:
      off: [image-pull-failed]
      logs:
        - {name: web-panic, on: {label.app: web}, contains: ["panic:", "on: off"]}
    slack: {command: /ship, guests: true}
    """
    config = helm_python.values_from_yaml(written)
    assert "true" in config["grants"][0]  # what Helm makes of `on`
    values = merged(BOT, {"bot": {"config": config, "slack": {"existingSecret": "s"}}})
    settings = loaded(Rendered(values), "bot", tmp_path)
    assert (settings.history.keep, settings.upkeep.disk_use) == (1_000_000, None)
    assert (settings.slack.command, settings.slack.guests, settings.slack.mode) == ("/ship", True, "socket")
    assert settings.routes[0].quiet is not None
    assert settings.grants[0].on.selector() == Selector(labels=(("env", "*"),))
    assert settings.rules.off == ("image-pull-failed",)
    assert settings.rules.logs[0].contains == ("panic:", "on: off")


def test_without_a_secret_there_is_no_chat(tmp_path):
    assert loaded(Rendered(BOT), "bot", tmp_path).slack is None
    assert "No chat is configured" in Rendered(BOT).notes


def test_log_rules_may_read_logs_and_nothing_else_may(tmp_path):
    plain, logs = (Rendered(merged(EXPORTER, {"exporter": {"podLogs": on}})) for on in (False, True))
    assert "container.logs" not in loaded(plain, "exporter", tmp_path).engines[0].allow
    assert "container.logs" in loaded(logs, "exporter", tmp_path).engines[0].allow
    mounts = logs.pods()["exporter"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "pod-logs", "mountPath": "/var/log/pods", "readOnly": True} in mounts


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"bto": {}}, "additional properties 'bto' not allowed"),
        ({"bot": {"slack": {"mode": "sockets"}}}, "at '/bot/slack/mode': value must be one of 'socket', 'http'"),
        ({"bot": {"slack": {"botToken": "xoxb-1"}}}, "at '/bot/slack': additional properties 'botToken' not allowed"),
        ({"exporter": {"enabled": "yes"}}, "at '/exporter/enabled': got string, want boolean"),
        ({"exporter": {"runtime": "docker"}}, "value must be one of 'containerd', 'crio'"),
        ({"exporter": {"allow": []}}, "at '/exporter/allow': minItems: got 0, want 1"),
        ({"exporter": {"store": {"maxMegabytes": 16}}}, "at '/exporter/store/maxMegabytes': minimum: got 16, want 64"),
        ({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match pattern"),
        ({"monitoring": {"docs": "https://git.example.com/docs/"}}, "at '/monitoring/docs': 'https://git"),
        ({"monitoring": {"docs": "https://x/{{ .Values }}"}}, "at '/monitoring/docs': 'https://x/{{"),
        ({"monitoring": {"dashboards": {"slack": "slack://x"}}}, "at '/monitoring/dashboards/slack': 'slack://x' does"),
        ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
        (
            {"networkPolicy": {"extraEgressPorts": ["https"]}},
            "at '/networkPolicy/extraEgressPorts/0': got string, want integer",
        ),
        (
            {"bot": {"secretMounts": [{"name": "a/b", "secret": "s"}]}},
            "at '/bot/secretMounts/0/name': 'a/b' does not match",
        ),
    ],
)
def test_the_schema_refuses_a_wrong_value_and_says_where(values, sentence):
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(sentence)):
        Rendered(merged(BOT, values))


def config(more):
    return merged(BOT, {"bot": {"config": more}})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "bot.config.engines names no engine"),
        ({"bot": {"enabled": False}}, "The values install nothing"),
        (
            config({"engines": [{"url": "unix:///var/run/docker.sock"}]}),
            "engines[0].url is unix:///var/run/docker.sock",
        ),
        (config({"state": "/data"}), "bot.config.state cannot be set, because the chart sets it"),
        (config({"store": {"url_file": "/data/url"}}), "Use store.existingSecret"),
        (config({"metrics": {"listen": ":80"}}), "The pods listen at port 9108"),
        (config({"slack": {"mode": "http"}}), "Use bot.slack.mode"),
        (
            config({"slack": {"bot_token": "xoxb-1"}}),
            "bot.config.slack.bot_token is a secret, and values are not secret",
        ),
        (config({"webhooks": {"tickets": {"url": "https://x", "secret": "0123456789abcdef"}}}), "set secret_file"),
        (
            config({"alertmanager": {"send_to": [{"url": "http://a:9093", "token": "t"}]}}),
            "send_to[0].token is a secret",
        ),
        (config({"heartbeat": {"url": "https://me:hunter2@hc/"}}), "heartbeat.url contains a password"),
        (merged(BOT, {"redis": {"enabled": False}}), "The bot has no store"),
        (merged(BOT, {"store": {"existingSecret": "mine"}}), "There are two stores"),
        (merged(BOT, {"bot": {"ingress": {"enabled": True}}}), "only Slack's HTTP mode needs an Ingress"),
        (
            merged(BOT, {"bot": {"ingress": {"enabled": True}, "slack": {"mode": "http", "existingSecret": "s"}}}),
            "bot.ingress.host is empty",
        ),
        (
            merged(BOT, {"bot": {"secretMounts": [{"name": "store", "secret": "s"}]}}),
            "the name “store”, which is reserved",
        ),
        (merged(EXPORTER, {"exporter": {"socket": "/run/docker.sock"}}), "its directory /run would be mounted"),
        (merged(EXPORTER, {"exporter": {"config": {"engines": []}}}), "exporter.config.engines cannot be set"),
        (merged(EXPORTER, {"exporter": {"config": {"slack": {}}}}), "the exporter has no chat"),
    ],
)
def test_values_that_do_not_fit_together_are_refused_with_the_cure(values, sentence):
    with pytest.raises(helm_python.HelmError, match=re.escape(sentence)) as caught:
        Rendered(values)
    assert "hunter2" not in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def keys(tree, path=""):
    for name, value in tree.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{path}{name}.")


def test_the_schema_has_exactly_the_values_that_there_are():
    def in_schema(schema, path=""):
        for name, inner in schema.get("properties", {}).items():
            yield f"{path}{name}"
            yield from in_schema(inner, f"{path}{name}.")

    values = set(keys(yaml.safe_load((CHART / "values.yaml").read_text())))
    schema = set(in_schema(json.loads((CHART / "values.schema.json").read_text())))
    free = (
        ".resources.",
        ".nodeSelector.",
        ".seLinuxOptions",
        "podSecurityContext.supplementalGroups",
        "podSecurityContext.seLinux",
    )
    only = {path for path in values ^ schema if not any(word in path for word in free)}
    assert only == {"global"}  # Helm's own, where this chart is part of another one


def test_every_example_is_described():
    text = (ROOT / "docs/kubernetes.md").read_text()
    assert [file.name for file in EXAMPLES if f"examples/{file.name}" not in text] == []
