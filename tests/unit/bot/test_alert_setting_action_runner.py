"""The commands about how alerts are posted, on a real store: who may see what, what is refused, and what is stored."""

from __future__ import annotations

import time

import pytest

from bot import alert_setting_action_runner
from bot.notify import maintenance_windows
from bot.notify.alert_settings import named_channel, read_settings
from core import errors
from core.model.alert_actions import AddSilence, FireTestAlert, ListIncidents
from core.model.alert_routes import Matcher, Route, Routing
from core.model.alert_setting_actions import (
    AddMaintenance,
    EndMaintenance,
    ListMaintenance,
    MuteRequester,
    SetAlertChannel,
    ShowIncident,
    SnoozeIncident,
)
from core.model.alerts import AlertState
from core.model.refs import EngineRef, Kind, Ref
from tests.helpers.alert_scene import AlertScene
from tests.helpers.alerts import WEB, alert
from tests.unit.bot.test_alert_action_runner import BOB, OPS, Bot, may


@pytest.fixture
async def bot(valkey):
    made = []

    def make(*grants):
        made.append(Bot(valkey.url, *grants))
        return made[-1]

    yield make
    for one in made:
        await one.store.aclose()
        await one.desk.store.aclose()


async def test_the_channel_named_in_chat_is_stored_and_replaced_and_removed(bot):
    ops = bot(may("*"))
    assert await named_channel(ops.store) == ""
    first = await ops.ask(SetAlertChannel(by=BOB, channel="C0123"))
    assert (first.channel, first.before, first.by) == ("C0123", "", BOB.id)
    assert (await ops.ask(ListIncidents(who=BOB, place=OPS))).channel == "C0123"
    second = await ops.ask(SetAlertChannel(by=BOB, channel="C0456"))
    assert second.before == "C0123" and await named_channel(ops.store) == "C0456"
    await ops.ask(SetAlertChannel(by=BOB, channel=""))
    assert await named_channel(ops.store) == ""
    assert (await ops.ask(ListIncidents(who=BOB, place=OPS))).channel == ""


async def test_what_is_open_is_posted_when_a_channel_is_named(bot):
    ops = bot(may("*"))
    open_one, over = await ops.desk.take(alert(), alert(fingerprint="o", owner="over"))
    if open_one.main.owner == "over":
        open_one, over = over, open_one
    await ops.desk.take(alert(fingerprint="o", owner="over", at=2, state=AlertState.RESOLVED))
    async for key, raw in ops.store.each_incident():
        await ops.store.incident_told(key, raw, raw)
    await ops.ask(SetAlertChannel(by=BOB, channel="C0123"))
    assert await ops.store.changed_incidents(10) == [open_one.key]


async def test_the_configuration_has_the_last_word_about_the_channel(bot):
    ops = bot(may("*"))
    ops.runtime.routing = Routing(default="C0999")
    with pytest.raises(
        errors.UserError, match="This command cannot change the channel of alerts: quarterdeck.yaml sets it to C0999"
    ):
        await ops.ask(SetAlertChannel(by=BOB, channel="C0123"))
    ops.runtime.routing = Routing()
    for wrong in ("D0123", "console", "#ops", "<!channel>"):
        with pytest.raises(errors.BadUsage):
            await ops.ask(SetAlertChannel(by=BOB, channel=wrong))


async def test_a_test_alert_says_where_it_goes(bot):
    ops = bot(may("*"))
    ops.runtime.evaluator = AlertScene(()).evaluator
    assert await ops.ask(FireTestAlert(by=BOB)) == ""
    await ops.ask(SetAlertChannel(by=BOB, channel="C0123"))
    assert await ops.ask(FireTestAlert(by=BOB)) == "C0123"
    low = Route(matchers=(Matcher(field="severity", operator="=", patterns=("low",)),), to=("C7", "U1"))
    ops.runtime.routing = Routing(routes=(low,))
    assert await ops.ask(FireTestAlert(by=BOB)) == "C7, U1"


async def test_one_incident_is_shown_with_what_holds_it_back_and_only_to_whom_may_see_it(bot):
    ops = bot(may("*"))
    (incident,) = await ops.desk.take(alert())
    shown = await ops.ask(ShowIncident(who=BOB, place=OPS, id=incident.id[:4]))
    assert (shown.incident, shown.silences, shown.maintenance) == (incident, (), ())
    silence = await ops.ask(AddSilence(by=BOB, owner="shop/*", seconds=60))
    window = await ops.ask(AddMaintenance(by=BOB, target="shop/*", seconds=60))
    await ops.ask(AddMaintenance(by=BOB, target="blog", seconds=60))
    await ops.ask(AddMaintenance(by=BOB, target="shop/*", seconds=60, begin=time.time() + 600))
    shown = await ops.ask(ShowIncident(who=BOB, place=OPS, id=incident.id))
    assert (shown.silences, shown.maintenance) == ((silence,), (window,))
    blind = bot(may("incident.*", name="other"))
    for action in (
        ShowIncident(who=BOB, place=OPS, id=incident.id),
        SnoozeIncident(by=BOB, place=OPS, id=incident.id, seconds=60),
        AddSilence(by=BOB, owner="shop/web", seconds=60, until_resolved=True, place=OPS),
    ):
        with pytest.raises(errors.NotFound):
            await blind.ask(action)


async def test_an_incident_says_what_explains_it_and_why_its_label_has_no_effect(bot):
    ops = bot(may("*"))
    ops.runtime.routing = Routing(default="C0OPS")
    engine = WEB.engine
    down = Ref(engine=engine, kind=Kind.ENGINE, id=str(engine), name=str(engine))
    await ops.desk.take(
        alert(channel="C0SECRET"),
        alert("engine-down", fingerprint="e", topic="engine", subject=down, owner=str(engine), text="it is gone"),
    )
    (incident,) = await ops.incidents(name="shop/web")
    shown = await ops.ask(ShowIncident(who=BOB, place=OPS, id=incident.id))
    assert [cause.main.text for cause in shown.causes] == ["it is gone"] and shown.refused_channel == "C0SECRET"
    narrow = bot(may("container.*", "incident.*"))
    narrow.runtime.routing = Routing(default="C0OPS", channels=frozenset({"C0SECRET"}))
    shown = await narrow.ask(ShowIncident(who=BOB, place=OPS, id=incident.id))
    assert (shown.causes, shown.refused_channel) == ((), "")


async def test_only_an_open_incident_is_snoozed(bot):
    ops = bot(may("*"))
    (incident,) = await ops.desk.take(alert())
    snooze = await ops.ask(SnoozeIncident(by=BOB, place=OPS, id=incident.id[:4], seconds=60))
    assert (snooze.owner, snooze.reminds, snooze.by) == (incident.id, True, BOB.id)
    await ops.desk.take(alert(at=2, state=AlertState.RESOLVED))
    with pytest.raises(errors.UserError, match="is over, so there is nothing to snooze"):
        await ops.ask(SnoozeIncident(by=BOB, place=OPS, id=incident.id, seconds=60))


async def test_a_silence_until_resolved_needs_something_that_is_open(bot):
    ops = bot(may("*"))
    await ops.desk.take(alert())
    silence = await ops.ask(AddSilence(by=BOB, owner="shop/*", seconds=60, until_resolved=True, place=OPS))
    assert silence.until_resolved
    await ops.desk.take(alert(at=2, state=AlertState.RESOLVED))
    with pytest.raises(errors.NotFound, match="No open incident matches"):
        await ops.ask(AddSilence(by=BOB, owner="shop/*", seconds=60, until_resolved=True, place=OPS))


async def test_maintenance_windows_are_listed_the_open_ones_first_and_ended(bot):
    ops = bot(may("*"))
    later = await ops.ask(AddMaintenance(by=BOB, target="b", seconds=60, begin=time.time() + 600))
    now = await ops.ask(AddMaintenance(by=BOB, target="a", seconds=60, place="C1"))
    assert [each.id for each in await ops.ask(ListMaintenance())] == [now.id, later.id]
    assert (now.by_name, now.told_place, later.told_place) == ("bob", True, False)
    await ops.ask(EndMaintenance(id=now.id))
    assert [each.id for each in await ops.ask(ListMaintenance())] == [later.id]
    for gone in (now.id, "m-000000", ""):
        with pytest.raises(errors.NotFound, match="no maintenance window"):
            await ops.ask(EndMaintenance(id=gone))


async def test_too_many_windows_are_refused_and_unreadable_or_old_ones_removed(bot, monkeypatch):
    ops = bot(may("*"))
    monkeypatch.setattr(maintenance_windows, "MAX_WINDOWS", 2)
    await ops.store.put_maintenance("m-old", b"{}")
    long_ago = AddMaintenance(by=BOB, target="a", seconds=60, begin=time.time() - 3 * 86_400)
    await ops.ask(long_ago)
    for name in ("a", "b"):
        await ops.ask(AddMaintenance(by=BOB, target=name, seconds=60))
    with pytest.raises(errors.UserError, match="2 already, which"):
        await ops.ask(AddMaintenance(by=BOB, target="c", seconds=60))
    assert len(await ops.store.maintenance()) == 2


async def test_somebody_is_muted_for_a_time_and_nobody_else_is(bot, monkeypatch):
    ops = bot()
    await ops.ask(MuteRequester(by=BOB, seconds=60))
    now = time.time()
    settings = await read_settings(ops.store, now)
    assert settings.muted_until("BOB", now) > now
    assert settings.muted_until("ADA", now) == settings.muted_until("BOB", now + 61) == 0
    monkeypatch.setattr(alert_setting_action_runner.AlertSettingActionRunner, "max_mutes", 0)
    with pytest.raises(errors.UserError, match="people are muted already, which"):
        await ops.ask(MuteRequester(by=BOB, seconds=60))
    await ops.ask(MuteRequester(by=BOB, seconds=0))
    assert await ops.store.mutes() == {}


async def test_maintenance_covers_owners_projects_names_hosts_and_engines(bot):
    ops = bot(may("*"))
    labels = {"com.docker.compose.project": "shop"}
    podman = Ref(engine=EngineRef(host="h2", kind="podman", name="alice"), kind=Kind.CONTAINER, id="9" * 64, name="far")
    near, far = await ops.desk.take(alert(labels=labels), alert(fingerprint="f", subject=podman, owner="far"))
    if near.main.owner == "far":
        near, far = far, near
    for settings, covered in (
        ({"target": "shop/web"}, {near.id}),
        ({"target": "shop"}, {near.id}),
        ({"target": "we*"}, {near.id}),
        ({"host": "h2"}, {far.id}),
        ({"engine_pattern": "podman"}, {far.id}),
        ({"engine_pattern": "alice"}, {far.id}),
        ({"target": "f?r", "host": "h1"}, set()),
        ({"target": "nothing"}, set()),
        ({}, set()),
    ):
        window = await ops.ask(AddMaintenance(by=BOB, seconds=60, **settings))
        assert {each.id for each in (near, far) if window.covers(each)} == covered, settings
