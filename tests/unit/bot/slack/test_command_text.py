"""What Slack delivers becomes the line that was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parsing import parser
from bot.slack import command_text, decode_requests
from bot.slack.command_text import BotName
from bot.slack.rich_text_reader import RichTextReadings
from commands.catalogue import load_catalogue
from core import errors

BOT = BotName(user="UBOT", name="deck")


@pytest.mark.parametrize(
    ("delivered", "line"),
    [
        ("<@UBOT> ps -a", "ps -a"),
        ("<@UBOT|deck>: <@UBOT> ps", "ps"),
        ("  <@UBOT>,\nps  ", "ps"),
        ("<@UBOT>", ""),
        ("", ""),
        ("grant <@U123|alice> restart", "grant <@U123> restart"),
        ("grant <@W9> restart", "grant <@W9> restart"),
        ("grant <!subteam^S1|@sre> logs", "grant group:sre logs"),
        ("grant <!subteam^S1> logs", "grant group:S1 logs"),
        ("grant everyone logs --in <#C1|ops>", "grant everyone logs --in C1"),
        ("ps --host <http://web.example.com|web.example.com>", "ps --host web.example.com"),
        ("pull <https://registry.example.com/a?b=1&amp;c=2>", "pull https://registry.example.com/a?b=1&c=2"),
        ("grant <mailto:a@example.com|a@example.com> logs", "grant a@example.com logs"),
        ("grant <mailto:a@example.com> logs", "grant a@example.com logs"),
        ("say <!here>", "say @here"),
        ("say <!date^1392734382^{date}|18 Feb>", "say 18 Feb"),
        ("ps --label &lt;a&gt;&amp;b", "ps --label <a>&b"),
        ("`ps -a`", "ps -a"),
        ("```ps -a```", "ps -a"),
        ("<@UBOT> ```\nps -a\n```", "ps -a"),
        ("restart `web` `api`", "restart web api"),
        ('exec web "echo `date`"', 'exec web "echo `date`"'),
        ("ps\u00a0-a", "ps -a"),
        ("/deck ps", "ps"),
        ("<@UBOT> /deck ps", "ps"),
        ("/deck", ""),
        ("logs “web”", "logs “web”"),
        ("ps —all", "ps —all"),
        ("ps\nrm web", "ps\nrm web"),
        ("<@U123> ps", "<@U123> ps"),
        ("restart web <@UBOT>", "restart web"),
        ("restart <@UBOT> web", "restart web"),
        ("restart web <@UBOT|deck>.", "restart web"),
        ("<@UBOT><@UBOT> ps", "ps"),
        ("please, <@UBOT>: ps", "please, ps"),
        ('exec web "echo <@UBOT>"', 'exec web "echo <@UBOT>"'),
        ("@Deck ps", "ps"),
        ("@deck: ps", "ps"),
        ("logs web @deck!", "logs web"),
        ("ps web@deck", "ps web@deck"),
        ("ps @decks", "ps @decks"),
    ],
)
def test_line(delivered: str, line: str) -> None:
    assert command_text.find_possible_commands(delivered, None, BOT) == (line,)


def test_without_a_known_bot_no_name_is_dropped() -> None:
    assert command_text.find_possible_commands("<@U1> ps @", None, BotName(user="")) == ("<@U1> ps @",)


@pytest.mark.parametrize(
    ("delivered", "lines"),
    [
        ("restart *web*", ("restart *web*", "restart web")),
        ("restart '*web*'", ("restart '*web*'", "restart 'web'")),
        ("restart **web**", ("restart **web**", "restart web")),
        ("restart _web_", ("restart _web_", "restart web")),
        ("restart _*web*_", ("restart _*web*_", "restart web")),
        ("restart *web* _api_", ("restart *web* _api_", "restart web api")),
        ("restart ~web~ api", ("restart ~web~ api", "restart web api", "restart  api")),
        ("restart *web*, please", ("restart *web*, please", "restart web, please")),
        ("inspect Aa0__zZ.9-_.-_x_", ("inspect Aa0__zZ.9-_.-_x_",)),
        ("exec web cat __init__.py", ("exec web cat __init__.py",)),
        ("restart a*b*c x-*-1 y-*-2", ("restart a*b*c x-*-1 y-*-2",)),
        ("<@UBOT> *restart web*", ("*restart web*", "restart web")),
        ("restart `*web*`", ("restart *web*",)),
        ("```restart *web*```", ("restart *web*",)),
        ("restart web-* api-*", ("restart web-* api-*",)),
        ("restart *-web *-api", ("restart *-web *-api",)),
        ("restart my_app_1 _x", ("restart my_app_1 _x",)),
        ("stop '[!_]*'", ("stop '[!_]*'",)),
        ('exec web "rm /a/*/b/*"', ('exec web "rm /a/*/b/*"',)),
        ("ps *", ("ps *",)),
        ("scale 2*3*4", ("scale 2*3*4",)),
    ],
)
def test_a_text_without_rich_text_has_a_reading_for_each_thing_it_may_mean(
    delivered: str, lines: tuple[str, ...]
) -> None:
    assert command_text.find_possible_commands(delivered, None, BOT) == lines


def test_rich_text_says_what_is_meant_and_the_text_is_not_looked_at() -> None:
    same = RichTextReadings(
        plain="<@UBOT> restart web\n", literal="<@UBOT> restart web\n", kept="<@UBOT> restart web\n"
    )
    assert command_text.find_possible_commands("<@UBOT> restart *web*", same, BOT) == ("restart web",)
    doubtful = RichTextReadings(
        plain="<@UBOT> restart web\n", literal="<@UBOT> restart w*eb*\n", kept="<@UBOT> restart \n"
    )
    assert command_text.find_possible_commands("x", doubtful, BOT) == ("restart w*eb*", "restart web", "restart")
    # Entities and backticks that a person typed are the person's.
    typed = "exec web 'a &amp; <b> `c`'"
    assert command_text.find_possible_commands("x", RichTextReadings(plain=typed, literal=typed, kept=typed), BOT) == (
        typed,
    )


def test_the_grammar_reads_on() -> None:
    known = load_catalogue()
    (line,) = command_text.find_possible_commands("<@UBOT> ps —all “shop-*” --label app=a&amp;b", None, BOT)
    parsed = parser.parse(line, known)
    assert parsed.args["all"]
    assert parsed.args["target"] == ("shop-*",)
    assert parsed.args["label"] == ("app=a&b",)
    with pytest.raises(errors.BadUsage, match="this one has 2"):
        parser.parse(command_text.find_possible_commands("<@UBOT> ps\nrm web", None, BOT)[0], known)


SLACK = st.sampled_from(["<@UBOT>", "<@U1|x>", "<!here>", "<#C1|a>", "<http://a|b>", "<", ">", "|", "&amp;", "&lt;"])
SIGNS = st.sampled_from(["`", "```", "\n", " ", "/deck", "*", "_", "~", "@deck", "'"])
TYPED = st.lists(st.one_of(SLACK, SIGNS, st.text(max_size=6))).map("".join)


@given(TYPED, st.sampled_from(["UBOT", "", "U(1"]), st.sampled_from(["deck", "", "d(ck"]))
def test_it_never_raises(text: str, user: str, name: str) -> None:
    bot = BotName(user=user, name=name)
    rich_text = RichTextReadings(plain=text, literal=text, kept=text)
    for lines in (
        command_text.find_possible_commands(text, None, bot),
        command_text.find_possible_commands("", rich_text, bot),
    ):
        assert 1 <= len(lines) <= 3
        assert [line.strip() for line in lines] == list(lines)


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9_.-]+", fullmatch=True), min_size=1, max_size=4))
def test_names_that_engines_allow_are_never_doubtful(names: list[str]) -> None:
    line = f"restart {' '.join(names)}"
    assert command_text.find_possible_commands(line, None, BOT) == (line,)


@given(st.text(st.characters(exclude_characters="<>&`*_~@"), max_size=60))
def test_plain_text_is_read_once(text: str) -> None:
    (line,) = command_text.find_possible_commands(text, None, BOT)
    assert command_text.find_possible_commands(line, None, BOT) == (line,)


@pytest.mark.parametrize("sign", ["*", "~x", "`", "<@UBOT>", "<", "*_~", "@deck ", "/deck "])
def test_a_text_of_the_greatest_length_is_read(sign: str) -> None:
    text = (sign * decode_requests.MAX_TEXT)[: decode_requests.MAX_TEXT]
    assert len(command_text.find_possible_commands(text, None, BOT)) <= 3
    assert len(command_text.find_possible_commands("", RichTextReadings(plain=text, literal=text, kept=text), BOT)) == 1
