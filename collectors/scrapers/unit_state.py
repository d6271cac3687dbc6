"""Renders as metrics the state of each systemd unit that runs a container, as it was read last.

There is one series for each possible state: the present one is 1, the others are 0. The series are removed with the
unit, and all series of an engine if its units could not be read for some minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.exposition import Collect, Options, Scraper
from collectors.shown_containers import STALE_AFTER_SECONDS, Scrape, engine_text, escape
from core.metric_families import ENGINE_LABELS, gauge, info
from core.model.units import Unit

STATES = ("active", "reloading", "inactive", "failed", "activating", "deactivating")
UNIT_LABELS = (*ENGINE_LABELS, "unit")
STATE = gauge(
    "unit_state",
    "State of the systemd unit that runs a container: 1 for the current state, 0 for the others",
    *UNIT_LABELS,
    "state",
)
INFO = info("unit_info", "Container of the systemd unit, by name; always 1", *UNIT_LABELS, "name")
CAPPED = gauge(
    "unit_series_capped",
    "systemd units without series of their own, because the engine has more units than metrics.max_containers",
    *ENGINE_LABELS,
)


class _Units:
    def __init__(self, limit: int) -> None:
        self._limit = limit

    def collect(self, scrape: Scrape) -> Sequence[bytes]:
        engines: dict[str, dict[str, Unit]] = {}
        for mirror in scrape.mirrors:
            units, read_at = mirror.resources.units, mirror.resources.units_at
            if units is not None and scrape.now - read_at <= STALE_AFTER_SECONDS:
                named = engines.setdefault(engine_text(mirror.ref), {})
                named.update({escape(unit.ref.name): unit for unit in units})
        states, infos, capped = list[str](), list[str](), list[str]()
        for engine, named in engines.items():
            for name, unit in list(named.items())[: self._limit]:
                labels = f'{engine},unit="{name}"'
                states += [f'{STATE.name}{{{labels},state="{each}"}} {int(each == unit.active)}\n' for each in STATES]
                infos.append(f'{INFO.name}{{{labels},name="{escape(unit.container)}"}} 1\n')
            capped.append(f"{CAPPED.name}{{{engine}}} {max(0, len(named) - self._limit)}\n")
        return ["".join(lines).encode(errors="replace") for lines in (states, infos, capped)]


def _make(options: Options) -> Collect:
    return _Units(options.max_containers).collect


scraper = Scraper(name="unit_state", families=(STATE, INFO, CAPPED), make=_make)
"""Renders the units of all engines."""
