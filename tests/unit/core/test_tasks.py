"""What a task raises reaches its owner, or the log and the counter, once. Every task of the product has that door."""

from __future__ import annotations

import ast
import asyncio
import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from core import errors, supervise, tasks

ROOT = Path(__file__).parents[3]
PRODUCT = ("bot", "collectors", "commands", "core", "runtimes")
STARTERS = ("create_task", "ensure_future", "run_coroutine_threadsafe")
# A request of containerd's that is called so, and the one place where a thread hands work to the loop and waits for it.
OTHERS = {"self._client.create_task", "asyncio.run_coroutine_threadsafe"}


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def failures(lines: list[Any]) -> list[tuple[str, BaseException]]:
    return [(line["task"], line["exc_info"]) for line in lines if line["event"] == "A task failed."]


async def test_a_task_that_nobody_awaits_is_reported_as_soon_as_it_fails_and_only_once() -> None:
    counted: list[str] = []
    bug = KeyError("a bug")
    with capture_logs() as lines:
        async with supervise.Supervisor(on_failure=counted.append):
            task = tasks.start("crash_card 7", fail(bug))
            await asyncio.wait([task])
            await asyncio.sleep(0)
            assert failures(lines) == [("crash_card 7", bug)]
            del task
            gc.collect()
    assert failures(lines) == [("crash_card 7", bug)] and counted == ["crash_card 7"]


async def test_a_task_that_was_cancelled_or_did_its_work_is_not_reported() -> None:
    with capture_logs() as lines:
        async with supervise.Supervisor():
            done, cancelled = tasks.start("a", asyncio.sleep(0)), tasks.start("b", asyncio.sleep(9))
            await asyncio.wait([done])
            cancelled.cancel()
            await asyncio.wait([cancelled])
            await asyncio.sleep(0)
    assert not failures(lines)


async def test_what_an_awaited_task_raises_reaches_its_owner_and_no_log() -> None:
    with capture_logs() as lines:
        async with supervise.Supervisor():
            with pytest.raises(KeyError):
                await tasks.start_awaited("question", fail(KeyError("x")))
            gc.collect()
    assert not failures(lines)


async def test_what_nobody_looked_at_is_reported_when_the_task_is_gone_unless_it_is_an_error_of_an_engine() -> None:
    counted: list[str] = []
    with capture_logs() as lines:
        async with supervise.Supervisor(on_failure=counted.append):
            bug = tasks.start_awaited("question 1", fail(KeyError("x")))
            known = tasks.start_awaited("question 2", fail(errors.Unreachable("It is down.")))
            await asyncio.wait([bug, known])
            del bug, known
            gc.collect()
            assert [name for name, _ in failures(lines)] == ["question 1"] == counted
    assert [line["task"] for line in lines if "no other task read its error" in line["event"]] == ["question 2"]


async def test_a_failing_counter_does_not_lose_the_report() -> None:
    def count(name: str) -> None:
        raise ValueError(name)

    with capture_logs() as lines:
        async with supervise.Supervisor(on_failure=count):
            await asyncio.wait([tasks.start("follow docker/h", fail(KeyError("x")))])
            await asyncio.sleep(0)
    assert [name for name, _ in failures(lines)] == ["follow docker/h"]


async def test_other_reports_of_the_loop_keep_their_way_and_a_supervisor_leaves_the_loop_as_it_was() -> None:
    loop, seen = asyncio.get_running_loop(), []
    before = lambda loop, context: seen.append(context["message"])  # noqa: E731
    loop.set_exception_handler(before)
    with capture_logs() as lines:
        async with supervise.Supervisor():
            loop.call_exception_handler({"message": "a callback failed", "exception": KeyError("x")})
    assert not failures(lines) and loop.get_exception_handler() is before
    loop.call_exception_handler({"message": "later"})
    assert seen == ["later"]


def test_the_kind_of_a_task_is_its_first_word_and_a_number_of_a_library_is_none() -> None:
    assert [tasks.kind(name) for name in ("crash_card 7", "names", "Task-12")] == ["crash_card", "names", "unnamed"]


def calls() -> Iterator[tuple[str, ast.Call]]:
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path == ROOT / "core/tasks.py":
                continue
            text = path.read_text(encoding="utf-8")
            if not any(starter in text for starter in (*STARTERS, "tasks.start")):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_task_of_the_product_goes_through_this_door_or_belongs_to_a_group() -> None:
    for place, call in calls():
        called = ast.unparse(call.func)
        if called.rpartition(".")[2] not in STARTERS or called in OTHERS:
            continue
        assert called == "group.create_task", f"{place}: start it with core.tasks"
        assert [word.arg for word in call.keywords] == ["name"], f"{place}: the task has no name"


def test_the_name_of_a_task_begins_with_its_kind() -> None:
    found = 0
    for place, call in calls():
        if ast.unparse(call.func) not in ("tasks.start", "tasks.start_awaited"):
            continue
        found += 1
        name = call.args[0]
        if isinstance(name, ast.Name):  # what calls it has named it
            continue
        text = ast.unparse(name).lstrip("f").strip("'\"")
        assert re.match(r"[a-z_]+( |$)", text), f"{place}: {text}"
    assert found > 30
