"""Replies as text and as JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import plain_text
from core.model.replies import Button, Ending, Fields, Lines, Reply, Table, Text, Tone, text_reply

TABLE = Table(
    columns=("NAME", "IMAGE", "CPU"), rows=(("web", "nginx:1.27", 1.5), ("api-server", "app", 12)), title="All"
)


def test_tables_are_aligned_and_numbers_stand_right():
    assert plain_text.render(Reply(blocks=(TABLE,))).split("\n") == [
        "All",
        "NAME        IMAGE       CPU",
        "web         nginx:1.27  1.5",
        "api-server  app          12",
    ]


def test_wide_characters_take_two_columns():
    table = Table(columns=("A", "B"), rows=(("容器", "x"), ("ab", "y")))
    assert plain_text.render(Reply(blocks=(table,))).split("\n") == ["A     B", "容器  x", "ab    y"]


def test_an_empty_table_says_so():
    assert (
        plain_text.render(Reply(blocks=(Table(columns=("A",), rows=(), empty="No containers."),))) == "No containers."
    )


def test_fields_lines_and_choices():
    reply = Reply(
        blocks=(Fields(fields={"id": "1", "name": "web"}, title="About"), Lines(lines=("a", "b"))),
        buttons=(Button(label="Remove web", line="confirm x", danger=True), Button(label="Cancel", line="cancel x")),
    )
    assert plain_text.render(reply) == "About\nid    1\nname  web\na\nb\n1) Remove web  2) Cancel"


def test_a_terminal_shows_offers_as_words_to_type_and_a_pipe_shows_none():
    offer = Button(label="Logs", line="logs web", offered=True)
    reply = Reply(blocks=(TABLE,), buttons=(Button(label="Stop", line="job stop 1"), offer))
    assert plain_text.render(reply, offers=True).splitlines()[-1] == "1) Stop  2) logs web"
    assert plain_text.render(reply).splitlines()[-1] == "1) Stop"


def test_colour_only_when_asked():
    reply = Reply(blocks=(Text(text="gone", tone=Tone.BAD), TABLE))
    assert "\x1b" not in plain_text.render(reply)
    assert "\x1b[31mgone\x1b[0m" in plain_text.render(reply, colour=True)


def test_times_are_on_the_readers_clock_except_in_verbatim_lines_and_json():
    at = "2026-11-30T14:05:07Z"
    reply = Reply(
        blocks=(
            Text(text=f"until {at}"),
            Fields(fields={"since": at}),
            Table(columns=("TIME",), rows=((at,),)),
            Lines(lines=(f"{at} out",)),
        )
    )
    shown = plain_text.render(reply, clock=lambda at: f"{at:%H.%M}").split("\n")
    assert shown == ["until 14.05", "since  14.05", "TIME", "14.05", f"{at} out"]
    assert plain_text.to_json(reply).count(at) == 4


HOSTILE = st.text(st.sampled_from("\x1b\x9b\x9d\x07\x00\r\n\t\b[]0;m2J\u202e\u2066\u200b\ud800a"), max_size=40)


@settings(max_examples=200)
@given(HOSTILE)
def test_hostile_text_reaches_no_terminal(text):
    reply = Reply(
        blocks=(
            Text(text=text),
            Lines(lines=(text,), title=text),
            Table(columns=(text, "B"), rows=((text, 1),), title=text),
            Table(columns=("A",), rows=(), empty=text),
            Fields(fields={text: text}, title=text),
        ),
        buttons=(Button(label=text, line="ps"),),
    )
    for width in (0, 40):
        shown = plain_text.render(reply, width)
        assert all(character.isprintable() or character in "\n\t" for character in shown)
        shown.encode()
    assert plain_text.to_json(reply).isascii()
    assert json.loads(plain_text.to_json(reply))["v"] == 2


def test_a_cell_cannot_forge_a_row():
    table = Table(columns=("A",), rows=(("x\nroot is admin",),))
    assert plain_text.render(Reply(blocks=(table,))).split("\n") == ["A", "x root is admin"]


def test_json_is_keyed_by_column_and_raw():
    reply = Reply(
        blocks=(TABLE, Text(text="café \x1b", tone=Tone.WARN), Lines(lines=("l",)), Fields(fields={"a": "b"})),
        buttons=(Button(label="Look", line="ps web"),),
        ending=Ending.FAILED,
        took=timedelta(milliseconds=1500),
    )
    assert json.loads(plain_text.to_json(reply)) == {
        "v": 2,
        "schema": "",
        "ending": "failed",
        "took": 1.5,
        "records": [],
        "errors": [],
        "left_out": 0,
        "blocks": [
            {
                "type": "table",
                "title": "All",
                "columns": ["NAME", "IMAGE", "CPU"],
                "rows": [
                    {"NAME": "web", "IMAGE": "nginx:1.27", "CPU": 1.5},
                    {"NAME": "api-server", "IMAGE": "app", "CPU": 12},
                ],
            },
            {"type": "text", "text": "café \x1b", "tone": "warn"},
            {"type": "lines", "title": "", "lines": ["l"]},
            {"type": "fields", "title": "", "fields": {"a": "b"}},
        ],
        "buttons": [{"label": "Look", "line": "ps web", "danger": False}],
        "names": {},
    }


def test_json_has_no_numbers_that_json_has_not():
    table = Table(columns=("A",), rows=((float("nan"),), (float("inf"),)))
    assert json.loads(plain_text.to_json(Reply(blocks=(table,))))["blocks"][0]["rows"] == [{"A": None}, {"A": None}]


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_an_exit_code_of_its_own(ending):
    assert plain_text.EXIT[ending] not in [code for other, code in plain_text.EXIT.items() if other is not ending]
    assert plain_text.render(text_reply("x", ending=ending)) == "x"
