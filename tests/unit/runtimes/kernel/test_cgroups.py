"""The reader of what containers use, on a tree recorded from a kernel with cgroups of version 1, on one of version 2
written after the kernel's documentation, and on the kernel that is here."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.model.refs import EngineRef, Kind, Ref
from runtimes.kernel import cgroup_parsers, cgroup_paths, cgroup_reader
from tests.helpers.paths import CAPTURES
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

LIMITED = "9948656311dc186de646ed7e84a5019efe8b49e9f9089ec499757ea9ee27702a"
HOSTLY = "4b3975d0be39691c23b1d0bf3abf30cb0375a0efdc817120c9a8857d48e8cacb"
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


def plant(version: int, root: Path) -> Path:
    """The tree of a capture as files: `== PATH` and what is in it; `-> TARGET` is a link."""
    for part in ("\n" + (CAPTURES / f"cgroup-v{version}.tree").read_text()).split("\n== ")[1:]:
        name, _, text = part.partition("\n")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text[3:].strip())
        else:
            path.write_text(text.rstrip("\n") + "\n" if text.strip() else "")
    return root


def ref(thing: str) -> Ref:
    return Ref(engine=EngineRef(host="h", kind="docker"), kind=Kind.CONTAINER, id=thing, name=thing[:4])


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def first(tmp_path: Path) -> str:
    return str(plant(1, tmp_path))


@pytest.fixture
def second(tmp_path: Path) -> str:
    return str(plant(2, tmp_path))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def reader(request: pytest.FixtureRequest, clock: Clock) -> Iterator[cgroup_reader.CgroupReader]:
    made = cgroup_reader.CgroupReader(request.getfixturevalue(request.param), now=clock)
    yield made
    made.close()


on_1 = pytest.mark.parametrize("reader", ["first"], indirect=True)
on_2 = pytest.mark.parametrize("reader", ["second"], indirect=True)


@on_1
@pytest.mark.parametrize("pids", [(4242, 4343), (0, 0), (f"/docker/{LIMITED}", f"docker/{HOSTLY}")])
async def test_version_1_by_pid_by_id_and_by_path(reader, pids):
    told = await reader.read(dict(zip((ref(LIMITED), ref(HOSTLY)), pids, strict=True)), first_pause=0)
    limited, hostly = told.rows
    assert told.missing == ""
    assert (limited.cpu_seconds, limited.cpu_percent) == (0.030060562, None)
    assert (limited.memory, limited.memory_limit, limited.processes) == (4644864, 67108864, 1)
    assert (limited.network_received, limited.network_sent) == (1006, 0)
    assert (limited.block_read, limited.block_written) == (0, 0)
    assert (hostly.memory, hostly.memory_limit) == (327680, None)
    assert (hostly.network_received, hostly.network_sent) == (None, None)  # the machine's own


@on_2
@pytest.mark.parametrize("pid", [4242, 0])
async def test_version_2(reader, pid):
    (row,) = (await reader.read({ref(ONE): pid}, first_pause=0)).rows
    assert row.cpu_seconds == 2.5
    assert (row.memory, row.memory_limit) == (52428800 - 20971520, 67108864)
    assert (row.network_received, row.network_sent) == (1234567890123 + 1000000, 200300)
    assert (row.block_read, row.block_written, row.processes) == (1048600, 4100, 2)


@pytest.mark.parametrize(
    ("reader", "version", "cpu", "memory", "block"),
    [
        ("first", "first", "cpuacct.usage", "memory.usage_in_bytes", "blkio.throttle.io_service_bytes_recursive"),
        ("second", "second", "cpu.stat", "memory.current", "io.stat"),
    ],
    indirect=["reader"],
)
async def test_an_idle_container_is_read_as_a_whole_only_now_and_then(
    reader, version, cpu, memory, block, request, clock
):
    thing = LIMITED if version == "first" else ONE
    root = Path(request.getfixturevalue(version), "sys/fs/cgroup")

    def write(name: str, text: str) -> None:
        for path in [path for path in root.rglob(name) if thing in str(path)]:
            path.write_text(text)

    async def read(max_age: float):
        (row,) = (await reader.read({ref(thing): 0}, first_pause=0, max_age=max_age)).rows
        return row

    before = await read(60.0)
    write(memory, "999999999\n")
    write(block, "8:0 rbytes=7 wbytes=9 rios=1\n" if version == "second" else "8:0 Read 7\n8:0 Write 9\n")
    clock.at += 15
    idle = await read(60.0)
    assert (idle.memory_usage, idle.block_read, idle.block_written) == (before.memory_usage, 7, 9)
    assert (await read(0.0)).memory_usage == 999999999  # whoever asks for what is true now gets it
    write(memory, "888888888\n")
    clock.at += 59
    assert (await read(60.0)).memory_usage == 999999999
    clock.at += 1
    assert (await read(60.0)).memory_usage == 888888888
    ticks = int(before.cpu_seconds * 1e6) + 2_000  # microseconds, of an init that wakes up now and then
    write(cpu, f"usage_usec {ticks}\n" if version == "second" else f"{ticks * 1000}\n")
    write(memory, "777777777\n")
    clock.at += 15
    ticking = await read(60.0)
    assert (ticking.memory_usage, ticking.cpu_seconds) == (888888888, ticks / 1e6)
    write(cpu, "usage_usec 99000000\n" if version == "second" else "99000000000\n")
    clock.at += 15
    busy = await read(60.0)
    assert (busy.memory_usage, busy.cpu_seconds) == (777777777, 99.0)


@on_2
async def test_only_what_changed_between_two_readings_changes(reader, second):
    (io,) = [path for path in Path(second, "sys/fs/cgroup").rglob("io.stat") if ONE in str(path)]
    io.write_text("")
    (before,) = (await reader.read({ref(ONE): 0}, first_pause=0)).rows
    assert (before.block_read, before.block_written) == (0, 0)
    (io.parent / "memory.current").write_text("62914560\n")
    (io.parent / "cpu.stat").write_text("usage_usec 9000000\n")
    (after,) = (await reader.read({ref(ONE): 0}, first_pause=0)).rows
    assert (after.cpu_seconds, after.memory) == (9.0, 62914560 - 20971520)
    assert (after.memory_limit, after.processes, after.block_read) == (before.memory_limit, before.processes, 0)
    (io.parent / "memory.stat").write_text("inactive_file 1\n")
    (last,) = (await reader.read({ref(ONE): 0}, first_pause=0)).rows
    assert (last.cpu_seconds, last.memory) == (9.0, 62914560 - 1)


@on_2
@pytest.mark.parametrize("pid", [4300, 0])
async def test_a_container_that_has_cgroups_of_its_own_is_read_as_a_whole(reader, pid):
    (row,) = (await reader.read({ref(TWO): pid}, first_pause=0)).rows
    # More is inactive than there is, as the two files are not of one moment; the controller of devices is not on.
    assert (row.cpu_seconds, row.memory, row.memory_limit, row.block_read) == (1e-05, 0, None, None)
    assert row.network_received is None


@on_2
async def test_what_has_no_usual_name_is_found_in_the_tree(reader):
    (row,) = (await reader.read({ref(THREE): 0}, first_pause=0)).rows
    assert (row.cpu_seconds, row.memory, row.processes, row.network_received) == (3.0, None, None, None)


@on_2
async def test_a_pid_of_another_container_or_machine_is_not_believed(reader):
    told = await reader.read({ref("a" * 64): 4242, ref(ONE): 4300, ref("b" * 64): 0, ref("c" * 64): 999}, first_pause=0)
    # ONE is found by its name though the pid was another's.
    assert [row.ref.id for row in told.rows] == [ONE]
    assert "1 running here" in told.missing


@on_2
async def test_names_that_end_alike_are_told_apart(reader, second):
    folder = Path(second, "sys/fs/cgroup/default/webserver")
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text("usage_usec 1\n")
    (folder / "cgroup.controllers").write_text("cpu\n")
    Path(second, "proc/4242/cgroup").write_text("0::/default/webserver\n")
    assert not (await reader.read({ref("server"): 4242}, first_pause=0)).rows
    assert (await reader.read({ref("webserver"): 4242}, first_pause=0)).rows


async def test_unnamed_cgroups_are_taken_as_the_process_tells(second):
    Path(second, "proc/4242/cgroup").write_text("0::/machine.slice\n")
    folder = Path(second, "sys/fs/cgroup/machine.slice")
    (folder / "cpu.stat").write_text("usage_usec 7000000\n")
    (folder / "cgroup.controllers").write_text("cpu\n")
    reader = cgroup_reader.CgroupReader(second, named_by_id=False)
    (row,) = (await reader.read({ref("mine"): 4242}, first_pause=0)).rows
    reader.close()
    assert row.cpu_seconds == 7.0


def test_a_mount_that_shows_part_of_the_tree_is_understood(tmp_path):
    root = plant(2, tmp_path)
    inner = f"/system.slice/docker-{ONE}.scope"
    # Inside a namespace of cgroups with the machine's mounted beside: paths go up from where we are.
    (root / "proc/self/mountinfo").write_text("29 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (root / "proc/4242/cgroup").write_text(f"0::/../..{inner}\n")
    found = cgroup_paths.CgroupLocator(str(root)).find(ONE, 4242)
    assert found is not None and found.first().endswith(inner)
    # A mount that shows only another's part shows nothing of it, and a tree without mounts nothing at all.
    (root / "proc/self/mountinfo").write_text("29 23 0:26 /user.slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    assert cgroup_paths.CgroupLocator(str(root)).find(ONE, 4242) is None
    (root / "proc/self/mountinfo").write_text("nonsense\n1 2 - cgroup2\n")
    assert cgroup_paths.CgroupLocator(str(root)).find(ONE, 4242) is None
    (root / "proc/self/mountinfo").unlink()
    assert cgroup_paths.CgroupLocator(str(root)).find(ONE, 4242) is None


def test_where_both_versions_are_mounted_each_controller_is_read_where_it_is(tmp_path):
    root = plant(1, tmp_path)
    mounts = root / "proc/self/mountinfo"
    mounts.write_text("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" + mounts.read_text())
    other = root / f"sys/fs/cgroup/unified/docker/{LIMITED}"
    other.mkdir(parents=True)
    (other / "cgroup.controllers").write_text("io\n")
    (other / "io.stat").write_text("8:0 rbytes=5 wbytes=6\n")
    found = cgroup_paths.CgroupLocator(str(root)).find(LIMITED, 0)
    assert found is not None
    assert found.v2 == {"cpuacct", "cpu", "blkio"}  # version 2 always keeps the processor's time
    assert "unified" in found.directories["blkio"] and "unified" not in found.directories["memory"]


@on_2
async def test_the_tree_is_not_walked_again_at_once(reader, second, clock):
    missing = ref("d" * 64)
    assert not (await reader.read({missing: 0}, first_pause=0)).rows
    folder = Path(second, f"sys/fs/cgroup/odd.slice/x-{'d' * 64}")
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text("usage_usec 1\n")
    (folder / "cgroup.controllers").write_text("")
    assert not (await reader.read({missing: 0}, first_pause=0)).rows
    clock.at += cgroup_paths.WALK_AGAIN_SECONDS
    assert (await reader.read({missing: 0}, first_pause=0)).rows


@on_2
async def test_the_share_is_reckoned_from_the_reading_before(reader, second, clock):
    stat = Path(second, f"sys/fs/cgroup/system.slice/docker-{ONE}.scope/cpu.stat")

    async def percent(usec, seconds):
        stat.write_text(f"usage_usec {usec}\n")
        clock.at += seconds
        return (await reader.read({ref(ONE): 0}, first_pause=0)).rows[0].cpu_percent

    assert await percent(1_000_000, 0) is None
    assert await percent(2_000_000, 2) == pytest.approx(50.0)
    assert await percent(2_900_000, 1) == pytest.approx(90.0)
    # Within a second of it, the one before that counts, and neither is moved.
    assert await percent(3_000_000, 0.5) == pytest.approx(100 * 1.0 / 1.5)
    assert await percent(3_500_000, 0.5) == pytest.approx(60.0)
    assert await percent(3_500_000, cgroup_reader.MAX_AGE + 1) is None  # long ago tells nothing of now
    assert await percent(100, 5) is None  # it was started again
    assert await percent(100, 1) == 0.0


@on_2
async def test_a_first_reading_waits_a_moment_once_for_all(reader, second, clock, monkeypatch):
    waited = []
    pause = asyncio.sleep

    async def sleep(seconds):
        if seconds:
            waited.append(seconds)
            clock.at += seconds
            for thing in (f"system.slice/docker-{ONE}", f"machine.slice/libpod-{TWO}"):
                Path(second, f"sys/fs/cgroup/{thing}.scope/cpu.stat").write_text("usage_usec 2600000\n")
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    told = await reader.read({ref(ONE): 0, ref(TWO): 0})
    assert waited == [cgroup_reader.FIRST_PAUSE]
    assert [row.cpu_percent for row in told.rows] == [pytest.approx(50.0), pytest.approx(2599990 / 2000)]
    told = await reader.read({ref(ONE): 0})
    assert waited == [cgroup_reader.FIRST_PAUSE]


@on_2
async def test_what_ends_is_left_out_and_found_again_when_it_is_back(reader, second):
    scope = Path(second, f"sys/fs/cgroup/system.slice/docker-{ONE}.scope")
    wanted = {ref(ONE): 0, ref(TWO): 0}
    assert len((await reader.read(wanted, first_pause=0)).rows) == 2
    aside = scope.with_name("aside")
    scope.rename(aside)
    reader.close()  # a file that was removed can still be read, other than the kernel's
    assert [row.ref.id for row in (await reader.read(wanted, first_pause=0)).rows] == [TWO]
    aside.rename(scope)
    assert len((await reader.read(wanted, first_pause=0)).rows) == 2


def opened() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_open_files_are_bounded_and_none_stays(second):
    before = opened()
    reader = cgroup_reader.CgroupReader(second, budget=cgroup_reader.DescriptorBudget(7))
    wanted = {ref(ONE): 0, ref(TWO): 0, ref(THREE): 0}
    for _ in range(3):
        assert len((await reader.read(wanted, first_pause=0)).rows) == 3
        assert opened() <= before + 7
    # What is not wanted any more makes room.
    assert len((await reader.read({ref(TWO): 0}, first_pause=0)).rows) == 1
    assert opened() > before
    reader.close()
    assert opened() == before


async def test_a_reader_that_is_closed_during_a_reading_keeps_no_file_open(second, monkeypatch):
    before = opened()
    reader = cgroup_reader.CgroupReader(second)

    async def closed_meanwhile(seconds):
        reader.close()

    monkeypatch.setattr(asyncio, "sleep", closed_meanwhile)
    assert (await reader.read({ref(ONE): 0, ref(TWO): 0})).rows
    assert opened() == before
    assert not reader._open and reader._idle_timer is None


async def test_a_reader_that_nobody_uses_lets_go(second, clock):
    before = opened()
    reader = cgroup_reader.CgroupReader(second, now=clock)
    await reader.read({ref(ONE): 0}, first_pause=0)
    assert opened() > before
    clock.at += cgroup_reader.MAX_AGE + 1
    await reader.read({ref("e" * 64): 0}, first_pause=0)
    assert opened() == before
    reader.close()


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"max\n", b"nonsense", b"usage_usec", b"usage_usec x\n", b"\xff\xfe", b"8:0 Read\nTotal"]
)
def test_files_that_hold_something_else_break_nothing(text):
    for version in cgroup_parsers.FILES.values():
        for files in version.values():
            usage = cgroup_parsers.CgroupUsage()
            for file in files:
                file.parse(text, usage)
    cgroup_parsers.parse_network(text, usage)


def test_devices_of_version_1_are_summed():
    usage = cgroup_parsers.CgroupUsage()
    text = b"8:0 Read 100\n8:0 Write 20\n8:0 Sync 3\n8:0 Total 120\n253:1 Read 1\n253:1 Write 2\nTotal 123\n"
    cgroup_parsers.FILES[1]["blkio"][0].parse(text, usage)
    assert (usage.block_read, usage.block_written) == (101, 22)


# ── the kernel that is here ──────────────────────────────────────────────────────────────────────────────────────


async def test_version_2_of_the_kernel_that_is_here(short_tmp):
    """Where version 1 has the controllers, version 2 still keeps the processor's time and knows its processes."""
    need("cgroup2", "mount", root=True)
    point, thing = short_tmp / "cg", "f" * 64
    point.mkdir()
    if subprocess.run(["mount", "-t", "cgroup2", "none", str(point)], capture_output=True, check=False).returncode:
        pytest.skip("cgroup2: needs a kernel that mounts it here")
    busy = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    group = point / f"qd-{os.getpid()}-{thing}"
    reader = cgroup_reader.CgroupReader()
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(busy.pid))
        for where in (0, busy.pid):
            (row,) = (await reader.read({ref(thing): where})).rows
            assert row.cpu_seconds > 0 and row.cpu_percent > 5
            assert row.network_received is None  # the machine's own
        busy.kill()
        busy.wait()
        wait_for("the cgroup to be empty", lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
        told = await reader.read({ref(thing): busy.pid})
        assert (told.rows, told.missing) == ((), "")
    finally:
        busy.kill()
        busy.wait()
        reader.close()
        if group.exists():
            group.rmdir()
        subprocess.run(["umount", str(point)], check=True)


def test_limits_and_failures_are_read_in_both_versions() -> None:
    texts = {
        1: {
            "cpu.stat": b"nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n",
            "memory.stat": b"total_swap 4096\nhierarchical_memory_limit 9223372036854771712\n",
            "memory.failcnt": b"7\n",
            "memory.oom_control": b"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            "pids.max": b"100\n",
        },
        2: {
            "cpu.stat": b"usage_usec 1000000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 2500000\n",
            "memory.swap.current": b"4096\n",
            "memory.events": b"low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n",
            "pids.max": b"100\n",
        },
    }
    for version, files in texts.items():
        usage = cgroup_parsers.CgroupUsage()
        for described in cgroup_parsers.FILES[version].values():
            for file in described:
                if file.names[0] in files:
                    file.parse(files[file.names[0]], usage)
        assert (usage.cpu_periods, usage.throttled_periods, usage.throttled_seconds) == (10, 4, 2.5)
        assert (usage.swap, usage.memory_failures, usage.oom_kills, usage.process_limit) == (4096, 7, 2, 100)


def test_no_limit_of_processes_and_a_kernel_without_throttling_are_unknown() -> None:
    usage = cgroup_parsers.CgroupUsage()
    cgroup_parsers.FILES[2]["pids"][1].parse(b"max\n", usage)
    cgroup_parsers.FILES[2]["cpuacct"][0].parse(b"usage_usec 5\n", usage)
    assert usage.process_limit is None and usage.cpu_periods is None and usage.throttled_seconds is None
