"""One row of a list of containers."""

from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref

ROW = Container(
    ref=Ref(engine=EngineRef(host="h1", kind="containerd"), kind=Kind.CONTAINER, id="default/web", name="web"),
    image="nginx",
    image_id="",
    command="",
    state="exited",
    status="",
    created_at=0.0,
    labels={},
    exit_code=3,
)
