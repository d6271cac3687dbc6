"""A bot without a chat, a stand-in for Slack, and a bot that speaks through it; all end with their test."""

import pytest

from tests.helpers.bot_process import Bot, Deck
from tests.standins.slack import client


@pytest.fixture
def bot(dockerd, short_tmp):
    made = Bot(short_tmp, dockerd.url)
    yield made
    made.stop()


@pytest.fixture
def slack(short_tmp):
    with client.start(short_tmp) as made:
        yield made


@pytest.fixture
def deck(dockerd, short_tmp, slack):
    """Not yet running: `deck.up()`. At the end it is stopped and has to have behaved."""
    made = Deck(short_tmp, dockerd.url, slack)
    yield made
    made.close()
