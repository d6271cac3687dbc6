"""What words mean: what is typed in full before any beginning, projects and services as all their containers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.name_matching import selection
from runtimes.compose import services

H1, H2 = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")
_made = iter(range(1, 10_000))


def row(name, group="", engine=H1, **labels):
    project, _, service = group.partition("/")
    if service:
        labels = {"com.docker.compose.project": project, "com.docker.compose.service": service} | labels
    ref = Ref(engine=engine, kind=Kind.CONTAINER, id=f"{next(_made):064x}", name=name)
    return Container(
        ref=ref, image="i", image_id="", command="", state="running", status="", created_at=0, labels=labels
    )


def task(name, service, project="", engine=H1):
    labels = {"com.docker.swarm.service.id": f"id-{service}", "com.docker.swarm.service.name": service}
    if project:
        labels["com.docker.stack.namespace"] = project
    return row(name, engine=engine, **labels)


SHOP = [
    row("shop-web-1", "shop/web"),
    row("shop-web-2", "shop/web"),
    row("shop-db-1", "shop/db"),
    row("shop-web-run-1", "shop/web", **{"com.docker.compose.oneoff": "True"}),
]
BLOG = [row("blog-web-1", "blog/web"), row("blog", "blog/web")]
REDIS = [row("redis-redis-1", "redis/redis"), row("redis-sentinel-1", "redis/sentinel")]
CACHE = [row("cache-redis-1", "cache/redis")]
STACK = [task("mail_smtp.1.x", "mail_smtp", "mail"), task("mail_smtp.2.y", "mail_smtp", "mail", H2)]
ALL = [*SHOP, *BLOG, *STACK]


def means(word, rows=ALL):
    return [one.ref.name for one in selection.select_resources_by_name(Kind.CONTAINER, (word,), rows, {})]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("shop", ["shop-web-1", "shop-web-2", "shop-db-1"]),
        ("shop/", ["shop-web-1", "shop-web-2", "shop-db-1"]),
        ("shop/web", ["shop-web-1", "shop-web-2"]),
        ("shop_web", ["shop-web-1", "shop-web-2"]),
        ("shop/*", ["shop-web-1", "shop-web-2", "shop-db-1"]),
        ("*/db", ["shop-db-1"]),
        ("db", ["shop-db-1"]),
        ("db@h1", ["shop-db-1"]),
        ("shop-web-1", ["shop-web-1"]),
        ("shop-web-r", ["shop-web-run-1"]),
        # A container of that name is meant before the project it belongs to.
        ("blog", ["blog"]),
        ("blog/", ["blog-web-1", "blog"]),
        # A Swarm's service is one, whatever node its tasks run on.
        ("mail_smtp", ["mail_smtp.1.x", "mail_smtp.2.y"]),
        ("mail/smtp", ["mail_smtp.1.x", "mail_smtp.2.y"]),
        ("smtp", ["mail_smtp.1.x", "mail_smtp.2.y"]),
        ("mail", ["mail_smtp.1.x", "mail_smtp.2.y"]),
        ("mail@h2", ["mail_smtp.2.y"]),
        ("shop-d*", ["shop-db-1"]),
    ],
)
def test_a_word_means(word, found):
    assert means(word) == found


@pytest.mark.parametrize(
    ("word", "rows", "candidates"),
    [
        ("web", ALL, ("blog/web", "shop/web")),
        ("shop-web-", SHOP, ("shop-web-1", "shop-web-2", "shop-web-run-1")),
        ("redis", [*REDIS, *CACHE], ("redis/", "cache/redis", "redis/redis")),
        ("redis", REDIS, ("redis/", "redis/redis")),
        ("shop", [*SHOP, row("shop-web-1", "shop/web", H2)], ("shop/@docker/h1", "shop/@docker/h2")),
        ("shop/web", [*SHOP, row("shop-web-1", "shop/web", H2)], ("shop/web@docker/h1", "shop/web@docker/h2")),
    ],
)
def test_what_could_mean_two_things_is_refused_with_both(word, rows, candidates):
    with pytest.raises(errors.Ambiguous) as caught:
        means(word, rows)
    assert caught.value.candidates == candidates
    for candidate in candidates:
        assert means(candidate, rows)


def test_a_project_with_one_service_of_its_name_is_no_two_things():
    assert means("cache-redis-1", CACHE) == ["cache-redis-1"]
    assert means("one", [row("a", "one/one"), row("b", "one/one")]) == ["a", "b"]


def test_a_typo_is_told_of_projects_and_services_too():
    for word, meant in (("shpo", "shop"), ("shop/wbe", "shop/web"), ("mail_smpt", "mail_smtp")):
        with pytest.raises(errors.NotFound) as caught:
            means(word)
        assert meant in caught.value.hint


@given(st.sampled_from([one.ref.name for one in ALL]))
def test_a_name_in_full_means_its_container(name):
    assert means(name) == [name]


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SERVICES = [*services.group_compose_services(H1, [*SHOP, *BLOG]), *services.worker_services(H1, STACK)]


def serves(word, rows=SERVICES, missing=None):
    return [one.ref.name for one in selection.select_resources_by_name(Kind.SERVICE, (word,), rows, missing or {})]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("shop/web", ["shop/web"]),
        ("shop_web", ["shop/web"]),
        ("db", ["shop/db"]),
        ("shop/d", ["shop/db"]),
        ("shop/*", ["shop/db", "shop/web"]),
        ("smtp", ["mail_smtp"]),
        ("mail/smtp", ["mail_smtp"]),
        ("id-mail_smtp", ["mail_smtp"]),
        ("id-m", ["mail_smtp"]),
        ("shop/web@h1", ["shop/web"]),
        ("#shop/db", ["shop/db"]),
    ],
)
def test_a_word_means_a_service(word, found):
    assert serves(word) == found


def test_a_mistyped_service_is_suggested_by_its_short_name():
    with pytest.raises(errors.NotFound) as caught:
        means("wbe", SHOP)
    assert caught.value.hint == "Did you mean web?"


def test_what_is_no_service_is_told_with_its_cure():
    with pytest.raises(errors.Ambiguous) as caught:
        serves("web")
    assert caught.value.candidates == ("blog/web", "shop/web")
    for word, hint in (
        ("shop", "shop is a project. Name one of its services: shop/db, shop/web."),
        ("shop/wbe", "Did you mean shop/web"),
        ("nothing", "docker compose up"),
    ):
        with pytest.raises(errors.NotFound) as missing:
            serves(word)
        assert hint in missing.value.hint
    silent = {H2: errors.EngineError("The Swarm has no leader.")}
    with pytest.raises(errors.Unreachable, match="The Swarm has no leader"):
        serves("nothing", missing=silent)
    assert serves("db", missing=silent) == ["shop/db"]


def test_a_container_in_a_pod_is_meant_by_its_path_its_pod_and_its_namespace():
    def kept(name):
        namespace, pod, _ = name.split("/")
        labels = {"io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": pod}
        return row(name, **labels, **{"com.docker.compose.project": "another", "containerd.namespace": "k8s.io"})

    rows = [kept(name) for name in ("shop/web-0/app", "shop/web-0/side", "shop/db-0/app", "test/web-0/app")]
    assert means("shop/web-0/app", rows) == ["shop/web-0/app"]
    assert means("shop/web-0", rows) == ["shop/web-0/app", "shop/web-0/side"]
    assert means("shop", rows) == means("shop/", rows) == ["shop/web-0/app", "shop/web-0/side", "shop/db-0/app"]
    assert means("db-0", rows) == ["shop/db-0/app"]
    assert means("shop/web-0/s", rows) == ["shop/web-0/side"]
    assert means("*/app", rows) == ["shop/web-0/app", "shop/db-0/app", "test/web-0/app"]
    assert means("shop/*", rows) == ["shop/web-0/app", "shop/web-0/side", "shop/db-0/app"]
    assert means("*/web-0/*", rows) == ["shop/web-0/app", "shop/web-0/side", "test/web-0/app"]
    with pytest.raises(errors.Ambiguous, match="shop/web-0, test/web-0"):
        means("web-0", rows)
    with pytest.raises(errors.NotFound):
        means("another", rows)


APP = [row("app-db-1", "app/db"), row("app-app_db-1", "app/app_db"), row("app-app_db-2", "app/app_db")]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("app/db", ["app-db-1"]),
        ("db", ["app-db-1"]),
        ("app/app_db", ["app-app_db-1", "app-app_db-2"]),
        ("app_app_db", ["app-app_db-1", "app-app_db-2"]),
        ("app/app_*", ["app-app_db-1", "app-app_db-2"]),
    ],
)
def test_a_service_may_begin_with_the_name_of_its_project(word, found):
    assert means(word, APP) == found
    listed = services.group_compose_services(H1, APP)
    assert [one.members for one in selection.select_resources_by_name(Kind.SERVICE, (word,), listed, {})] == [
        tuple(one.ref.id for one in APP if one.ref.name in found)
    ]


def test_a_name_of_two_such_services_is_never_guessed():
    with pytest.raises(errors.Ambiguous) as caught:
        means("app_db", APP)
    assert list(caught.value.candidates) == ["app/app_db", "app/db"]
    with pytest.raises(errors.Ambiguous):
        selection.select_resources_by_name(Kind.SERVICE, ("app_db",), services.group_compose_services(H1, APP), {})
    # Alone, each has it.
    assert means("app_db", APP[:1]) == ["app-db-1"]
    assert means("app_db", APP[1:]) == ["app-app_db-1", "app-app_db-2"]


def test_the_suggested_name_of_a_service_selects_it():
    for one in APP:
        assert one.ref.name in means(one.group_name, APP)
