"""A format is split at its braces, in linear time whatever is between them."""

import pytest

from commands._shared import format_option
from core import errors


@pytest.mark.parametrize("text", ["{{" + " " * 300_000, "{{ " * 100_000, "{{-" * 100_000 + "}", "{{" + "-" * 300_000])
def test_a_format_that_is_not_closed_is_refused_in_linear_time(text):
    with pytest.raises(errors.BadUsage, match="not closed"):
        format_option.parse_format(text)


@pytest.mark.parametrize("text", ["{{.A}}", "{{ .A }}", "{{- .A -}}", "{{-.A-}}", "{{-  .A  -}}"])
def test_blanks_and_dashes_inside_the_braces_are_ignored(text):
    assert format_option.fill_format(format_option.parse_format(f"<{text}>"), {"A": "x"}) == "<x>"


@pytest.mark.parametrize("text", ["{{}}", "{{-}}", "{{{.A}}}", "{{.A}"])
def test_other_braces_are_refused(text):
    with pytest.raises(errors.BadUsage):
        format_option.parse_format(text)
