"""The comparison of arms: the same folds, seeds and examples for each, and only the user's vector differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from trackrec.data.log import stable_hash
from trackrec.data.statistics import ItemStatistics
from trackrec.errors import RecipeError, RunError
from trackrec.ranking.backbones import Backbone, build_ranker
from trackrec.ranking.features import Examples, ItemTable, RatingScale, VectorTable, build_examples, coverage
from trackrec.ranking.fit import FitSettings, fit_ranker, one_thread, predict, seeded
from trackrec.ranking.projection import Projection, history_numbers
from trackrec.ranking.ranker import BackboneSettings, RankerSizes
from trackrec.ranking.vectors import Floats, present_vectors
from trackrec.settings import Settings


class RankingSettings(Settings):
    """Ordinary recommenders with and without RecCoTs, on the ranker users."""

    encoder: str = "all-minilm-l6-v2"
    """Text encoder: the embedded one by name, a local folder or a Hugging Face id."""
    components: int = 6
    """Directions of the text vectors that the model reads: those that tell most of the history behind."""
    recent: int = 10
    """Recent events in view of the ranker; 0: no sequence. It cannot exceed what the split keeps."""
    folds: int | None = None
    """How many of the folds are tested in turn; null: all."""
    seeds: int = 3
    """Trainings per fold and arm."""
    examples_per_user: int | None = None
    """Most training and validation examples of a user, drawn by a seed; null: all. Test examples are always all."""
    backbone: Backbone = "din"
    """The CTR model."""
    model: BackboneSettings = BackboneSettings()
    fit: FitSettings = FitSettings()


class SplitTables(Protocol):
    """What is read of a split."""

    @property
    def histories(self) -> pl.DataFrame: ...

    @property
    def examples(self) -> pl.DataFrame: ...


def compare_arms(
    split: SplitTables,
    roles: pl.DataFrame,
    items: pl.DataFrame,
    arms: Mapping[str, pl.DataFrame | None],
    settings: RankingSettings,
    seed: int,
    statistics: ItemStatistics | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Train and test a ranker per arm, fold and seed.

    Fold f is tested, fold f + 1 stops the training early, the others train. Rating scale and projection of the
    vectors come from training users alone; what the model knows of other users' tastes are its item embeddings, so
    that comes from training users too. With the same seed all arms start from the same draws and see the same
    batches.

    Args:
        split: histories and examples of :class:`trackrec.data.split.Split`.
        roles: ``user_id, role, fold``; rows with another role than "ranker" are left out.
        items: the catalogue.
        arms: name -> ``user_id, vector`` (see :func:`trackrec.ranking.vectors.user_vectors`), or None for a model
            that takes no text.
        settings: see :class:`RankingSettings`.
        statistics: counts of raters and likes of an item as two dense features. They must come from users without the
            role "ranker" (the LM users): a ranker user's own label in the counts, or left out of them, would show.
        seed: the trainings of seed number s use ``seed + s``.
        progress: called with (trainings done, trainings in all).

    Returns:
        ``arm, seed, fold, user_id, event_id, label, probability``, one row per arm, seed and test example.

    Raises:
        RunError: fewer than three folds of ranker users have examples, or an arm has no vector for training users.
    """
    users = roles.filter(pl.col("role") == "ranker").select("user_id", pl.col("fold").cast(pl.Int64))
    frame = split.examples.join(users, on="user_id", how="inner", maintain_order="left")
    folds = sorted(frame["fold"].unique().to_list())
    if len(folds) < 3:
        raise RunError(
            f"Ranker users with examples are in {len(folds)} folds, but training, validation and test need 3 at least: "
            "give the split more ranker users or folds (roles.ranker_folds)."
        )
    if settings.folds is not None and not 1 <= settings.folds <= len(folds):
        raise RecipeError(f"ranking.folds is {settings.folds}, but the split has {len(folds)} folds: choose 1 to that.")
    like_share = None
    if statistics is not None:
        frame, like_share = statistics.lookup(frame), statistics.global_share
    catalogue = ItemTable.from_catalogue(items)
    numbers = history_numbers(split.histories, items)
    tested = folds[: settings.folds]
    total = len(arms) * len(tested) * settings.seeds
    tables: list[pl.DataFrame] = []
    for fold in tested:
        stop = folds[(folds.index(fold) + 1) % len(folds)]
        test = frame.filter(pl.col("fold") == fold)
        validation = thin(frame.filter(pl.col("fold") == stop), settings.examples_per_user, seed)
        train = thin(frame.filter(~pl.col("fold").is_in([fold, stop])), settings.examples_per_user, seed)
        held_out = frame.filter(pl.col("fold").is_in([fold, stop]))["user_id"].unique().to_list()
        scale = RatingScale.fit(train["recent_ratings"].explode())
        plain = [
            build_examples(part, catalogue, scale, settings.recent, like_share) for part in (train, validation, test)
        ]
        for name, arm in arms.items():
            table, rows = arm_vectors(arm, train, held_out, numbers, settings.components, name)
            parts = [
                examples.with_vectors(example_rows(rows, part))
                for examples, part in zip(plain, (train, validation, test), strict=True)
            ]
            for number in range(settings.seeds):
                probability = _train_and_predict(parts, table, catalogue, scale, settings, seed + number)
                tables.append(
                    test.select(
                        pl.lit(name).alias("arm"),
                        pl.lit(seed + number, dtype=pl.Int64).alias("seed"),
                        "fold",
                        "user_id",
                        "event_id",
                        "label",
                        pl.Series("probability", probability),
                    )
                )
                if progress is not None:
                    progress(len(tables), total)
    return pl.concat(tables)


def coverage_report(split: SplitTables, roles: pl.DataFrame, arms: Mapping[str, pl.DataFrame | None]) -> pl.DataFrame:
    """``arm, users, examples, users_with_vector, examples_with_vector`` among ranker users."""
    users = roles.filter(pl.col("role") == "ranker").select("user_id")
    examples = split.examples.join(users, on="user_id", how="semi")
    return pl.DataFrame([{"arm": name, **coverage(examples, arm)} for name, arm in arms.items()])


def thin(frame: pl.DataFrame, per_user: int | None, seed: int) -> pl.DataFrame:
    """At most ``per_user`` rows of each user, drawn by a seed of the user's own; the order of rows stays."""
    if per_user is None:
        return frame
    kept: list[int] = []
    numbered = frame.with_row_index("_row")
    for (user,), part in numbered.group_by("user_id", maintain_order=True):
        rows = part["_row"].to_numpy()
        if len(rows) > per_user:
            rows = np.random.default_rng([seed, stable_hash(user)]).choice(rows, per_user, replace=False)
        kept.extend(int(row) for row in rows)
    return frame[sorted(kept)]


def arm_vectors(
    arm: pl.DataFrame | None,
    train: pl.DataFrame,
    held_out: list[object],
    numbers: pl.DataFrame,
    components: int,
    name: str,
) -> tuple[VectorTable | None, pl.DataFrame]:
    """The projected vectors of an arm and ``user_id, row`` into them.

    The directions are learned from the vectors of all users but those held out (the arm's LM users count too: no
    label of a target is used) and the histories behind them. For swapped vectors
    that is the history of the user they were written for, so that a placebo's coordinates are those of the real
    arm and only sit with the wrong users.
    """
    if arm is None:
        return None, train.select("user_id").head(0).with_columns(row=pl.lit(0, dtype=pl.Int64))
    present = present_vectors(arm)
    training = present["user_id"].is_in(train["user_id"].unique().to_list()).sum()
    if training < 2:
        raise RunError(
            f"Arm {name!r} has vectors for {training} training users: nothing can be learned from them. "
            "Write RecCoTs for the ranker users, or leave the arm out."
        )
    vectors: Floats = np.asarray(present["vector"].to_list(), dtype=np.float32)
    source = "source_user_id" if "source_user_id" in present.columns else "user_id"
    behind = present.select(user_id=source).join(numbers, on="user_id", how="left", maintain_order="left")
    known = (~present["user_id"].is_in(held_out) & behind["numbers"].is_not_null()).to_numpy()
    told = np.asarray(behind.filter(pl.Series(known))["numbers"].to_list(), dtype=np.float64) if known.any() else None
    fitted = (~present["user_id"].is_in(held_out)).to_numpy() if told is None else known
    table = VectorTable.from_vectors(vectors, Projection.fit(vectors[fitted], components, told))
    rows = present.select("user_id").with_row_index("row", offset=1).select("user_id", pl.col("row").cast(pl.Int64))
    return table, rows


def example_rows(rows: pl.DataFrame, frame: pl.DataFrame) -> torch.Tensor:
    """Each example's row in the vector table, 0 for users without a vector; int64, shape (examples,)."""
    joined = frame.select("user_id").join(rows, on="user_id", how="left", maintain_order="left")
    return torch.from_numpy(joined["row"].fill_null(0).to_numpy().copy())


def _train_and_predict(
    parts: list[Examples],
    table: VectorTable | None,
    items: ItemTable,
    scale: RatingScale,
    settings: RankingSettings,
    seed: int,
) -> npt.NDArray[np.float64]:
    train, validation, test = parts
    with one_thread():
        with seeded(seed):
            model = build_ranker(settings.backbone, RankerSizes.of(items, scale, train, table), settings.model)
        fit_ranker(model, train, validation, settings.fit, seed, table)
        return predict(model, test, table)
