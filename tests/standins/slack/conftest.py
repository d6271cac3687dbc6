"""A stand-in of its own for each test, and slack_sdk's clients pointed at it."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.standins.slack import standin, state


@pytest.fixture
async def slack():
    async with standin.Standin(seed=1) as made:
        yield made


@pytest.fixture
def web(slack):
    return AsyncWebClient(token=state.BOT_TOKEN, base_url=slack.api)


@pytest.fixture
def refused(slack):
    """Awaits a call that must be refused by that error name, and tells the answer; `rule` must be among the broken
    rules, or none may be broken when it is empty."""

    async def check(call, error, rule=""):
        before = len(slack.violations())
        with pytest.raises(SlackApiError) as caught:
            await call
        assert caught.value.response["error"] == error
        broken = [one["rule"] for one in slack.violations()[before:]]
        assert bool(broken) == bool(rule), broken
        assert not rule or any(rule in one for one in broken), broken
        return caught.value.response

    return check
