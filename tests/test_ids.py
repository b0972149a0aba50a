"""Ids that are plain whole numbers, and those that a cast would change."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrec.data.ids import plain_id

PLAIN = ["0", "7", "-7", "10", "999999999999999999", "-999999999999999999"]
ODD = [
    "", " ", "007", "00", "-0", "-07", "+7", " 7", "7 ", "7.0", "1e5", "0x1f", "1_000", "NaN", "x9", "٣", "7\n",
    "1000000000000000000", "-1000000000000000000", "99999999999999999999",
]  # fmt: skip


def is_plain(texts: list[str | None]) -> list[bool]:
    return pl.DataFrame({"id": pl.Series(texts, dtype=pl.String)}).select(plain_id("id"))["id"].to_list()


def test_whole_numbers_as_they_are_written_are_plain() -> None:
    assert is_plain(list(PLAIN)) == [True] * len(PLAIN)


@pytest.mark.parametrize("text", ODD)
def test_what_a_cast_would_change_is_not(text: str) -> None:
    assert is_plain([text]) == [False]


@given(st.one_of(st.integers().map(str), st.text(alphabet="0123456789+-. e", max_size=6)))
def test_a_plain_id_survives_the_cast(text: str) -> None:
    """It is plain if, and only if, the number that it is read as is written the same, within 18 digits."""
    try:
        same = str(int(text)) == text and abs(int(text)) < 10**18
    except ValueError:
        same = False
    assert is_plain([text]) == [same]
