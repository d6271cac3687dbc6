"""What other clients of containerd do between two requests of one change."""

from __future__ import annotations

import pytest

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from runtimes.containerd.client import FAILED_PRECONDITION, Container, Process
from runtimes.containerd.lifecycle import ContainerChange
from runtimes.proto import containerd_task_types_pb2

States = containerd_task_types_pb2.Status
WEB = Ref(engine=EngineRef(host="h", kind="containerd"), kind=Kind.CONTAINER, id="default/web", name="web")


class Daemon:
    """Answers about one container. `state`: of its task, None without one; `meanwhile`: what its task has become when
    the request of this name arrives."""

    def __init__(self, state: int | None, **meanwhile: int | None) -> None:
        self.state, self.meanwhile = state, meanwhile
        self.sent: list[str] = []

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)

        async def request(*args: object, **options: object) -> object:
            self.sent.append(name)
            self.state = self.meanwhile.pop(name, self.state)
            return getattr(self, f"_{name}", lambda: None)()

        return request

    def _container(self) -> Container:
        return Container(id="web")

    def _task(self) -> Process | None:
        return None if self.state is None else Process(status=self.state)

    def _delete_task(self) -> None:
        if self.state is None:
            raise errors.NotFound("process web not found")
        self.state = None

    def _create_task(self) -> None:
        assert self.state is None
        self.state = States.CREATED

    def _start(self) -> None:
        if self.state is None:
            raise errors.Rejected(FAILED_PRECONDITION, "the program does not exist")
        self.state = States.RUNNING

    def _resume(self) -> None:
        if self.state != States.PAUSED:
            raise errors.Rejected(FAILED_PRECONDITION, "cannot resume a container that is not paused")

    def _wait(self) -> int:
        return 137


def change(daemon: Daemon) -> ContainerChange:
    return ContainerChange(daemon, WEB, 10.0)  # type: ignore[arg-type]


async def test_an_ended_task_that_its_own_client_deletes_at_the_same_time_is_started_again() -> None:
    daemon = Daemon(States.STOPPED, delete_task=None)
    assert (await change(daemon).start()).status == Status.DONE
    assert daemon.state == States.RUNNING


async def test_why_a_task_did_not_start_is_said_although_somebody_else_has_deleted_it() -> None:
    daemon = Daemon(None, start=None)
    with pytest.raises(errors.Rejected, match="the program does not exist"):
        await change(daemon).start()
    assert daemon.sent[-1] == "delete_task"


@pytest.mark.parametrize("state", [States.STOPPED, States.RUNNING, None])
async def test_a_paused_container_that_sigkill_or_somebody_else_frees_is_removed_and_stopped(state: int | None) -> None:
    daemon = Daemon(States.PAUSED, resume=state)
    assert (await change(daemon).remove(force=True)).status == Status.DONE
    assert daemon.sent[-1] == "delete_container"
    assert (await change(Daemon(States.PAUSED, resume=state)).stop(None, 10.0)).status == Status.DONE


async def test_a_container_that_stays_paused_is_an_error() -> None:
    daemon = Daemon(States.PAUSED)
    daemon._resume = lambda: (_ for _ in ()).throw(errors.Rejected(FAILED_PRECONDITION, "the freezer is broken"))
    with pytest.raises(errors.Rejected, match="the freezer is broken"):
        await change(daemon).remove(force=True)
