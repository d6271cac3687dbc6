"""What other systems get mentions nobody, if they pass it on to a chat as it is."""

from __future__ import annotations

import re

import msgspec
import pytest

from bot.outlets import alertmanager_sender, webhook
from core.model.end_causes import Cause, CauseKind
from core.model.incidents import merge_alert
from core.model.refs import EngineRef
from core.text.mentions import remove_mentions
from tests.helpers.alerts import WEB, alert

NASTY = "<!channel> <@U0ADA> <!subteam^S0ON> @here (@everyone) web@sha256:1"
MENTION = re.compile(r"<[!@#]|(?<!\w)@\w")


def hostile():
    subject = msgspec.structs.replace(WEB, name=NASTY, id=NASTY, engine=EngineRef(host=NASTY, kind="docker"))
    labels = {"com.docker.compose.project": NASTY, "com.docker.compose.service": NASTY}
    texts = {"fingerprint": "f", "owner": NASTY, "text": NASTY, "team": NASTY}
    cause = Cause(kind=CauseKind.CRASHED, text=NASTY)
    return merge_alert(None, alert(NASTY, subject=subject, labels=labels, cause=cause, at=1, **texts))


def test_a_request_of_a_webhook_mentions_nobody():
    body = msgspec.json.encode(webhook.payload(hostile())).decode()
    assert body.count("web@sha256:1") >= 9, "every text is there"
    assert not MENTION.search(body)


def test_labels_and_annotations_for_an_alertmanager_mention_nobody():
    incident = hostile()
    texts = alertmanager_sender.alert_texts(incident, incident.main)
    values = [*texts["labels"].values(), *texts["annotations"].values()]
    assert sum("web@sha256:1" in value for value in values) >= 8
    assert not any(MENTION.search(value) for value in values)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop/web", "shop/web"),
        ("web@docker/h1", "web@docker/h1"),
        ("ada@example.com", "ada@example.com"),
        ("<!here|x>", "‹!here|x>"),
        ("<@U0ADA>", "‹＠U0ADA>"),
        ("a < b", "a < b"),
        ("@channel, .@ada", "＠channel, .＠ada"),
    ],
)
def test_only_what_begins_a_mention_is_changed(text, shown):
    assert remove_mentions(text) == shown
