"""The processes of a container, from /proc of this machine and from a made-up one."""

import os
import subprocess
import sys

from core import errors
from core.model.container_reads import Processes
from core.model.refs import EngineRef, Kind, Ref
from runtimes.kernel import process_list

_NONE = Processes(titles=(), rows=())
INNER = "import time; print(1, flush=True); time.sleep(60)"
SLEEP = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {INNER!r}])"


def test_in_the_namespace_of_this_machine_only_descendants_belong():
    parent = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert parent.stdout.readline() == b"1\n"
        found = process_list.list_processes_of_container(parent.pid)
        pids = {int(row[1]) for row in found.rows}
        assert parent.pid in pids and len(pids) == 2
        assert other.pid not in pids and os.getpid() not in pids
        assert all("time.sleep" in row[-1] for row in found.rows)
    finally:
        for process in (parent, other):
            for row in (process_list.list_processes_of_container(process.pid) or _NONE).rows[::-1]:
                os.kill(int(row[1]), 9)
            process.wait()
        parent.stdout.close()
        other.stdin.close()


def test_what_is_not_there_has_no_processes(tmp_path):
    assert process_list.list_processes_of_container(999_999_999) is None
    assert process_list.list_processes_of_container(1, str(tmp_path)) is None
    assert process_list.belongs_to(1, "abc", str(tmp_path)) is False


def test_a_cgroup_named_after_the_container_tells_its_processes(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text("0::/kubepods/pod1/crio-abc123.scope\n")
    assert process_list.belongs_to(7, "abc123", str(tmp_path))
    assert not process_list.belongs_to(7, "def456", str(tmp_path))


def test_the_reason_says_what_helps():
    target = Ref(engine=EngineRef(host="h", kind="cri"), kind=Kind.CONTAINER, id="a", name="web")
    stopped = process_list.not_visible(target, "cri/h", running=False)
    assert isinstance(stopped, errors.UserError) and "not running" in stopped.full_message()
    assert "--pid host" in process_list.not_visible(target, "cri/h", running=True).full_message()
