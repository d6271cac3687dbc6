"""What words mean among images, pods, units and whatever else is no container: in full before any beginning."""

import msgspec
import pytest

from core import errors
from core.model import image_names
from core.model.images import Image
from core.model.pods import Pod
from core.model.refs import EngineRef, Kind, Ref
from core.model.units import Unit
from core.name_matching import selection

H1, H2 = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")
ALICE = EngineRef(host="h1", kind="podman", name="1001")
ID = "f00d" + "0" * 60
DIGEST = "sha256:" + "d" * 64


def image(*tags, engine=H1, id_="", digest=""):
    thing = "sha256:" + (id_ or f"{abs(hash((tags, engine))):064x}"[-64:])
    ref = Ref(engine=engine, kind=Kind.IMAGE, id=thing, name=tags[0] if tags else thing[7:19])
    digests = tuple(f"{image_names.split_tag(tag)[0]}@{digest}" for tag in tags) if digest else ()
    return Image(ref=ref, tags=tags, digests=digests)


ROWS = [
    image("busybox:1", "busybox:1.36", digest=DIGEST),
    image("nginx:latest"),
    image("nginx:1.27"),
    image("registry.example:5000/shop/web:2"),
    image("docker.io/library/redis:7", engine=ALICE),
    image("localhost/tool:dev", engine=ALICE),
    image(id_=ID),
]


def means(word, rows=ROWS):
    return [one.ref.name for one in selection.select_resources_by_name(Kind.IMAGE, (word,), rows, {})]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("busybox:1", ["busybox:1"]),
        ("busybox:1.36", ["busybox:1.36"]),
        ("docker.io/library/busybox:1", ["busybox:1"]),
        ("index.docker.io/library/busybox:1", ["busybox:1"]),
        ("busybox", ["busybox:1"]),
        ("busyb", ["busybox:1"]),
        ("nginx", ["nginx:latest"]),
        ("nginx:1.2", ["nginx:1.27"]),
        ("redis", ["docker.io/library/redis:7"]),
        ("redis:7", ["docker.io/library/redis:7"]),
        ("redis:7@podman/1001", ["docker.io/library/redis:7"]),
        ("redis:7@1001", ["docker.io/library/redis:7"]),
        ("tool", ["localhost/tool:dev"]),
        ("shop/web", ["registry.example:5000/shop/web:2"]),
        ("web:2", ["registry.example:5000/shop/web:2"]),
        ("registry.example:5000/shop/web", ["registry.example:5000/shop/web:2"]),
        # By digest or id the image is meant as a whole, not one of its tags.
        (f"busybox@{DIGEST}", [ROWS[0].ref.id[7:19]]),
        (DIGEST, [ROWS[0].ref.id[7:19]]),
        (f"busybox@{DIGEST}@h1", [ROWS[0].ref.id[7:19]]),
        ("f00d", [ID[:12]]),
        (f"sha256:{ID}", [ID[:12]]),
        ("#f00d", [ID[:12]]),
        ("busybox:*", ["busybox:1", "busybox:1.36"]),
        (
            "docker.io/library/*",
            ["busybox:1", "busybox:1.36", "nginx:latest", "nginx:1.27", "docker.io/library/redis:7"],
        ),
        ("*@podman/*", ["docker.io/library/redis:7", "localhost/tool:dev"]),
    ],
)
def test_an_image_is_called_by_its_tags_its_repository_its_digest_or_its_id(word, found):
    assert means(word) == found


@pytest.mark.parametrize(
    ("name", "listed", "meant"),
    [
        ("nginx", ["nginx:latest", "nginx:1.27"], ["nginx:latest"]),
        ("busybox", ["busybox:1", "busybox:1.36"], ["busybox:1"]),
        ("busyb", ["busybox:1", "busybox:1.36"], ["busybox:1"]),
        ("busybox:1.36", ["busybox:1.36"], ["busybox:1.36"]),
        (DIGEST, [ROWS[0].ref.id[7:19]], [ROWS[0].ref.id[7:19]]),
    ],
)
def test_a_list_shows_every_tag_that_fits_and_a_change_takes_one(name, listed, meant):
    found = selection.match(Kind.IMAGE, name, ROWS)
    assert [row.ref.name for row in found.rows] == listed
    assert [row.ref.name for row in found.targets] == meant


def test_several_images_are_no_one_image_and_all_are_named():
    rows = [image("web:1"), image("web:2"), image("api:1"), image("api:1", engine=H2)]
    for word, named in (("web", ("web:1", "web:2")), ("api:1", ("api:1@docker/h1", "api:1@docker/h2"))):
        with pytest.raises(errors.Ambiguous) as caught:
            means(word, rows)
        assert caught.value.candidates == named
    assert means("web", [*rows, image("web:latest")]) == ["web:latest"]


def test_an_absent_image_is_said_with_what_is_close_or_with_who_did_not_say():
    with pytest.raises(errors.NotFound) as caught:
        means("busybux:1")
    assert caught.value.full_message() == "There is no image “busybux:1”. Did you mean busybox:1 or busybox:1.36?"
    with pytest.raises(errors.NotFound, match="List all images with: images"):
        means("zzz")
    with pytest.raises(errors.Unreachable, match="docker/h2 did not answer"):
        selection.select_resources_by_name(Kind.IMAGE, ("zzz",), ROWS, {H2: errors.Unreachable("It is away.")})


def pod(name, space="", number=1, engine=H1):
    ref = Ref(engine=engine, kind=Kind.POD, id=f"{number:064x}", name=name)
    return Pod(ref=ref, state="running", created_at=0.0, labels={}, namespace=space)


def pods(word, *rows):
    return [one.ref.id.lstrip("0") for one in selection.select_resources_by_name(Kind.POD, (word,), rows, {})]


def test_a_pod_goes_by_its_namespace_too():
    rows = (pod("web", "shop", 1), pod("web", "blog", 2), pod("db", "shop", 3))
    assert pods("shop/web", *rows) == ["1"]
    assert pods("db", *rows) == ["3"]
    assert pods("shop/*", *rows) == ["1", "3"]
    with pytest.raises(errors.Ambiguous) as caught:
        pods("web", *rows)
    assert caught.value.candidates == ("blog/web", "shop/web")
    # As CRI engines name their pods.
    rows = (pod("shop/web-0", "shop", 4), pod("blog/web-0", "blog", 5), pod("shop/db-0", "shop", 6))
    for word, number in (("db-0", "6"), ("shop/db-0", "6"), ("shop/web-0", "4")):
        assert pods(word, *rows) == [number]
    with pytest.raises(errors.Ambiguous) as caught:
        pods("web-0", *rows)
    assert caught.value.candidates == ("blog/web-0", "shop/web-0")


def test_a_name_in_full_comes_before_a_beginning_and_an_id():
    rows = (pod("web", number=1), pod("web-2", number=2), pod("00000000", number=3))
    assert pods("web", *rows) == ["1"]
    assert pods("web-", *rows) == ["2"]
    assert pods("00000000", *rows) == ["3"]
    assert pods(f"{2:064x}", *rows) == ["2"]
    with pytest.raises(errors.NotFound):
        pods("nothing", *rows)


def test_what_differs_by_nothing_else_is_named_by_engine_and_then_by_id():
    for rows, named in (
        ((pod("a"), pod("a", engine=H2)), ("a@docker/h1", "a@docker/h2")),
        (
            (pod("a", number=1 << 255), pod("a", number=(1 << 255) + (1 << 220))),
            ("a@docker/h1#800000000000", "a@docker/h1#800000001000"),
        ),
    ):
        with pytest.raises(errors.Ambiguous) as caught:
            pods("a", *rows)
        assert caught.value.candidates == named


def test_a_unit_needs_no_suffix():
    ref = Ref(engine=H1, kind=Kind.UNIT, id="web.service", name="web.service")
    rows = [Unit(ref=ref, active="active", sub="running")]
    rows.append(
        msgspec.structs.replace(rows[0], ref=msgspec.structs.replace(ref, id="web-db.service", name="web-db.service"))
    )
    for word in ("web", "web.service"):
        assert [one.ref.name for one in selection.select_resources_by_name(Kind.UNIT, (word,), rows, {})] == [
            "web.service"
        ]


@pytest.mark.parametrize(
    ("pattern", "engine", "meant"),
    [
        ("podman", ALICE, True),
        ("1001", ALICE, True),
        ("podman/1001", ALICE, True),
        ("h1/1001", ALICE, True),
        ("podman/h1", ALICE, True),
        ("podman/h1/1001", ALICE, True),
        ("podman/*", ALICE, True),
        ("10*", ALICE, True),
        ("podman/1002", ALICE, False),
        ("docker/1001", ALICE, False),
        ("docker", H1, True),
        ("h1", H1, True),
        ("default", H1, False),
        ("docker/default", H1, False),
        ("docker/h1", H1, True),
        ("docker/h1/*", H1, False),
    ],
)
def test_an_engine_is_meant_by_kind_host_or_name(pattern, engine, meant):
    assert engine.matches(pattern) is meant


@pytest.mark.parametrize(
    ("name", "repository", "tag", "wanted"),
    [
        ("busybox", "busybox", "", "busybox:latest"),
        ("docker.io/library/busybox:1", "docker.io/library/busybox", "1", "busybox:1"),
        ("localhost:5000/x", "localhost:5000/x", "", "localhost:5000/x:latest"),
        ("localhost:5000/x:2", "localhost:5000/x", "2", "localhost:5000/x:2"),
        (f"x@{DIGEST}", "x", "", f"x@{DIGEST}"),
        (f"x:1@{DIGEST}", "x", "1", f"x:1@{DIGEST}"),
        ("docker.io/grafana/grafana", "docker.io/grafana/grafana", "", "grafana/grafana:latest"),
    ],
)
def test_image_names(name, repository, tag, wanted):
    assert image_names.split_tag(name) == (repository, tag)
    assert image_names.with_default_tag(name) == wanted
    # Whichever spelling one starts from, all are found again.
    assert {image_names.with_default_tag(text) for text in image_names.equivalent_names(name)} == {wanted}


def test_an_id_has_no_other_spelling():
    assert image_names.equivalent_names("f00dbabe0123") == ("f00dbabe0123",)
    assert image_names.equivalent_names("library.example/x:1") == ("library.example/x:1",)
