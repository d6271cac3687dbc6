"""Files of units: whole, ours alone, and never where a link of another user leads."""

import os
import stat
from pathlib import Path

import pytest

from core import errors
from runtimes.systemd import systemctl, unit_file_writer
from tests.helpers.requirements import need
from tests.unit.runtimes.systemd.programs import somebody

TEXT = f"# {unit_file_writer.first_line('web')}\n[Container]\n"
UID = somebody()


@pytest.fixture
def etc(monkeypatch, short_tmp):
    monkeypatch.setattr(unit_file_writer, "ETC", short_tmp)
    return short_tmp


@pytest.fixture
def home(short_tmp):
    """The home of an ordinary user; we are root."""
    need("systemd", "sh", root=True)
    short_tmp.chmod(0o755)
    folder = short_tmp / "home"
    folder.mkdir()
    os.chown(folder, UID, -1)
    return folder


def of_user(home):
    owner = systemctl.UnixUser(uid=UID, gid=systemctl.unix_user(UID).gid, name="nobody", home=home)
    return unit_file_writer.directory_for("quadlet", owner)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("style", "path"), [("quadlet", "containers/systemd"), ("generate", "systemd/system")])
def test_the_machines(etc, style, path):
    place = unit_file_writer.directory_for(style, None)
    assert place.path == etc / path
    assert unit_file_writer.write_unit_file(place, "web.env", TEXT, mode=0o600)
    assert (etc / path / "web.env").read_text() == TEXT
    assert mode(etc / path / "web.env") == 0o600
    assert not unit_file_writer.write_unit_file(place, "web.env", TEXT, mode=0o600)
    assert unit_file_writer.write_unit_file(place, "web.env", TEXT + "x", mode=0o600)
    assert [entry.name for entry in (etc / path).iterdir()] == ["web.env"]


def test_a_mode_that_became_another_is_set_right(etc):
    place = unit_file_writer.directory_for("quadlet", None)
    unit_file_writer.write_unit_file(place, "web.env", TEXT, mode=0o600)
    (place.path / "web.env").chmod(0o644)
    assert unit_file_writer.write_unit_file(place, "web.env", TEXT, mode=0o600)
    assert mode(place.path / "web.env") == 0o600


@pytest.mark.parametrize("there", ["", "[Container]\nImage=x\n", "\n" + TEXT])
def test_a_file_of_somebody_else_stays_as_it_is(etc, there):
    place = unit_file_writer.directory_for("quadlet", None)
    place.path.mkdir(parents=True)
    (place.path / "web.container").write_text(there)
    with pytest.raises(errors.Refused, match="was not written by Quarterdeck") as caught:
        unit_file_writer.write_unit_file(place, "web.container", TEXT, mode=0o644)
    assert caught.value.hint
    assert (place.path / "web.container").read_text() == there
    assert len(list(place.path.iterdir())) == 1


@pytest.mark.parametrize("what", ["link", "dangling", "pipe", "folder"])
def test_neither_is_what_is_no_file(etc, what):
    place = unit_file_writer.directory_for("quadlet", None)
    place.path.mkdir(parents=True)
    path = place.path / "web.container"
    (etc / "goal").write_text(TEXT)
    {
        "link": lambda: path.symlink_to(etc / "goal"),
        "dangling": lambda: path.symlink_to(etc / "none"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[what]()
    with pytest.raises(errors.Refused, match="was not written by Quarterdeck"):
        unit_file_writer.write_unit_file(place, "web.container", TEXT + "x", mode=0o644)
    assert (etc / "goal").read_text() == TEXT
    assert not (etc / "none").exists()


def test_a_folder_that_cannot_be_written_to(monkeypatch):
    monkeypatch.setattr(unit_file_writer, "ETC", Path("/proc"))
    with pytest.raises(errors.EngineError, match="could not be written") as caught:
        unit_file_writer.write_unit_file(
            unit_file_writer.directory_for("quadlet", None), "web.container", TEXT, mode=0o644
        )
    assert caught.value.hint


def test_nothing_is_left_of_a_file_that_could_not_be_finished(etc, monkeypatch):
    place = unit_file_writer.directory_for("quadlet", None)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.EngineError, match="No space left"):
        unit_file_writer.write_unit_file(place, "web.container", TEXT, mode=0o644)
    assert not list(place.path.iterdir())


def test_a_users_are_the_users(home):
    place = of_user(home)
    assert unit_file_writer.write_unit_file(place, "web.container", TEXT, mode=0o644)
    for path in (place.path / "web.container", place.path, home / ".config"):
        assert path.stat().st_uid == UID
    assert mode(place.path) == 0o755
    assert not unit_file_writer.write_unit_file(place, "web.container", TEXT, mode=0o644)


@pytest.mark.parametrize("at", [".config", ".config/containers", ".config/containers/systemd"])
def test_root_follows_no_link_of_a_user(home, short_tmp, at):
    goal = short_tmp / "etc"
    goal.mkdir()
    path = home / at
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in (*list(path.parents)[: len(Path(at).parts) - 1],):
        os.chown(folder, UID, -1)
    path.symlink_to(goal)
    with pytest.raises(errors.Refused, match="root does not follow links in the home of nobody") as caught:
        unit_file_writer.write_unit_file(of_user(home), "web.container", TEXT, mode=0o644)
    assert "run Quarterdeck as nobody" in caught.value.hint
    assert not list(goal.iterdir())


def test_root_writes_into_no_folder_that_is_not_the_users(home):
    (home / ".config").mkdir()  # root's
    with pytest.raises(errors.Refused, match=r"\.config does not belong to nobody"):
        unit_file_writer.write_unit_file(of_user(home), "web.container", TEXT, mode=0o644)
    os.chown(home, 0, -1)
    with pytest.raises(errors.Refused, match="does not belong to nobody"):
        unit_file_writer.write_unit_file(of_user(home), "web.container", TEXT, mode=0o644)


def test_a_home_that_is_not_there(home):
    home.rmdir()
    with pytest.raises(errors.EngineError, match="No such file"):
        unit_file_writer.write_unit_file(of_user(home), "web.container", TEXT, mode=0o644)


def test_users_may_follow_links_of_their_own(etc, short_tmp):
    """As with dotfiles kept elsewhere: nobody but oneself can be fooled."""
    (short_tmp / "dots").mkdir()
    (short_tmp / ".config").symlink_to(short_tmp / "dots")
    us = systemctl.UnixUser(uid=os.geteuid(), gid=os.getegid(), name="us", home=short_tmp)
    assert unit_file_writer.write_unit_file(
        unit_file_writer.directory_for("generate", us), "a.service", TEXT, mode=0o644
    )
    assert (short_tmp / "dots/systemd/user/a.service").read_text() == TEXT
