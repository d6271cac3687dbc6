"""Modals and Home: triggers, the stack, hashes, submissions."""

from __future__ import annotations

import pytest

from tests.standins.slack.records import Impossible


def plain(text):
    return {"type": "plain_text", "text": text}


def field(label="Why", action="why", **more):
    return {
        "type": "input",
        "label": plain(label),
        "element": {"type": "plain_text_input", "action_id": action},
        **more,
    }


def modal(title="Sure?", **more):
    return {"type": "modal", "title": plain(title), "submit": plain("Yes"), "blocks": [field()], **more}


HOME = {"type": "home", "blocks": [{"type": "section", "text": plain("All is well")}]}


@pytest.fixture
async def trigger(slack):
    async def get():
        return (await slack.slash("ada", "ops", "/deck", "rm"))["trigger_id"]

    return get


async def test_a_trigger_opens_one_view(slack, web, refused, trigger):
    got = await trigger()
    view = (await web.views_open(trigger_id=got, view=modal()))["view"]
    assert view["state"] == {"values": {}}
    assert view["blocks"][0]["block_id"]
    assert slack.modal("ada")["text"] == "Sure?\nWhy: []\n[Yes]"
    assert slack.modal("bob") is None
    await refused(web.views_open(trigger_id=got, view=modal()), "exchanged_trigger_id", "used once")
    await refused(web.views_open(trigger_id="1.2.3", view=modal()), "invalid_trigger_id", "comes from Slack")


async def test_a_trigger_lives_three_seconds(slack, web, refused, trigger):
    in_time, late = await trigger(), await trigger()
    slack.advance(2.5)
    await web.views_open(trigger_id=in_time, view=modal())
    slack.advance(1)
    await refused(web.views_open(trigger_id=late, view=modal()), "expired_trigger_id", "lives 3 s")


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (modal("x" * 25), "less than 25"),
        ({"type": "modal", "blocks": []}, "missing required field: title"),
        ({"type": "modal", "title": plain("x"), "blocks": [field()]}, "must have submit"),
        (modal(private_metadata="x" * 3001), "less than 3001"),
        (modal(callback_id="x" * 256), "less than 256"),
        (modal(blocks=[field()] * 101), "no more than 100"),
        (modal(blocks=[{"type": "section"}]), "text or fields"),
        (HOME, "must be modal"),
    ],
    ids=["title", "no title", "no submit", "private_metadata", "callback_id", "blocks", "block", "home"],
)
async def test_a_view_is_checked_and_keeps_its_trigger(slack, web, refused, trigger, view, said):
    got = await trigger()
    answer = await refused(web.views_open(trigger_id=got, view=view), "invalid_arguments", "invalid_arguments")
    assert said in str(answer["response_metadata"]["messages"])
    assert (await web.views_open(trigger_id=got, view=modal("x" * 24, private_metadata="x" * 3000)))["ok"]


async def test_an_update_with_an_old_hash_conflicts(slack, web, refused, trigger):
    view = (await web.views_open(trigger_id=await trigger(), view=modal(external_id="one")))["view"]
    newer = (await web.views_update(view_id=view["id"], hash=view["hash"], view=modal("Again", external_id="one")))[
        "view"
    ]
    assert newer["hash"] != view["hash"]
    assert slack.modal("ada")["title"] == "Again"
    await refused(web.views_update(view_id=view["id"], hash=view["hash"], view=modal()), "hash_conflict")
    await web.views_update(external_id="one", view=modal("By name"))
    assert slack.modal("ada")["title"] == "By name"
    await refused(web.views_update(view_id="V0NIL", view=modal()), "not_found")
    await refused(web.api_call("views.update", json={"view": modal()}), "invalid_arguments", "either")


async def test_external_ids_are_unique(slack, web, refused, trigger):
    await web.views_open(trigger_id=await trigger(), view=modal(external_id="one"))
    again = web.views_open(trigger_id=await trigger(), view=modal(external_id="one"))
    await refused(again, "duplicate_external_id", "unique")


async def test_the_stack_holds_three(slack, web, refused, trigger):
    buttons = {"type": "actions", "elements": [{"type": "button", "text": plain("More"), "action_id": "more"}]}
    body = modal(blocks=[field(), buttons])
    await refused(web.views_push(trigger_id=await trigger(), view=body), "invalid_trigger_id", "open modal")
    first = (await web.views_open(trigger_id=await trigger(), view=body))["view"]
    for _ in range(2):
        pressed = await slack.click("ada", slack.modal("ada"), "More")
        pushed = (await web.views_push(trigger_id=pressed["trigger_id"], view=body))["view"]
    assert pushed["root_view_id"] == first["id"]
    pressed = await slack.click("ada", slack.modal("ada"), "More")
    await refused(web.views_push(trigger_id=pressed["trigger_id"], view=body), "push_limit_reached", "at most 3")
    await slack.dismiss("ada")
    assert slack.modal("ada")["id"] == pushed["previous_view_id"]


async def test_home_is_published_and_republished(slack, web, refused):
    first = (await web.views_publish(user_id="U0ADA", view=HOME))["view"]
    assert slack.home("ada")["text"] == "All is well"
    assert slack.home("bob") is None
    await web.views_publish(user_id="U0ADA", view=HOME, hash=first["hash"])
    await refused(web.views_publish(user_id="U0ADA", view=HOME, hash=first["hash"]), "hash_conflict")
    await refused(web.views_publish(user_id="U0ADA", view=modal()), "invalid_arguments", "view")


async def test_a_person_must_fill_in_what_is_required(slack, web, trigger):
    await web.views_open(trigger_id=await trigger(), view=modal())
    with pytest.raises(Impossible, match="Why is required"):
        await slack.submit("ada")
    with pytest.raises(Impossible, match="no such modal"):
        await slack.submit("bob", {"Why": "x"})
    sent = await slack.submit("ada", {"Why": "because"})
    (payload,) = [
        one["payload"] for one in slack.deliveries("interactive") if one["envelope_id"] == sent["envelope_id"]
    ]
    (values,) = payload["view"]["state"]["values"].values()
    assert values == {"why": {"type": "plain_text_input", "value": "because"}}


async def test_a_closed_modal_is_told_of_when_asked(slack, web, refused, trigger):
    await web.views_open(trigger_id=await trigger(), view=modal())
    assert (await slack.dismiss("ada"))["envelope_id"] == ""
    view = (await web.views_open(trigger_id=await trigger(), view=modal(notify_on_close=True, clear_on_close=True)))[
        "view"
    ]
    assert (await slack.dismiss("ada"))["envelope_id"]
    payload = slack.deliveries("interactive")[-1]["payload"]
    assert (payload["type"], payload["is_cleared"], payload["view"]["id"]) == ("view_closed", True, view["id"])
    assert slack.modal("ada") is None
    await refused(web.views_update(view_id=view["id"], view=modal()), "not_found")


async def test_inputs_of_every_kind_carry_their_own_shape(slack, web, trigger):
    option = [{"text": plain(word), "value": word.lower()} for word in ("One", "Two")]
    kinds = {
        "static_select": {"options": option},
        "radio_buttons": {"options": option},
        "checkboxes": {"options": option},
        "users_select": {},
        "datepicker": {},
        "number_input": {"is_decimal_allowed": False},
    }
    inputs = [
        {"type": "input", "block_id": kind, "label": plain(kind), "element": {"type": kind, "action_id": kind, **more}}
        for kind, more in kinds.items()
    ]
    await web.views_open(trigger_id=await trigger(), view=modal(blocks=inputs))
    given = {
        "static_select": "Two",
        "radio_buttons": "one",
        "checkboxes": ["One", "two"],
        "users_select": "U0BOB",
        "datepicker": "2026-01-01",
        "number_input": 7,
    }
    await slack.submit("ada", given)
    values = slack.deliveries("interactive")[-1]["payload"]["view"]["state"]["values"]
    assert values["static_select"]["static_select"]["selected_option"]["value"] == "two"
    assert values["radio_buttons"]["radio_buttons"]["selected_option"]["text"]["text"] == "One"
    assert [one["value"] for one in values["checkboxes"]["checkboxes"]["selected_options"]] == ["one", "two"]
    assert values["users_select"]["users_select"]["selected_user"] == "U0BOB"
    assert values["datepicker"]["datepicker"]["selected_date"] == "2026-01-01"
    assert values["number_input"]["number_input"]["value"] == "7"
