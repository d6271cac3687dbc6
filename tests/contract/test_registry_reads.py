"""What Quarterdeck reads of a registry beside each engine: one image, what is outdated, a search."""

import os

import pytest
from aiohttp import web

from core import errors
from core.model import create_container, images, registry_reads
from core.model.registry_reads import BEHIND, CURRENT, UNKNOWN
from core.model.replies import Status
from runtimes import engine_registry
from tests.contract.grounds import over
from tests.contract.test_images import log_in
from tests.helpers.waiting import free_tcp_port


@pytest.fixture
async def asking(ground, registry):
    """Returns another adapter for the same engine, which may ask the registry; with a memory of its own."""
    made = []

    def make():
        address = engine_registry.EngineAddress(kind=ground.runtime.ref.kind, url=ground.daemon.url)
        made.append(engine_registry.open_engine(address, registries=(registry.host,)))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def do(ground, runtime, action, **fields):
    ground.runtime, before = runtime, ground.runtime
    try:
        return await ground.do(action(engine=runtime.ref, **fields))
    finally:
        ground.runtime = before


@over(registry_reads.InspectRemoteImage)
async def test_an_image_is_shown_without_a_pull(ground, registry, asking):
    kind = ground.runtime.ref.kind
    name = registry.push_busybox(f"remote-{kind}", layers=[{"big": os.urandom(100_000)}])
    found = await do(ground, asking(), registry_reads.InspectRemoteImage, image=name)
    assert (found.name, found.digest) == (name, registry.digest(f"remote-{kind}"))
    assert (found.platform, found.tags, found.labels) == ("linux/amd64", ("1",), (("made", "here"),))
    assert len(found.layers) == 2 and sum(size for _, size in found.layers) > 100_000
    assert "hunter2" not in repr(found)
    with pytest.raises(errors.NotFound):
        await do(ground, asking(), registry_reads.InspectRemoteImage, image=f"{registry.host}/remote-{kind}:none")
    with pytest.raises(errors.Refused, match="registries"):
        await ground.do(registry_reads.InspectRemoteImage(engine=ground.runtime.ref, image=name))


@over(registry_reads.InspectRemoteImage)
async def test_a_private_registry_is_read_with_the_login_of_this_host(ground, locked_registry, tmp_path, monkeypatch):
    name = locked_registry.push_busybox(f"remote-{tmp_path.name}")
    action = registry_reads.InspectRemoteImage(engine=ground.runtime.ref, image=name)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    with pytest.raises(errors.Refused):
        await ground.do(action)
    log_in(monkeypatch, tmp_path / "right", locked_registry)
    assert (await ground.do(action)).tags == ("1",)
    log_in(monkeypatch, tmp_path / "wrong", locked_registry, password="not-harbour")
    with pytest.raises(errors.EngineError) as caught:
        await ground.do(action)
    assert "login of mate" in caught.value.full_message() and "not-harbour" not in caught.value.full_message()


@over(registry_reads.FindOutdated, create_container.CreateContainer, images.PullImage)
async def test_a_container_is_behind_once_its_tag_moved(ground, registry, asking):
    repository = f"moving-{os.urandom(4).hex()}"  # several grounds share an engine, which would have the image already
    name = registry.push_busybox(repository, layers=[{"one": os.urandom(64)}])
    made = create_container.CreateContainer(
        engine=ground.runtime.ref,
        name="moves",
        image=name,
        command=("/bin/sh", "-c", "exec sleep 3600"),
        network="none",
    )
    outcome, _ = await ground.outcome(made)
    assert outcome.status == Status.DONE, outcome
    ground.daemon.run("local")

    async def ages():
        found = await do(ground, asking(), registry_reads.FindOutdated)
        return {ground.plain(row.ref): row for row in found.rows}

    first = await ages()
    assert (first["moves"].state, first["moves"].remote) == (CURRENT, registry.digest(repository))
    assert first["local"].state == UNKNOWN and "it was built on" in first["local"].reason
    registry.push_busybox(repository, layers=[{"one": os.urandom(64)}])
    second = await ages()
    assert (second["moves"].state, second["moves"].local) == (BEHIND, first["moves"].remote)
    assert second["moves"].remote == registry.digest(repository)
    # Pulled, but not replaced: the container still runs the old one, and the tag is not on its image any more.
    outcome, _ = await ground.outcome(images.PullImage(engine=ground.runtime.ref, image=name))
    assert outcome.status == Status.DONE
    assert (await ages())["moves"].state == BEHIND
    refused = await ground.do(registry_reads.FindOutdated(engine=ground.runtime.ref))
    states = {ground.plain(row.ref): row for row in refused.rows}
    assert states["moves"].state == UNKNOWN and "registries" in states["moves"].reason


@over(registry_reads.FindOutdated)
async def test_a_running_container_is_compared_or_it_says_why_not(ground):
    ground.daemon.run("local")
    found = await ground.do(registry_reads.FindOutdated(engine=ground.runtime.ref))
    (row,) = (row for row in found.rows if ground.plain(row.ref) == "local")
    assert (row.state, row.ref) == (UNKNOWN, await ground.ref("local")) and row.reason


class Catalogue:
    """The search of a registry of version 1, which Docker uses."""

    def __init__(self):
        self.queries = []

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error):
        await self._runner.cleanup()

    async def _answer(self, request):
        if request.path == "/v1/_ping":
            return web.json_response({"standalone": True}, headers={"X-Docker-Registry-Standalone": "true"})
        if request.path != "/v1/search":
            return web.Response(status=404)
        self.queries.append(request.query["q"])
        row = {"name": "shop/web", "description": "A \x1b[31mshop\u202e\n" + "x" * 500, "star_count": 7}
        return web.json_response({"num_results": 200, "results": [row] * 200})


@over(registry_reads.SearchImages)
async def test_a_catalogue_is_searched_and_its_text_made_safe(ground, registry):
    kind = ground.runtime.ref.kind
    if kind == "podman":
        registry.push_busybox(f"found-{kind}")
        term = f"{registry.host}/found-{kind}"
        (row,) = (await ground.do(registry_reads.SearchImages(engine=ground.runtime.ref, term=term))).rows
        assert row.name == term
        return
    async with Catalogue() as catalogue:
        term = f"{catalogue.host}/web"
        found = await ground.do(registry_reads.SearchImages(engine=ground.runtime.ref, term=term, limit=5))
        assert catalogue.queries == ["web"] and len(found.rows) == 5
        assert (found.rows[0].name, found.rows[0].stars) == (f"{catalogue.host}/shop/web", 7)
        text = found.rows[0].description
        assert text.startswith("A shop") and len(text) < 150 and text.isprintable()


@over(registry_reads.SearchImages)
async def test_a_catalogue_that_is_away_is_said(ground):
    term = f"127.0.0.1:{free_tcp_port()}/web"
    with pytest.raises(errors.EngineError) as caught:
        await ground.do(registry_reads.SearchImages(engine=ground.runtime.ref, term=term))
    text = caught.value.full_message()
    assert f"The search for {term} failed" in text and "reaches the registry" in text
    assert not caught.value.sent


@over(registry_reads.SearchImages)
@pytest.mark.parametrize("term", ["", " ", "-x", "a b", "a&limit=1", "x\r\nHost: evil", "x" * 300, "ä", "$(id)"])
async def test_what_is_no_term_is_refused_before_the_engine_sees_it(ground, term):
    with pytest.raises(errors.BadUsage):
        await ground.do(registry_reads.SearchImages(engine=ground.runtime.ref, term=term))
