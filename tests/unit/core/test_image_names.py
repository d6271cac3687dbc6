"""One normal form for every way to write an image: no other spelling evades a grant, a guard or a typed name."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.access import policy
from core.model import image_names
from core.model.actions import Risk
from core.model.images import Image, PullImage
from core.model.invocation import Identity, Place
from core.model.policy import Ask, Grant, Guard, Policy, Verdict
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef, Kind, Ref
from core.name_matching import selection

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENGINE = EngineRef(host="h1", kind="docker")
BOB = Identity(id="slack:T1/U1", name="bob")
DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("library/nginx", "docker.io/library/nginx"),
        ("bitnami/nginx", "docker.io/bitnami/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("DOCKER.IO/nginx", "docker.io/library/nginx"),
        ("docker.io./library/nginx", "docker.io/library/nginx"),
        ("Docker.io.:443/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("bücher.example:443/a/b", "xn--bcher-kva.example/a/b"),
        ("XN--Bcher-KVA.example/a/b", "xn--bcher-kva.example/a/b"),
        ("registry-1.docker.io/nginx", "docker.io/library/nginx"),
        ("registry.hub.docker.com/library/nginx", "docker.io/library/nginx"),
        ("registry.hub.docker.com:443/a/b", "docker.io/a/b"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}"),
        ("REGISTRY.example/team/App", "registry.example/team/App"),
        ("registry.example:443/team/app:2", "registry.example/team/app:2"),
        ("registry.example:80/app", "registry.example/app"),
        ("registry.example.:0443/app", "registry.example/app"),
        ("registry.example:5000/app", "registry.example:5000/app"),
        ("registry.example:05000/app", "registry.example:5000/app"),
        ("Localhost/app", "localhost/app"),
        ("LOCALHOST:5000/app", "localhost:5000/app"),
        ("[0:0::1]:5000/app", "[::1]:5000/app"),
        ("REG/app", "reg:443/app"),
        ("reg:80/app", "reg:443/app"),
        ("reg./app", "reg:443/app"),
        ("REG[/app", "reg[:443/app"),  # no engine accepts it, but a name is never read as a pattern
        ("sha256:" + "0" * 64, "sha256:" + "0" * 64),
    ],
)
def test_the_normal_form(name, normal):
    assert image_names.normalise_image_name(name) == normal
    assert image_names.normalise_image_name(normal) == normal


PATHS = st.sampled_from(["nginx", "team/app", "a/b/c", "library/nginx", "my.app"])
TAGS = st.sampled_from(["", ":1.27", ":latest", f"@{DIGEST}", f":1.27@{DIGEST}"])
HOSTS = ["registry.example", "localhost", "10.0.0.1", "registry.example:5000"]


@st.composite
def spelled(draw):
    """Two spellings of one image."""
    path, tag = draw(PATHS), draw(TAGS)
    if draw(st.booleans()):
        short = path.removeprefix("library/")

        def write():
            rest = draw(st.sampled_from([short, f"library/{short}" if "/" not in short else short]))
            host = draw(st.sampled_from(["", *image_names.HUB_HOSTS]))
            return f"{disguised(host)}/{rest}{tag}" if host else f"{rest}{tag}"
    else:
        host = draw(st.sampled_from(HOSTS))

        def write():
            return f"{disguised(host)}/{path}{tag}"

    def disguised(host):
        name, _, port = host.partition(":")
        name = draw(st.sampled_from([name, name.upper(), name.title(), f"{name}."]))
        port = draw(st.sampled_from([f":{port}", f":0{port}"] if port else ["", ":443", ":80", ":0443"]))
        return name + port

    return write(), write()


@given(spelled())
def test_every_spelling_has_the_same_normal_form(two):
    one, other = two
    assert image_names.normalise_image_name(one) == image_names.normalise_image_name(other)
    assert image_names.normalise_image_name(image_names.normalise_image_name(one)) == image_names.normalise_image_name(
        one
    )
    if "docker.io/" in image_names.normalise_image_name(one):
        assert image_names.short_name(one) == image_names.short_name(other)
        assert image_names.full_name(one) == image_names.full_name(other)


IMAGE_LIKE = st.one_of(st.text(max_size=40), st.text(alphabet="aA[*?]/:.@0ü", max_size=12))


@given(IMAGE_LIKE, IMAGE_LIKE)
@example("[::::/", "[::::/")
@example("A[/", "A[/*")
@example(":00./", "")
def test_any_text_has_a_normal_form_which_is_its_own(text, pattern):
    normal = image_names.normalise_image_name(text)
    assert image_names.normalise_image_name(normal) == normal
    assert image_names.matches(text, pattern) in (True, False, None)


def test_different_images_stay_different():
    names = [
        *(
            "nginx",
            "nginx:1",
            "team/nginx",
            "library/nginx/x",
            "quay.io/nginx",
            "docker.example/nginx",
            f"nginx@{DIGEST}",
        ),
        *("registry.example/app", "registry.example:8443/app", "app.registry.example/app", "localhost/app", "app"),
        *(
            "registry.example:5000/app",
            "registry-example/app",
            "registry-example:80/app",
            "docker.io.example/nginx",
            "hub.docker.com.example/x",
        ),
    ]
    assert len(set(map(image_names.normalise_image_name, names))) == len(names)


def decide(action, grants, guards=()):
    (ref,) = action.targets()
    held = Policy(grants=tuple(grants), guards=tuple(guards))
    facts = action.prospective_facts(ref, NOW)
    return policy.decide(held, BOB, Place(channel="#ops"), action.verb, Risk.CHANGE, ref, facts, NOW)


EVERYTHING = Grant(id="all", who="everyone", can=("*",))


@given(spelled())
def test_a_guard_in_any_spelling_holds_for_a_pull_in_any_other(two):
    written, typed = two
    guard = Guard(id="g", can=("image.pull",), ask=Ask.DENY, on=Selector(name=image_names.with_default_tag(written)))
    assert decide(PullImage(engine=ENGINE, image=typed), [EVERYTHING], [guard]).verdict is Verdict.DENY


@given(spelled())
def test_a_grant_in_any_spelling_allows_a_pull_in_any_other_unless_its_tag_is_ignored(two):
    written, typed = two
    grant = Grant(id="g", who="everyone", can=("image.pull",), on=Selector(name=image_names.with_default_tag(written)))
    allowed = decide(PullImage(engine=ENGINE, image=typed), [grant]).verdict is Verdict.ALLOW
    assert allowed == (":1.27@" not in typed)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "registry.example/*",
            "REGISTRY.example/*",
            "registry.example:443/*",
            "registry.example./*",
            "Registry.Example:80/*",
        ),
        *(
            "*.example/*",
            "registry.example*",
            "REGISTRY.example*",
            "registry.example:443*",
            "regist[r]y.EXAMPLE/team/*",
        ),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        *("registry.example/team/app", "REGISTRY.example/team/app:1", "registry.example:443/team/app"),
        *("registry.example./team/app", "Registry.example.:0443/team/app:1", f"registry.example:80/team/app@{DIGEST}"),
        f"registry.example/team/app:1@{DIGEST}",
    ],
)
def test_a_pattern_over_a_registry_reaches_every_spelling_of_it(pattern, name):
    guard = Guard(id="g", can=("image.pull",), ask=Ask.DENY, on=Selector(name=pattern))
    assert decide(PullImage(engine=ENGINE, image=name), [EVERYTHING], [guard]).verdict is Verdict.DENY
    grant = Grant(id="g", who="everyone", can=("image.pull",), on=Selector(name=pattern))
    assert decide(PullImage(engine=ENGINE, image=name), [grant]).verdict is Verdict.ALLOW
    other = PullImage(engine=ENGINE, image=name.lower().replace("registry", "elsewhere").replace("example", "test"))
    assert decide(other, [grant]).verdict is Verdict.DENY


@pytest.mark.parametrize("pattern", ["docker.io/*", "index.docker.io/*", "*.docker.io/*", "REGISTRY.HUB.docker.com/*"])
def test_a_pattern_over_docker_hub_reaches_every_spelling_of_it(pattern):
    guard = Guard(id="g", can=("image.pull",), ask=Ask.DENY, on=Selector(name=pattern))
    for name in (
        "nginx",
        "library/nginx:1",
        "DOCKER.IO/a/b",
        "registry-1.docker.io:443/nginx",
        "registry.hub.docker.com/x",
    ):
        assert decide(PullImage(engine=ENGINE, image=name), [EVERYTHING], [guard]).verdict is Verdict.DENY
    assert decide(PullImage(engine=ENGINE, image="quay.io/a/b"), [EVERYTHING], [guard]).verdict is Verdict.ALLOW


def test_a_tag_beside_a_digest_allows_nothing_because_engines_ignore_it():
    action = PullImage(engine=ENGINE, image=f"nginx:1.27@{DIGEST}")
    for pattern, allowed in (
        ("nginx:1.27", False),
        ("nginx:1.27*", False),
        ("nginx*", True),
        (f"nginx@{DIGEST}", True),
    ):
        grant = Grant(id="g", who="everyone", can=("image.pull",), on=Selector(name=pattern))
        assert (decide(action, [grant]).verdict is Verdict.ALLOW) == allowed
        guard = Guard(id="g", can=("image.pull",), ask=Ask.DENY, on=Selector(name=pattern))
        assert decide(action, [EVERYTHING], [guard]).verdict is Verdict.DENY


@given(spelled())
def test_a_typed_name_finds_the_image_in_any_spelling_of_the_engine(two):
    typed, listed = two
    if "@" in typed:
        return
    tag = image_names.with_default_tag(listed)
    ref = Ref(engine=ENGINE, kind=Kind.IMAGE, id="sha256:" + "cd" * 32, name=tag)
    rows = [Image(ref=ref, tags=(tag,)), Image(ref=msgspec.structs.replace(ref, id="sha256:" + "ef" * 32, name="x:y"))]
    assert [one.ref.name for one in selection.select_resources_by_name(Kind.IMAGE, (typed,), rows, {})] == [tag]
