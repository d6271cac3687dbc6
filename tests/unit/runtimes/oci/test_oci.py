"""The files and the output of runc and crun, addresses of state directories, and such directories with both cgroup
versions."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.events import EventKind
from core.model.refs import EngineRef
from runtimes import engine_registry
from runtimes.kernel import procfs
from runtimes.oci import decode, decode_errors, engine, events, kernel_watches, programs, state_dirs
from runtimes.oci.decode import DecodedState
from runtimes.oci.state_reader import ContainerState, StateReader

ENGINE = EngineRef(host="h", kind="oci")
RUNC = {
    "id": "web",
    "init_process_pid": 4267,
    "init_process_start": 1306330,
    "created": "2026-11-24T17:18:59.261892231Z",
    "config": {
        "labels": ["a=b", "equation=x=y", "bundle=of mine", "bundle=/srv/web"],
        "cgroups": {"name": "web", "memory": 0},
        "unknown": {"newer": [1, 2]},
    },
    "cgroup_paths": {"memory": "/sys/fs/cgroup/memory/web", "freezer": "/sys/fs/cgroup/freezer/web"},
}
CRUN = {
    "pid": 1164,
    "process-start-time": 1418055,
    "cgroup-path": "/web",
    "scope": "",
    "rootfs": "rootfs",
    "systemd-cgroup": False,
    "bundle": "/srv/web",
    "created": "2026-11-24T17:37:36.449486Z",
    "owner": "root",
    "detached": True,
    "external_descriptors": '["/dev/null"]',
}
SPEC = {"ociVersion": "1.0.2", "process": {"args": ["sleep", "9"], "env": ["A=b"]}, "annotations": {"c": "d"}}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_runcs_state_is_all_it_knows() -> None:
    known = decode.decode_runc_state(encoded(RUNC))
    assert (known.pid, known.start_ticks, known.bundle) == (4267, 1306330, "/srv/web")
    assert known.created_ns == 1795540739_261892231
    # An annotation may be called bundle too: runc's own comes last.
    assert known.annotations == {"a": "b", "equation": "x=y"}
    assert (known.freezer_cgroup, known.memory_cgroup) == ("/sys/fs/cgroup/freezer/web", "/sys/fs/cgroup/memory/web")
    changed = json.loads(encoded(RUNC))
    changed["config"]["cgroups"]["memory"] = 9
    assert decode.decode_runc_state(encoded(changed)).limits_digest != known.limits_digest
    unified = decode.decode_runc_state(encoded(RUNC | {"cgroup_paths": {"": "/sys/fs/cgroup/web"}}))
    assert unified.freezer_cgroup == unified.memory_cgroup == "/sys/fs/cgroup/web"


def test_cruns_status_with_the_config_beside_it() -> None:
    known = decode.with_spec(decode.decode_crun_status(encoded(CRUN), "/cg", False), encoded(SPEC))
    assert (known.pid, known.start_ticks, known.bundle) == (1164, 1418055, "/srv/web")
    assert (known.command, known.annotations) == ("sleep 9", {"c": "d"})
    assert (known.freezer_cgroup, known.memory_cgroup) == ("/cg/freezer/web", "/cg/memory/web")
    assert decode.decode_crun_status(encoded(CRUN), "/cg", True).memory_cgroup == "/cg/web"
    assert decode.decode_crun_status(encoded(CRUN | {"cgroup-path": ""}), "/cg", True).memory_cgroup == ""


@pytest.mark.parametrize("read", [decode.decode_runc_state, lambda data: decode.decode_crun_status(data, "/cg", False)])
def test_missing_and_unknown_fields_are_no_fault_and_nonsense_is(read: Any) -> None:
    assert read(b"{}").pid == 0
    assert read(b'{"created": "soon", "new": {"x": [{}]}}').created_ns == 0
    assert read(b'{"created": 7, "pid": -1, "init_process_pid": 9999999999}').pid == 0
    assert read(b'{"created": "\xff"}').created == "\ufffd"
    for nonsense in (b"", b"[]", b"{", b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(errors.InvalidResponse):
            read(nonsense)


@given(st.binary(max_size=200))
def test_nothing_in_a_file_raises_but_garbled(data: bytes) -> None:
    for read in (decode.decode_runc_state, lambda data: decode.decode_crun_status(data, "/cg", True)):
        try:
            read(data)
        except errors.InvalidResponse:
            pass


USERDATA = f"/run/containers/storage/overlay-containers/{'a' * 64}/userdata"


@pytest.mark.parametrize(
    ("root", "bundle", "annotations", "owners"),
    [
        ("/run/runc", "/srv/web", {"a": "b"}, ()),
        ("/run/docker/runtime-runc/moby", "", {}, ("docker", "containerd")),
        (
            "/tmp/x/exec/runtime-runc/moby",
            "/tmp/x/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/f00",
            {},
            ("docker",),
        ),
        ("/r", "/run/containerd/io.containerd.runtime.v2.task/moby/f00", {}, ("docker", "containerd")),
        ("/r", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/f00", {}, ("cri", "containerd")),
        ("/r", "/run/containerd/io.containerd.runtime.v2.task/default/f00", {}, ("containerd",)),
        ("/run/containerd/runc/buildkit", "", {}, ("containerd",)),
        ("/run/crun", USERDATA, {"io.container.manager": "libpod", "io.kubernetes.cri-o.Created": "2026"}, ("podman",)),
        ("/run/crun", f"/var/lib/containers/storage/overlay-containers/{'a' * 64}/userdata", {}, ("podman",)),
        ("/run/crun", "/x/overlay-containers/mine/userdata", {}, ()),
        ("/run/crun", USERDATA, {"io.kubernetes.cri-o.ContainerType": "sandbox"}, ("cri",)),
        (
            "/run/runc",
            USERDATA,
            {"io.container.manager": "libpod", "io.kubernetes.cri-o.ContainerType": "container"},  # in a pod of Podman
            ("podman",),
        ),
        # Annotations alone must not hide a container.
        ("/run/crun", "/x", {"io.container.manager": "libpod"}, ()),
        ("/run/crun", "/x", {"io.container.manager": "cri-o"}, ()),
        ("/run/crun", "/x", {"io.kubernetes.cri-o.ContainerType": "sandbox"}, ()),
        (
            "/run/crun",
            f"/run/containers/storage/overlay-containers/{'a' * 64}/userdata",
            {"io.container.manager": "cri-o"},
            ("cri",),
        ),
    ],
)
def test_who_may_tell_of_a_container(root: str, bundle: str, annotations: Any, owners: tuple[str, ...]) -> None:
    known = decode.decode_runc_state(b"{}")
    known = DecodedState("runc", 1, 1, "", 0, bundle, annotations, known.freezer_cgroup, known.memory_cgroup)
    assert decode.owners(root, known) == owners


def test_a_name_given_again_or_elsewhere_is_another_container() -> None:
    ids = {
        decode.container_id(root, name, created)
        for root in ("/run/runc", "/run/crun")
        for name in ("web", "db", "\udcff")
        for created in ("2026-11-24T17:18:59.1Z", "2026-11-24T17:18:59.2Z")
    }
    assert len(ids) == 12
    assert all(len(one) == 64 for one in ids)


def test_names_are_text_and_long_ones_are_cut() -> None:
    assert decode.display_name("web-1.x") == "web-1.x"
    assert decode.display_name("f" * 64) == "f" * 12
    assert decode.display_name("two\nlines\x1b[31m \u202e\udcff") == "two?lines?[31m ??"


def test_every_state_and_event_has_its_word() -> None:
    ref = decode.container_ref(ENGINE, "/run/runc", "web", "2026")
    for action, kind in decode.KINDS.items():
        event = decode.event(5, action, ref, "busybox")
        assert (event.kind, event.at_ns, event.attrs) == (kind, 5, {"image": "busybox"})
    assert decode.event(5, "checkpoint", ref).kind is EventKind.OTHER


# Written by crun 1.28 to `--log-format json state web` and `… delete web`.
CRUN_1_28 = r"""{
  "msg": "container `web` does not exist: open `\/run\/crun\/web\/status`: No such file or directory",
  "level": "error",
  "time": "2026-11-29T19:54:16.248846Z"
}
"""
CRUN_1_28_DELETE = r"""{
  "msg": "cannot open directory `\/run\/crun\/web`: No such file or directory",
  "level": "error",
  "time": "2026-11-29T19:54:16.274627Z"
}
"""


@pytest.mark.parametrize(
    ("written", "reason", "gone"),
    [
        ('{"level":"error","msg":"container does not exist","time":"t"}', "container does not exist", True),
        (
            '{"msg":"error opening file `/run/crun/x/status`: No such file or directory","level":"error","time":"t"}',
            "error opening file `/run/crun/x/status`: No such file or directory",
            True,
        ),
        (
            '{"level":"error","msg":"container not running","time":"t"}\n'
            '{"level":"warning","msg":"Failed to remove cgroup (will retry)","time":"t"}\n\n',
            "container not running",
            False,
        ),
        (CRUN_1_28, "container `web` does not exist: open `/run/crun/web/status`: No such file or directory", True),
        (
            f"some warning\n{CRUN_1_28}{CRUN_1_28_DELETE}",
            "cannot open directory `/run/crun/web`: No such file or directory",
            False,
        ),
        (
            f"{CRUN_1_28}and a line after it\n",
            "container `web` does not exist: open `/run/crun/web/status`: No such file or directory",
            True,
        ),
        ('{\n  "msg": "cut in the mid', '"msg": "cut in the mid', False),
        ('{"level":"error","msg":7,"time":"t"}', '{"level":"error","msg":7,"time":"t"}', False),
        ("{" * 5_000, "{" * 5_000, False),
        ("runc: panic: x\n", "runc: panic: x", False),
        ("", "", False),
    ],
)
def test_a_reason_is_found_in_what_a_program_wrote(written: str, reason: str, gone: bool) -> None:
    assert decode_errors.error_reason(written) == reason
    assert decode_errors.means_not_found(reason) is gone


def test_a_program_that_failed_and_a_runtime_that_did_are_told_apart() -> None:
    why = '{"level":"error","msg":"exec failed: no such","time":"t"}\n'
    assert decode_errors.exec_error(why) == "exec failed: no such"
    assert decode_errors.exec_error("before\n" + why) == "exec failed: no such"
    assert decode_errors.exec_error(why + "sh: not found\n") == ""
    assert decode_errors.exec_error('{"level":"error","msg":"of a program of mine"}') == ""
    assert decode_errors.exec_error(CRUN_1_28) == decode_errors.error_reason(CRUN_1_28) != ""
    assert decode_errors.exec_error("before\n" + CRUN_1_28) == decode_errors.error_reason(CRUN_1_28)
    assert decode_errors.exec_error(CRUN_1_28 + "sh: not found\n") == ""
    assert decode_errors.exec_error('{"a": ' * 100_000) == "", "a program may write anything"


def test_versions() -> None:
    runc = "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\n"
    crun = "crun version 1.8.1\ncommit: f8a\nrundir: /run/crun\nspec: 1.0.0\n+SYSTEMD +YAJL\n"
    assert programs.parse_versions(runc) == ("1.1.5+ds1", "1.0.2-dev")
    assert programs.parse_versions(crun) == ("1.8.1", "1.0.0")
    assert programs.parse_versions("youki 0.3\n") == ("", "")


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_is_one_directory_or_several_and_a_program() -> None:
    assert state_dirs.parse("file:///run/runc/").patterns == ("/run/runc",)
    places = state_dirs.parse("file:///run/runc:/run/user/*/crun?program=/opt/runc")
    assert (places.patterns, places.program) == (("/run/runc", "/run/user/*/crun"), "/opt/runc")
    assert state_dirs.parse(str(places)) == places
    for url in (
        "", "/run/runc", "unix:///run/runc", "file://", "file://host/run", "file:run/runc", "file:///a:b",
        "file:///run/../etc", "file:///run/runc?program=runc", "file:///run/runc?x=1", "file:///run\n/runc",
    ):  # fmt: skip
        with pytest.raises(errors.BadUsage) as caught:
            state_dirs.parse(url)
        assert caught.value.hint
    with pytest.raises(errors.BadUsage, match=r"without its whole path\. Write the path: \?program=/PATH/OF/runc"):
        state_dirs.parse("file:///run/runc?program=runc")


def test_directories_are_found_once_by_their_true_paths(tmp_path: Path) -> None:
    for name in ("runc", "user/1/crun", "user/2/crun", "docker/runtime-runc/moby", "containerd/runc/k8s.io"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "user/3").mkdir()
    (tmp_path / "user/3/crun").symlink_to(tmp_path / "runc")  # what an ordinary user could do
    (tmp_path / "user/4").mkdir()
    (tmp_path / "user/4/crun").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "runc")
    found = state_dirs.expand(
        [
            f"{tmp_path}/{one}"
            for one in ("runc", "link", "user/*/crun", "docker/runtime-runc", "containerd/runc", "none", "no*ne")
        ]
    )
    assert [path.removeprefix(f"{tmp_path}/") for path in found] == [
        "runc", "user/1/crun", "user/2/crun", "docker/runtime-runc/moby", "containerd/runc/k8s.io",
    ]  # fmt: skip


def test_every_usual_place_is_an_address() -> None:
    for place in engine_registry.KINDS["oci"].default_addresses:
        assert state_dirs.parse(f"file://{place.path}").patterns == (place.path,)
        assert place.is_directory


# ── directories ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Tree:
    """State directories of both programs. Their one container has this process as its first process, and recorded
    cgroups."""

    def __init__(self, root: Path, *, unified: bool) -> None:
        self.root, self.unified = root, unified
        self.groups = root / "cgroup"
        self.groups.mkdir()
        if unified:
            (self.groups / "cgroup.controllers").write_text("memory pids\n")
        self.memory = self.groups / ("web" if unified else "memory/web")
        self.freezer = self.groups / ("web" if unified else "freezer/web")
        for folder in (self.memory, self.freezer):
            folder.mkdir(parents=True, exist_ok=True)
        alive = {"pid": os.getpid(), "process-start-time": procfs.process_start_ticks(os.getpid())}
        paths = {"": str(self.memory)} if unified else {"memory": str(self.memory), "freezer": str(self.freezer)}
        state = RUNC | {
            "init_process_pid": alive["pid"],
            "init_process_start": alive["process-start-time"],
            "cgroup_paths": paths,
        }
        for program, file, content in (("runc", "state.json", state), ("crun", "status", CRUN | alive)):
            place = root / program / "web"
            place.mkdir(parents=True)
            (place / file).write_text(json.dumps(content))
            (place / "config.json").write_text(json.dumps(SPEC))

    def read(self, program: str) -> ContainerState:
        places = state_dirs.parse(f"file://{self.root / program}")
        (seen,) = StateReader(places, cgroups=str(self.groups)).read_all().containers
        return seen


@pytest.mark.parametrize("program", ["runc", "crun"])
@pytest.mark.parametrize("unified", [False, True])
def test_a_container_under_either_version_of_control_groups(tmp_path: Path, program: str, unified: bool) -> None:
    tree = Tree(tmp_path, unified=unified)
    assert tree.read(program).state == "running"
    (tree.freezer / ("cgroup.freeze" if unified else "freezer.state")).write_text("1\n" if unified else "FROZEN\n")
    assert tree.read(program).state == "paused"
    (tree.freezer / ("cgroup.freeze" if unified else "freezer.state")).write_text("0\n" if unified else "THAWED\n")
    assert tree.read(program).state == "running"
    (tmp_path / program / "web/exec.fifo").write_text("")
    seen = tree.read(program)
    assert (seen.state, seen.started, seen.oom_kills) == ("created", False, None)
    (tmp_path / program / "web/exec.fifo").unlink()
    counts = (
        "low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\n" if unified else "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"
    )
    (tree.memory / ("memory.events" if unified else "memory.oom_control")).write_text(counts)
    place = tmp_path / program / "web" / decode.STATE_FILES[program]
    place.write_text(place.read_text().replace(f": {os.getpid()},", ": 0,"))
    seen = tree.read(program)
    assert (seen.state, seen.oom_kills, seen.up, seen.alive) == ("exited", 1, False, False)
    row = decode.container_row(
        decode.container_ref(ENGINE, seen.root, seen.name, seen.stored.created),
        seen.stored,
        seen.state,
        started=None,
        ended=None,
        oom=bool(seen.oom_kills),
    )
    assert (row.state, row.exit_code, row.finished_at, row.oom_killed, row.restarts) == ("exited", None, None, True, 0)


def test_a_folder_a_file_speaks_of_is_no_control_group(tmp_path: Path) -> None:
    tree = Tree(tmp_path, unified=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "freezer.state").write_text("FROZEN\n")
    (elsewhere / "memory.oom_control").write_text("oom_kill 7\n")
    states = StateReader(state_dirs.parse(f"file://{tmp_path}/runc"), cgroups=str(tree.groups))
    for path in (str(elsewhere), f"{tree.groups}/../elsewhere", str(tree.groups), "", f"{tree.groups}x/y"):
        known = decode.decode_runc_state(encoded(RUNC | {"cgroup_paths": {"memory": path, "freezer": path}}))
        assert not states.is_frozen(known)
        assert states.oom_kills(known) is None


def test_when_it_was_started_is_when_the_fifo_went(tmp_path: Path) -> None:
    tree = Tree(tmp_path, unified=False)
    place = tmp_path / "runc/web"
    made = RUNC["created"]
    os.utime(place / "state.json", ns=(0, 1795540739_261892231))
    os.utime(place, ns=(0, 1795540739_264000000))
    assert tree.read("runc").started_ns == decode.nanoseconds(str(made))
    os.utime(place, ns=(0, 1795540799_000000000))
    assert tree.read("runc").started_ns == 1795540799_000000000


def test_one_directory_that_may_not_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path, unified=False)
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if path == f"{tmp_path}/crun":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    both = StateReader(state_dirs.parse(f"file://{tmp_path}/runc:{tmp_path}/crun"), cgroups=str(tree.groups))
    found = both.read_all()
    assert [seen.name for seen in found.containers] == ["web"]
    assert found.denied == (f"{tmp_path}/crun: Permission denied",)
    alone = StateReader(state_dirs.parse(f"file://{tmp_path}/crun"), cgroups=str(tree.groups))
    with pytest.raises(errors.Unreachable, match="cannot be read") as caught:
        alone.read_all()
    assert "run Quarterdeck as" in caught.value.hint
    shutil.rmtree(tmp_path / "runc")
    with pytest.raises(errors.Unreachable, match="There is no state directory"):
        StateReader(state_dirs.parse(f"file://{tmp_path}/runc")).read_all()


async def test_a_watch_that_is_ended_the_moment_something_happens_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 3600.0)
    runtime = engine.Oci(f"file://{tmp_path}")
    standing = asyncio.Event()

    async def listen() -> None:
        async for _ in runtime.events(None):
            standing.set()

    task = asyncio.create_task(listen())
    await standing.wait()
    await asyncio.sleep(0.05)  # it waits for something to happen now
    (stream,) = runtime._streams
    assert stream._watches is not None
    stream._watches.woken.set()
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()
    await runtime.aclose()


async def test_what_the_kernel_killed_is_counted_again_a_little_after_its_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_watches, "RECOUNT_SECONDS", 0.01)
    runtime = engine.Oci(f"file://{tmp_path}")
    stream = cast(AsyncGenerator[Any, None], runtime.events(None))
    assert await anext(stream) == ()
    (subscription,) = runtime._streams
    watches = subscription._watches
    assert watches is not None
    touched: list[tuple[str, str]] = []
    monkeypatch.setattr(watches, "mark", lambda *key: touched.append(key))
    for _ in range(3):  # a storm of notices makes one more look, not three
        watches._on_out_of_memory(("/r", "web"))
    await asyncio.sleep(0.05)
    assert touched == [("/r", "web")] * 4
    watches._on_out_of_memory(("/r", "web"))
    await stream.aclose()
    assert not watches._recounts
    await runtime.aclose()
