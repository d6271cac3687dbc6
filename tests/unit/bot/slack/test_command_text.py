"""What Slack delivers becomes the line that was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parsing import parser
from bot.slack import command_text
from commands.catalogue import load_catalogue
from core import errors


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
    ],
)
def test_line(delivered: str, line: str) -> None:
    assert command_text.extract_line(delivered, "UBOT") == line


def test_without_a_known_bot_no_name_is_dropped() -> None:
    assert command_text.extract_line("<@U1> ps", "") == "<@U1> ps"


def test_the_grammar_reads_on() -> None:
    known = load_catalogue()
    parsed = parser.parse(command_text.extract_line("<@UBOT> ps —all “shop-*” --label app=a&amp;b", "UBOT"), known)
    assert parsed.args["all"]
    assert parsed.args["target"] == ("shop-*",)
    assert parsed.args["label"] == ("app=a&b",)
    with pytest.raises(errors.BadUsage, match="2 lines"):
        parser.parse(command_text.extract_line("<@UBOT> ps\nrm web", "UBOT"), known)


SLACK = st.sampled_from(["<@UBOT>", "<@U1|x>", "<!here>", "<#C1|a>", "<http://a|b>", "<", ">", "|", "&amp;", "&lt;"])
TYPED = st.lists(st.one_of(SLACK, st.sampled_from(["`", "```", "\n", " ", "/deck"]), st.text(max_size=6))).map("".join)


@given(TYPED, st.sampled_from(["UBOT", "", "U(1"]))
def test_it_never_raises(text: str, bot: str) -> None:
    line = command_text.extract_line(text, bot)
    assert line == line.strip()


@given(st.text(st.characters(exclude_characters="<>&`"), max_size=60))
def test_plain_text_is_read_once(text: str) -> None:
    line = command_text.extract_line(text, "UBOT")
    assert command_text.extract_line(line, "UBOT") == line
