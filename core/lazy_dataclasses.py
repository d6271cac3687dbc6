"""Generates the methods of dataclasses when they are first called.

`dataclass` compiles up to six functions for each class, and a process of Quarterdeck has hundreds of such classes, of
which one command uses a few dozen. That is a third of the time of a start. `install` replaces the function of the
standard library that compiles them, for Quarterdeck's own classes only. Python 3.13 compiles once for each class and
has another function, so nothing is replaced there.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

OWN_PACKAGES = frozenset({"bot", "collectors", "commands", "core", "runtimes"})
METHODS = frozenset({"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"})
SUPPORTED = ((3, 11), (3, 12))


def install() -> None:
    """Delays the methods of all dataclasses that are defined from now on. Does nothing the second time, and on a Python
    that compiles them in another way."""
    compile_now = getattr(dataclasses, "_create_fn", None)
    if compile_now is None or sys.version_info[:2] not in SUPPORTED or hasattr(compile_now, "compile_now"):
        return
    dataclasses._create_fn = delayed(compile_now)  # type: ignore[attr-defined]


def uninstall() -> None:
    """Lets all dataclasses that are defined from now on have their methods at once."""
    compile_now = getattr(getattr(dataclasses, "_create_fn", None), "compile_now", None)
    if compile_now is not None:
        dataclasses._create_fn = compile_now  # type: ignore[attr-defined]


def delayed(compile_now: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that stands for `dataclasses._create_fn`."""

    def create(name: str, args: Any, body: Any, **more: Any) -> Any:
        module: Mapping[str, Any] = more.get("globals") or {}
        package = str(module.get("__name__", "")).partition(".")[0]
        if name not in METHODS or package not in OWN_PACKAGES:
            return compile_now(name, args, body, **more)

        def method(self: Any, *words: Any, **named: Any) -> Any:
            made = compile_now(name, args, body, **more)
            owner = next((each for each in type(self).__mro__ if each.__dict__.get(name) is method), None)
            if owner is not None:  # else it is wrapped, as __repr__ is
                made.__qualname__ = method.__qualname__
                setattr(owner, name, made)
            return made(self, *words, **named)

        method.__name__ = name
        return method

    create.compile_now = compile_now  # type: ignore[attr-defined]
    return create
