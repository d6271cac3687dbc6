"""What of a changed configuration a reload does not apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import load as config_load

CHANGES = {
    "state": "state: /elsewhere",
    "store": "store: {timeout: 3}",
    "engines": "engines: [{kind: docker, url: 'unix:///d.sock'}]",
    "registries": "registries: [quay.io]",
    "slack": "slack: {bot_token: xoxb-1, app_token: xapp-1}",
    "roles": "roles: {deployer: [container.restart]}",
    "grants": "grants: [{who: everyone, can: viewer}]",
    "guards": "guards: [{can: container.stop, ask: deny}]",
    "limits": "limits: {read: 1/s}",
    "admins": "admins: [console:root]",
    "confirm": "confirm: {more_than: 9}",
    "alerts": "alerts: {to: C0123ABCD}",
    "healing": "healing: [{name: h, rules: [crash], on: {name: web}, do: restart}]",
    "routes": "routes: [{to: C0123ABCD}]",
    "rules": "rules: {off: [crash]}",
    "webhooks": "webhooks: {t: {url: 'https://t.example', secret: 0123456789abcdef}}",
    "alertmanager": "alertmanager: {send_to: [{url: 'http://am:9093'}]}",
    "heartbeat": "heartbeat: {every: 5m}",
    "metrics": "metrics: {listen: off}",
    "upkeep": "upkeep: {disk_use: off}",
    "log": "log: {level: debug}",
    "history": "history: {keep: 500}",
    "audit": "audit: {keep: 5}",
}


def load(tmp_path: Path, *sections: str) -> config_load.Config:
    file = tmp_path / "q.yaml"
    file.write_text("\n".join(sections))
    return config_load.load(file, {"XDG_STATE_HOME": "/s"})


@pytest.mark.parametrize("name", config_load.Config.model_fields)
def test_a_changed_section_needs_a_restart_unless_the_policy_is_made_of_it(name: str, tmp_path: Path) -> None:
    old, new = load(tmp_path), load(tmp_path, CHANGES[name])
    applied = config_load.policy_from(old) != config_load.policy_from(new)
    applied = applied or config_load.routing_from(old) != config_load.routing_from(new)
    assert config_load.needs_restart(old, new) == (() if applied else (name,))
    assert config_load.needs_restart(new, old) == (() if applied else (name,))


def test_all_are_named_in_the_order_of_the_file_and_equal_ones_are_not(tmp_path: Path) -> None:
    old, new = load(tmp_path), load(tmp_path, *reversed(CHANGES.values()))
    assert config_load.needs_restart(old, new) == (
        "state", "store", "engines", "registries", "slack", "limits", "confirm", "rules", "webhooks", "alertmanager",
        "heartbeat", "metrics", "upkeep", "log", "history", "audit",
    )  # fmt: skip
    assert config_load.needs_restart(new, load(tmp_path, *CHANGES.values())) == ()


def test_another_token_is_a_change(tmp_path: Path) -> None:
    old = load(tmp_path, CHANGES["slack"])
    assert config_load.needs_restart(old, load(tmp_path, CHANGES["slack"].replace("xoxb-1", "xoxb-2"))) == ("slack",)
