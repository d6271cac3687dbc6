"""`scale` and `services`: names and numbers as people write them, and what is shown of services."""

import pytest

from bot import plain_text
from core import errors
from core.model.actions import ListServices, Scale
from core.model.containers import Port
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Status
from core.model.results import Outcome
from core.model.services import Service, Services
from runtimes.compose import services

H7, H8 = EngineRef(host="host7", kind="docker"), EngineRef(host="host8", kind="docker")


def of_compose(name, running=1, desired=1, engine=H7, **more):
    project, _, service = name.partition("/")
    return Service(
        ref=services.service_ref(engine, project, service),
        mode="compose",
        image="nginx:1.27",
        running=running,
        desired=desired,
        labels=({},),
        project=project,
        service=service,
        **more,
    )


def of_swarm(name, running=1, desired=1, engine=H7, mode="replicated", **more):
    project = name.partition("_")[0] if "_" in name else None
    ref = Ref(engine=engine, kind=Kind.SERVICE, id=f"id{name}", name=name)
    return Service(
        ref=ref,
        mode=mode,
        image="nginx:1.27",
        running=running,
        desired=desired,
        labels=({},),
        project=project,
        service=name,
        **more,
    )


class Finder:
    """Every name is a service of compose in `shop`; a glob means two."""

    def __init__(self):
        self.asked = []

    async def find(self, query):
        self.asked.append(query)
        (word,) = query.names
        names = ["web", "db"] if "*" in word else [word.rpartition("/")[2]]
        return [services.service_ref(H7, "shop", name) for name in names]

    def engines(self, query):
        return [H7, H8]


@pytest.fixture
def shop(world):
    world.find = Finder()
    return world


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scale shop/web=3", {"shop/web": 3}),
        ("scale shop/web 3", {"shop/web": 3}),
        ("scale web=3 db=0", {"shop/web": 3, "shop/db": 0}),
        ("scale web 3 db=2 api 1000", {"shop/web": 3, "shop/db": 2, "shop/api": 1000}),
        ("scale 'shop/*=2'", {"shop/web": 2, "shop/db": 2}),
        ("scale web=3 shop/web=3", {"shop/web": 3}),
    ],
)
async def test_names_and_numbers(shop, line, expected):
    plan = await shop.plan(line)
    assert {action.target.name: action.replicas for action in plan} == expected
    assert all(isinstance(action, Scale) and action.timeout == 120 for action in plan)
    assert all(query.kind is Kind.SERVICE for query in shop.find.asked)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scale", "scale needs SERVICE"),
        ("scale web", "The number of replicas of web is missing."),
        ("scale web=3 db", "The number of replicas of db is missing."),
        ("scale web=", "cannot be scaled to “”"),
        ("scale web three", "cannot be scaled to “three”"),
        ("scale web=-1", "cannot be scaled to “-1”"),
        ("scale web=1001", "Give a whole number from 0 to 1,000"),
        ("scale web=٣", "cannot be scaled"),
        ("scale web=1e3", "cannot be scaled"),
        ("scale '*=2'", "needs the name of a service"),
        ("scale '*/*=2'", "needs the name of a service"),
        ("scale =2", "needs the name of a service"),
        ("scale web=2 web=3", "The command gives shop/web two numbers of replicas, 2 and 3"),
        ("scale " + " ".join(f"s{number}=1" for number in range(21)), "but 21 are selected"),
    ],
)
async def test_what_is_not_understood_is_refused_with_its_cure(shop, line, said):
    with pytest.raises(errors.BadUsage) as caught:
        await shop.plan(line)
    assert said in caught.value.full_message()
    assert caught.value.hint


async def test_host_and_engine_narrow_what_is_looked_for(shop):
    await shop.plan("scale web=3 --host 'prod-*' --engine docker -t 30")
    assert (shop.find.asked[0].host, shop.find.asked[0].engine) == ("prod-*", "docker")


@pytest.mark.parametrize(
    ("outcome", "ending", "text"),
    [
        (
            Outcome(status=Status.DONE, detail="from 1 to 3", took=4.2),
            Ending.OK,
            "shop/web scaled from 1 to 3 in 4.2 s.",
        ),
        (Outcome(status=Status.NOOP, detail="has 3 already"), Ending.OK, "shop/web has 3 already."),
        (
            Outcome(status=Status.FAILED, detail="1 of 3 run; no suitable node"),
            Ending.FAILED,
            "shop/web was not scaled as asked: 1 of 3 run; no suitable node.",
        ),
        (
            Outcome(status=Status.UNKNOWN, detail="created shop-web-2, then the job was stopped"),
            Ending.UNKNOWN,
            "It is not known whether shop/web was scaled: created shop-web-2, then the job was stopped.",
        ),
    ],
)
async def test_how_it_came_out(shop, outcome, ending, text):
    reply = await shop.say("scale web=3", lambda _: outcome)
    assert reply.ending is ending
    assert plain_text.render(reply).startswith(text)
    for button in reply.buttons:
        assert "shop/web@docker/host7" in button.line


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TOLD = {
    H7: Services(
        rows=(
            of_compose("shop/web", 2, 3, health="1 unhealthy, 1 healthy", ports=(Port(80, public=8000, ip="0.0.0.0"),)),
            of_compose("blog/web"),
            of_swarm("mail_smtp", 2, 3, health="1 pending: no suitable node", update="update paused"),
            of_swarm("agent", 1, None, mode="swarm"),
        )
    ),
    H8: Services(rows=(of_swarm("mail_smtp", 2, 3, engine=H8), of_swarm("agent", 2, 2, engine=H8, mode="global"))),
}


def told(action):
    assert isinstance(action, ListServices)
    return TOLD[action.engine]


async def test_services_are_listed_by_project_each_once(shop):
    reply = await shop.say("services", told)
    table = reply.blocks[0]
    assert table.columns == ("SERVICE", "MODE", "RUNNING", "IMAGE", "HEALTH", "PORTS", "UPDATE", "HOST")
    assert [(row[0], row[1], row[2], row[-1]) for row in table.rows] == [
        ("agent", "global", "2/2", "host8"),
        ("blog/web", "compose", "1/1", "host7"),
        ("mail_smtp", "replicated", "2/3", "host7"),
        ("shop/web", "compose", "2/3", "host7"),
    ]
    assert table.rows[3][4:6] == ["1 unhealthy, 1 healthy", "8000->80"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("services web", ["blog/web", "shop/web"]),
        ("services shop", ["shop/web"]),
        ("services shop_web", ["shop/web"]),
        ("services 'shop/*' mail", ["mail_smtp", "shop/web"]),
        ("services ag", ["agent"]),
    ],
)
async def test_services_select(shop, line, expected):
    assert [row[0] for row in (await shop.say(line, told)).blocks[0].rows] == expected


async def test_what_is_not_there_and_who_did_not_answer_is_said(shop):
    reply = await shop.say("services shpo/web", told)
    assert reply.ending is Ending.NOTHING
    assert "Did you mean shop/web" in plain_text.render(reply)

    def half(action):
        if action.engine == H7:
            return Services(rows=(of_compose("shop/web"),), missing="The services of its Swarm could not be asked for.")
        return errors.Unreachable("host8 is away.")

    reply = await shop.say("services", half)
    text = plain_text.render(reply)
    assert reply.ending is Ending.OK
    assert "shop/web" in text and "could not be asked for" in text and "No result from docker/host8" in text
    reply = await shop.say("services", lambda action: Services(rows=()))
    assert (reply.ending, "There are no compose or Swarm services" in plain_text.render(reply)) == (Ending.OK, True)
    reply = await shop.say("services", lambda action: errors.Unreachable("away"))
    assert reply.ending is Ending.FAILED


async def test_an_engine_that_knows_no_services_is_not_missed(shop):
    def half(action):
        return TOLD[H7] if action.engine == H7 else errors.Unsupported("service.list", "docker/host8")

    assert "missing" not in plain_text.render(await shop.say("services", half))
