"""Services without a container: how long they are remembered, and that nothing shows what they hold."""

from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from runtimes.compose import scaled_to_zero, services

ENGINE = EngineRef(host="h1", kind="docker")


def row(service, number=1, **labels):
    ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"id-{service}-{number}", name=f"shop-{service}-{number}")
    known = {services.PROJECT: "shop", services.SERVICE: service, services.NUMBER: str(number), **labels}
    return Container(
        ref=ref, image="i:1", image_id="", command="", state="exited", status="", created_at=0, labels=known
    )


def test_a_service_is_listed_until_it_has_a_container_again():
    kept = scaled_to_zero.ScaledToZeroServices()
    kept.remember(row("web", env="prod"), {"Config": {"Env": ["PASSWORD=hunter2"]}})
    (shown,) = kept.missing_from(ENGINE, [row("db")])
    assert (shown.ref.name, shown.running, shown.desired, shown.members) == ("shop/web", 0, 0, ())
    assert shown.labels[0]["env"] == "prod"
    assert "hunter2" not in repr(kept.find("shop", "web"))
    assert len(kept.missing_from(ENGINE, [row("web", **{"com.docker.compose.oneoff": "True"})])) == 1
    assert kept.missing_from(ENGINE, [row("web")]) == []
    assert kept.find("shop", "web") is None and kept.missing_from(ENGINE, []) == []


def test_what_is_remembered_is_bounded_in_number_and_age():
    now = [0.0]
    kept = scaled_to_zero.ScaledToZeroServices(lambda: now[0])
    for number in range(scaled_to_zero.MAX_SERVICES + 3):
        kept.remember(row(f"s{number}"), {})
    assert len(kept.missing_from(ENGINE, [])) == scaled_to_zero.MAX_SERVICES
    assert kept.find("shop", "s2") is None and kept.find("shop", "s3") is not None
    now[0] = scaled_to_zero.MAX_AGE_SECONDS + 1
    assert kept.find("shop", "s3") is None and kept.missing_from(ENGINE, []) == []
    kept.remember(row("web"), {})
    kept.forget("shop", "web")
    assert kept.find("shop", "web") is None
