"""What is said of a change before it ends, and of a name that is refused, shows no secret either."""

import pytest

from bot import plain_text
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck


class Listener:
    """A responder that keeps what it is told."""

    def __init__(self):
        self.heard = []

    def started(self, action):
        self.heard.append((action.line, *action.names))

    async def finish(self, reply):
        self.heard.append(plain_text.render(reply))


async def answer(valkey, line):
    async with Deck(valkey.url, [FakeRuntime("h1", kind="docker")]) as deck:
        listener = Listener()
        return await deck.say(line, responder=listener), listener.heard


@pytest.mark.parametrize("token", ["gh" + "p_" + "Zq7xW2" * 6, "gl" + "pat-" + "Zq7xW2" * 4])
async def test_the_start_of_a_change_shows_no_secret_in_its_names(valkey, token):
    reply, heard = await answer(valkey, f"pull reg.example/app:{token}")
    assert reply.ending is Ending.OK and len(heard) == 2
    assert "reg.example/app:" in heard[0][1] and "Zq7xW2" not in repr(heard)


async def test_an_address_with_a_password_is_refused_without_showing_it(valkey):
    reply, heard = await answer(valkey, "pull https://user:Zq7xW2@reg.example/app:1")
    (text,) = heard
    assert reply.ending is Ending.USAGE and "Did you mean reg.example/app:1?" in text and "zq7xw2" not in text.lower()
