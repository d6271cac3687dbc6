"""Writes the parts that many queries share: which series the variables select, and joins with `container_info`.

Two processes may watch the same engine, and then each series is there twice, with another `instance`. So a state is
reduced with `max by`, and a join reads `INFO`, where each container is once.
"""

from __future__ import annotations

SELECTED = 'host=~"$host", engine=~"$engine"'
CONTAINERS = f'{SELECTED}, name=~"$container"'
BAD_ENDS = "crashed|out_of_memory|killed|lost"


def container_info_query(*labels: str, selector: str = CONTAINERS) -> str:
    """Each selected container of the selected projects once, with these labels of `container_info`."""
    names = ", ".join(("host", "engine", "name", *labels))
    return f'max by ({names}) (quarterdeck_container_info{{{selector}, project=~"$project"}})'


def in_project(query: str) -> str:
    """The series of a query about containers that belong to the selected projects. A comparison belongs into the query:
    behind it, it would compare the info series, because `and` binds less than `>`."""
    return f'({query}) and on (host, engine, name) quarterdeck_container_info{{{SELECTED}, project=~"$project"}}'


def with_info(query: str, *labels: str) -> str:
    """The series of a query about containers, in the selected projects, with more labels."""
    return f"({query}) * on (host, engine, name) group_left ({', '.join(labels)}) {container_info_query(*labels)}"


def once(query: str, *labels: str) -> str:
    """Each series of one thing once, whatever process reports it."""
    return f"max by ({', '.join(labels)}) ({query})"


def or_zero(query: str) -> str:
    """The query, or 0 where it finds nothing: nothing wrong is an answer too."""
    return f"{query} or vector(0)"


def per_minute(counter: str, *by: str, selector: str = "") -> str:
    """How much a counter grows in a minute, summed by labels."""
    return f"sum by ({', '.join(by)}) (rate({counter}{{{selector}}}[$__rate_interval])) * 60"


def quantile(part: float, histogram: str, selector: str, *labels: str) -> str:
    """A quantile of a histogram over the interval of a point. `histogram`: without `_bucket`."""
    names = ", ".join((*labels, "le"))
    return f"histogram_quantile({part}, sum by ({names}) (rate({histogram}_bucket{{{selector}}}[$__rate_interval])))"


def coded(metric: str, selector: str, label: str, values: tuple[str, ...], *by: str) -> str:
    """The place of the current state in `values`, from 1: a state has one series for each value of `label`."""
    states = " or ".join(
        f'{number} * ({metric}{{{selector}, {label}="{value}"}} == 1)' for number, value in enumerate(values, 1)
    )
    return f"max by ({', '.join(by)}) ({states})"
