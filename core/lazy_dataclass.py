"""Defines `dataclass`, which does the same as the standard library's for frozen classes, in a tenth of the time.

The standard library compiles six methods for each frozen class. Quarterdeck has hundreds of such classes, of which one
command uses a few dozen. So that would be a third of the time of a start. Here the standard library only collects the
fields, and each method is compiled when it is first called. A class that is not frozen is left to the standard library.
Options that Quarterdeck does not use, such as `order` or `InitVar`, are not supported.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
else:

    def dataclass(**options: Any) -> Callable[[type], type]:
        """Returns a decorator with these options of the standard library's."""
        return _decorator(**options) if options.pop("frozen", False) else dataclasses.dataclass(**options)


__all__ = ["dataclass"]


def _decorator(*, slots: bool, kw_only: bool = False, eq: bool = True) -> Callable[[type], type]:
    def decorate(original: type) -> type:
        own = set(vars(original))
        if "__eq__" in own and vars(original).get("__hash__") is None:
            own.discard("__hash__")  # Python itself has set it to None
        original.__doc__ = original.__doc__ or original.__name__  # the library would write the signature there, slowly
        cls: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(original)
        for name in ("__init__", "__repr__", *(("__eq__", "__hash__") if eq else ())):
            if name not in own:
                setattr(cls, name, _compiled_when_called(cls, name))
        _freeze(cls)
        return cls  # type: ignore[no-any-return]

    return decorate


def _compiled_when_called(cls: type, name: str) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        made = _init(cls) if name == "__init__" else _made_by_library(cls, name)
        made.__qualname__, made.__module__ = method.__qualname__, method.__module__
        setattr(cls, name, made)
        return made(self, *arguments, **named)

    method.__name__, method.__qualname__, method.__module__ = name, f"{cls.__qualname__}.{name}", cls.__module__
    return method


def _init(cls: Any) -> Any:
    """Compiles `__init__`. With it, the library would compile `__setattr__` and `__delattr__`, which takes three times
    as long, and a process needs many of them."""
    names: dict[str, Any] = {"set_attribute": object.__setattr__, "MISSING": dataclasses.MISSING}
    positional: list[str] = ["self"]
    named: list[str] = []
    lines: list[str] = []
    for each in dataclasses.fields(cls):
        default, value = "", each.name
        if each.default_factory is not dataclasses.MISSING:
            names[make := f"_make_{each.name}"] = each.default_factory
            default, value = (
                "=MISSING",
                f"{make}() if {each.name} is MISSING else {each.name}" if each.init else f"{make}()",
            )
        elif each.default is not dataclasses.MISSING:
            names[constant := f"_default_{each.name}"] = each.default
            default, value = f"={constant}", each.name if each.init else constant
        if each.init:
            (named if each.kw_only else positional).append(f"{each.name}{default}")
        if each.init or default:
            lines.append(f" set_attribute(self, '{each.name}', {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters = ", ".join((*positional, *(("*", *named) if named else ())))
    exec("\n".join((f"def __init__({parameters}):", *lines, " return None")), names)  # noqa: S102
    return names["__init__"]


def _made_by_library(cls: type, name: str) -> Any:
    """Returns a method of a class with the same fields that the standard library made."""
    fields = [
        (each.name, each.type, dataclasses.field(repr=each.repr, hash=each.hash, compare=each.compare))
        for each in dataclasses.fields(cls)
    ]
    hashed = name == "__hash__"
    made = dataclasses.make_dataclass(
        cls.__name__,
        fields,
        namespace={"__doc__": cls.__doc__ or name},  # otherwise the library makes it from the signature
        init=False,
        repr=name == "__repr__",
        eq=hashed or name == "__eq__",
        frozen=hashed,
    )
    return getattr(made, name)


def _freeze(cls: Any) -> None:
    fields = frozenset(cls.__dataclass_fields__)

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete_attribute(self: Any, name: str) -> None:
        if type(self) is cls or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    cls.__setattr__, cls.__delattr__ = set_attribute, delete_attribute
    cls.__getstate__, cls.__setstate__ = _state, _restore


def _state(self: Any) -> list[Any]:
    """The values of the fields, for `pickle` and `copy`."""
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
