"""The options of docker and podman, as their own help lists them (tests/captures/*.options.txt): each is taken, or
refused with what to write instead."""

import pytest

from bot.parsing import parser
from core import errors
from tests.helpers.deck import WORDS
from tests.helpers.paths import ROOT

CAPTURES = ROOT / "tests/captures"
PROGRAMS = (("docker", "docker-28.2"), ("podman", "podman-4.3"), ("podman", "podman-5.4"))
# The list of options that an option gets about which nothing is known.
UNEXPLAINED = ("Its options: ", "List its options with", "It has no options")


@pytest.mark.parametrize(("program", "capture"), PROGRAMS, ids=[capture for _, capture in PROGRAMS])
def test_every_option_of_a_program_is_taken_or_explained(program, capture):
    silent, seen = [], 0
    for line in (CAPTURES / f"{capture}.options.txt").read_text().splitlines():
        command, _, options = line.partition(": ")
        for option in options.split():
            seen += 1
            try:
                parser.parse(f"{program} {command} {option}", WORDS)
            except errors.UserError as error:
                if any(words in error.full_message() for words in UNEXPLAINED):
                    silent.append(f"{command} {option}")
    assert silent == []
    assert seen > 500


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("docker run --env-file .env nginx", "write each of its lines as -e NAME=VALUE"),
        ("docker run --memory-swap 1g nginx", "Limit the container with --memory or --cpus"),
        ("docker run -P nginx", "Publish each port with -p 8080:80."),
        ("docker run --dns 10.0.0.1 nginx", "name servers and host names apply"),
        ("docker volume create --driver nfs data", "others can be folders of the host"),
        ("docker top web -o pid", "the engine's own columns"),
        ("podman stop -a", "A change needs names"),
        ("docker push --all-tags shop/web", "Name one tag"),
    ],
)
def test_an_option_is_refused_with_what_to_write_instead(line, cure):
    with pytest.raises(errors.UserError) as caught:
        parser.parse(line, WORDS)
    assert cure in caught.value.hint
