"""The policy in force: configuration and stored grants as one, read anew only when the version moved."""

import msgspec
import pytest
import structlog

from bot.access import policy_in_force
from core import errors
from core.model.policy import Ask, Grant, Guard, Policy
from core.store.client import Store

CONFIGURED = Grant(id="grants.0", who="everyone", can=("viewer",))
GUARD = Guard(id="guards.0", can=("*",), ask=Ask.CONFIRM)
BASE = Policy(grants=(CONFIGURED,), guards=(GUARD,), self_ids=frozenset({"me"}))


def stored(name, **more):
    return Grant(**{"id": name, "who": "console:alice", "can": ("operator",), "source": "store"} | more)


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


async def add(store, grant):
    return await store.add_grant(grant.id, msgspec.json.encode(grant))


async def test_before_the_store_was_read_the_configuration_holds(store):
    mine = policy_in_force.PolicyInForce(store, BASE)
    assert mine.policy == mine.configured == BASE


async def test_stored_grants_join_the_configured_ones_and_go_again(store):
    mine = policy_in_force.PolicyInForce(store, BASE)
    b, a = stored("g-b"), stored("g-a")
    await add(store, b)
    version = await add(store, a)
    in_force = await mine.refresh(version)
    assert in_force is mine.policy
    assert in_force.grants == (CONFIGURED, a, b)
    assert (in_force.guards, in_force.self_ids, in_force.version) == ((GUARD,), frozenset({"me"}), version)
    assert mine.configured == BASE
    await store.remove_grant(b.id)
    assert (await mine.refresh(await store.policy_version())).grants == (CONFIGURED, a)


async def test_the_store_is_asked_only_when_the_version_moved(store, valkey):
    mine = policy_in_force.PolicyInForce(store, BASE)
    version = await add(store, stored("g-a"))
    first = await mine.refresh(version)
    valkey.stop()
    assert await mine.refresh(version) is first
    with pytest.raises(errors.StoreDown):
        await mine.refresh(version + 1)
    assert mine.policy is first
    valkey.start()


async def test_a_store_that_went_back_in_time_is_believed(store, valkey):
    mine = policy_in_force.PolicyInForce(store, BASE)
    await add(store, stored("g-a"))
    await mine.refresh(await add(store, stored("g-b")))
    valkey.say(b"FLUSHALL\r\n")
    assert (await mine.refresh(await store.policy_version())).grants == (CONFIGURED,)


async def test_a_reload_keeps_what_was_granted_in_chat(store):
    mine = policy_in_force.PolicyInForce(store, BASE)
    granted = stored("g-a")
    version = await add(store, granted)
    await mine.refresh(version)
    mine.replace_configured(Policy(grants=(Grant(id="grants.9", who="group:sre", can=("admin",)),)))
    assert [grant.id for grant in mine.policy.grants] == ["grants.9", "g-a"]
    assert mine.policy.guards == ()
    assert mine.policy.version == version


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"id": "g-x"}', b'{"id": "g-x", "who": "everyone", "can": "*"}'])
async def test_a_grant_nobody_can_read_grants_nothing_and_is_named(store, data):
    await add(store, stored("g-a"))
    version = await store.add_grant("g-x", data)
    mine = policy_in_force.PolicyInForce(store, BASE)
    with structlog.testing.capture_logs() as logs:
        in_force = await mine.refresh(version)
    assert [grant.id for grant in in_force.grants] == ["grants.0", "g-a"]
    assert [(entry["grant"], entry["log_level"]) for entry in logs] == [("g-x", "error")]


async def test_the_containers_of_other_replicas_hold_whatever_else_changes(store):
    mine = policy_in_force.PolicyInForce(store, BASE)
    mine.replace_replica_ids(frozenset({"a" * 64}))
    version = await add(store, stored("g-a"))
    assert (await mine.refresh(version)).runs_replica("a" * 64)
    mine.replace_configured(BASE)
    assert mine.policy.runs_replica("a" * 64) and mine.configured.runs_replica("a" * 64)
    mine.replace_replica_ids(frozenset())
    assert not mine.policy.runs_replica("a" * 64) and mine.policy.version == version
