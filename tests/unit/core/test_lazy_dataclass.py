"""Tests that frozen dataclasses whose methods are compiled at their first call are like those of the library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from core import lazy_dataclass
from tests.helpers.paths import ROOT

SOURCE = """
from __future__ import annotations
from dataclasses import field
from typing import ClassVar, Generic, TypeVar

T = TypeVar("T")

@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    unit: ClassVar[str] = "s"
    name: str
    count: int = 1

@dataclass(frozen=True, slots=True, kw_only=True)
class Child(Base, Generic[T]):
    more: tuple[str, ...] = ()
    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("negative")

class Plain(Base):
    pass

@dataclass(frozen=True, slots=True)
class Positional:
    name: str
    items: list[int] = field(default_factory=list)
    inner: object = None

@dataclass(frozen=True, slots=True, kw_only=True)
class Partly:
    shown: str
    hidden: str = field(default="", repr=False, compare=False)
    found: dict[str, str] = field(init=False, default_factory=dict)
    later: str = field(init=False, repr=False)
    def __post_init__(self) -> None:
        object.__setattr__(self, "later", self.shown.upper())

@dataclass(frozen=True, slots=True, kw_only=True)
class SameName:
    name: str
    note: str = ""
    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameName) and self.name == other.name

@dataclass(frozen=True, slots=True, kw_only=True)
class SameHash(SameName):
    def __hash__(self) -> int:
        return 7

@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    name: str
    def __repr__(self) -> str:
        return self.name

@dataclass(frozen=True, slots=True, eq=False)
class ByIdentity:
    name: str

@dataclass(slots=True)
class Open:
    items: list[int] = field(default_factory=list)

@dataclass(frozen=True, slots=True)
class Empty:
    pass
"""


@pytest.fixture(params=[dataclasses.dataclass, lazy_dataclass.dataclass], ids=["library", "lazy"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with dataclasses, made by the standard library and by us."""
    return module(request.param, monkeypatch)


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return module(lazy_dataclass.dataclass, monkeypatch)


def module(dataclass: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = ModuleType("made_for_a_test")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    made.__dict__["dataclass"] = dataclass
    exec(SOURCE, made.__dict__)
    return made


def test_they_are_made_compared_shown_and_copied(made: Any) -> None:
    one = made.Base(name="a")
    assert (one.name, one.count, repr(one)) == ("a", 1, "Base(name='a', count=1)")
    assert one == made.Base(name="a") and one != made.Base(name="b") and one != made.Child(name="a")
    assert len({one, made.Base(name="a"), made.Base(name="b")}) == 2
    assert dataclasses.replace(one, count=2) == made.Base(name="a", count=2)
    assert dataclasses.asdict(made.Child(name="a", more=("x",))) == {"name": "a", "count": 1, "more": ("x",)}
    assert copy.deepcopy(one) == one == copy.copy(one) and pickle.loads(pickle.dumps(one)) == one
    assert not hasattr(one, "__dict__") and made.Base.unit == "s"
    assert [each.name for each in dataclasses.fields(made.Child)] == ["name", "count", "more"]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda made: made.Base("a"),
        lambda made: made.Base(name="a", other=1),
        lambda made: made.Base(),
        lambda made: made.Positional(),
        lambda made: made.Partly(shown="a", found={}),
        lambda made: made.Empty(1),
    ],
)
def test_wrong_arguments_are_refused(made: Any, mistake: Callable[[Any], Any]) -> None:
    for _ in range(2):  # also when the method is compiled
        with pytest.raises(TypeError, match=r"\.__init__\(\)"):
            mistake(made)


def test_what_is_checked_and_frozen(made: Any) -> None:
    with pytest.raises(ValueError, match="negative"):
        made.Child(name="a", count=-1)
    for one in (made.Base(name="a"), made.Child(name="a"), made.Plain(name="a")):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
            one.name = "b"
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'name'"):
            del one.name


def test_a_subclass_that_is_not_decorated_uses_the_methods(made: Any) -> None:
    one = made.Plain(name="a")
    assert (one.name, one == made.Plain(name="a"), repr(one)) == ("a", True, "Plain(name='a', count=1)")
    assert hash(one) == hash(made.Plain(name="a"))


def test_names_that_are_no_fields(lazy: Any) -> None:
    """The library's method raises TypeError here, in Python 3.11."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        lazy.Base(name="a").other = "b"
    one = lazy.Plain(name="a")
    one.other = "b"
    assert one.other == "b"
    del one.other
    assert repr(lazy.Child[int](name="a")) == "Child(name='a', count=1, more=())"


def test_positional_recursive_and_without_fields(made: Any) -> None:
    one = made.Positional("a", [1])
    assert one.items == [1] and made.Positional("a").items is not made.Positional("a").items
    one.items.append(one)
    assert repr(one) == "Positional(name='a', items=[1, ...], inner=None)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    assert made.Empty() == made.Empty() and repr(made.Empty()) == "Empty()"
    match one:
        case made.Positional(name, _, None):
            assert name == "a"


def test_options_of_fields(made: Any) -> None:
    one = made.Partly(shown="a", hidden="x")
    assert (one.later, one.found, one == made.Partly(shown="a", hidden="y")) == ("A", {}, True)
    assert repr(one) == "Partly(shown='a', found={})"


def test_methods_of_the_class_itself_stay(made: Any) -> None:
    assert made.SameName(name="a", note="x") == made.SameName(name="a", note="y")
    assert hash(made.SameName(name="a", note="x")) != hash(made.SameName(name="a", note="y"))
    assert hash(made.SameHash(name="a")) == 7
    assert repr(made.Named(name="a")) == "a"
    assert made.ByIdentity("a") != made.ByIdentity("a") and len({made.ByIdentity("a"), made.ByIdentity("a")}) == 2
    one = made.Open()
    one.items = [2]
    assert one == made.Open([2])


def test_msgspec_reads_and_writes_them(made: Any) -> None:
    raw = msgspec.json.encode(made.Child(name="a", more=("x",)))
    assert msgspec.json.decode(raw, type=made.Child) == made.Child(name="a", more=("x",))
    assert msgspec.json.decode(b'{"name": "a"}', type=made.Base) == made.Base(name="a")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"name": "a", "count": -1}', type=made.Child)


def test_the_values_of_the_program_are_compiled_when_used() -> None:
    script = (
        "from core.model import replies\n"
        "before = replies.Text.__init__.__code__.co_varnames[:2]\n"
        "made = replies.Text(text='x')\n"
        "print(before, replies.Text.__init__.__code__.co_varnames[:2], made.text)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "('self', 'arguments') ('self', 'text') x\n", done.stderr
