"""The `docker` and `podman` packages, connected to a scripted engine: what they send, what becomes of each failure, and
that nothing else on this machine has a say in it."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import io
import json
import tarfile
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import background_jobs
from core.model.inside_containers import CommitContainer, CopyFile, ExportContainer
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from tests.helpers.servers import serving

THING, MADE = "c" * 64, "d" * 64
KINDS = ("docker", "podman")


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole response."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


def as_json(status: int, value: object) -> bytes:
    return answer(status, json.dumps(value).encode(), Content_Type="application/json")


def archive(data: bytes, name: str = "hosts") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(data), 1_700_000_000
        made.addfile(info, io.BytesIO(data))
    return file.getvalue()


class Daemon:
    """An engine of either kind. `answers`: by words that a request's first line holds, what is sent; None: nothing for
    ever, b"": the connection is closed."""

    def __init__(self, kind: str) -> None:
        self.kind, self.asked, self.heads = kind, [], []
        self.answers: dict[str, bytes | None] = {}
        stat = "eyJuYW1lIjoiaG9zdHMiLCJzaXplIjo1LCJtb2RlIjo0MjB9"  # 5 bytes, an ordinary file
        self.usual = {
            "HEAD": answer(200, X_Docker_Container_Path_Stat=stat),
            f"{THING}/json": as_json(200, {"Id": THING, "State": {"Status": "running"}, "Config": {}}),
            f"images/{MADE}/json": as_json(200, {"Id": MADE}),
            "/info": self._info(),
        }

    def _info(self) -> bytes:
        if self.kind == "docker":
            return answer(200, b'{"ID": "x", "Name": "h", "ServerVersion": "20.10.24"}', Api_Version="1.41")
        info = {
            "host": {"hostname": "h", "cgroupControllers": ["memory"], "cgroupVersion": "v2"},
            "store": {"graphRoot": "/x"},
            "version": {"Version": "4.3.1"},
        }
        return answer(200, json.dumps(info).encode(), Libpod_API_Version="4.3.1")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line = head.partition("\r\n")[0]
            length = next((int(row.split(":")[1]) for row in head.split("\r\n") if row.startswith("Content-Length")), 0)
            await reader.readexactly(length)
            self.asked.append(line.removesuffix(" HTTP/1.1"))
            self.heads.append(head)
            known = self.answers | {words: reply for words, reply in self.usual.items() if words not in self.answers}
            fitting = (reply for words, reply in known.items() if all(word in line for word in words.split()))
            sent = next(fitting, as_json(404, {"message": "no"}))
            if sent is None:
                await asyncio.Event().wait()
            assert sent is not None
            writer.write(sent)
            await writer.drain()
            if not sent or b"Content-Length" not in sent or b"Connection: close" in sent:
                return


@pytest.fixture(params=KINDS)
async def daemon(request, tmp_path):
    made = Daemon(request.param)
    async with serving(made.serve, tmp_path / "s"):
        door = engine_registry.EngineAddress(kind=request.param, url=f"unix://{tmp_path}/s")
        made.engine = engine_registry.open_engine(door)
        made.target = Ref(engine=made.engine.ref, kind=Kind.CONTAINER, id=THING, name="web")
        yield made
        await made.engine.aclose()


async def do(daemon, action, seconds=20.0):
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return await daemon.engine.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))


def commit(daemon, **more):
    return CommitContainer(engine=daemon.engine.ref, target=daemon.target, **more)


async def outcome(daemon, action):
    started = await do(daemon, action)
    page = await do(daemon, background_jobs.ReadJob(engine=daemon.engine.ref, job=started.job, wait=10.0))
    while page.outcome is None:
        page = await do(
            daemon, background_jobs.ReadJob(engine=daemon.engine.ref, job=started.job, cursor=page.cursor, wait=10.0)
        )
    return page.outcome


async def test_a_commit_says_what_it_was_told_in_the_pinned_version(daemon):
    daemon.answers["/commit"] = as_json(201, {"Id": MADE if daemon.kind == "podman" else f"sha256:{MADE}"})
    made = await outcome(daemon, commit(daemon, tag="shop/web:2", message="a b", author="me", changes=("ENV A=b",)))
    assert (made.status, made.detail) == (Status.DONE, f"as {MADE[:12]} (shop/web:2)"), made
    (line,) = [one for one in daemon.asked if "/commit" in one]
    version = "/v1.41/" if daemon.kind == "docker" else "/v4.0.0/libpod/"
    assert line.startswith(f"POST {version}commit?")
    for words in (f"container={THING}", "comment=a+b", "author=me", "changes=ENV+A%3Db", "tag=2", "repo="):
        assert words in line
    assert f"pause={daemon.kind == 'docker'}" in line


async def test_a_bare_commit_names_no_image(daemon):
    daemon.answers["/commit"] = as_json(201, {"Id": MADE})
    assert (await outcome(daemon, commit(daemon, pause=False))).detail == f"as {MADE[:12]}"
    (line,) = [one for one in daemon.asked if "/commit" in one]
    assert "repo=" not in line and "tag=" not in line and "pause=False" in line


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (as_json(409, {"message": "it is being removed", "cause": "busy"}), Status.FAILED, "it is being removed"),
        (answer(500, b"no JSON"), Status.FAILED, "no JSON"),
        (b"", Status.UNKNOWN, "failed in the middle of an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{", Status.UNKNOWN, ""),
        (answer(201, b"[]"), Status.UNKNOWN, "did not report the id"),
        (answer(201, b"no JSON"), Status.UNKNOWN, ""),
        (as_json(201, {"Id": "../../x"}), Status.UNKNOWN, ""),
        (answer(201, b"x" * (2 << 20)), Status.UNKNOWN, "is longer than 1,048,576 bytes"),
        (answer(201, gzip.compress(b"{}"), Content_Encoding="gzip"), Status.UNKNOWN, "Content-Encoding “gzip”"),
        (answer(302, Location="http://169.254.169.254/latest"), Status.UNKNOWN, ""),
        (b"no HTTP at all\r\n\r\n", Status.UNKNOWN, "failed in the middle of an answer"),
    ],
    ids=["refused", "no JSON", "closed", "cut", "list", "text", "no id", "long", "gzip", "redirect", "garbage"],
)
async def test_every_failure_after_the_request_is_unknown_unless_the_engine_refuses(daemon, sent, status, words):
    daemon.answers["/commit"] = sent
    ended = await outcome(daemon, commit(daemon, pause=False))
    assert ended.status == status, ended
    assert words in ended.detail
    assert sum("/commit" in one for one in daemon.asked) == 1, "it is never sent again"


async def test_a_container_that_is_gone_is_named_and_nothing_is_sent(daemon):
    daemon.answers[f"{THING}/json"] = as_json(404, {"message": "no such container"})
    ended = await outcome(daemon, commit(daemon, pause=False))
    assert ended.status == Status.FAILED and "has no container web" in ended.detail
    assert not [one for one in daemon.asked if "/commit" in one]


async def test_an_engine_that_does_not_answer_before_the_request_has_done_nothing(daemon):
    daemon.answers[f"{THING}/json"] = None
    ended = await outcome(daemon, commit(daemon, pause=False, timeout=1))
    assert ended.status == Status.FAILED and "within" in ended.detail, ended


async def test_a_stopped_commit_is_unknown_once_it_was_sent(daemon):
    daemon.answers["/commit"] = None
    started = await do(daemon, commit(daemon, pause=False))
    while not any("/commit" in one for one in daemon.asked):
        await asyncio.sleep(0.001)
    await do(daemon, background_jobs.StopJob(engine=daemon.engine.ref, job=started.job, who="t"))
    page = await do(daemon, background_jobs.ReadJob(engine=daemon.engine.ref, job=started.job))
    assert page.outcome.status == Status.UNKNOWN
    assert "The engine may still create the image" in page.outcome.detail


async def test_a_commit_that_is_stopped_before_it_was_sent_has_failed(daemon):
    daemon.answers[f"{THING}/json"] = None
    started = await do(daemon, commit(daemon, pause=False))
    while not any(THING in one for one in daemon.asked):
        await asyncio.sleep(0.001)
    await do(daemon, background_jobs.StopJob(engine=daemon.engine.ref, job=started.job, who="t"))
    page = await do(daemon, background_jobs.ReadJob(engine=daemon.engine.ref, job=started.job))
    assert page.outcome.status == Status.FAILED
    assert "before it was sent" in page.outcome.detail


async def test_a_commit_that_takes_too_long_is_unknown(daemon):
    daemon.answers["/commit"] = None
    ended = await outcome(daemon, commit(daemon, pause=False, timeout=1))
    assert ended.status == Status.UNKNOWN and "within 1 s" in ended.detail


async def test_a_file_is_copied_with_its_sum_and_its_text(daemon):
    daemon.answers["GET archive"] = answer(200, archive(b"hello"))
    copied = await do(daemon, CopyFile(engine=daemon.engine.ref, target=daemon.target, path="/etc/a b&c"))
    assert (copied.size, copied.text, copied.content.read()) == (5, "hello", b"hello")
    assert copied.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert next(one for one in daemon.asked if "archive" in one).startswith("HEAD ")
    assert all("path=%2Fetc%2Fa" in one for one in daemon.asked if "archive" in one)


@pytest.mark.parametrize(
    ("stat", "words"),
    [
        ({"name": "x", "size": 4096, "mode": (1 << 31) | 0o755}, "/x is a directory"),
        ({"name": "x", "size": 3, "mode": (1 << 27) | 0o777, "linkTarget": "/y"}, "leads to: /y"),
        ({"name": "x", "size": 0, "mode": (1 << 26) | (1 << 21)}, "/x is a device"),
        ({"name": "x", "size": 0, "mode": 1 << 24}, "/x is a socket"),
        ({"name": "x", "size": 5 << 30, "mode": 0o644}, "5,368,709,120 bytes; at most 1,048,576"),
    ],
)
async def test_what_cannot_be_copied_is_never_asked_for(daemon, stat, words):
    import base64

    header = base64.b64encode(json.dumps(stat).encode()).decode()
    daemon.answers["HEAD"] = answer(200, X_Docker_Container_Path_Stat=header)
    with pytest.raises(errors.BadUsage, match=words):
        await do(daemon, CopyFile(engine=daemon.engine.ref, target=daemon.target, path="/x"))
    assert not [one for one in daemon.asked if one.startswith("GET") and "archive" in one]


@pytest.mark.parametrize("header", ["", "!!!", "bm8=", "W10="])
async def test_a_description_of_a_file_that_is_none_is_an_invalid_response(daemon, header):
    daemon.answers["HEAD"] = answer(200, X_Docker_Container_Path_Stat=header)
    with pytest.raises(errors.InvalidResponse):
        await do(daemon, CopyFile(engine=daemon.engine.ref, target=daemon.target, path="/x"))


async def test_a_file_that_is_larger_than_it_was_said_to_be_is_cut_off(daemon):
    daemon.answers["GET archive"] = answer(200, archive(b"x" * (3 << 20)))
    with pytest.raises((errors.BadUsage, errors.InvalidResponse), match=r"3,145,728 bytes|longer than"):
        await do(daemon, CopyFile(engine=daemon.engine.ref, target=daemon.target, path="/x"))


async def test_a_file_system_is_exported_whole_or_not_at_all(daemon):
    whole = archive(b"y" * 300_000)
    daemon.answers["/export"] = answer(200, whole)
    exported = await do(daemon, ExportContainer(engine=daemon.engine.ref, target=daemon.target))
    with exported.content as content:
        assert content.read() == whole and exported.size == len(whole)
    daemon.answers["/export"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
    with pytest.raises(errors.Unreachable, match="in the middle of an answer"):
        await do(daemon, ExportContainer(engine=daemon.engine.ref, target=daemon.target))


async def test_a_full_disk_is_said_and_leaves_nothing(daemon, monkeypatch):
    from runtimes.docker_like import container_files

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    full = Full()
    monkeypatch.setattr(container_files.tempfile, "TemporaryFile", lambda: full)
    daemon.answers["/export"] = answer(200, b"x" * 1_000)
    with pytest.raises(errors.UserError, match="could not be written to .*: No space left on device"):
        await do(daemon, ExportContainer(engine=daemon.engine.ref, target=daemon.target))
    assert full.closed


async def test_nothing_on_this_machine_has_a_say(daemon, tmp_path, monkeypatch):
    """Proxies, a broken config.json, one with headers, a .netrc, podman's list of connections."""
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".config/containers").mkdir(parents=True)
    (home / ".docker/config.json").write_text('{"auths": 7, "HttpHeaders": {"X-Evil": "1"}, "proxies": 3}')
    (home / ".netrc").write_text("machine engine login me password hunter2\n")
    (home / ".config/containers/podman-connections.json").write_text("{broken")
    monkeypatch.setenv("HOME", str(home))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setenv("CONTAINER_HOST", "tcp://127.0.0.1:9")
    daemon.answers["/commit"] = as_json(201, {"Id": MADE})
    assert (await outcome(daemon, commit(daemon, pause=False))).status == Status.DONE
    (head,) = [one for one in daemon.heads if "/commit" in one]
    assert "X-Evil" not in head and "Authorization" not in head and "Cookie" not in head


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_a_package_ends_at_its_door(kind):
    package = importlib.import_module(f"runtimes.{kind}.{kind}_py_client")
    failures = package.FAILURES
    for name in (f"{kind}.errors", "requests.exceptions", "urllib3.exceptions"):
        module = importlib.import_module(name)
        found = [
            one
            for one in vars(module).values()
            if isinstance(one, type)
            and issubclass(one, Exception)
            and not issubclass(one, Warning)
            and one.__module__.partition(".")[0] == name.partition(".")[0]
        ]
        assert len(found) > 3
        assert [one for one in found if not issubclass(one, failures)] == []
