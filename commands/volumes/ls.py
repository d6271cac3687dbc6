"""`volume ls`: lists the volumes of Docker and Podman."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import formatting, list_commands
from commands.spec import Arg, Command
from core.model.networks_and_volumes import ListVolumes, Volume
from core.model.refs import Kind


def volume_cells(row: Volume, now: datetime) -> Sequence[str]:
    """Returns the cells of one volume in the table."""
    age = formatting.age(row.created_at, now)
    return (row.ref.name, row.driver, age, row.place)


command = Command(
    name="volume ls",
    summary="list volumes",
    examples=("volume ls", "volume ls 'shop*'", "volume ls --label app=shop"),
    plan=list_commands.make_plan(Kind.VOLUME),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.VOLUME,
            columns=("VOLUME", "DRIVER", "AGE", "PATH"),
            optional=("AGE", "PATH"),
            fields={"Mountpoint": "PATH"},
            cells=volume_cells,
            none="There are no volumes.",
            filter=lambda args, row: args["driver"] in (None, row.driver),
        )
    ),
    verbs=(ListVolumes.verb,),
    args=(
        *list_commands.arguments("volume, start of its name, or a glob like 'shop*'", quiet=list_commands.QUIET_NAMES),
        Arg(name="--driver", help="only volumes of this driver, such as local"),
    ),
)
