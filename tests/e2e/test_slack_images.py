"""A pull and a prune as people on Slack meet them: one message that tells how far it is, a question with a table."""

import asyncio
import contextlib
import os
import threading

from tests.daemons import registry as registries
from tests.helpers.waiting import wait_for


@contextlib.contextmanager
def narrow(registry, most):
    """Another way to the registry, on which every answer stops after `most` bytes. Yields it, and what opens it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        made = registries.Narrow(registry, most)
        run(made.__aenter__())
        yield made, lambda: loop.call_soon_threadsafe(made.open)
        run(made.__aexit__())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_pull_tells_in_one_message_how_far_it_is_and_how_it_ended(deck, dockerd, slack, registry):
    registry.push_busybox("shown", layers=[{"big": os.urandom(4_000_000)}])
    deck.up()
    with narrow(registry, 1_500_000) as (way, go):
        name = f"{way.host}/shown:1"
        deck.deck("ada", f"pull {name}")
        shown = deck.last("bob", "layers")
        wait_for("the pull to stand still", way.held.is_set)
        go()
        ended = deck.last("bob", f"{name} pulled")
    assert ended["ts"] == shown["ts"] and "layers" not in ended["text"]
    assert [one["ts"] for one in deck.said("bob") if "shown:1" in one["text"]] == [shown["ts"]]
    dockerd.api.remove_image(name)


def test_a_prune_shows_what_goes_and_removes_that(deck, dockerd, slack):
    dockerd.run("web")
    dockerd.run("old", "exit 0")
    dockerd.wait("old")
    deck.up()
    deck.deck("ada", "docker container prune")
    asked = deck.last("ada", "this removes 1 container")
    assert "old" in asked["text"] and "Exited (0)" in asked["text"]
    dockerd.run("later", "exit 0")
    dockerd.wait("later")
    slack.click("ada", asked, asked["buttons"][0])
    deck.last("bob", "removed 1 container")
    assert sorted(row["Names"][0] for row in dockerd.api.containers(all=True)) == ["/later", "/web"]
