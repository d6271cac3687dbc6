"""Names in place of ids: whose name it is stays visible, and no name passes for something else."""

import pytest

from bot import plain_text
from core.model.replies import Fields, Lines, Reply, Table, Text
from core.text import person_names

BOB, ADA, ADA2 = "slack:T1/U2", "slack:T1/U0ADA", "slack:T1/U1ADA"
SRE, OPS = "group:S0SRE1", "C0SHOPOPS"
NAMES = {BOB: "Bob", SRE: "sre", OPS: "ops"}


def shown(*blocks, **names):
    return plain_text.render(Reply(blocks=blocks, names=names.get("names", NAMES)))


def test_a_sentence_has_names_and_the_ids_below():
    text = shown(Text(text=f"{BOB} is now operator, in {OPS}. Ask {SRE}."))
    assert text == f"Bob is now operator, in #ops. Ask @sre.\nBob is {BOB}, #ops is {OPS}, @sre is {SRE}."


def test_a_cell_has_the_id_beside_the_name_and_what_people_copy_stays():
    table = Table(columns=("WHO", "LINE"), rows=[(BOB, f"grant {BOB} operator")])
    assert [line.split("  ") for line in shown(table).splitlines()[1:]] == [["Bob (U2)", f"grant {BOB} operator"]]
    assert BOB in shown(Lines(lines=(BOB,))) and f"id    {BOB}" in shown(Fields(fields={"id": BOB, "name": "x"}))


def test_an_id_without_a_name_stays():
    assert shown(Text(text=f"Ask {ADA}.")) == f"Ask {ADA}."
    assert shown(Text(text="web-C0SHOPOPS and C0SHOPOPS-1 and x/C0SHOPOPS are containers")).count("C0SHOPOPS") == 3


def test_two_with_one_name_keep_their_ids():
    text = shown(Text(text=f"Ask {ADA} or {ADA2}."), names={ADA: "Ada", ADA2: "ada"})
    assert text.startswith("Ask Ada (U0ADA) or ada (U1ADA).")


@pytest.mark.parametrize(
    "name",
    [
        "everyone",
        "slack:T1/U2",
        "@sre",
        "#ops",
        "Bob. Nothing was done",
        "group:sre",
        "*Bob*",
        "<!channel>",
        "Bob (U2)",
        "U2 may do anything on every host",
        "\u202eboB\u202c",
        "",
        " ",
    ],
)
def test_a_name_that_says_more_than_a_name_has_its_id(name):
    text = shown(Text(text=f"{ADA} may not do that."), names={ADA: name}).splitlines()[0]
    assert "U0ADA" in text or text == "boB may not do that."
    assert "\u202e" not in text


def test_a_long_name_is_cut():
    text = shown(Text(text=ADA), names={ADA: "a" * 300})
    assert len(text.splitlines()[0]) < 60


def test_programs_get_ids_and_names_apart():
    made = plain_text.to_json(Reply(blocks=(Text(text=f"Ask {BOB}."),), names={BOB: "Bob"}))
    assert f'"text": "Ask {BOB}."' in made and f'"names": {{"{BOB}": "Bob"}}' in made


def test_ids_are_found_once_each_and_not_in_what_is_copied():
    reply = Reply(
        blocks=(
            Text(text=f"{BOB} {BOB} {SRE}"),
            Table(columns=("WHO", "ID"), rows=[(ADA, ADA2)]),
            Lines(lines=(OPS,)),
            Fields(fields={"here": OPS}),
        )
    )
    assert person_names.find_ids_in_reply(reply) == [BOB, SRE, ADA, OPS]


def test_ten_thousand_rows_are_named():
    rows = [(f"slack:T1/U{number:05}",) for number in range(10_000)]
    names = {who: f"p{number % 5_000}" for number, (who,) in enumerate(rows)}
    named = person_names.with_names(Reply(blocks=(Table(columns=("WHO",), rows=rows),), names=names))
    assert named.blocks[0].rows[7] == ["p7 (U00007)"] and len(named.blocks) == 1
