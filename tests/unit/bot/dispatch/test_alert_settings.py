"""The commands about how alerts are posted, typed by people with and without permissions, through the whole road."""

from __future__ import annotations

import time

import msgspec
import pytest

from bot import plain_text
from bot.notify.alert_settings import named_channel
from core.model.incidents import merge_alert
from core.model.invocation import Identity, Place
from core.model.maintenance import Maintenance
from core.model.policy import Grant, Policy
from core.model.replies import Ending
from tests.helpers.alerts import alert
from tests.helpers.deck import Deck

BOSS = Identity(id="slack:T1/U0BOSS", name="boss")
OPERATOR = Identity(id="slack:T1/U0ADA", name="ada")
VIEWER = Identity(id="slack:T1/U0BOB", name="bob")
STRANGER = Identity(id="slack:T1/U0CAROL", name="carol")
OPS = Place(channel="C0OPS", team="T1")
POLICY = Policy(
    grants=(
        Grant(id="e", who="everyone", can=("incident.mute-me",), source="builtin"),
        Grant(id="a", who=BOSS.id, can=("admin",)),
        Grant(id="o", who=OPERATOR.id, can=("operator",)),
        Grant(id="v", who=VIEWER.id, can=("viewer",)),
    )
)


@pytest.fixture
async def deck(valkey):
    async with Deck(valkey.url, policy=POLICY) as made:
        yield made


async def keep_incident(deck, **more):
    incident = merge_alert(None, alert(**more))
    await deck.store.change_incident(incident.key, None, msgspec.json.encode(incident))
    return incident


def text(reply) -> str:
    return plain_text.render(reply)


async def test_only_an_admin_names_the_channel_of_alerts_and_everybody_sees_it(deck):
    for who in (OPERATOR, VIEWER, STRANGER):
        assert (await deck.say("alerts here", who, OPS)).ending is Ending.REFUSED
    assert await named_channel(deck.store) == ""
    reply = await deck.say("alerts here", BOSS, OPS)
    assert reply.everyone and "Alerts are posted in this channel from now on" in text(reply)
    assert [button.line for button in reply.buttons] == ["alerts test", "alerts nowhere"]
    assert await named_channel(deck.store) == "C0OPS"
    assert "nowhere" not in text(await deck.say("incidents", VIEWER, OPS))
    rows = (await deck.say("audit --who slack:T1/U0BOSS", BOSS, OPS)).blocks[0].rows
    assert any("alerts here" in str(cell) for row in rows for cell in row)
    assert "not posted in any channel now" in text(await deck.say("alerts nowhere", BOSS, OPS))
    assert "Alerts are not posted in any channel" in text(await deck.say("incidents", VIEWER, OPS))


@pytest.mark.parametrize("place", [Place(channel="D0BOSS", kind="dm"), Place(channel="console", kind="console")])
async def test_alerts_are_not_posted_where_no_channel_is(deck, place):
    reply = await deck.say("alerts here", BOSS, place)
    assert reply.ending is Ending.USAGE and "works only in a Slack channel" in text(reply)


@pytest.mark.parametrize("line", ["snooze {id}", "silence shop/web", "maintenance add shop", "maintenance end m-1"])
async def test_who_may_only_look_changes_nothing(deck, line):
    incident = await keep_incident(deck)
    for who in (VIEWER, STRANGER):
        assert (await deck.say(line.format(id=incident.id), who, OPS)).ending is Ending.REFUSED
    assert await deck.store.silences() == {} and await deck.store.maintenance() == {}


async def test_everybody_mutes_only_themselves(deck):
    reply = await deck.say("mute me --for 2d", STRANGER, OPS)
    assert not reply.everyone and "no incident mentions you" in text(reply) and "user group" in text(reply)
    assert set(await deck.store.mutes()) == {STRANGER.id}
    await deck.say(reply.buttons[0].line, VIEWER, OPS)
    assert set(await deck.store.mutes()) == {STRANGER.id}
    await deck.say(reply.buttons[0].line, STRANGER, OPS)
    assert await deck.store.mutes() == {}
    assert (await deck.say("mute me --for 60d", STRANGER, OPS)).ending is Ending.USAGE


async def test_one_incident_is_shown_with_a_button_for_each_thing_to_do(deck):
    incident = await keep_incident(deck, team="payments")
    shown = await deck.say(f"incident {incident.id}", VIEWER, OPS)
    assert "shop/web: crashed" in text(shown) and "payments" in text(shown) and not shown.everyone
    lines = {button.label: button.line for button in shown.buttons}
    assert set(lines) >= {
        "Ack",
        "Snooze 1 h",
        "Silence 1 h",
        "Silence until resolved",
        "Maintenance 2 h",
        "Mute me 8 h",
    }
    for label in ("Snooze 1 h", "Silence until resolved", "Maintenance 2 h", "Mute me 8 h", "Ack"):
        assert (await deck.say(lines[label], OPERATOR, OPS)).ending is Ending.OK, label
    held = text(await deck.say(f"incident {incident.id[:5]}", VIEWER, OPS))
    assert "Silenced" in held and "Maintenance" in held and "ada" in held
    assert (await deck.say(f"incident {incident.id}", STRANGER, OPS)).ending is Ending.REFUSED
    assert (await deck.say("incident 000000-9", VIEWER, OPS)).ending is Ending.NOTHING


async def test_a_hostile_owner_cannot_write_a_line_of_its_own(deck):
    incident = await keep_incident(deck, owner="shop/web\n✔ Resolved: all is well")
    shown = await deck.say(f"incident {incident.id}", VIEWER, OPS)
    assert not any(line.startswith("✔") for line in text(shown).split("\n"))
    for button in shown.buttons:
        assert "\n" not in button.label


async def test_the_button_for_maintenance_means_this_owner_and_not_the_pattern_in_its_name(deck):
    incident = await keep_incident(deck, owner="shop/*")
    shown = await deck.say(f"incident {incident.id}", VIEWER, OPS)
    (line,) = [button.line for button in shown.buttons if button.label == "Maintenance 2 h"]
    assert (await deck.say(line, OPERATOR, OPS)).ending is Ending.OK
    (window,) = map(_window, (await deck.store.maintenance()).values())
    other = merge_alert(None, alert(owner="shop/db", subject=alert().subject))
    assert window.covers(incident) and not window.covers(other)


async def test_maintenance_is_typed_for_now_for_later_and_again_and_again(deck):
    now = await deck.say("maintenance add 'shop/*' --for 2h --reason 'new disks'", OPERATOR, OPS)
    assert now.everyone and "shop/* is open until" in text(now)
    later = await deck.say("maintenance add blog --at 2099-01-01T10:00 --for 1h", OPERATOR, OPS)
    assert later.ending is Ending.USAGE and "within the next year" in text(later)
    again = await deck.say(
        "maintenance add --host h1 --every sat,sun --at 22:00 --for 3h --zone Europe/Berlin", OPERATOR, OPS
    )
    assert "everything on host h1 opens 22:00 for 3 h (Europe/Berlin) on sat, sun" in text(again)
    coming = await deck.say("maintenance add blog --at 23:59 --for 5m", OPERATOR, OPS)
    assert coming.ending is Ending.OK
    listed = text(await deck.say("maintenance", VIEWER, OPS))
    assert listed.count("planned") == 2 and listed.count("open") == 1 and "new disks" in listed
    (window, *_) = [each for each in map(_window, (await deck.store.maintenance()).values()) if each.target == "shop/*"]
    assert (window.place, window.told_place, window.by) == ("C0OPS", True, OPERATOR.id)
    ended = await deck.say(now.buttons[0].line, OPERATOR, OPS)
    assert "is over" in text(ended)
    assert "shop/*" not in text(await deck.say("maintenance list", VIEWER, OPS))


def _window(value: bytes) -> Maintenance:
    return msgspec.json.decode(value, type=Maintenance)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("maintenance add", "needs a name, --host or --engine"),
        ("maintenance add '*'", "would hold back the messages of every incident"),
        ("maintenance add '**/?'", "would hold back the messages of every incident"),
        ("maintenance add web --for 7d1h", "A maintenance window of 7d1h is not possible"),
        ("maintenance add web --for 10s", "window of 10s is not possible"),
        ("maintenance add web --zone Mars/Base", "not a known time zone"),
        ("maintenance add web --every sat", "needs a time of day in --at"),
        ("maintenance add web --every sat --at 25:00", "but --at is “25:00”"),
        ("maintenance add web --every someday --at 10:00", "“someday” in --every is not a day of the week"),
        ("maintenance add web --every day --at 10:00 --for 25h", "would last 1d1h, but it would open again after 1d"),
        ("maintenance add web --every sat,sun --at 10:00 --for 25h", "would open again after 1d"),
        ("maintenance add web --at yesterday", "--at cannot be"),
        ("maintenance add web --at 2020-01-01T10:00", "cannot begin at 2020-01-01T10:00 (UTC), which is in the past"),
        ("maintenance end", "needs the id"),
        ("maintenance add " + "x" * 300, "the maximum is"),
        ("snooze 3fa92c --for 8d", "is not possible"),
        ("silence web --for 31d", "is not possible"),
        ("silence --for 1h", "needs a name or --match"),
        ("silence --match colour=red", "--match cannot be “colour=red”"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_cure(deck, line, reason):
    reply = await deck.say(line, OPERATOR, OPS)
    assert reply.ending is Ending.USAGE and reason in text(reply)
    assert await deck.store.maintenance() == {}


async def test_a_time_of_day_is_one_of_the_named_zone_and_of_the_future(deck):
    await deck.say("maintenance add web --at 12:00 --zone Asia/Tokyo --for 1h", OPERATOR, OPS)
    (window,) = map(_window, (await deck.store.maintenance()).values())
    assert time.time() < window.begin <= time.time() + 86_400
    assert window.begin % 86_400 == 3 * 3600  # 12:00 in Tokyo is 03:00 UTC
