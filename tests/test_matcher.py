"""The matcher as validator: a planted taste is read off the texts, also for items that training never met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trackrec.errors import RunError
from trackrec.judges.matcher import MatcherSettings, MatcherValidator, _Places, _read
from trackrec.metrics.probability import auc

KINDS = ("jazz", "metal", "folk", "techno")


class WordCounts:
    """An encoder without a model: a number a word, unit length."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().replace(".", "").split():
                row[self.words.setdefault(word, len(self.words) % 64)] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


ENCODER = WordCounts()


def world(users: int = 120, items: int = 40) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Items of four kinds; a user loves one and hates another, and the text says so. Counts tell nothing."""
    rng = np.random.default_rng(0)
    catalogue = pl.DataFrame({"item_id": range(items), "tags": [[KINDS[i % 4], "music"] for i in range(items)]})
    targets: list[tuple[Any, ...]] = []
    texts = []
    for user in range(users):
        loves, hates = rng.permutation(4)[:2]
        texts.append((user, f"They adore {KINDS[loves]}. They loathe {KINDS[hates]}."))
        for item in rng.permutation(items)[:12]:
            chance = 0.9 if item % 4 == loves else 0.1 if item % 4 == hates else 0.5
            targets.append((user, len(targets), int(item), int(rng.random() < chance), 10, 5))
    columns = ["user_id", "event_id", "item_id", "label", "raters", "likes"]
    frame = pl.DataFrame(targets, schema=columns, orient="row").with_columns(pl.col("raters", "likes").cast(pl.Int32))
    return catalogue, frame, pl.DataFrame(texts, schema=["user_id", "text"], orient="row")


def test_a_planted_taste_is_read_also_for_items_never_met(tmp_path: Path) -> None:
    catalogue, targets, texts = world()
    new = pl.col("item_id") >= 32
    train = targets.filter((pl.col("user_id") < 80) & ~new)
    judge = MatcherValidator(catalogue, MatcherSettings(epochs=30), ENCODER)
    told = judge.fit(train, texts, tmp_path, 1)
    assert told["users"] == 80
    assert told["curve"][-1]["loss"] < told["curve"][0]["loss"]
    tested = targets.filter((pl.col("user_id") >= 80) & new).with_columns(raters=pl.lit(0), likes=pl.lit(0))
    rows = texts.with_columns(sample=pl.lit(0, dtype=pl.Int16))
    own = judge.score(tested, rows)
    liked_or_not = tested.join(texts, on="user_id").with_columns(kind=pl.col("item_id") % 4)
    sure = [KINDS[row["kind"]] in row["text"] for row in liked_or_not.iter_rows(named=True)]
    known = own.filter(pl.Series(sure))
    assert auc(known["label"].to_numpy(), known["yes_probability"].to_numpy()) > 0.8
    swapped = judge.score(tested, rows.with_columns(text=pl.col("text").shift(1, fill_value=texts["text"][-1])))
    assert auc(own["label"].to_numpy(), own["yes_probability"].to_numpy()) > 0.1 + auc(
        swapped["label"].to_numpy(), swapped["yes_probability"].to_numpy()
    )


def test_loaded_it_scores_the_same_and_a_missing_text_has_a_score(tmp_path: Path) -> None:
    catalogue, targets, texts = world(users=20)
    judge = MatcherValidator(catalogue, MatcherSettings(epochs=2), ENCODER)
    judge.fit(targets, texts, tmp_path, 1)
    rows = texts.with_columns(sample=pl.lit(0, dtype=pl.Int16), text=pl.when(pl.col("user_id") > 3).then("text"))
    scores = judge.score(targets, rows)
    again = MatcherValidator(catalogue, MatcherSettings(epochs=2), ENCODER)
    again.load(tmp_path)
    assert scores.equals(again.score(targets, rows))
    assert scores["yes_probability"].is_between(0, 1, closed="none").all()
    with pytest.raises(RunError, match="fit it anew"):
        MatcherValidator(catalogue, MatcherSettings(epochs=3), ENCODER).load(tmp_path)


def test_what_cannot_be_judged_is_said(tmp_path: Path) -> None:
    catalogue, targets, texts = world(users=4)
    with pytest.raises(RunError, match="neither genres nor tags"):
        MatcherValidator(catalogue.drop("tags"), MatcherSettings(), ENCODER)
    judge = MatcherValidator(catalogue, MatcherSettings(), ENCODER)
    with pytest.raises(RunError, match="no RecCoT"):
        judge.fit(targets, texts.with_columns(text=pl.lit(None, dtype=pl.String)), tmp_path, 1)
    with pytest.raises(RunError, match="fit or load"):
        judge.score(targets, texts.with_columns(sample=pl.lit(0, dtype=pl.Int16)))


def test_sentences_and_phrases_by_hand() -> None:
    sentences, phrases = _Places(), _Places()
    found = _read("They like jazz and folk [1, 2]. No metal, please.", sentences, phrases)
    assert list(sentences) == ["They like jazz and folk.", "No metal, please."]
    assert list(phrases) == ["They like jazz", "folk.", "No metal", "please."]
    assert found == ([0, 1], [0, 1, 2, 3], [0, 0, 1, 1])
    assert _read(None, sentences, phrases) == ([], [], [])


def test_what_is_said_twice_is_read_once() -> None:
    sentences, phrases = _Places(), _Places()
    once = _read("They like jazz, folk and metal. They loathe jazz.", sentences, phrases)
    again = "They like jazz, folk, jazz, folk, folk and metal. They loathe jazz. They loathe jazz."
    assert [len(part) for part in once] == [2, 4, 4]
    assert [len(part) for part in _read(again, sentences, phrases)] == [2, 5, 5], "'They like jazz' and 'jazz'"
