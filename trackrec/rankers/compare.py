"""The comparison of arms: the same folds, seeds and examples for each, and only what each is given differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.data.new_items import known_items
from trackrec.data.statistics import ItemStatistics
from trackrec.errors import RecipeError, RunError
from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.arm import Inputs, as_arm
from trackrec.rankers.base import BackboneSettings, RankerSizes, build_ranker
from trackrec.rankers.examples import Examples, ItemTable, RatingScale, VectorTable, build_examples
from trackrec.rankers.fit import FitSettings, fit_ranker, one_thread, predict, seeded
from trackrec.registry import named
from trackrec.settings import LATER, Settings
from trackrec.users.history_features import ranker_numbers

Trained = TypeVar("Trained")


class Trial(Settings):
    """One point of the search; null: as the recipe has it."""

    adaptor: Literal["hybrid-expert", "mlp", "linear"] | None = None
    """Kind of the adaptor."""
    output: int | None = Field(default=None, ge=1)
    """Width of what the adaptor gives for each source."""
    vector_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of training examples whose text vector is switched off."""
    weight_decay: float | None = Field(default=None, ge=0)
    """AdamW's decay."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training examples, as a share of the recipe's."""
    learning_rate: Annotated[float | None, LATER] = Field(default=None, ge=0)
    """The highest rate of the schedule."""
    patience: Annotated[int | None, LATER] = Field(default=None, ge=1)
    """Stop after this many epochs in a row that were no better on the validation users."""

    def fit(self, settings: FitSettings) -> FitSettings:
        """The training of this trial."""
        names = ("weight_decay", "vector_dropout", "learning_rate", "patience")
        changes = {name: getattr(self, name) for name in names}
        known = {name: value for name, value in changes.items() if value is not None}
        epochs = settings.epochs if self.epochs is None else max(1, round(self.epochs * settings.epochs))
        return settings.model_copy(update={**known, "epochs": epochs})

    def adapt(self, settings: AdaptorSettings) -> AdaptorSettings:
        """The adaptor of this trial."""
        changes = {"kind": self.adaptor, "output": self.output}
        return settings.model_copy(update={name: value for name, value in changes.items() if value is not None})


def search(
    trials: Sequence[Trial], train: Callable[[Trial, int], tuple[float, Trained]], seeds: Sequence[int]
) -> list[tuple[int, Trained]]:
    """Try each trial with the first seed, and train the best with the others.

    Args:
        trials: the declared ones; none: the recipe's settings alone.
        train: given a trial and a seed, the loss on the validation users and whatever was trained.
        seeds: of the trainings.

    Returns:
        For each seed the number of the chosen trial, the same for all, and what was trained. Of equal losses the first
        trial wins.
    """
    tried = [train(trial, seeds[0]) for trial in trials or (Trial(),)]
    best = min(range(len(tried)), key=lambda number: tried[number][0])
    rest = [train((trials or (Trial(),))[best], seed)[1] for seed in seeds[1:]]
    return [(best, trained) for trained in [tried[best][1], *rest]]


class RankingSettings(Settings):
    """Ordinary recommenders with and without RecCoTs, on the ranker users."""

    components: int = Field(default=6, ge=1)
    """Directions of the text vectors that the model reads: those that tell most of the history behind."""
    item_text: Annotated[bool, LATER] = False
    """Whether the ranker of the run and of the service also reads the vector of the item's own text: title, year,
    genres, ``prompts.attributes`` and ``prompts.item_tags``. A user's text then has something to meet. Worth it where
    the catalogue has cards or genres that tell items apart; the arms of studies say themselves what they read."""
    item_components: Annotated[int, LATER] = Field(default=16, ge=1)
    """Directions of the items' vectors that it then reads: the main ones of the items in the training examples."""
    recent: int = Field(default=10, ge=0)
    """Recent events in view of the ranker; 0: no sequence. It cannot exceed what the split keeps."""
    folds: int | None = Field(default=None, ge=1)
    """How many of the folds are tested in turn; null: all."""
    seeds: int = Field(default=3, ge=1)
    """Trainings per fold and arm."""
    examples_per_user: int | None = Field(default=None, ge=1)
    """Most training and validation examples of a user, drawn by a seed; null: all. Test examples are always all."""
    backbone: Annotated[str, named("backbone")] = "din"
    """The CTR model."""
    model: BackboneSettings = BackboneSettings()
    fit: FitSettings = FitSettings()
    search: tuple[Trial, ...] = ()
    """Settings that are tried in each fold with the first seed; the best by LogLoss on the fold's validation users is
    tested. Empty: those above."""


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
    arms: Mapping[str, Inputs],
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
        arms: name -> :class:`trackrec.rankers.arm.Arm`, or only ``user_id, vector`` (see
            :func:`trackrec.features.encoder.user_vectors`), or None for a model that takes no text.
        settings: see :class:`RankingSettings`.
        statistics: counts of raters and likes of an item as two dense features. They must come from users without the
            role "ranker" (the LM users): a ranker user's own label in the counts, or left out of them, would show.
        seed: the trainings of seed number s use ``seed + s``.
        progress: called with (trainings done, trainings in all).

    Returns:
        ``arm, seed, trial, fold, user_id, event_id, label, probability``, one row per arm, seed and test example;
        ``trial`` is the place of the chosen settings in ``settings.search``.

    Raises:
        RunError: fewer than three folds of ranker users have examples, or an arm has no vector for training users.
    """
    frame, folds = ranker_examples(split, roles)
    tested = tested_folds(folds, settings)
    like_share = None
    if statistics is not None:
        frame, like_share = statistics.lookup(frame), statistics.global_share
    catalogue = ItemTable.from_catalogue(items)
    numbers = ranker_numbers(split.histories, items, roles)
    total = len(arms) * len(tested) * settings.seeds
    tables: list[pl.DataFrame] = []
    for fold in tested:
        frames = fold_parts(frame, folds, fold, settings.examples_per_user, seed)
        train, validation, test = frames
        held_out = pl.concat([validation, test])["user_id"].unique().to_list()
        scale = RatingScale.fit(train["recent_ratings"].explode())
        plain = [build_examples(part, catalogue, scale, settings.recent, like_share) for part in frames]
        for name, arm in arms.items():
            table, parts = as_arm(arm).inputs(plain, frames, held_out, numbers, settings.components, name)
            train_one = partial(_train_and_predict, parts, table, catalogue, scale, settings)
            seeds = [seed + number for number in range(settings.seeds)]
            for used, (trial, probability) in zip(seeds, search(settings.search, train_one, seeds), strict=True):
                tables.append(
                    test.select(
                        pl.lit(name).alias("arm"),
                        pl.lit(used, dtype=pl.Int64).alias("seed"),
                        pl.lit(trial, dtype=pl.Int8).alias("trial"),
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


def ranker_examples(split: SplitTables, roles: pl.DataFrame) -> tuple[pl.DataFrame, list[int]]:
    """The ranker users' examples with their ``fold``, and the folds, ascending.

    Raises:
        RunError: fewer than three folds have examples.
    """
    users = roles.filter(pl.col("role") == "ranker").select("user_id", pl.col("fold").cast(pl.Int64))
    frame = split.examples.join(users, on="user_id", how="inner", maintain_order="left")
    folds = sorted(frame["fold"].unique().to_list())
    if len(folds) < 3:
        raise RunError(
            f"Ranker users with examples are in {len(folds)} folds, but training, validation and test need 3 at least: "
            "give the split more ranker users or folds (roles.ranker_folds)."
        )
    return frame, folds


def tested_folds(folds: list[int], settings: RankingSettings) -> list[int]:
    """The folds that are tested in turn.

    Raises:
        RecipeError: there are not so many.
    """
    if settings.folds is not None and not 1 <= settings.folds <= len(folds):
        raise RecipeError(f"ranking.folds is {settings.folds}, but the split has {len(folds)} folds: choose 1 to that.")
    return folds[: settings.folds]


def fold_parts(
    frame: pl.DataFrame, folds: list[int], fold: int, per_user: int | None, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Training, validation and test examples when a fold is tested: the next fold stops the training early.

    New items (see :mod:`trackrec.data.new_items`) are in the test alone.
    """
    stop, known = folds[(folds.index(fold) + 1) % len(folds)], known_items(frame)
    train = sample_rows(known.filter(~pl.col("fold").is_in([fold, stop])), per_user, seed)
    return (
        train,
        sample_rows(known.filter(pl.col("fold") == stop), per_user, seed),
        frame.filter(pl.col("fold") == fold),
    )


def sample_rows(frame: pl.DataFrame, per_user: int | None, seed: int) -> pl.DataFrame:
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


def _train_and_predict(
    parts: list[Examples],
    table: VectorTable | None,
    items: ItemTable,
    scale: RatingScale,
    settings: RankingSettings,
    trial: Trial,
    seed: int,
) -> tuple[float, npt.NDArray[np.float64]]:
    """LogLoss on the validation users, and the probabilities of the test examples."""
    train, validation, test = parts
    sizes = settings.model.model_copy(update={"adaptor": trial.adapt(settings.model.adaptor)})
    with one_thread():
        with seeded(seed):
            model = build_ranker(settings.backbone, RankerSizes.of(items, scale, train, table), sizes)
        result = fit_ranker(model, train, validation, trial.fit(settings.fit), seed, table)
        return min(result.validation_loss), predict(model, test, table)
