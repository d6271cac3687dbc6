"""Makes buttons for the next commands on one resource: show its log, follow it, restart it, list its events.

Each button is a command line with the resource's name. The dispatcher removes the buttons that the requester may not
use. Nothing is offered for several resources at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from commands.spec import Context
from core.model.refs import Kind, Ref
from core.model.replies import Button
from core.ports import Query
from core.text import command_line

MAX_LABEL = 75  # characters
_EVENTS = ("Events", "events {}")
# By kind: the label and the words of each line. `{}` stands for the resource.
STEPS: Mapping[Kind, Sequence[tuple[str, str]]] = {
    Kind.CONTAINER: (("Logs", "logs {}"), ("Follow", "logs {} -f"), ("Restart", "restart {}"), _EVENTS),
    Kind.POD: (("Logs", "pod logs {}"), ("Follow", "pod logs {} -f"), ("Restart", "pod restart {}"), _EVENTS),
    Kind.SERVICE: (
        ("Logs", "service logs {}"),
        ("Follow", "service logs {} -f"),
        ("Tasks", "service ps {}"),
        _EVENTS,
    ),
    Kind.NODE: (("Tasks", "node ps {}"), _EVENTS),
    Kind.UNIT: (("Status", "unit status {}"), ("Restart", "unit restart {}"), ("Files", "unit cat {}")),
}


def offer_next_steps(context: Context, refs: Sequence[Ref], *more: tuple[str, str]) -> tuple[Button, ...]:
    """Returns the buttons for the one resource of `refs`; none for several. `more`: further labels and lines."""
    if len(refs) != 1 or refs[0].kind not in STEPS:
        return ()
    name = word(context, refs[0])
    return tuple(_button(label, line, name) for label, line in (*STEPS[refs[0].kind], *more))


def row_buttons(context: Context, containers: Sequence[Ref]) -> tuple[Button, ...]:
    """Returns a button for each row of a list of containers, which shows its card. Who sees the row may see a card."""
    if len(containers) < 2:
        return ()
    several = _several_engines(context)
    words = (_word(ref, several=several) for ref in containers)
    return tuple(Button(label="Open", line=command_line.quote(["card", each])) for each in words)


def word(context: Context, ref: Ref) -> str:
    """Returns what to type for a resource: its name, with its engine if there are several engines."""
    return _word(ref, several=_several_engines(context))


def _several_engines(context: Context) -> bool:
    return len(context.find.engines(Query())) > 1


def _word(ref: Ref, *, several: bool) -> str:
    return f"{ref.name}@{ref.engine}" if several else ref.name


def _button(label: str, line: str, name: str) -> Button:
    words = [name if part == "{}" else part for part in line.split()]
    return Button(label=label[:MAX_LABEL], line=command_line.quote(words), offered=True)
