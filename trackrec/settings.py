"""The base of every settings class: typed, frozen, and unknown keys refused by name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

Positive = Annotated[int, Field(ge=1)]
"""A whole number from 1."""
NotNegative = Annotated[int, Field(ge=0)]
"""A whole number from 0."""
LARGEST = 2**31 - 1
"""The largest whole number that a setting takes: what every library behind it can count to."""


class Settings(BaseModel):
    """A group of settings. Each field is declared once, with its explanation in ``Field(description=...)``.

    The recipe file, ``--set`` and the generated reference all come from these declarations. Every number has a lower
    bound where it is declared (tested); none is NaN or infinite, none beyond `LARGEST`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        numbers = value if isinstance(value, tuple | list) else [value]
        for number in numbers:
            if isinstance(number, int | float) and abs(number) > LARGEST:
                raise ValueError(f"the largest number that a setting takes is {LARGEST}")
        return value
