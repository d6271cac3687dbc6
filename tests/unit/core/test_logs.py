"""One line per sentence, redacted and bounded, for people or as JSON, ours and other libraries' alike."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from core import logs
from tests.helpers import log_settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with log_settings.restored():
        yield


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_off_a_terminal() -> None:
    out = io.StringIO()
    logs.configure_logging("info", "auto", out)
    structlog.get_logger("x").info("a sentence", action="restart", count=3, took=0.5, ok=True, none=None, parts=["a"])
    structlog.get_logger("x").debug("not shown")
    [line] = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info", "message": "a sentence", "action": "restart", "count": 3, "took": 0.5, "ok": True,
        "none": None, "parts": ["a"],
    }  # fmt: skip


def test_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    logs.configure_logging("info", "auto", out)
    structlog.get_logger().warning("a sentence", name="\x1b[31mred\nnext")
    assert "[warning  ] a sentence" in out.getvalue()
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


def test_the_form_can_be_forced() -> None:
    out = Terminal()
    logs.configure_logging("info", "json", out)
    structlog.get_logger().info("x")
    assert lines(out)[0]["message"] == "x"


def test_a_logger_made_before_follows_a_later_configure() -> None:
    log = structlog.get_logger("early")
    first, second = io.StringIO(), io.StringIO()
    logs.configure_logging("info", "json", first)
    log.info("one")
    logs.configure_logging("error", "json", second)
    log.info("two")
    log.error("three")
    logging.getLogger("lib").error("four")
    assert [line["message"] for line in lines(first)] == ["one"]
    assert [line["message"] for line in lines(second)] == ["three", "four"]


def test_secrets_are_hidden_wherever_they_stand() -> None:
    out = io.StringIO()
    logs.configure_logging("info", "json", out)
    url = "redis://user:hunter2@host"
    try:
        raise ValueError(url)
    except ValueError as error:
        structlog.get_logger().exception(
            f"failed for {url}",
            plain=url,
            deep={"a": [{"b": url}]},
            error=error,
            very={"a": {"b": {"c": {"d": {"e": url}}}}},
        )
    logging.getLogger("lib").warning("cannot reach %s", url)
    assert "hunter2" not in out.getvalue()
    assert "ValueError" in lines(out)[0]["exception"]
    assert lines(out)[1]["logger"] == "lib"


def test_values_are_capped_and_tracebacks_keep_both_ends() -> None:
    out = io.StringIO()
    logs.configure_logging("info", "json", out)
    try:
        raise ValueError("first " + "x" * 50_000 + " last")
    except ValueError:
        structlog.get_logger().exception("y" * 5000, value="z" * 5000, many=list(range(1000)))
    [line] = lines(out)
    assert len(line["message"]) == len(line["value"]) == logs.MAX_VALUE_LENGTH
    assert len(line["many"]) == 100
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith(" last")
    assert len(line["exception"]) < logs.MAX_TRACE_LENGTH + 10


def test_other_libraries_are_heard_from_warning_up() -> None:
    out = io.StringIO()
    logs.configure_logging("debug", "json", out)
    logging.getLogger("asyncio").info("noise")
    logging.getLogger("redis").warning("gone: %d", 3)
    structlog.get_logger().debug("ours")
    assert [(line["level"], line["message"]) for line in lines(out)] == [("warning", "gone: 3"), ("debug", "ours")]


def test_a_stderr_that_is_gone_breaks_nothing() -> None:
    out = io.StringIO()
    logs.configure_logging("info", "json", out)
    out.close()
    structlog.get_logger().info("into the void")


def test_what_cannot_be_shown_breaks_nothing() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    out = io.StringIO()
    logs.configure_logging("info", "json", out)
    structlog.get_logger().info("x", value=Broken(), odd="\ud800", number=float("nan"), raw=b"\xff")
    assert lines(out)[0]["message"] == "x"
