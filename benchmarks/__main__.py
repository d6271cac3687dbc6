"""`python -m benchmarks [FIGURE …]`: measures, prints tables, and leaves nothing behind. `--help` lists the options."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import pkgutil
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chart, figures, harness, stage
from core import logs
from tests.helpers.private_root import private_root


def discover() -> Mapping[str, harness.Figure]:
    """The figures by name, in the order of their names."""
    found = {}
    for module in pkgutil.iter_modules(figures.__path__, f"{figures.__name__}."):
        figure = getattr(importlib.import_module(module.name), "figure", None)
        if not isinstance(figure, harness.Figure):
            raise TypeError(f"{module.name} must export one value `figure`, a benchmarks.harness.Figure")
        found[figure.name] = figure
    return found


def main(words: Sequence[str] | None = None) -> int:
    known = discover()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side by side with docker-py and docker.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"any of: {', '.join(known)}")
    parser.add_argument("--list", action="store_true", help="say which figures there are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured value there too")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write the ratios there as a Mermaid chart")
    parser.add_argument(
        "--quick", action="store_true", help="one round of each figure: shows that it runs, not how fast anything is"
    )
    given = parser.parse_args(words)
    if unknown := [name for name in given.figures if name not in known]:
        parser.error(f"there is no figure {', '.join(unknown)}; there are {', '.join(known)}")
    if given.list:
        for figure in known.values():
            print(f"{figure.name:8} {figure.summary}")
        return 0
    chosen = [known[name] for name in given.figures] or list(known.values())
    os.chdir(Path(__file__).parents[1])
    logs.configure_logging("error")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # otherwise the engine and its directory would stay
    began = time.monotonic()
    try:
        told = asyncio.run(perform(chosen, quick=given.quick))
    except pytest.skip.Exception as missing:  # how tests.helpers.requirements says that there is no engine to be had
        print(f"Nothing was measured: {missing}", file=sys.stderr)
        return 1
    print(f"Took {time.monotonic() - began:.0f} s.")
    if given.chart:
        given.chart.write_text(chart.mermaid(told))
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "figures": told}, indent=1) + "\n")
    return 0


async def perform(chosen: Sequence[harness.Figure], *, quick: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {}
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    with private_root() as room:
        async with contextlib.AsyncExitStack() as stack:
            scene = stage.Stage(stack, room)
            for figure in chosen:
                began = time.monotonic()
                tables = await figure.measure(scene, 1 if quick else figure.rounds)
                for table in tables:
                    print(f"\n{table.text()}", flush=True)
                print(f"  {figure.name} took {time.monotonic() - began:.0f} s", flush=True)
                told[figure.name] = [table.as_data() for table in tables]
    print()
    return told


def machine() -> dict[str, Any]:
    """What a reader must know to compare figures of two machines; the load tells whether it had anything else to do."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


if __name__ == "__main__":
    sys.exit(main())
