"""Rich text is read as the words that a person typed; formatting that may have been typed on purpose is doubtful."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack import rich_text_reader
from bot.slack.rich_text_reader import RichTextReadings


def word(text: str, *styles: str) -> dict[str, Any]:
    return {"type": "text", "text": text} | ({"style": dict.fromkeys(styles, True)} if styles else {})


def section(*elements: dict[str, Any], kind: str = "rich_text_section") -> dict[str, Any]:
    return {"type": kind, "elements": list(elements)}


def read(*parts: dict[str, Any]) -> RichTextReadings | None:
    return rich_text_reader.read_rich_text([{"type": "rich_text", "block_id": "b", "elements": list(parts)}])


def lines(*parts: dict[str, Any]) -> tuple[str, str, str]:
    found = read(*parts)
    assert found is not None
    return found.plain.rstrip("\n"), found.literal.rstrip("\n"), found.kept.rstrip("\n")


BOT = {"type": "user", "user_id": "UBOT"}


@pytest.mark.parametrize(
    "elements",
    [
        (word("restart "), word("web", "bold")),
        (word("restart "), word("web", "italic")),
        (word("restart "), word("web", "code")),
        (word("restart "), word("web", "bold", "italic", "code")),
        (word("restart web", "bold"),),
        (word("restart ", "bold"), word("web")),
        (word("rest", "bold"), word("art web", "bold")),
        (word("restart "), word("web", "underline", "highlight")),
        (word("restart "), {"type": "link", "url": "http://web", "text": "web", "style": {"bold": True}}),
    ],
)
def test_the_formatting_of_whole_words_is_no_part_of_them(elements: tuple[dict[str, Any], ...]) -> None:
    assert lines(section(*elements)) == ("restart web",) * 3
    plain, literal, _ = lines(section(BOT, *elements))  # directly after a mention
    assert plain == literal == "<@UBOT>restart web"


@pytest.mark.parametrize(
    ("elements", "plain", "literal"),
    [
        ((word("stop web-"), word("-1 db-", "bold"), word("-2")), "stop web--1 db--2", "stop web-*-1 db-*-2"),
        ((word("restart "), word("we", "bold"), word("b")), "restart web", "restart *we*b"),
        ((word("restart app"), word("db", "italic"), word("1")), "restart appdb1", "restart app_db_1"),
        ((word("exec web 'echo "), word("date", "code"), word("'")), "exec web 'echo date'", "exec web 'echo `date`'"),
        ((word("restart '"), word("web", "bold"), word("'")), "restart 'web'", "restart '*web*'"),
        ((word("restart w"), word("e", "bold"), word("b", "italic")), "restart web", "restart w*e*_b_"),
    ],
)  # fmt: skip
def test_the_formatting_of_a_part_of_a_word_is_doubtful(
    elements: tuple[dict[str, Any], ...], plain: str, literal: str
) -> None:
    assert lines(section(*elements)) == (plain, literal, plain)


def test_words_that_are_struck_through_may_not_be_wanted() -> None:
    plain, literal, kept = lines(section(word("restart "), word("web ", "strike"), word("api")))
    assert (plain, literal) == ("restart web api",) * 2
    assert kept.split() == ["restart", "api"]


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (BOT, "<@UBOT>"),
        ({"type": "usergroup", "usergroup_id": "S1"}, "group:S1"),
        ({"type": "channel", "channel_id": "C1"}, "C1"),
        ({"type": "broadcast", "range": "here"}, "@here"),
        ({"type": "link", "url": "https://a.example/x?a=b&c"}, "https://a.example/x?a=b&c"),
        ({"type": "link", "url": "http://web.example.com", "text": "web.example.com"}, "web.example.com"),
        ({"type": "link", "url": "mailto:a@example.com"}, "a@example.com"),
        ({"type": "emoji", "name": "wave", "skin_tone": 2}, ":wave::skin-tone-2:"),
        ({"type": "emoji", "name": "x", "unicode": "274c"}, ":x:"),
        ({"type": "date", "timestamp": 1, "format": "{date}", "fallback": "18 Feb"}, "18 Feb"),
        ({"type": "date", "timestamp": 1, "format": "{date}"}, "1"),
        ({"type": "color", "value": "#fff"}, "#fff"),
        ({"type": "team", "team_id": "T1"}, "T1"),
        (word("<@U1> &amp; `x` *y*"), "<@U1> &amp; `x` *y*"),
    ],
)
def test_each_element_is_the_text_that_people_see(element: dict[str, Any], text: str) -> None:
    assert lines(section(element))[0] == text


def test_a_user_group_has_the_handle_that_the_text_gives_it() -> None:
    blocks = [{"type": "rich_text", "elements": [section({"type": "usergroup", "usergroup_id": "S1"})]}]
    for text, group in (
        ("<!subteam^S1|@sre> x", "sre"),
        ("<!subteam^S1>", "S1"),
        ("<!subteam^S2|@dev>", "S1"),
        ("", "S1"),
    ):
        found = rich_text_reader.read_rich_text(blocks, text)
        assert found is not None
        assert found.plain == f"group:{group}\n"


def test_lists_quotes_and_code_are_lines_without_marks() -> None:
    items = [section(word("ps")), section(word("logs "), word("web", "bold"))]
    for style in ("bullet", "ordered"):
        assert lines({"type": "rich_text_list", "style": style, "elements": items})[1] == "ps\nlogs web"
    assert lines(section(word("restart web"), kind="rich_text_quote"))[0] == "restart web"
    assert lines(section(BOT, word(" ")), section(word("ps *\nlogs"), kind="rich_text_preformatted"))[0] == (
        "<@UBOT> \nps *\nlogs"
    )


@pytest.mark.parametrize(
    "blocks",
    [
        None, [], {}, "x", [None], [{}], [{"type": "section", "text": {"type": "mrkdwn", "text": "ps"}}],
        [{"type": "rich_text"}], [{"type": "rich_text", "elements": [{"type": "rich_text_table", "elements": []}]}],
        [{"type": "rich_text", "elements": [section({"type": "canvas", "file_id": "F1"})]}],
        [{"type": "rich_text", "elements": [section({"type": "user", "user_id": "U1> *"})]}],
        [{"type": "rich_text", "elements": [section({"type": "text", "text": 1})]}],
        [{"type": "rich_text", "elements": [section(word("ps"))]}, {"type": "image"}],
        [{"type": "rich_text", "elements": [section(*[word("a")] * (rich_text_reader.MAX_PIECES + 1))]}],
        [{"type": "rich_text", "elements": [section(word("a" * (rich_text_reader.MAX_LENGTH + 1)))]}],
    ],
)  # fmt: skip
def test_what_cannot_be_read_completely_is_not_read_at_all(blocks: Any) -> None:
    assert rich_text_reader.read_rich_text(blocks) is None


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["rich_text", "text", "user", "U1", "link", "bold"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "elements", "text", "style", "user_id", "url", "bold"]), inner)
    ),
    max_leaves=30,
)
STYLES = st.lists(st.sampled_from(["bold", "italic", "strike", "code"]), unique=True)
WORDS = st.lists(st.tuples(st.text(st.sampled_from("ab *_~`\n-"), min_size=1, max_size=5), STYLES), max_size=8)


@given(JSON)
def test_blocks_of_any_shape_are_read_or_not(blocks: Any) -> None:
    rich_text_reader.read_rich_text(blocks)
    rich_text_reader.read_rich_text([{"type": "rich_text", "elements": blocks}])
    read(section({"type": "text", "text": "x", "style": blocks}))


@given(WORDS)
def test_no_formatting_adds_or_removes_a_letter_of_the_plain_reading(words: list[tuple[str, list[str]]]) -> None:
    typed = "".join(text for text, _ in words)
    found = read(section(*(word(text, *styles) for text, styles in words)))
    assert found is not None
    assert found.plain == typed + "\n"
    letters = [sign for sign in found.literal if sign not in "*_~`"]
    assert letters == [sign for sign in found.plain if sign not in "*_~`"]
