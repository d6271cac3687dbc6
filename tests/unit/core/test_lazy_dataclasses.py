"""Tests that dataclasses whose methods are compiled at their first call are like all others."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from core import lazy_dataclasses
from tests.helpers.paths import ROOT

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass, field

@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    name: str
    count: int = 1

@dataclass(frozen=True, slots=True, kw_only=True)
class Child(Base):
    more: tuple[str, ...] = ()
    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("negative")

class Plain(Base):
    pass

@dataclass(order=True)
class Open:
    items: list[int] = field(default_factory=list)
    inner: object = None

@dataclass(eq=False)
class ByIdentity:
    name: str
"""


@pytest.fixture(params=["at once", "delayed"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of ours with dataclasses, made by the standard library and by us."""
    module = ModuleType("core.made_for_a_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    if request.param == "delayed":
        lazy_dataclasses.install()
        lazy_dataclasses.install()
    try:
        exec(SOURCE, module.__dict__)
    finally:
        lazy_dataclasses.uninstall()
    yield module


def test_they_are_made_compared_shown_and_copied(made: Any) -> None:
    one = made.Base(name="a")
    assert (one.name, one.count, repr(one)) == ("a", 1, "Base(name='a', count=1)")
    assert one == made.Base(name="a") and one != made.Base(name="b") and one != made.Child(name="a")
    assert len({one, made.Base(name="a"), made.Base(name="b")}) == 2
    assert dataclasses.replace(one, count=2) == made.Base(name="a", count=2)
    assert dataclasses.asdict(made.Child(name="a", more=("x",))) == {"name": "a", "count": 1, "more": ("x",)}
    assert copy.deepcopy(one) == one and pickle.loads(pickle.dumps(one)) == one
    assert not hasattr(one, "__dict__")


def test_mistakes_are_refused(made: Any) -> None:
    with pytest.raises(TypeError):
        made.Base("a")
    with pytest.raises(TypeError):
        made.Base(name="a", other=1)
    with pytest.raises(TypeError):
        made.Base()
    with pytest.raises(ValueError, match="negative"):
        made.Child(name="a", count=-1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.Base(name="a").name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.Child(name="a").name


def test_a_subclass_uses_the_methods_of_its_base(made: Any) -> None:
    one = made.Plain(name="a")
    assert (one.name, one == made.Plain(name="a"), hash(one) == hash(made.Plain(name="a"))) == ("a", True, True)


def test_ordered_recursive_and_others(made: Any) -> None:
    one = made.Open()
    assert one < made.Open([1]) and one.items is not made.Open().items
    one.inner = one
    assert repr(one) == "Open(items=[], inner=...)"
    with pytest.raises(TypeError):
        hash(made.Open())
    assert made.ByIdentity("a") != made.ByIdentity("a") and repr(made.ByIdentity("a")) == "ByIdentity(name='a')"


def test_other_packages_are_left_alone() -> None:
    lazy_dataclasses.install()
    try:

        @dataclasses.dataclass
        class Theirs:
            name: str
    finally:
        lazy_dataclasses.uninstall()
    assert Theirs.__init__.__code__.co_varnames == ("self", "name")


def test_a_process_delays_its_methods_and_works() -> None:
    script = (
        "from core import lazy_dataclasses; lazy_dataclasses.install()\n"
        "from core.model import replies\n"
        "before = replies.Text.__init__.__name__, replies.Text.__init__.__code__.co_varnames[:2] == ('self', 'words')\n"
        "made = replies.Text(text='x')\n"
        "print(before, replies.Text.__init__.__code__.co_varnames[:2], made.text)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    delayed = sys.version_info[:2] in lazy_dataclasses.SUPPORTED
    assert done.stdout == f"('__init__', {delayed}) ('self', 'text') x\n", done.stderr
