"""Writes the lines that separate the runs of a container in its log, such as `── run 9 · exit 2 · 40 s ago ──`.

A program may write such a line itself. `escaped` moves the program's line by one space. So a line that begins with `──`
always comes from Quarterdeck.
"""

from __future__ import annotations

from core.model.results import LogRun

MARK = "──"
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def make_run_separator(run: LogRun, now_ns: int, *, newest: bool) -> str:
    """Returns the line before the lines of a run. `now_ns`: nanoseconds since the epoch; `newest`: there is no later
    run."""
    name = f"run {run.number}" if run.number else "newest run" if newest else "earlier run"
    if run.ended_ns:
        return _line(name, _exit(run), f"{_span(now_ns - run.ended_ns)} ago")
    if not newest:
        return _line(name, "its end is not known")
    return _line(name, f"running for {_span(now_ns - run.started_ns)}" if run.started_ns else "running")


def empty_runs_divider(first: LogRun, last: LogRun, count: int) -> str:
    """Returns the line for several runs in a row that wrote nothing."""
    numbered = first.number and last.number
    return _line(f"runs {first.number} to {last.number}" if numbered else f"{count} runs", "wrote nothing")


def restart_divider(exit_code: int | None, number: int) -> str:
    """Returns the line of a followed log between two runs. `number`: of the new run, 0 if it is not known."""
    ended = "ended" if exit_code is None else f"ended with exit {exit_code}"
    return _line(ended, "started again", f"run {number}" if number else "")


def escaped(text: str) -> str:
    """Returns the text of a container's own line, which cannot be confused with a divider."""
    return f" {text}" if text.startswith(MARK) else text


def _line(*parts: str) -> str:
    return f"{MARK} {' · '.join(filter(None, parts))} {MARK}"


def _exit(run: LogRun) -> str:
    why = "out of memory" if run.out_of_memory else ""
    return ", ".join(filter(None, ("ended" if run.exit_code is None else f"exit {run.exit_code}", why)))


def _span(nanoseconds: int) -> str:
    seconds = max(0, nanoseconds) // 1_000_000_000
    return next((f"{seconds // size} {unit}" for unit, size in _UNITS if seconds >= size), f"{seconds} s")
