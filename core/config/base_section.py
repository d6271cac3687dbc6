"""Defines the base class of all sections of the configuration. A section is frozen and rejects unknown names, and its
error messages contain no values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """The base class of every section of the configuration."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        defer_build=True,  # each section is built once, inside Config
    )
