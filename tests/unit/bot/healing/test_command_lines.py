"""On what self-healing acts, and in which order."""

from __future__ import annotations

import msgspec
import pytest

from bot.healing import command_lines
from core.model.containers import Container
from core.model.healing import HealingPolicy
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef, Kind, Ref
from core.text import command_line
from tests.helpers.alert_scene import ENGINE, AlertScene
from tests.helpers.alerts import alert

RESTART = HealingPolicy(name="r", rules=("*",), on=Selector(), do="restart", verb="container.restart")
CHAIN = HealingPolicy(name="r", rules=("*",), on=Selector(), do="restart", verb="container.restart", dependents=True)
SCALE = HealingPolicy(name="s", rules=("*",), on=Selector(), do="scale", verb="service.scale", replicas=3)


class Project:
    """Containers of one Compose project."""

    def __init__(self) -> None:
        self.scene = AlertScene([])

    def add(self, service: str, *needs: str, **more: object) -> Container:
        labels = {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": service,
            "com.docker.compose.depends_on": ",".join(f"{need}:service_started:false" for need in needs),
        }
        ref = self.scene.add(f"shop-{service}-1", labels=labels, **more)
        return self.scene.containers[ref.id]

    def order(self, target: Container) -> list[str]:
        found = command_lines.dependents(target, self.scene.containers)
        return [row.labels["com.docker.compose.service"] for row in found]


def test_dependents_come_after_what_they_depend_on() -> None:
    project = Project()
    db = project.add("db")
    project.add("worker", "api", "db")
    project.add("api", "db")
    project.add("proxy", "api")
    project.add("metrics")
    assert project.order(db) == ["api", "proxy", "worker"]


def test_a_circle_ends_and_what_does_not_run_is_left_alone() -> None:
    project = Project()
    db = project.add("db", "api")
    project.add("api", "db")
    project.add("old", "db", state="exited")
    assert project.order(db) == ["api"]


def test_a_container_without_a_project_has_no_dependents() -> None:
    scene = AlertScene([])
    web = scene.containers[scene.add("web").id]
    assert command_lines.dependents(web, scene.containers) == []


def test_lines_name_each_container_by_its_id() -> None:
    project = Project()
    db, api = project.add("db"), project.add("api", "db")
    (line,) = command_lines.lines(RESTART, db, project.scene.containers)
    assert line == f"restart shop-db-1@docker/h1#{db.ref.id[:12]}"
    both = command_lines.lines(CHAIN, db, project.scene.containers)
    assert both == [line, f"restart shop-api-1@docker/h1#{api.ref.id[:12]}"]
    assert command_lines.lines(SCALE, db, project.scene.containers) == ["scale shop/db=3 --engine docker/h1"]


def test_a_container_without_a_service_cannot_be_scaled_and_a_service_can() -> None:
    scene = AlertScene([])
    web = scene.containers[scene.add("web").id]
    assert command_lines.lines(SCALE, web, scene.containers) == []
    service = Ref(engine=EngineRef(host="c1", kind="swarm"), kind=Kind.SERVICE, id="s1", name="shop_web")
    assert command_lines.service_line(SCALE, service) == ["scale shop_web=3 --engine swarm/c1"]
    assert command_lines.service_line(RESTART, service) == []


@pytest.mark.parametrize("exists", [True, False])
def test_a_recreated_container_is_found_by_its_owner(exists: bool) -> None:
    scene = AlertScene([])
    old = scene.add("web", number=1)
    about = alert(subject=old, owner="web")
    if not exists:
        del scene.containers[old.id]
    new = scene.add("web", number=2, created_at=2e9)
    scene.add("db")
    found = command_lines.find_container_of_alert(about, scene.containers)
    assert found is not None and found.ref.id == (old.id if exists else new.id)
    scene.containers = {key: row for key, row in scene.containers.items() if row.ref.name != "web"}
    assert command_lines.find_container_of_alert(about, scene.containers) is None


async def test_the_newest_container_of_each_owner_is_computed_once_for_many_alerts() -> None:
    scene = AlertScene([])
    old = scene.add("web", number=1)
    about = alert(subject=old, owner="web")
    del scene.containers[old.id]
    new = scene.add("web", number=2, created_at=2e9)
    scene.add("web", number=3, created_at=1e9)
    scene.add("db")
    newest = await command_lines.newest_of_owners(scene.containers)
    found = command_lines.find_container_of_alert(about, scene.containers, newest)
    assert found is not None and found.ref.id == new.id
    assert command_lines.find_container_of_alert(about, scene.containers) == found
    del scene.containers[new.id]
    assert command_lines.find_container_of_alert(about, scene.containers, newest) is None, "it was removed meanwhile"


def test_a_hostile_name_is_one_word_of_the_line() -> None:
    scene = AlertScene([])
    ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="1" * 64, name="x; rm db && *")
    row = msgspec.structs.replace(scene.containers[scene.add("web").id], ref=ref)
    (line,) = command_lines.lines(RESTART, row, scene.containers)
    assert command_line.split_command_line(line) == ["restart", "x; rm db && *@docker/h1#111111111111"]
