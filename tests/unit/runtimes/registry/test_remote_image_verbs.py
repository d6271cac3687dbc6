"""Which running containers are behind their tag, by what the engine lists and what the registry says."""

from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model.actions import ListContainers
from core.model.containers import Container, Containers
from core.model.images import Image, Images, ListImages
from core.model.refs import Kind, Ref
from core.model.registry_reads import BEHIND, CURRENT, UNKNOWN, FindOutdated
from core.ports import Call
from runtimes.base.base_adapter import does
from runtimes.registry import remote_image_verbs
from runtimes.registry.registry_client import TagDigests
from runtimes.registry.remote_image_verbs import RemoteImageVerbs

OLD, NEW, PART = (f"sha256:{digit * 64}" for digit in "123")


class Registry:
    """`says`: the digests by name, or an error."""

    def __init__(self):
        self.says = {}
        self.asked = []

    async def digests(self, image, *, members=False):
        self.asked.append((image, members))
        found = self.says[image]
        if isinstance(found, Exception):
            raise found
        return found if members else TagDigests(digest=found.digest)


class Engine(RemoteImageVerbs):
    kind = "docker"

    def __init__(self):
        super().__init__("unix:///nowhere.sock")
        self.registry = Registry()
        self.rows, self.images = [], []

    async def _ask_identity(self, seconds):
        raise NotImplementedError

    @does(ListContainers)
    async def list_containers(self, action, seconds):
        return Containers(rows=tuple(self.rows))

    @does(ListImages)
    async def list_images(self, action, seconds):
        return Images(rows=tuple(self.images))

    def add(self, name, image, image_id, state="running"):
        ref = Ref(engine=self.ref, kind=Kind.CONTAINER, id=f"id-{name}", name=name)
        self.rows.append(
            Container(
                ref=ref, image=image, image_id=image_id, command="", state=state, status="", created_at=0, labels={}
            )
        )

    def add_image(self, image_id, *digests, tags=()):
        ref = Ref(engine=self.ref, kind=Kind.IMAGE, id=image_id, name=tags[0] if tags else image_id[7:19])
        self.images.append(Image(ref=ref, tags=tags, digests=digests))


@pytest.fixture
async def engine():
    made = Engine()
    yield made
    await made.aclose()


async def ages(engine, **fields):
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    call = Call(id="t", who="t", deadline=deadline, invocation="t")
    found = await engine.run(FindOutdated(engine=engine.ref, **fields), call)
    return {row.ref.name: row for row in found.rows}


async def test_the_same_digest_is_current_and_another_is_behind(engine):
    engine.add("web", "nginx:1", "sha256:aa")
    engine.add("old", "nginx:0", "sha256:bb")
    engine.add("ended", "nginx:9", "sha256:bb", state="exited")
    engine.add_image("sha256:aa", f"nginx@{NEW}", tags=("nginx:1",))
    engine.add_image("sha256:bb", f"docker.io/library/nginx@{OLD}")
    engine.registry.says = {
        "nginx:1": TagDigests(digest=NEW),
        "nginx:0": TagDigests(digest=NEW, platform_digests=frozenset()),
    }
    found = await ages(engine)
    assert {name: (row.state, row.local, row.remote) for name, row in found.items()} == {
        "web": (CURRENT, NEW, NEW),
        "old": (BEHIND, OLD, NEW),
    }
    assert engine.registry.asked.count(("nginx:1", False)) == 1


async def test_many_of_one_image_are_one_question(engine):
    for number in range(20):
        engine.add(f"web-{number}", "nginx:1", "sha256:aa")
    engine.add_image("sha256:aa", f"nginx@{NEW}", tags=("nginx:1",))
    engine.registry.says = {"nginx:1": TagDigests(digest=NEW)}
    assert len(await ages(engine)) == 20 and len(engine.registry.asked) == 1
    assert (await ages(engine, only=("id-web-3",))).keys() == {"web-3"}


async def test_the_digest_of_the_platform_alone_is_current_too(engine):
    engine.add("web", "nginx:1", PART)
    engine.add_image("sha256:aa", f"nginx@{PART}", tags=("nginx:1",))
    engine.registry.says = {"nginx:1": TagDigests(digest=NEW, platform_digests=frozenset({PART}))}
    assert (await ages(engine))["web"].state == CURRENT
    assert engine.registry.asked == [("nginx:1", False), ("nginx:1", True)]


async def test_an_image_that_lost_its_tag_and_its_digest(engine):
    engine.add("web", "nginx:1", "aa" * 32)
    engine.add_image("aa" * 32)
    engine.add_image("bb" * 32, f"docker.io/library/nginx@{NEW}", tags=("docker.io/library/nginx:1",))
    engine.registry.says = {"nginx:1": TagDigests(digest=NEW)}
    row = (await ages(engine))["web"]
    assert (row.state, row.local, row.remote) == (BEHIND, "", NEW)
    engine.registry.says = {"nginx:1": TagDigests(digest=OLD, platform_digests=frozenset())}
    row = (await ages(engine))["web"]
    assert row.state == UNKNOWN and "lost its tag" in row.reason


async def test_an_engine_that_does_not_say_which_image_a_container_was_made_of(engine):
    engine.add("web", "nginx:1", "")
    engine.add_image("default/sha256:aa", f"docker.io/library/nginx@{OLD}", tags=("docker.io/library/nginx:1",))
    engine.registry.says = {"nginx:1": TagDigests(digest=OLD)}
    row = (await ages(engine))["web"]
    assert row.state == UNKNOWN and "does not say whether" in row.reason
    engine.registry.says = {"nginx:1": TagDigests(digest=NEW, platform_digests=frozenset())}
    assert (await ages(engine))["web"].state == BEHIND


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (f"nginx:1@{OLD}", "pinned to a digest"),
        ("sha256:aa", "does not know the tag"),
        ("gone:1", "does not know the tag"),
        ("built:1", "was not pulled"),
        ("other.example/web:1", "was not pulled"),
    ],
)
async def test_what_cannot_be_compared_says_why_and_asks_nobody(engine, image, why):
    engine.add("web", image, "sha256:none" if image == "gone:1" else "sha256:aa")
    digests = () if image == "built:1" else (f"nginx@{OLD}",)
    engine.add_image("sha256:aa", *digests, tags=(image,) if image.startswith(("built", "other")) else ("nginx:1",))
    row = (await ages(engine))["web"]
    assert (row.state, engine.registry.asked) == (UNKNOWN, []) and why in row.reason


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("docker.io has no image nginx.", hint="Check the spelling."),
        errors.Refused("Quarterdeck does not ask it.", hint="Add it."),
        errors.EngineError("docker.io limits requests.", hint="Wait."),
        errors.Unreachable("It cannot be reached.", hint="Check it."),
    ],
)
async def test_one_registry_that_fails_costs_its_own_rows_only(engine, error):
    engine.add("web", "nginx:1", "sha256:aa")
    engine.add("fine", "redis:7", "sha256:bb")
    engine.add_image("sha256:aa", f"nginx@{OLD}", tags=("nginx:1",))
    engine.add_image("sha256:bb", f"redis@{NEW}", tags=("redis:7",))
    engine.registry.says = {"nginx:1": error, "redis:7": TagDigests(digest=NEW)}
    found = await ages(engine)
    assert (found["web"].state, found["web"].reason) == (UNKNOWN, error.full_message())
    assert found["fine"].state == CURRENT


async def test_there_is_a_limit_of_images(engine, monkeypatch):
    monkeypatch.setattr(remote_image_verbs, "MAX_IMAGES", 1)
    for number in range(2):
        engine.add(f"web-{number}", f"nginx:{number}", f"sha256:{number}")
        engine.add_image(f"sha256:{number}", f"nginx@{NEW}", tags=(f"nginx:{number}",))
    engine.registry.says = {"nginx:0": TagDigests(digest=NEW)}
    found = await ages(engine)
    assert (found["web-0"].state, found["web-1"].state) == (CURRENT, UNKNOWN)
    assert "only 1 images" in found["web-1"].reason
