"""Texts of items and histories, item knowledge from the catalogue."""

from __future__ import annotations

import numpy as np
import polars as pl

from research.comparison.history_texts import history_texts
from research.item_texts import ItemTeacher
from trackrec.features.encoder import item_vectors
from trackrec.prompts.domains import find_domain
from trackrec.prompts.texts import item_texts

ITEMS = pl.DataFrame(
    {
        "item_id": [1, 2, 3, 4, 5],
        "title": ["Fargo (1996)", "Piano, The (1993)", "", "Heat", "Tape"],
        "year": [1996, 1993, None, None, None],
        "genres": [["Crime", "Drama"], ["Drama"], None, ["Drama", "Crime"], None],
        "director": ["Coen", None, None, "Mann", None],
    }
)
MOVIES = find_domain("movies")


class LengthEncoder:
    def encode(self, texts: list[str]) -> np.ndarray:
        return np.asarray([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_item_texts_tell_title_and_attributes() -> None:
    texts = dict(item_texts(ITEMS, MOVIES, ["director"]).iter_rows())
    assert texts[1] == "Fargo (1996), Coen, Crime Drama"
    assert texts[2] == "The Piano (1993), Drama"
    assert texts[3] is None


def test_history_texts_are_all_events_oldest_first() -> None:
    histories = pl.DataFrame(
        {"user_id": ["a", "a", "b"], "position": [1, 0, 0], "item_id": [2, 1, 4], "rating": [4.0, 2.5, 5.0]}
    )
    texts = dict(history_texts(histories, ITEMS, MOVIES).iter_rows())
    assert texts["a"] == "2.5: Fargo (1996), Crime Drama\n4: The Piano (1993), Drama"
    assert texts["b"] == "5: Heat, Drama Crime"


def test_item_knowledge_can_be_counted_again() -> None:
    """3 of 5 items are dramas, 2 of 5 crime films; Heat has the very genres of Fargo."""
    teacher = ItemTeacher(ITEMS, MOVIES)
    assert teacher.write(1, seed=1) == (
        "Fargo is a Crime and Drama film from 1996, of the 1990s. Crime: 40 in 100 films of the catalogue. "
        "Drama: 60 in 100 films of the catalogue. Others of just this kind: Heat."
    )
    assert teacher.write(5, seed=1) is None
    assert teacher.write_all(seed=1)["text"].null_count() == 2


def test_similar_items_follow_the_seed_and_never_name_the_item_itself() -> None:
    many = pl.DataFrame({"item_id": range(60), "title": [f"Film {n}." for n in range(60)], "genres": [["A"]] * 60})
    teacher = ItemTeacher(many, MOVIES)
    assert teacher.write_all(1).equals(teacher.write_all(1))
    assert not teacher.write_all(1).equals(teacher.write_all(2))
    for item, text in teacher.write_all(1).iter_rows():
        assert f"Film {item}." not in text.split("Others of just this kind")[1]


def test_items_without_a_text_stay_visibly_without_a_vector() -> None:
    table = item_vectors(item_texts(ITEMS, MOVIES), LengthEncoder())
    assert table.columns == ["item_id", "vector", "has_text"]
    assert table.filter(item_id=3).row(0) == (3, None, False)
    assert table.filter(item_id=5).row(0) == (5, [4.0, 1.0], True)
