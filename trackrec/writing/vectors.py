"""Texts as vectors: the run's encoder, one that needs no model, and the saved projection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trackrec.errors import WriteError
from trackrec.features.encoder import Encoder, Floats
from trackrec.features.projection import Projection

HASHING, NO_ENCODER = "hashing", "none"


class HashingEncoder:
    """Words and pairs of words, hashed into a vector of unit length: no model, microseconds a text.

    Args:
        dimensions: length of a vector.
    """

    def __init__(self, dimensions: int = 384) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self._vectorizer: Any = HashingVectorizer(n_features=dimensions, ngram_range=(1, 2), dtype=np.float32)
        self.dimensions = dimensions

    def encode(self, texts: Sequence[str]) -> Floats:
        """See :class:`trackrec.features.encoder.Encoder`."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return np.asarray(self._vectorizer.transform(list(texts)).toarray(), dtype=np.float32)


def make_encoder(name: str) -> Encoder | None:
    """The encoder of a name: ``hashing``, ``none`` (texts alone), or a sentence-transformers model."""
    if name == NO_ENCODER:
        return None
    if name == HASHING:
        return HashingEncoder()
    from trackrec.features.encoder import TextEncoder

    return TextEncoder(name)


def projection_fits(projection: Projection, dimensions: int, path: str) -> None:
    """Refuse a projection of another encoder's vectors.

    Raises:
        WriteError: its vectors have another length.
    """
    if projection.mean.shape[0] != dimensions:
        raise WriteError(
            f"{path} projects vectors of {projection.mean.shape[0]} numbers, the encoder gives {dimensions}: expected "
            "the projection that was fitted with this encoder"
        )


def as_lists(vectors: Floats | None, rows: int) -> pl.Series:
    """Vectors as a column of lists; nulls if there are none."""
    if vectors is None:
        return pl.repeat(None, rows, dtype=pl.List(pl.Float32), eager=True)
    return pl.Series(values=np.ascontiguousarray(vectors), dtype=pl.Array(pl.Float32, vectors.shape[1])).arr.to_list()


def projection_note(path: Path) -> Any:
    """What is said of a projection beside it; None if nothing is."""
    beside = path.with_suffix(".json")
    return json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else None
