"""Completion of the last word of a line."""

import pytest

from bot.parsing import completion
from tests.unit.bot.parsing.test_parser import CATALOGUE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["card", "exec", "help", "logs", "ls", "menu", "ps", "revoke"]),
        ("we", ["web"]),
        ("l", ["logs", "ls"]),
        ("/deck l", ["logs", "ls"]),
        ("logs ", ["api", '"my web"', "web"]),
        ("logs w", ["web"]),
        ("logs web a", ["api"]),
        ("logs --t", ["--tail", "--time", "--timeout"]),
        (
            "logs -",
            [
                "--force",
                "--help",
                "--label",
                "--share",
                "--since",
                "--state",
                "--tail",
                "--time",
                "--timeout",
                "--volumes",
            ],
        ),
        ("logs --state e", ["exited"]),
        ("logs --tail ", []),
        ("logs -f w", ["web"]),
        ("logs -- -", []),
        ("help l", ["logs"]),
        ("help logs ", []),
        ("revoke ", []),
        ("nosuch w", []),
        ('logs "w', []),
    ],
)
def test_completion(text, expected):
    assert sorted(completion.complete_last_word(text, CATALOGUE, ["web", "api", "my web"])) == sorted(expected)
