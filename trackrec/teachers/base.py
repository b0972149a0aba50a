"""What a teacher may ask for when it is made."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from trackrec.prompts.renderer import Renderer


class TeacherContext(NamedTuple):
    """What a teacher may ask for."""

    items: pl.DataFrame
    """The catalogue."""
    renderer: Renderer
    """Its domain, how it counts tokens, and what of a history the generator sees."""
