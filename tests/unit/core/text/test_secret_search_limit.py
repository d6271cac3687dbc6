"""Text that would take too long to search it for secrets for secrets: cut, said, and never shown unsearched."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from core import errors
from core.model.replies import Fields, Lines, Reply, Table, Text
from core.text import redact, redact_json, secret_search_limit
from core.text.secret_search_limit import OutOfTimeError, SecretSearchLimit


def ticking(step: float = 1.0) -> Callable[[], float]:
    """A clock on which each look takes `step` seconds."""
    ticks = itertools.count()
    return lambda: step * next(ticks)


def limit(lines: int) -> SecretSearchLimit:
    """Time for about so many lines in the first pass."""
    return SecretSearchLimit(float(lines), clock=ticking())


def secret_lines(count: int) -> list[str]:
    return [f"{number} password=hunter{number:05}" for number in range(count)]


def test_what_fits_is_the_same_with_and_without_a_limit() -> None:
    text = "\n".join(secret_lines(50))
    assert redact.redact_within(text, limit(1_000)) == (redact.redact(text), 0)
    with pytest.raises(OutOfTimeError) as caught:
        redact.redact(text, limit(20))
    assert 10 <= caught.value.lines <= 20


@pytest.mark.parametrize(
    "extra", ["", ' \\" [x', " é\u200b[", "\n-----BEGIN RSA " + "PRIVATE KEY-----"], ids=["plain", "json", "odd", "key"]
)
@pytest.mark.parametrize("time_for", [0, 1, 7, 100, 400])
def test_the_first_lines_are_shown_without_their_secrets_and_the_rest_is_counted(extra: str, time_for: int) -> None:
    lines = [line + extra for line in secret_lines(500)]
    text = "\n".join(lines)
    shown, left_out = redact.redact_within(text, limit(time_for))
    assert "hunter" not in shown
    assert left_out > 0
    whole = redact.redact(text)
    kept = shown.split("\n") if shown else []
    assert len(kept) + left_out <= text.count("\n") + 1
    if not extra.endswith("-----"):
        assert len(kept) + left_out == len(lines)
        assert whole.startswith(shown)


def test_a_reply_is_cut_where_the_time_ends_and_says_so() -> None:
    lines, rows = secret_lines(300), [(line, 1) for line in secret_lines(300)]
    fields = {f"f{number}": "x" * 2_000 for number in range(5)}
    reply = Reply(
        blocks=(
            Lines(lines=lines, title="web"),
            Text(text="2 lines of api password=hunter1"),
            Table(columns=("A", "N"), rows=rows),
            Fields(fields=fields | {"short": "password=hunter2"}),
        )
    )
    whole = redact.redact_reply(reply)
    assert len(whole.blocks) == 4
    cut = redact.redact_reply(reply, limit=limit(120))
    assert "hunter" not in repr(cut)
    shown, first_note, sentence, table, second_note, rest, third_note = cut.blocks
    assert isinstance(shown, Lines) and 0 < len(shown.lines) < 300 and shown.title == "web"
    assert first_note == Text(text=f"{300 - len(shown.lines)} more lines {redact.NOT_SEARCHED}")
    assert sentence == whole.blocks[1]
    assert isinstance(table, Table)
    assert second_note == Text(text=f"{300 - len(table.rows)} more rows {redact.NOT_SEARCHED}")
    assert isinstance(rest, Fields) and rest.fields == {"short": "password=••••"}
    assert third_note == Text(text=f"5 more fields {redact.NOT_SEARCHED}")


def test_lines_that_are_a_secret_of_their_own_and_empty_blocks_stay() -> None:
    blocks = (Lines(lines=("password=hunter2",), secret=True), Lines(lines=()), Lines(lines=("",)), Text(text=""))
    assert redact.redact_reply(Reply(blocks=blocks), limit=limit(0)).blocks[:2] == blocks[:2]
    assert redact.redact_reply(Reply(blocks=blocks)).blocks == blocks


def test_a_document_that_takes_too_long_is_an_error_and_its_command_lines_are_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [word for number in range(100) for word in ("--password", f"hunter{number}")]
    document = {"Env": ["A=1"], "Cmd": ["app", *words], "Labels": {}}
    monkeypatch.setattr(redact_json, "SecretSearchLimit", lambda seconds=0.0: SecretSearchLimit(20.0, clock=ticking()))
    masked = redact_json.mask_env_values(document)
    assert "hunter" not in repr(masked) and masked["Cmd"][-1] == redact.MASK
    labels = {f"l{number}": "password=hunter2" for number in range(200)}
    with pytest.raises(errors.InvalidResponse, match="too long to search it for secrets"):
        redact_json.redact_document({"Labels": labels})


def test_the_time_is_that_of_the_searching_thread() -> None:
    now = SecretSearchLimit(secret_search_limit.SECONDS)
    assert not now.used_up
    now.check(5)
    over = SecretSearchLimit(-1.0)
    assert over.used_up
    with pytest.raises(OutOfTimeError) as caught:
        over.check(5)
    assert caught.value.lines == 5
