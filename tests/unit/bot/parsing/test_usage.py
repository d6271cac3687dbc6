"""Usage lines and arguments, as help pages and errors show them."""

from bot.parsing import usage
from tests.unit.bot.parsing.test_parser import CATALOGUE


def test_usage():
    assert usage.format_usage_line(CATALOGUE.find("logs")) == "logs [options] TARGET…"
    assert usage.format_usage_line(CATALOGUE.find("ps")) == "ps [options] [TARGET…]"
    assert usage.format_usage_line(CATALOGUE.find("help")) == "help [options] [TOPIC]"


def test_describe_shows_arguments_as_typed():
    shown = dict(usage.command_help(CATALOGUE.find("logs")).args)
    assert shown["-n, --tail COUNT"] == "lines (default 100, at most 1,000)"
    assert shown["--state STATE"] == "state (running, exited)"
    assert shown["-l, --label LABEL"] == "labels (repeatable)"
