"""The recipe of scaling over steps that a test scripts: what is done in which order, and what is told when it ends
half-way."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from runtimes.base.jobs import Job
from runtimes.compose import scale, services

ENGINE = EngineRef(host="h1", kind="docker")
SHOP_WEB = services.service_ref(ENGINE, "shop", "web")


class Steps:
    """Replicas in memory. `fail` raises once at a step such as `start shop-web-2`; `become` is how a started one is."""

    def __init__(self, *numbers, **labels):
        self.rows = {}
        self.done = []
        self.fail = {}
        self.become = {}
        self.labels = labels
        self.hang = asyncio.Event()
        self.remembers = False
        self.deaf = []  # the replicas that do not end within their grace
        for number in numbers:
            self.add(number, "running")

    def add(self, number, state):
        name = f"shop-web-{number}"
        labels = {services.PROJECT: "shop", services.SERVICE: "web", services.NUMBER: str(number), **self.labels}
        ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"id-{name}", name=name)
        self.rows[ref.id] = Container(
            ref=ref,
            image="i",
            image_id="",
            command="",
            state=state,
            status="",
            created_at=0,
            labels=labels,
        )
        return ref

    async def step(self, what, ref):
        said = f"{what} {ref.name}"
        self.done.append(said)
        await asyncio.sleep(0)
        if error := self.fail.get(said):
            if error is asyncio.CancelledError:
                await self.hang.wait()
            raise error

    async def replicas(self, project, service, seconds):
        assert (project, service) == ("shop", "web")
        return [row for row in self.rows.values() if row.labels[services.SERVICE] == service]

    async def remember(self, replicas, seconds):
        self.kept = True
        return self.remembers

    async def remembered(self, project, service, number, seconds):
        assert (project, service) == ("shop", "web")
        if error := self.fail.get("remembered"):
            raise error
        return self if self.remembers and hasattr(self, "kept") else None

    async def template(self, replicas, seconds):
        if error := self.fail.get("template"):
            raise error
        return self

    def name(self, number):
        return f"shop-web-{number}"

    async def create(self, number, seconds):
        ref = self.add(number, "created")
        try:
            await self.step("create", ref)
        except errors.QuarterdeckError:
            del self.rows[ref.id]
            raise
        return ref

    async def start(self, thing, seconds):
        await self.step("start", thing)
        now = {"state": "running", **self.become.get(thing.name, {})}
        self.rows[thing.id] = msgspec.structs.replace(self.rows[thing.id], **now)

    async def stop(self, thing, seconds):
        await self.step("stop", thing)
        self.rows[thing.id] = msgspec.structs.replace(self.rows[thing.id], state="exited")
        return thing.name in self.deaf

    async def remove(self, thing, seconds):
        await self.step("remove", thing)
        del self.rows[thing.id]

    async def describe(self, ids, deadline):
        return {thing: self.rows.get(thing) for thing in ids}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(scale, "MIN_UPTIME", 0.0)
    monkeypatch.setattr(scale, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(scale, "MAX_CONCURRENT", 1)


def a_job():
    return Job("j", "service.scale", "console:alice", read_only=False)


async def scaled(steps, wanted, timeout=20.0):
    return await scale.scale_service(steps, SHOP_WEB, wanted, timeout, a_job())


async def test_gaps_are_filled_lowest_first_and_the_highest_go_first():
    steps = Steps(1, 3)
    outcome = await scaled(steps, 4)
    assert (outcome.status, outcome.detail) == (Status.DONE, "from 2 to 4")
    assert steps.done == ["create shop-web-2", "start shop-web-2", "create shop-web-4", "start shop-web-4"]
    steps.done.clear()
    assert (await scaled(steps, 2)).detail == "from 4 to 2"
    assert steps.done == ["stop shop-web-4", "remove shop-web-4", "stop shop-web-3", "remove shop-web-3"]


async def test_only_what_was_named_is_removed_and_otherwise_nothing_is_done():
    steps = Steps(1, 2, 3)

    async def within(wanted, *names):
        ids = {f"id-shop-web-{number}" for number in names}
        return await scale.scale_service(steps, SHOP_WEB, wanted, 20.0, a_job(), removable=ids)

    steps.add(4, "exited")
    outcome = await within(2, 3)
    assert outcome.status == Status.FAILED
    assert "shop-web-4 would be removed too. Nothing was done." in outcome.detail
    assert (await within(3)).status == Status.FAILED and not steps.done
    assert (await within(2, 3, 4)).status == Status.DONE
    assert sorted(steps.rows) == ["id-shop-web-1", "id-shop-web-2"]
    assert (await within(3)).status == Status.DONE


async def test_what_sleeps_is_started_and_what_sleeps_too_much_is_removed_without_a_stop():
    steps = Steps(1)
    steps.add(2, "exited")
    steps.add(3, "created")
    assert (await scaled(steps, 2)).detail == "from 3 to 2"
    assert steps.done == ["start shop-web-2", "remove shop-web-3"]
    steps.rows["id-shop-web-1"] = msgspec.structs.replace(steps.rows["id-shop-web-1"], state="exited")
    assert (await scaled(steps, 2)).detail == "to 2, 1 of them started again"
    assert (await scaled(steps, 2)).status == Status.NOOP


async def test_nothing_is_left_and_nothing_can_be_made_from_nothing():
    steps = Steps(1, 2)
    outcome = await scaled(steps, 0)
    assert outcome.status == Status.DONE and "docker compose up" in outcome.detail
    outcome = await scaled(steps, 1)
    assert outcome.status == Status.FAILED and "docker compose up" in outcome.detail


async def test_what_was_scaled_to_nothing_comes_back_from_what_is_remembered():
    steps = Steps(1, 2)
    steps.remembers = True
    outcome = await scaled(steps, 0)
    assert "to start it again: scale shop/web=1, or after a restart of Quarterdeck, docker compose up" in outcome.detail
    steps.done.clear()
    assert (await scaled(steps, 0)).status == Status.NOOP
    outcome = await scaled(steps, 2)
    assert (outcome.status, outcome.detail) == (Status.DONE, "from 0 to 2")
    assert sorted(steps.done) == ["create shop-web-1", "create shop-web-2", "start shop-web-1", "start shop-web-2"]
    steps.rows.clear()
    steps.fail["remembered"] = errors.UserError("shop/web cannot be scaled: it publishes port 80 of the host.")
    outcome = await scaled(steps, 3)
    assert outcome.status == Status.FAILED and "publishes port 80" in outcome.detail


async def test_a_protected_container_keeps_its_service_as_it_is():
    steps = Steps(1, 2, **{"quarterdeck.protected": "true"})
    outcome = await scaled(steps, 1)
    assert outcome.status == Status.FAILED and "protected" in outcome.detail
    assert steps.done == []


async def test_what_forbids_it_forbids_it_before_the_first_step():
    steps = Steps(1)
    steps.add(2, "exited")
    steps.fail["template"] = errors.UserError("It publishes port 80.", hint="Publish a range.")
    outcome = await scaled(steps, 3)
    assert (outcome.status, outcome.detail) == (Status.FAILED, "It publishes port 80. Publish a range.")
    assert steps.done == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Rejected(500, "no space left"), Status.FAILED),
        (errors.TimedOut("It did not answer.", sent=True), Status.UNKNOWN),
        (errors.Unreachable("It is away.", sent=False), Status.FAILED),
    ],
)
async def test_half_done_is_told_and_not_repeated(error, status):
    steps = Steps(1)
    steps.fail["create shop-web-3"] = error
    outcome = await scaled(steps, 5)
    assert outcome.status == status
    assert outcome.detail == f"created shop-web-2, then {error.full_message()}"
    assert steps.done == ["create shop-web-2", "start shop-web-2", "create shop-web-3"]

    steps = Steps(1, 2, 3)
    steps.fail["remove shop-web-2"] = error
    outcome = await scaled(steps, 0)
    assert (outcome.status, outcome.detail) == (status, f"removed shop-web-3, then {error.full_message()}")
    assert steps.done[-1] == "remove shop-web-2"


async def test_of_several_that_fail_at_once_the_one_that_leaves_it_open_counts(monkeypatch):
    monkeypatch.setattr(scale, "MAX_CONCURRENT", 4)
    steps = Steps(1)
    steps.fail["create shop-web-2"] = errors.Rejected(500, "no")
    steps.fail["create shop-web-3"] = errors.TimedOut("It did not answer.", sent=True)
    assert (await scaled(steps, 4)).status == Status.UNKNOWN


@pytest.mark.parametrize(
    ("become", "told"),
    [
        ({"state": "exited", "exit_code": 3}, "shop-web-2 ended with code 3"),
        ({"state": "restarting", "restarts": 1}, "shop-web-2 ended soon after its start"),
        ({"health": "unhealthy"}, "shop-web-2 failed its health check"),
    ],
)
async def test_one_that_does_not_stay_up_is_a_failure_with_its_name(become, told):
    steps = Steps(1)
    steps.become["shop-web-2"] = become
    outcome = await scaled(steps, 2)
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith(f"created shop-web-2, then {told}")
    assert "logs shop-web-2" in outcome.detail


async def test_one_that_somebody_removes_meanwhile_is_told():
    steps = Steps(1)
    steps.become["shop-web-2"] = {"health": "starting"}
    task = asyncio.create_task(scaled(steps, 2))
    while "start shop-web-2" not in steps.done:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    del steps.rows["id-shop-web-2"]
    assert "shop-web-2 was removed by somebody" in (await task).detail


async def test_a_health_check_is_waited_for_until_the_time_is_over():
    steps = Steps(1)
    steps.become["shop-web-2"] = {"health": "starting"}
    outcome = await scaled(steps, 2, timeout=0.05)
    assert outcome.status == Status.FAILED
    assert "Only 1 of 2 replicas run after 0 s; shop-web-2 is running and not yet healthy" in outcome.detail
    steps = Steps(1)
    steps.become["shop-web-2"] = {"health": "healthy"}
    assert (await scaled(steps, 2)).status == Status.DONE


async def test_a_replica_that_ends_again_and_again_is_never_up(monkeypatch):
    steps, looks = Steps(1), [{}, {"state": "restarting"}] * 3 + [{"state": "exited", "exit_code": 7}]
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(scale, "MIN_UPTIME", 5.0)
    monkeypatch.setattr(scale, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    describe = steps.describe

    async def look(ids, deadline):
        change = looks.pop(0)
        return {thing: msgspec.structs.replace(row, **change) for thing, row in (await describe(ids, deadline)).items()}

    steps.describe = look
    outcome = await scaled(steps, 2, timeout=500)
    assert outcome.status == Status.FAILED and "shop-web-2 ended with code 7" in outcome.detail


async def test_no_step_begins_after_its_time():
    steps = Steps(1)
    outcome = await scaled(steps, 3, timeout=0.0)
    assert outcome.status == Status.FAILED and "passed before all replicas" in outcome.detail
    assert steps.done == []


async def test_stopped_on_the_way_it_tells_how_far_it_came():
    steps = Steps(1)
    steps.fail["create shop-web-3"] = asyncio.CancelledError
    job = a_job()
    task = asyncio.create_task(scale.scale_service(steps, SHOP_WEB, 3, 20.0, job))
    while "create shop-web-3" not in steps.done:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    page = await job.page("", 0)
    assert page.outcome is not None
    assert (page.outcome.status, page.outcome.detail) == (
        Status.UNKNOWN,
        "created shop-web-2, then the job was stopped",
    )
    assert page.progress == "1 created"


async def test_a_stranger_that_claims_the_service_by_its_labels_is_neither_copied_nor_counted():
    """Labels may come from an image, whose author can write anything."""
    steps = Steps(1, 2, **{services.FOLDER: "/srv/shop"})
    ref = steps.add(3, "running")
    steps.rows[ref.id].labels.pop(services.FOLDER)
    for wanted in (1, 2, 5):
        outcome = await scaled(steps, wanted)
        assert outcome.status == Status.FAILED
        assert "shop-web-3 from no folder, shop-web-1 from /srv/shop" in outcome.detail
    assert steps.done == []


def recreated(*, old_name, new_name, replaces=True):
    """A service whose only replica was being recreated when Compose was interrupted."""
    steps = Steps()
    old, new = "f" * 64, "1" * 64
    for key, name, state, labels in (
        (old, old_name, "running", {}),
        (new, new_name, "created", {services.REPLACES: old} if replaces else {}),
    ):
        ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=key, name=name)
        template = steps.add(1, state)
        row = steps.rows.pop(template.id)
        steps.rows[key] = msgspec.structs.replace(row, ref=ref, labels=row.labels | labels)
    return steps, new


@pytest.mark.parametrize(
    ("old_name", "new_name", "replaces"),
    [
        ("shop-web-1", "ffffffffffff_shop-web-1", True),
        ("shop-web-1", "ffffffffffff_shop-web-1", False),
        ("ffffffffffff_shop_web_1", "shop_web_1", False),  # Compose v1 renames the old one
    ],
)
async def test_after_an_interrupted_recreation_the_replacement_stays(old_name, new_name, replaces):
    steps, new = recreated(old_name=old_name, new_name=new_name, replaces=replaces)
    outcome = await scaled(steps, 1)
    assert outcome.status == Status.DONE, outcome.detail
    assert list(steps.rows) == [new]
    # Its port is free before it starts.
    assert steps.done == [f"stop {old_name}", f"remove {old_name}", f"start {new_name}"]


async def test_a_container_beside_others_with_such_a_name_is_replaced_by_nobody():
    steps = Steps(1, 2)
    assert services.superseded_containers(steps.rows.values()) == frozenset()
    alone = next(iter(steps.rows.values()))
    named = msgspec.structs.replace(alone, ref=msgspec.structs.replace(alone.ref, name="f" * 12 + "_shop-web-1"))
    assert services.superseded_containers([named]) == frozenset()


async def test_replicas_have_their_own_time_to_stop():
    steps = Steps(1, 2, 3)
    outcome = await scaled(steps, 1, timeout=0.0)
    assert outcome.status == Status.DONE, outcome.detail
    assert steps.done == ["stop shop-web-3", "remove shop-web-3", "stop shop-web-2", "remove shop-web-2"]


async def test_replicas_that_were_killed_are_named_and_counted_also_if_the_job_fails_later():
    steps = Steps(1, 2, 3, 4)
    steps.deaf = ["shop-web-4", "shop-web-3"]
    outcome = await scaled(steps, 1)
    assert outcome.detail == "from 4 to 1; 2 did not end in time and were killed: shop-web-3, shop-web-4"
    assert outcome.killed == ("shop-web-3", "shop-web-4")
    steps = Steps(1, 2)
    steps.deaf = ["shop-web-2"]
    steps.fail["remove shop-web-2"] = errors.Rejected(500, "no")
    outcome = await scaled(steps, 1)
    assert (outcome.status, outcome.killed) == (Status.FAILED, ("shop-web-2",))
    assert outcome.detail == "no; shop-web-2 did not end in time and was killed"
