"""`config ls`: lists configs by their names and times. Nobody can read their contents here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import formatting, list_commands
from commands.spec import Command
from core.model.refs import Kind
from core.model.secrets_and_configs import ListConfigs, StoredValue


def config_cells(row: StoredValue, now: datetime) -> Sequence[str]:
    """Returns the cells of one config in the table."""
    times = (formatting.ago(at or 0.0, now) for at in (row.created_at, row.updated_at))
    return (row.ref.name, row.driver, *times, row.ref.short_id)


command = Command(
    name="config ls",
    summary="list configs",
    examples=("config ls", "config ls --host 'prod-*'"),
    plan=list_commands.make_plan(Kind.CONFIG),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.CONFIG,
            columns=("CONFIG", "DRIVER", "CREATED", "UPDATED", "ID"),
            optional=("DRIVER",),
            cells=config_cells,
            none="There are no configs.",
        )
    ),
    verbs=(ListConfigs.verb,),
    args=list_commands.arguments("config, start of its name or id, or a glob like 'shop_*'"),
)
