"""Texts as vectors: the encoder, the table of user vectors, the placebo that swaps them, the projection for a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trackrec.data.log import stable_hash
from trackrec.errors import RunError
from trackrec.registry import make
from trackrec.settings import LATER, Commit, ComponentSettings
from trackrec.users.citations import without_citations

Floats = npt.NDArray[np.float32]
ITEM_VECTORS = "item-vectors"
"""The table of a run with `item_vectors` of its catalogue, where its ranker reads them."""


class Encoder(Protocol):
    """Whatever turns texts into vectors: one float32 row a text, shape (texts, dimensions)."""

    def encode(self, texts: Sequence[str]) -> Floats: ...


class TextEncoderSettings(ComponentSettings):
    """A sentence-transformers model."""

    type: str = "sentence-transformer"
    name: str = "all-minilm-l6-v2"
    """The embedded one by name, a local folder or a Hugging Face id."""
    revision: Annotated[Commit, LATER] = ""
    """Of a Hugging Face id, the commit (40 hexadecimal digits). Empty: the newest one when the run begins; its recipe
    keeps it."""


class TextEncoder:
    """A sentence-transformers model that is loaded at its first use and encodes each text once.

    A text longer than the model reads (256 word pieces for MiniLM) is cut into windows, and its vector is the mean
    of theirs, brought back to unit length: nothing is silently cut off.

    Args:
        name: "all-minilm-l6-v2" (the embedded model), a local folder or a Hugging Face id, ``id@commit`` if it is to be
            that one.
        batch: texts encoded at once. At 1, a text's vector is the same to the bit whatever else is encoded, which a run
            that goes on after a crash needs; on a CPU it costs nothing.
    """

    Settings = TextEncoderSettings

    @classmethod
    def make(cls, settings: TextEncoderSettings, context: Any = None) -> TextEncoder:
        """See :mod:`trackrec.registry`."""
        return cls(f"{settings.name}@{settings.revision}" if settings.revision else settings.name)

    def __init__(self, name: str = "all-minilm-l6-v2", batch: int = 1) -> None:
        self.name = name
        self.batch = batch
        self._model: Any = None
        self._cache: dict[bytes, Floats] = {}

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of the texts, shape (texts, dimensions); equal texts are encoded once in this object's life.

        Numbers of events that a RecCoT cites are not read: they mean nothing beside another user's.
        """
        texts = [without_citations(text) for text in texts]
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._cache}
        if new:
            for key, vector in zip(new, self._encode_new(list(new.values())), strict=True):
                self._cache[key] = vector
        if not keys:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return np.stack([self._cache[key] for key in keys])

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._loaded().get_embedding_dimension())

    def _loaded(self) -> Any:
        if self._model is None:
            from sentence_transformers import SentenceTransformer

            from trackrec.assets import resolve_encoder, split_revision
            from trackrec.progress import no_foreign_bars

            name, revision = split_revision(self.name)
            with no_foreign_bars():
                self._model = SentenceTransformer(resolve_encoder(name), device="cpu", revision=revision)
        return self._model

    def _encode_new(self, texts: list[str]) -> Floats:
        windows = [self._windows(text) for text in texts]
        flat = [window for group in windows for window in group]
        encoded = self._loaded().encode(
            flat, batch_size=self.batch, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        vectors = np.asarray(encoded, dtype=np.float32)
        ends = np.cumsum([len(group) for group in windows])
        means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        return np.asarray(means / np.maximum(norms, 1e-12), dtype=np.float32)

    def _windows(self, text: str) -> list[str]:
        model = self._loaded()
        room = int(model.max_seq_length) - 2  # the two marks around a text
        if len(text) <= room:  # a word piece has a character at least
            return [text]
        offsets = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
            "offset_mapping"
        ]
        if len(offsets) <= room:
            return [text]
        parts = [offsets[start : start + room] for start in range(0, len(offsets), room)]
        return [text[part[0][0] : part[-1][1]] for part in parts]


_ENCODERS: dict[ComponentSettings, Encoder] = {}


def shared_encoder(settings: ComponentSettings) -> Encoder:
    """The process's one encoder of these settings, so that its weights and its cache exist once."""
    if settings not in _ENCODERS:
        _ENCODERS[settings] = make("encoder", settings)
    return _ENCODERS[settings]


def user_vectors(texts: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """The table of user vectors.

    Args:
        texts: one row a user, columns ``user_id`` and ``text`` (null: this user has no RecCoT).
        encoder: see :class:`Encoder`.

    Returns:
        ``user_id, vector (list of float32, null without a RecCoT), has_reccot``: what is missing stays visibly so.

    Raises:
        RunError: a user with more than one row.
    """
    twice = texts.filter(pl.col("user_id").is_duplicated())["user_id"].unique().to_list()
    if twice:
        raise RunError(
            f"{len(twice)} users have more than one RecCoT (for example {twice[0]!r}), but a table of user vectors "
            "holds one a user: choose one of them first, for example kind == 'kept' of the last round."
        )
    known = texts.filter(pl.col("text").is_not_null())
    vectors = encoder.encode(known["text"].to_list()).tolist() if known.height else []
    encoded = known.select("user_id", pl.Series("vector", vectors, dtype=pl.List(pl.Float32)))
    joined = texts.select("user_id").join(encoded, on="user_id", how="left", maintain_order="left")
    return joined.with_columns(has_reccot=pl.col("vector").is_not_null())


def swap_vectors(vectors: pl.DataFrame, parts: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The placebo that counts: every user gets the vector of another user of the same part.

    The vectors stay what they were (same texts, same distribution); only whose they are is wrong. A random cycle
    through the users of a part makes sure that nobody keeps his own.

    Args:
        vectors: as :func:`user_vectors` makes it. Users without a vector stay without one.
        parts: ``user_id, fold`` and, if there is one, ``role`` (such as the table of roles): no vector crosses from
            one of them to another. Users not named here are left out.
        seed: draws the cycles; a part's cycle does not depend on other parts.

    Raises:
        RunError: a part in which only one user has a vector.

    Returns:
        As :func:`user_vectors`, and ``source_user_id``: whose history the vector's text was written from.
    """
    keys = [name for name in ("role", "fold") if name in parts.columns]
    named = present_vectors(vectors).join(parts.select("user_id", *keys), on="user_id", how="inner").sort("user_id")
    swapped = []
    for key, part in named.group_by(keys, maintain_order=True):
        name = " ".join(f"{column} {value}" for column, value in zip(keys, key, strict=True))
        if part.height < 2:
            raise RunError(f"Only one user of {name} has a vector, so there is nobody to swap with: use fewer folds.")
        order = np.random.default_rng([seed, stable_hash(name)]).permutation(part.height)
        giver = np.empty_like(order)
        giver[order] = np.roll(order, 1)  # each takes from his neighbour on the cycle
        given = part.select(source_user_id="user_id", vector="vector")[giver]
        swapped.append(part.select("user_id").hstack(given))
    donors = pl.concat(swapped) if swapped else named.select("user_id", "vector", source_user_id="user_id")
    everyone = vectors.select("user_id").join(parts.select("user_id"), on="user_id", how="semi")
    joined = everyone.join(donors, on="user_id", how="left", maintain_order="left")
    return joined.with_columns(has_reccot=pl.col("vector").is_not_null())


def present_vectors(vectors: pl.DataFrame) -> pl.DataFrame:
    """The rows of a vector table that hold a vector (``has_reccot`` is read where the table has it)."""
    rows = vectors.filter(pl.col("vector").is_not_null())
    return rows.filter(pl.col("has_reccot")) if "has_reccot" in rows.columns else rows


def item_vectors(texts: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """The table of item vectors.

    Args:
        texts: one row an item, ``item_id, text`` (null: nothing is known of this item), such as
            :func:`trackrec.prompts.texts.item_texts` gives.
        encoder: the users' own encoder, so that both lie in one space.

    Returns:
        ``item_id, vector`` (list of float32, null without a text) ``, has_text``.
    """
    table = user_vectors(texts.select(pl.col("item_id").alias("user_id"), "text"), encoder)
    return table.rename({"user_id": "item_id", "has_reccot": "has_text"})
