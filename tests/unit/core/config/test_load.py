"""What a configuration means, where each value may come from, and what is said about every kind of mistake."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.config import load as config_load
from core.config import locations, raw_settings, validation_errors
from core.config.schema import Config
from core.errors import ConfigError
from core.model import policy, policy_selectors
from core.model.alerts import Severity
from tests.helpers.paths import ROOT

GOLDEN = ROOT / "tests/golden/config"
MISTAKES = sorted(GOLDEN.glob("*.yaml"))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str = "", **environ: str) -> config_load.Config:
    Path("quarterdeck.yaml").write_text(text)
    return config_load.load(None, environ)


def mistakes(text: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, **environ)
    return [problem.full_message() for problem in caught.value.problems]


@pytest.mark.parametrize("file", MISTAKES, ids=[file.stem for file in MISTAKES])
def test_each_mistake_is_told_with_its_place_and_cure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(ConfigError) as caught:
        config_load.load(Path(file.name), {})
    said = f"{caught.value.full_message()}\n"
    expected = file.with_suffix(".txt")
    if os.environ.get("GOLDEN"):
        expected.write_text(said)
    assert said == expected.read_text()
    assert "hunter2" not in said
    assert all(problem.line for problem in caught.value.problems)


def test_every_expected_text_belongs_to_a_mistake() -> None:
    assert {file.stem for file in GOLDEN.glob("*.txt")} == {file.stem for file in MISTAKES}


def test_nothing_at_all_is_a_complete_configuration() -> None:
    for text in ("", "\n# nothing\n", "---\n", "log:\n  # level: debug\n"):
        loaded = load(text, XDG_STATE_HOME="/s")
        assert loaded.state == Path("/s/quarterdeck")
        assert loaded.engines is None
        assert loaded.store.url is None
        assert str(loaded.metrics.listen) == "127.0.0.1:9108"
        assert [str(limit) for limit in (loaded.limits.read, loaded.limits.change, loaded.limits.destroy)] == [
            "60/min",
            "12/min",
            "6/min",
        ]
        assert loaded.warnings == ()


def test_secrets_of_a_list_and_of_a_mapping_may_be_in_files_and_in_variables(tmp_path: Path) -> None:
    for name in ("hook", "token", "password"):
        file = tmp_path / name
        file.write_text(f"the {name} is long enough\n")
        file.chmod(0o600)
    loaded = load(
        "webhooks:\n"
        "  one: {url: 'https://x.example/1', secret_file: hook}\n"
        "  two: {url: 'https://x.example/2', secret_file: hook, severity: critical}\n"
        "alertmanager:\n"
        "  send_to:\n"
        "    - {url: 'http://a:1', username: u, password_file: password}\n"
        "    - {url: 'http://b:1', token_file: token}\n",
        QUARTERDECK_WEBHOOKS__TWO__SECRET="a secret of the environment",
        QUARTERDECK_ALERTMANAGER__RECEIVE_TOKEN="a token of the environment",
        QUARTERDECK_HEARTBEAT__URL="https://hc.example.com/ping",
    )
    one, two = loaded.webhooks["one"], loaded.webhooks["two"]
    assert one.secret is not None and one.secret.get_secret_value() == "the hook is long enough"
    assert two.secret is not None and two.secret.get_secret_value() == "a secret of the environment"
    assert two.severity is Severity.HIGH
    first, second = loaded.alertmanager.send_to
    assert first.password is not None and first.password.get_secret_value() == "the password is long enough"
    assert second.token is not None and second.token.get_secret_value() == "the token is long enough"
    assert loaded.alertmanager.receives and loaded.heartbeat.url is not None
    assert "long enough" not in repr(loaded) and "environment" not in repr(loaded)


def test_the_example_file_is_the_one_made_from_the_settings() -> None:
    file = ROOT / "quarterdeck.example.yaml"
    if os.environ.get("GOLDEN"):
        file.write_text(config_load.example())
    assert file.read_text() == config_load.example()


def test_the_example_shows_the_defaults() -> None:
    assert load(config_load.example(), XDG_STATE_HOME="/s") == load("", XDG_STATE_HOME="/s")


def test_every_setting_shown_as_an_example_is_one() -> None:
    # The words of a secret are no secret: each is given by its file
    secrets = {"store_url": "redis://r", "slack_bot_token": "xoxb-1", "slack_app_token": "xapp-1"}
    secrets |= {"tickets_webhook": "w" * 16, "heartbeat_url": "https://hc.example.com/1"}
    secrets |= {"alertmanager_token": "t" * 16, "alertmanager_password": "p" * 16}
    for name, secret in (secrets | {"slack_signing_secret": "abc"}).items():
        Path(name).write_text(secret)
    text = re.sub(r"^( *)#(?! )", r"\1", config_load.example(), flags=re.MULTILINE)
    text = text.replace("/run/secrets/", "")
    text = re.sub(
        r"^  (url|bot_token|app_token|signing_secret|receive_token|receive_password): .*\n",
        "",
        text,
        flags=re.MULTILINE,
    )
    loaded = load(text)
    assert loaded.store.url is not None
    assert loaded.engines is not None
    assert loaded.slack is not None
    assert loaded.slack.bot_token.get_secret_value() == "xoxb-1"
    assert loaded.slack.direct == ("ps", "logs", "restart")
    assert [grant.who for grant in loaded.grants] == ["everyone", "group:sre"]
    assert loaded.grants[1].places == ("C0123ABCD",)
    assert loaded.guards[0].approvers == ("group:sre",)
    assert loaded.metrics.container_labels == ("app", "team")
    assert set(yaml.safe_load(text)) == set(config_load.Config.model_fields)


def test_every_setting_is_described() -> None:
    for section in config_load.Section.__subclasses__():
        for name, field in section.model_fields.items():
            described = field.description or getattr(raw_settings.section_of(field.annotation), "__doc__", "")
            assert described, f"{section.__name__}.{name}"


def test_environment_wins_over_dotenv_wins_over_yaml() -> None:
    text = 'log: {level: error, format: json}\nmetrics: {listen: ":1", max_containers: 7}\naudit: {keep: 5}\n'
    Path(".env").write_text("QUARTERDECK_LOG__LEVEL=warning\nQUARTERDECK_METRICS__LISTEN=:2\nOTHER=x\n")
    loaded = load(text, QUARTERDECK_METRICS__LISTEN="[::1]:3")
    assert (loaded.log.level, loaded.log.format) == ("warning", "json")
    assert loaded.metrics.listen == config_load.ListenAddress("::1", 3)
    assert (loaded.metrics.max_containers, loaded.audit.keep) == (7, 5)


def test_the_environment_can_say_everything() -> None:
    loaded = load(
        QUARTERDECK_STATE="/here",
        QUARTERDECK_ADMINS="console:alice, slack:T1/U1",
        QUARTERDECK_ENGINES='[{"kind": "docker", "url": "unix:///d.sock"}]',
        QUARTERDECK_LIMITS__READ="5/s",
        QUARTERDECK_CONFIRM__TTL="90s",
        QUARTERDECK_METRICS__CONTAINER_LABELS='["app"]',
        QUARTERDECK_ROLES='{"deployer": ["container.restart"]}',
        QUARTERDECK_GRANTS='[{"who": "everyone", "can": "deployer", "in": ["C1"], "on": {"label.env": "dev"}}]',
        QUARTERDECK_AUDIT__KEEP="9",
        quarterdeck_log__format="console",
        QUARTERDECK_STORE__URL="",
    )
    assert loaded.state == Path("/here")
    assert loaded.admins == ("console:alice", "slack:T1/U1")
    assert loaded.engines is not None
    assert loaded.engines[0].url == "unix:///d.sock"
    assert loaded.limits.read == config_load.RateLimit(5, 1)
    assert loaded.confirm.ttl == timedelta(seconds=90)
    assert loaded.metrics.container_labels == ("app",)
    assert loaded.grants[0].on.label == {"env": "dev"}
    assert loaded.audit.keep == 9
    assert loaded.log.format == "console"
    assert loaded.store.url is None


@pytest.mark.parametrize(
    "written",
    [
        "slack:T1/U1,slack:T1/U2",
        " slack:T1/U1 , slack:T1/U2, ",
        '["slack:T1/U1", "slack:T1/U2"]',
        '[\n  "slack:T1/U1",\n  "slack:T1/U2"\n]',
    ],
)
def test_admins_in_a_variable_by_commas_or_as_json(written: str) -> None:
    both = ("slack:T1/U1", "slack:T1/U2")
    assert load("admins: [console:root]", QUARTERDECK_ADMINS=written).admins == both
    Path(".env").write_text(f"QUARTERDECK_ADMINS='{written}'\n")
    assert load("admins: [console:root]").admins == both


def test_a_mistake_among_admins_in_a_variable_names_the_one() -> None:
    assert mistakes(QUARTERDECK_ADMINS="slack:T1/U1,slak:T1/U2,bob") == [
        "QUARTERDECK_ADMINS: admins.1: “slak:T1/U2” begins with “slak”, which is not a source of identities\n"
        "    hint: Did you mean slack?",
        "QUARTERDECK_ADMINS: admins.2: “bob” is not an identity\n"
        "    hint: Write a source and an id, such as console:alice or slack:T1/U1.",
    ]
    for broken in ('["slack:T1/U1"', '["slack:T1/U1", "slack:T1/U2",]', "[slack:T1/U1, slack:T1/U2]"):
        assert mistakes(QUARTERDECK_ADMINS=broken) == [
            "QUARTERDECK_ADMINS: admins: must be a list\n"
            "    hint: In an environment variable write it as JSON, in quotes."
        ]


def test_a_glob_that_begins_with_a_bracket_is_no_list() -> None:
    assert load("grants: [{who: everyone, can: '[ci]*.list, container.logs'}]").grants[0].can == (
        "[ci]*.list",
        "container.logs",
    )


def test_mistakes_in_variables_name_the_variable() -> None:
    said = mistakes(
        QUARTERDECK_STOR__URL="redis://x",
        QUARTERDECK_LOG__LEVL="info",
        QUARTERDECK_GRANTS="[{broken",
        QUARTERDECK_AUDIT__KEEP="many",
    )
    assert said == [
        "QUARTERDECK_AUDIT__KEEP: audit.keep: must be a whole number",
        "QUARTERDECK_GRANTS: grants: must be a list\n    hint: In an environment variable write it as JSON, in quotes.",
        "QUARTERDECK_LOG__LEVL: log.levl: is not a known setting\n    hint: Did you mean level?",
        "QUARTERDECK_STOR__URL: stor: is not a known setting\n    hint: Did you mean store?",
    ]


def test_a_variable_that_may_be_a_setting_gone_wrong_is_a_warning() -> None:
    loaded = load(
        QUARTERDECK_ADMIN="[]",
        QUARTERDECK_SLACK_BOT_TOKEN="xoxb-hunter2",
        QUARTERDECK_SERVICE_HOST="10.0.0.1",
        QUARTERDECK_SERVICE_PORT_METRICS="9108",
        QUARTERDECK_PORT_9108_TCP_ADDR="10.0.0.1",
        QUARTERDECK_PORT="tcp://10.0.0.1:9108",
        QUARTERDECK_REQUIRE_ENGINES="docker",
    )
    assert loaded.warnings == (
        "QUARTERDECK_ADMIN was ignored, because it is not a known setting. Did you mean admins?",
        "QUARTERDECK_SLACK_BOT_TOKEN was ignored, because it is not a known setting. Did you mean"
        " QUARTERDECK_SLACK__BOT_TOKEN?",
    )


def test_the_file_is_the_one_named_or_found() -> None:
    Path("named.yaml").write_text("log: {level: debug}")
    Path("other.yaml").write_text("log: {level: error}")
    assert config_load.load(Path("named.yaml"), {"QUARTERDECK_CONFIG": "other.yaml"}).log.level == "debug"
    assert config_load.load(None, {"QUARTERDECK_CONFIG": "other.yaml"}).log.level == "error"
    Path("quarterdeck.yaml").write_text("log: {level: warning}")
    assert config_load.load(None, {}).log.level == "warning"


def test_a_file_that_cannot_be_read_is_said_with_its_cure() -> None:
    def said(path: str) -> str:
        with pytest.raises(ConfigError) as caught:
            config_load.load(Path(path), {})
        return caught.value.problems[0].full_message()

    Path("folder").mkdir()
    Path("latin.yaml").write_bytes(b"log:\n  level: \xe9\n")
    Path("nul.yaml").write_bytes(b"log: \x00\n")
    Path("deep.yaml").write_text("[" * 5000)
    Path("huge.yaml").write_bytes(b"#" * (raw_settings.MAX_BYTES + 1))
    assert said("gone.yaml").startswith("gone.yaml: does not exist\n    hint: Set --config")
    assert said("folder").startswith("folder: is a folder\n    hint: Name the file in it")
    assert said("latin.yaml").startswith("latin.yaml:2: is not UTF-8 text")
    assert said("nul.yaml").startswith("nul.yaml: is not YAML: it contains a control character")
    assert said("deep.yaml").startswith("deep.yaml: is nested too deeply")
    assert said("huge.yaml").startswith("huge.yaml: is larger than 1024 KiB")


def test_a_file_without_permission_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    # Not by the file's mode: root, who often runs tests, may read everything.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match=r"named\.yaml: cannot be read: Permission denied"):
        config_load.load(Path("named.yaml"), {})
    stat = os.stat
    folder = {locations.FILE_NAME: refuse}  # nobody else may look into it
    monkeypatch.setattr(os, "stat", lambda path, **more: folder.get(str(path), stat)(path, **more))
    with pytest.raises(ConfigError, match=r"quarterdeck\.yaml: cannot be read: Permission denied"):
        config_load.load(None, {})


@pytest.mark.parametrize(
    "text", ["*hunter2", "!hunter2 x", "!!python/object:hunter2 x", "!h!hunter2 x", "&a hunter2: x"]
)
def test_a_secret_taken_for_yaml_is_not_shown(text: str) -> None:
    said = mistakes(f"store:\n  url: {text}\n")
    assert said
    assert "hunter2" not in str(said)


def test_words_that_old_yaml_takes_for_truth_stay_words() -> None:
    loaded = load("metrics: {listen: off}\nguards: [{can: container.kill, on: {name: no, service: 12:30}, ask: deny}]")
    assert loaded.metrics.listen is None
    assert loaded.guards[0].on.selector() == policy_selectors.Selector(name="no", service="12:30")


def test_disk_use_is_measured_every_15_minutes_less_often_or_never() -> None:
    assert load("").upkeep.disk_use == timedelta(minutes=15)
    assert load("upkeep: {disk_use: 6h}").upkeep.disk_use == timedelta(hours=6)
    assert load("upkeep: {disk_use: off}").upkeep.disk_use is None


def test_anchors_and_merges_are_read() -> None:
    loaded = load(
        "grants:\n  - &one {who: everyone, can: viewer}\n  - {<<: *one, in: [C1]}\n  - {<<: *one, can: operator}\n"
    )
    assert [(grant.can, grant.places) for grant in loaded.grants] == [
        (("viewer",), ()),
        (("viewer",), ("C1",)),
        (("operator",), ()),
    ]


def test_a_secret_may_stand_in_a_file_beside_the_one_that_names_it() -> None:
    folder = Path("etc")
    folder.mkdir()
    (folder / "q.yaml").write_text("store: {url_file: url}")
    (folder / "url").write_text("  redis://:hunter2@r/0\n")
    (folder / "url").chmod(0o600)
    loaded = config_load.load(folder / "q.yaml", {})
    assert loaded.store.url is not None
    assert loaded.store.url.get_secret_value() == "redis://:hunter2@r/0"
    assert "hunter2" not in repr(loaded)
    assert loaded.warnings == ()
    (folder / "url").chmod(0o644)
    assert "can be read by everyone" in config_load.load(folder / "q.yaml", {}).warnings[0]
    (folder / "url").write_text("\n")
    with pytest.raises(ConfigError, match="etc/url is empty"):
        config_load.load(folder / "q.yaml", {})


def test_a_secret_from_the_environment_replaces_the_file_that_yaml_names() -> None:
    loaded = load("store: {url_file: /not/there}", QUARTERDECK_STORE__URL="rediss://r")
    assert loaded.store.url is not None
    assert loaded.store.url.get_secret_value() == "rediss://r"
    assert loaded.store.url_file is None
    Path("url").write_text("unix:///r.sock")
    Path("url").chmod(0o600)
    loaded = load("store: {url: 'redis://y'}", QUARTERDECK_STORE__URL_FILE="url")
    assert loaded.store.url is not None
    assert loaded.store.url.get_secret_value() == "unix:///r.sock"


def test_policy_holds_what_was_configured() -> None:
    made = config_load.policy_from(
        load(
            "roles: {deployer: [container.restart]}\n"
            "admins: [console:root]\n"
            "grants: [{who: 'group:sre', can: [deployer, 'risk:read'], on: {label.env: dev, host: 'h*'}, in: [C1]}]\n"
            "guards: [{can: '*', on: {project: p}, ask: approve, from: [console:bo], who: everyone}]\n"
        )
    )
    assert made.grants == (
        policy.Grant(
            id="builtin.everyone",
            who="everyone",
            can=config_load.EVERYONE_MAY,
            source="builtin",
        ),
        policy.Grant(id="admins.0", who="console:root", can=("admin",)),
        policy.Grant(
            id="grants.0",
            who="group:sre",
            can=("deployer", "risk:read"),
            on=policy_selectors.Selector(host="h*", labels=(("env", "dev"),)),
            places=("C1",),
        ),
    )
    assert made.guards == (
        policy.Guard(
            id="guards.0",
            can=("*",),
            ask=policy.Ask.APPROVE,
            on=policy_selectors.Selector(project="p"),
            approvers=("console:bo",),
        ),
    )
    assert made.roles == {**policy.ROLES, "deployer": ("container.restart",)}


def test_every_built_in_role_and_grant_names_verbs_that_exist() -> None:
    text = "grants:\n" + "".join(
        f"  - {{who: everyone, can: ['{word}']}}\n"
        for word in (*config_load.EVERYONE_MAY, *(word for words in policy.ROLES.values() for word in words))
    )
    assert load(text).grants


def test_it_is_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        load().log.level = "debug"


def test_state_has_a_place_for_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert locations.default_state({"HOME": "/home/a"}) == "/home/a/.local/state/quarterdeck"
    assert locations.default_state({"HOME": "/home/a", "XDG_STATE_HOME": "/x"}) == "/x/quarterdeck"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert locations.default_state({"HOME": "/root"}) == "/var/lib/quarterdeck"
    assert load("state: here").state == Path("here").absolute()


WORDS = st.sampled_from([*config_load.Config.model_fields, "on", "who", "can", "level", "url", "label.a", "x", "0"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["off", "viewer", "5m", "#a", "*", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(tree=TREES)
def test_any_tree_loads_or_is_refused_with_places(tree: Any) -> None:
    Path("any.yaml").write_text(yaml.safe_dump(tree))
    try:
        config_load.load(Path("any.yaml"), {"XDG_STATE_HOME": "/s"})
    except ConfigError as error:
        assert error.problems
        assert all(problem.source == "any.yaml" and problem.what for problem in error.problems)


@pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
def test_every_pattern_of_a_setting_is_explained_in_words() -> None:
    """Each pattern has a sentence of its own, or LETTERS is right for it."""

    def patterns(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("pattern"), str):
                yield value["pattern"]
            for each in value.values():
                yield from patterns(each)
        elif isinstance(value, list):
            for each in value:
                yield from patterns(each)

    found = set(patterns(Config.model_json_schema()))
    assert set(validation_errors.PATTERNS) <= found
    assert all(each.startswith(("^[A-Za-z0-9]", "^([A-Za-z0-9]")) for each in found - set(validation_errors.PATTERNS))
