"""The console saves only whole files, which only their owner can read. It replaces only ordinary files."""

from __future__ import annotations

import io
import os
import stat
import sys

import pytest

from bot.console import save_download, terminal_responder
from core.model.replies import Download, Ending, Reply, Text

pytestmark = pytest.mark.filterwarnings("error")
CONTENT = b"\x7fELF\0 content"


def reply(to, content=CONTENT, name="hosts"):
    download = Download(content=io.BytesIO(content), to=str(to), name=name)
    return Reply(blocks=(Text(text="web:/etc/hosts: 14 B"),), download=download)


def names(folder):
    return [each.name for each in folder.iterdir()]


async def saved(to, **more):
    done = await save_download.save_download(reply(to, **more), io.BytesIO())
    return done.ending, done.blocks[-1].text


async def test_a_file_is_saved_for_its_owner_alone(tmp_path):
    ending, said = await saved(tmp_path / "hosts")
    assert (ending, said) == (Ending.OK, f"Saved as {tmp_path}/hosts.")
    assert (tmp_path / "hosts").read_bytes() == CONTENT
    assert stat.S_IMODE((tmp_path / "hosts").stat().st_mode) == 0o600
    assert names(tmp_path) == ["hosts"]


async def test_a_folder_gets_it_under_its_own_name(tmp_path, monkeypatch):
    await saved(tmp_path)
    assert (tmp_path / "hosts").read_bytes() == CONTENT
    monkeypatch.chdir(tmp_path)
    await saved(".", name="other")
    assert (tmp_path / "other").exists()
    monkeypatch.setenv("HOME", str(tmp_path))
    await saved("~/third")
    assert (tmp_path / "third").exists()


@pytest.mark.parametrize("name", ["../../x.tar", "..", ".", "", "/etc/x", "a\0b"])
async def test_a_name_that_an_engine_chose_stays_in_the_folder(tmp_path, name):
    (tmp_path / "inside").mkdir()
    assert (await saved(tmp_path / "inside", name=name))[0] is Ending.OK
    assert names(tmp_path) == ["inside"] and len(names(tmp_path / "inside")) == 1


async def test_an_ordinary_file_is_replaced(tmp_path):
    (tmp_path / "hosts").write_text("before")
    assert (await saved(tmp_path / "hosts"))[0] is Ending.OK
    assert (tmp_path / "hosts").read_bytes() == CONTENT


async def test_a_link_a_pipe_and_a_device_stay_as_they_are(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "link", tmp_path / "pipe", "/dev/null"):
        ending, said = await saved(place)
        assert ending is Ending.FAILED and "not an ordinary file" in said
    assert (tmp_path / "target").read_text() == "precious" and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("place", ["nowhere/hosts", "file/hosts", "x" * 300])
async def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, place):
    (tmp_path / "file").write_text("")
    ending, said = await saved(tmp_path / place)
    assert ending is Ending.FAILED and "was not written" in said
    assert names(tmp_path) == ["file"]


async def test_a_full_disk_leaves_what_was_there_before(tmp_path):
    class Full(io.BytesIO):
        def read(self, *_):
            raise OSError(28, "No space left on device")

    (tmp_path / "hosts").write_text("before")
    done = await save_download.save_download(
        Reply(blocks=(), download=Download(content=Full(), to=str(tmp_path / "hosts"), name="hosts")), io.BytesIO()
    )
    assert done.ending is Ending.FAILED and "No space left on device" in done.blocks[-1].text
    assert (tmp_path / "hosts").read_text() == "before" and names(tmp_path) == ["hosts"]


async def test_the_standard_output_gets_the_bytes_and_nothing_else(capsysbinary):
    done = await terminal_responder.print_reply(reply("-"), sys.stdout)
    printed = capsysbinary.readouterr()
    assert printed.out == CONTENT
    assert b"web:/etc/hosts: 14 B" in printed.err and done.download is None


async def test_a_reply_without_a_file_is_printed_as_ever(capsys):
    await terminal_responder.print_reply(Reply(blocks=(Text(text="two containers"),)), sys.stdout)
    assert capsys.readouterr().out == "two containers\n"


async def test_a_reply_is_shown_while_a_prompt_replaces_the_output(monkeypatch):
    """prompt_toolkit's stand-in for stdout takes text alone."""

    class Prompt:
        text = ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

        def isatty(self):
            return True

    prompt = Prompt()
    monkeypatch.setattr(sys, "stdout", prompt)
    await terminal_responder.print_reply(Reply(blocks=(Text(text="two containers"),)), prompt)
    assert "two containers" in prompt.text
