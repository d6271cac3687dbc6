"""own_containers(): which containers of a listing are Quarterdeck's own, and which one holds its store."""

import msgspec

from bot.access import protected_resources
from core.model.policy import Policy
from tests.fake_engine.engine import FakeRuntime


def yard(*things, host="h1"):
    """Rows of one engine: (name, compose project or None, service)."""
    engine = FakeRuntime(host, kind="docker")
    for name, project, service in things:
        labels = {"com.docker.compose.project": project, "com.docker.compose.service": service} if project else {}
        engine.add(name, labels=labels)
    return list(engine.containers.values())


def ours(rows, me="bot", **more):
    own = next((row.ref.id for row in rows if row.ref.name == me), "f" * 64)
    held = Policy(**{"self_ids": frozenset({own}), **more})
    return {row.ref.name for row in rows if row.ref.id in protected_resources.own_containers(held, rows)}


def test_our_store_is_the_service_its_address_names_in_our_own_project():
    rows = yard(
        ("bot", "deck", "bot"),
        ("deck-redis-1", "deck", "redis"),
        ("deck-redis-2", "deck", "redis"),
        ("deck-web-1", "deck", "web"),
        ("shop-redis-1", "shop", "redis"),
        ("redis", None, ""),
    )
    assert ours(rows, store_host="redis") == {"bot", "deck-redis-1", "deck-redis-2"}
    assert ours(rows) == {"bot"}
    assert ours(rows, store_host="elsewhere") == {"bot"}


def test_a_stack_puts_its_name_before_that_of_a_service():
    rows = yard(("bot", "deck", "deck_bot"), ("deck_redis.1.x", "deck", "deck_redis"), ("other", "deck", "redis_deck"))
    assert ours(rows, store_host="redis") == {"bot", "deck_redis.1.x"}


def test_without_a_project_the_container_of_that_name_beside_us_is_our_store():
    rows = yard(("bot", None, ""), ("redis", None, ""), ("redis-2", None, ""))
    assert ours(rows + yard(("redis", None, ""), host="h2"), store_host="redis") == {"bot", "redis"}
    assert (
        len(protected_resources.own_containers(Policy(self_ids=frozenset({rows[0].ref.id}), store_host="redis"), rows))
        == 2
    )


def test_our_host_name_may_be_the_beginning_of_our_id():
    rows = yard(("bot", "deck", "bot"), ("store", "deck", "redis"), ("web", "deck", "web"))
    hint = rows[0].ref.id[:12]
    assert ours(rows, self_ids=frozenset(), self_name=hint, store_host="redis") == {"bot", "store"}


def test_outside_a_container_and_on_other_engines_nothing_is_ours():
    rows = yard(("web", "deck", "web"), ("redis", "deck", "redis"))
    assert ours(rows, me="nobody", store_host="redis") == set()
    assert ours(rows, self_ids=frozenset(), store_host="redis") == set()


def parts(rows, **more):
    return {row.ref.name for row in protected_resources.parts(Policy(**more), rows)}


def test_replicas_the_store_neighbours_and_our_image_are_parts_of_us():
    rows = yard(
        *(("bot", "deck", "bot"), ("bot-2", "deck", "bot"), ("deck-redis-1", "deck", "redis"), ("web", "deck", "web")),
        *(("other-bot", "shop", "bot"), ("elsewhere", None, ""), ("short", None, "")),
    )
    by_name = {row.ref.name: row for row in rows}
    rows.append(msgspec.structs.replace(by_name["web"], ref=msgspec.structs.replace(by_name["web"].ref, id="e" * 64)))
    rows[-1] = msgspec.structs.replace(
        rows[-1], labels={protected_resources.IMAGE_LABEL: "quarterdeck"}, own_id="d" * 64
    )
    rows[-1] = msgspec.structs.replace(rows[-1], ref=msgspec.structs.replace(rows[-1].ref, name="by image"))
    mine = {"self_ids": frozenset({by_name["bot"].ref.id}), "store_host": "redis"}
    assert parts(rows, **mine) == {"bot", "bot-2", "deck-redis-1", "by image"}
    replicas = frozenset({by_name["elsewhere"].ref.id, by_name["short"].ref.id[:12]})
    assert parts(rows, replica_ids=replicas) == {"elsewhere", "short", "by image"}
    assert parts(rows) == {"by image"}
    rows.append(msgspec.structs.replace(by_name["web"], labels={"quarterdeck.part": "true"}))
    assert parts(rows) == {"by image", "web"}
