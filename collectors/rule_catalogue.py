"""Finds the built-in alert rules: the modules of `collectors.rules` that export one value, `rule`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from collectors.rule import Rule


def load_rules() -> Sequence[Rule]:
    """Returns the built-in rules, sorted by name. Raises for a module without a rule and for a duplicate name. A
    module whose name begins with an underscore is shared code."""
    package = importlib.import_module("collectors.rules")
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("_"):
            continue
        rule = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "rule", None)
        if not isinstance(rule, Rule):
            raise TypeError(f"collectors.rules.{module.name} must export one value `rule`, a collectors.rule.Rule")
        if rule.name in found:
            raise ValueError(f"collectors.rules.{module.name}: there is already a rule named {rule.name}")
        found[rule.name] = rule
    return tuple(found[name] for name in sorted(found))
