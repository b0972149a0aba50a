"""The ranker behind ``/v1/rank``: fitted once on a run's examples and the published vectors, then read from a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from trackrec.data.log import stable_hash
from trackrec.errors import RunError
from trackrec.features.encoder import ITEM_VECTORS, Floats
from trackrec.features.projection import Projection
from trackrec.files.manifests import as_written
from trackrec.files.tables import read_table
from trackrec.metrics.probability import auc, log_loss
from trackrec.rankers.arm import example_rows
from trackrec.rankers.base import RankerSizes, build_ranker, load_ranker, save_ranker
from trackrec.rankers.compare import RankingSettings, sample_rows
from trackrec.rankers.examples import Examples, ItemTable, RatingScale, VectorTable, build_examples
from trackrec.rankers.fit import fit_ranker, one_thread, predict, seeded
from trackrec.serving.item_text import ItemText

SERVING = "serving.json"
PROJECTION = "projection.safetensors"
HELD_OUT = 10
"""One user in so many stops the training and gives the figures."""


def fit_serving_ranker(
    run: Path, vectors: pl.DataFrame, settings: RankingSettings, out: Path, seed: int
) -> dict[str, Any]:
    """Fit a ranker on a run's examples, with the published texts of those who have one, and save it.

    A share of the texts is switched off in training, so that the ranking without a text means something.

    Args:
        run: a run folder with the tables ``examples, histories, items`` and its projection, and ``item-vectors`` if
            the settings say ``item_text``.
        vectors: ``user_id`` (of the run's type) ``, vector`` (the encoder's own).
        settings: backbone, sizes, training and examples a user of the run's recipe.
        out: gets the ranker, its projection and ``serving.json``, and the items' vectors as the ranker reads them.
        seed: everything follows from it.

    Returns:
        Numbers of users, and AUC and LogLoss on users held out, with their text and without.

    Raises:
        RunError: the run lacks a table, or fewer than two users have a vector.
    """
    tables = {name: _table(run, name) for name in ("examples", "histories", "items")}
    frame, items = tables["examples"], tables["items"]
    if vectors.height < 2:
        raise RunError(f"{vectors.height} users of {run} have a published vector: a ranker needs two at least")
    users = frame["user_id"].unique().sort()
    held = pl.Series(values=[user for user in users.to_list() if stable_hash(user) % HELD_OUT == 0], dtype=users.dtype)
    present = vectors.filter(pl.col("vector").is_not_null())
    raw: Floats = np.asarray(present["vector"].to_list(), dtype=np.float32)
    projection = Projection.load(as_written(run, run / PROJECTION))
    rows = present.select("user_id").with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64))
    catalogue = ItemTable.from_catalogue(items)
    is_held = pl.col("user_id").is_in(held.implode())
    split = {"train": frame.filter(~is_held), "held": frame.filter(is_held)}
    parts = {name: sample_rows(part, settings.examples_per_user, seed) for name, part in split.items()}
    scale = RatingScale.fit(parts["train"]["recent_ratings"].explode())
    text = ItemText.none(catalogue)
    if settings.item_text:
        text = ItemText.of(_table(run, ITEM_VECTORS), catalogue, parts["train"], settings.item_components)
    table = replace(VectorTable.from_vectors(raw, projection), items=text.tables)
    built = {name: build_examples(part, catalogue, scale, settings.recent) for name, part in parts.items()}
    examples = {name: text.beside(built[name]).with_vectors(example_rows(rows, parts[name])) for name in parts}
    fit = settings.fit.model_copy(update={"vector_dropout": max(0.2, settings.fit.vector_dropout)})
    sizes = RankerSizes.of(catalogue, scale, examples["train"], table)
    with one_thread():
        with seeded(seed):
            model: Any = build_ranker(settings.backbone, sizes, settings.model)
        fit_ranker(model, examples["train"], examples["held"], fit, seed, table)
    without = examples["held"].with_vectors(torch.zeros_like(examples["held"].vector))
    label = examples["held"].label.numpy().astype(np.float64)
    figures: dict[str, Any] = {
        "users": users.len(),
        "users_with_text": present.height,
        "examples": len(examples["train"]),
        "held_out_examples": len(examples["held"]),
    }
    for name, part in (("with_text", examples["held"]), ("without_text", without)):
        probability = predict(model, part, table)
        figures[f"auc_{name}"] = round(auc(label, probability), 4)
        figures[f"log_loss_{name}"] = round(log_loss(label, probability), 4)
    save_ranker(out, model, settings.backbone, sizes, settings.model)
    projection.save(out / PROJECTION)
    text.save(out)
    counts = tables["histories"]["item_id"].value_counts(sort=True)["item_id"].head(1_000).to_list()
    told_json = {"rating_edges": scale.edges.tolist(), "popular": counts, "seed": seed, "figures": figures}
    (out / SERVING).write_text(json.dumps(told_json) + "\n", encoding="utf-8")
    return figures


class ServingRanker:
    """A ranker in memory.

    Args:
        folder: as :func:`fit_serving_ranker` wrote it.

    Raises:
        RunError: it holds no such ranker.
    """

    def __init__(self, folder: Path) -> None:
        model, sizes = load_ranker(folder)
        if not (folder / SERVING).is_file() or not (folder / PROJECTION).is_file():
            raise RunError(
                f"{folder} holds a ranker, but no {SERVING} and {PROJECTION}: let trackrec publish --run fit one"
            )
        told = json.loads((folder / SERVING).read_text(encoding="utf-8"))
        self.model: Any = model
        self.sizes = sizes
        self.projection = Projection.load(folder / PROJECTION)
        self.text = ItemText.load(folder, sizes)
        self.scale = RatingScale(np.asarray(told["rating_edges"], dtype=np.float64))
        self.popular: list[Any] = told["popular"]
        """Items that many have, the most popular first."""
        self.figures: dict[str, Any] = told["figures"]
        self._middle = float(np.median(self.scale.edges)) if len(self.scale.edges) else 0.0
        self._rows = {str(item): row for row, item in enumerate(sizes.items.ids.to_list(), start=1)}

    def knows(self, item_id: Any) -> bool:
        """Whether the item is in the catalogue that the ranker was fitted with."""
        return str(item_id) in self._rows

    def rank(
        self, raw_vector: Floats | None, events: Sequence[tuple[Any, float | None]], candidates: Sequence[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """How likely the person is to like each candidate, with the text and without, each of shape (candidates,).

        Args:
            raw_vector: of the text, as the encoder gives it; None: there is none, and both are the same.
            events: items and ratings, oldest first; unknown items are left out, and the last ones are in view. An
                event without a rating counts as one in the middle of the scale.
            candidates: items of the catalogue. What the ranker reads of their texts was encoded when it was fitted.
        """
        seen = [(self._rows[str(item)], rating) for item, rating in events if str(item) in self._rows]
        seen = seen[-self.sizes.recent :] if self.sizes.recent else []
        number, length = len(candidates), self.sizes.recent
        recent, rating = torch.zeros(length, dtype=torch.int64), torch.zeros(length, dtype=torch.int64)
        if seen:
            recent[: len(seen)] = torch.tensor([row for row, _ in seen])
            given = np.array([self._middle if value is None else value for _, value in seen], dtype=np.float64)
            rating[: len(seen)] = torch.from_numpy(self.scale.rows(given))
        table = VectorTable(torch.zeros(1, self.projection.directions.shape[1]), self.text.tables)
        copies = 1
        if raw_vector is not None and raw_vector.shape == self.projection.mean.shape:
            table = replace(VectorTable.from_vectors(raw_vector[None, :], self.projection), items=self.text.tables)
            copies = 2
        items = torch.tensor([self._rows[str(item)] for item in candidates], dtype=torch.int64).repeat(copies)
        examples = Examples(
            item=items,
            recent=recent.expand(copies * number, length),
            rating=rating.expand(copies * number, length),
            seen=torch.full((copies * number,), len(seen)),
            dense=torch.zeros(copies * number, 0),
            vector=(torch.arange(copies * number) < number).long() * (copies - 1),
            label=torch.zeros(copies * number),
            item_vectors=self.text.rows[items],
        )
        with torch.inference_mode():
            chances = torch.sigmoid(self.model(examples, table).double()).numpy()
        return chances[:number], chances[-number:]


def _table(run: Path, name: str) -> pl.DataFrame:
    path = run / "tables" / f"{name}.parquet"
    if not path.is_file():
        raise RunError(f"the run {run} has no table {name!r} ({path}): run its recipe first")
    return read_table(as_written(run, path))
