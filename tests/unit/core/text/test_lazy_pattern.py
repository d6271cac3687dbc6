"""Tests patterns that are compiled at their first use."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from core.text import lazy_pattern
from tests.helpers.paths import ROOT


def test_a_pattern_does_what_a_compiled_one_does() -> None:
    later, now = lazy_pattern.compile_later(r"(a+)(b)?", re.IGNORECASE), re.compile(r"(a+)(b)?", re.IGNORECASE)
    assert later.sub(r"<\1>", "xAabx") == now.sub(r"<\1>", "xAabx")
    assert (later.pattern, later.flags, later.groups) == (now.pattern, now.flags, now.groups)
    assert later.search("xab")[0] == "ab"  # type: ignore[index]
    assert later.fullmatch("c") is None


def test_a_mistake_is_raised_at_the_first_use() -> None:
    broken = lazy_pattern.compile_later("(")
    with pytest.raises(re.error):
        broken.search("")


def test_every_pattern_of_secrets_can_be_compiled_and_none_is_at_its_import() -> None:
    script = (
        "import re\nfrom core.text import lazy_pattern\nmade = []\n"
        "def compile_later(*words): made.append(lazy_pattern.LazyPattern(*(*words, 0)[:2])); return made[-1]\n"
        "lazy_pattern.compile_later = compile_later\n"
        "import core.text.redact\n"
        "print(len(made) > 100, sum('sub' in vars(one) for one in made))\n"
        "print(all(isinstance(one.pattern, str) for one in made))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True 0\nTrue\n", done.stdout + done.stderr
