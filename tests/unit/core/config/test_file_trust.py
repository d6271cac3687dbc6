"""A configuration that somebody else can change is refused, with the reason."""

import os

import pytest

from core import errors
from core.config import load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
OTHER = 12_345


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of somebody, in which root starts Quarterdeck."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, OTHER, OTHER)
    monkeypatch.chdir(home)
    return home


def mistakes(*, path=None, **environ):
    with pytest.raises(errors.ConfigError) as caught:
        load.load(path, environ)
    return caught.value.problems


@pytest.mark.parametrize("owner", [0, OTHER])
@pytest.mark.parametrize("named", [False, True])
def test_the_file_of_the_folder_in_which_root_started_is_refused(folder, owner, named):
    (folder / "quarterdeck.yaml").write_text("engines: [{kind: oci, url: 'file:///run/runc?program=/home/x/evil'}]\n")
    os.chown(folder / "quarterdeck.yaml", owner, owner)
    (mistake,) = mistakes(path=folder / "quarterdeck.yaml" if named else None)
    assert mistake.source.endswith("quarterdeck.yaml")
    assert "belongs to uid 12345, so it is not read" in mistake.what
    assert "to root (chown)" in mistake.hint
    os.chown(folder, 0, 0)
    os.chown(folder / "quarterdeck.yaml", 0, 0)
    assert load.load(None, {}).engines[0].kind == "oci"
    (folder / "quarterdeck.yaml").chmod(0o666)
    (mistake,) = mistakes()
    assert "can be changed by everyone" in mistake.what


def test_the_environment_file_of_that_folder_is_ignored_and_said(folder):
    (folder / ".env").write_text("QUARTERDECK_LOG__LEVEL=debug\nSLACK_BOT_TOKEN=xoxb-theirs\n")
    config = load.load(None, {})
    assert config.log.level != "debug"
    assert config.slack is None
    (warning,) = config._warnings
    assert ".env was ignored, because it is in or below the folder" in warning
    os.chown(folder, 0, 0)
    assert load.load(None, {"SLACK_APP_TOKEN": "xapp-1-A-1-a"}).log.level == "debug"


def test_a_secret_that_somebody_else_can_change_is_refused(folder, tmp_path):
    (folder / "url").write_text("redis://:x@evil:6379/0")
    (folder / "url").chmod(0o600)
    (mistake,) = mistakes(QUARTERDECK_STORE__URL_FILE=str(folder / "url"))
    assert mistake.path == "store.url_file"
    assert "belongs to uid 12345, so it is not read" in mistake.what
    (tmp_path / "link").symlink_to(folder / "url")
    (mistake,) = mistakes(QUARTERDECK_STORE__URL_FILE=str(tmp_path / "link"))
    assert "belongs to uid 12345" in mistake.what
    os.chown(folder, 0, 0)
    assert load.load(None, {"QUARTERDECK_STORE__URL_FILE": str(tmp_path / "link")}).store.url is not None
