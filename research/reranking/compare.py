"""Re-rankers with and without RecCoTs: the same lists, folds and seeds for each arm, and only the vectors differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
import torch
from pydantic import Field

from research.comparison.study_arm import StudyArm, as_study_arm
from research.metrics.lists import LIST_METRICS
from research.reranking.examples import ListExamples, build_list_examples
from research.reranking.fit import fit_reranker, score_lists
from research.reranking.list_inputs import ListModelSettings, ListShape
from research.reranking.lists import ListSettings, build_lists
from research.reranking.registry import RerankerName, build_reranker
from trackrec.data.statistics import ItemStatistics
from trackrec.errors import RecipeError, RunError
from trackrec.features.encoder import Floats, present_vectors
from trackrec.features.projection import Projection
from trackrec.rankers.arm import Inputs, arm_vectors
from trackrec.rankers.compare import SplitTables, Trial, search
from trackrec.rankers.examples import ItemTable, RatingScale, VectorTable
from trackrec.rankers.fit import FitSettings, one_thread, seeded
from trackrec.settings import Settings
from trackrec.users.history_features import ranker_numbers

INITIAL = "initial"
"""The arm that leaves the initial order as it is; no model is trained."""


class RerankingSettings(Settings):
    """Re-rankers with and without RecCoTs, on the ranker users."""

    name: RerankerName = "prm"
    """Which re-ranker: dlcm, prm, setrank or mir."""
    components: int = Field(default=6, ge=1)
    """Directions of the text vectors that the model reads."""
    recent: int = Field(default=0, ge=0)
    """Recent events in view: those before a list's first event; 0: none. It cannot exceed what the split keeps."""
    folds: int | None = Field(default=None, ge=1)
    """How many of the folds are tested in turn; null: all."""
    seeds: int = Field(default=3, ge=1)
    """Trainings per fold and arm."""
    lists: ListSettings = ListSettings()
    model: ListModelSettings = ListModelSettings()
    fit: FitSettings = FitSettings(epochs=10, batch=128)
    search: tuple[Trial, ...] = ()
    """Settings that are tried in each fold with the first seed, by the loss on its validation users; empty: those
    above."""


def compare_rerankers(
    split: SplitTables,
    roles: pl.DataFrame,
    items: pl.DataFrame,
    interactions: pl.DataFrame,
    arms: Mapping[str, Inputs],
    settings: RerankingSettings,
    seed: int,
    statistics: ItemStatistics | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Train and test a re-ranker per arm, fold and seed; beside them stands the initial order itself.

    Folds, projection and seeds as in :func:`trackrec.rankers.compare.compare_arms`: fold f is tested, fold f + 1 stops
    the training early, the others train.

    Args:
        split: histories and examples.
        roles: ``user_id, role, fold``; rows with another role than "ranker" are left out.
        items: the catalogue.
        interactions: the whole log, see :func:`research.reranking.lists.build_lists`.
        arms: name -> :class:`research.comparison.study_arm.StudyArm` (one source of items at most, no scores: nobody
            scored the sampled candidates), or only ``user_id, vector``, or None for a model that reads no text.
        settings: see :class:`RerankingSettings`.
        seed: lists are drawn by it; the trainings of seed number s use ``seed + s``.
        statistics: counts among users without the role "ranker": the initial order and two dense features.
        progress: called with (trainings done, trainings in all).

    Returns:
        ``arm, seed, trial, fold, user_id, list, likes, map_3, map_7, ndcg_3, ndcg_7``, one row per arm, seed and test
        list; ``trial`` as in :func:`trackrec.rankers.compare.compare_arms`.
        Metrics are NaN for lists without a like, in all arms alike; the arm "initial" has one seed.

    Raises:
        RunError: fewer than three folds of ranker users have lists, or an arm has no vector for training users, or
            what no re-ranker reads.
    """
    read = {name: _readable(name, as_study_arm(inputs)) for name, inputs in arms.items()}
    users = roles.filter(pl.col("role") == "ranker").select("user_id", pl.col("fold").cast(pl.Int64))
    examples = split.examples.join(users, on="user_id", how="semi", maintain_order="left")
    lists = build_lists(examples, interactions, items, settings.lists, seed, statistics)
    lists = lists.join(users, on="user_id", how="left", maintain_order="left")
    folds = sorted(lists["fold"].unique().to_list())
    if len(folds) < 3:
        raise RunError(
            f"Ranker users with lists are in {len(folds)} folds, but training, validation and test need 3 at least: "
            "give the split more ranker users or folds (roles.ranker_folds), or lower lists.shortest."
        )
    if settings.folds is not None and settings.folds > len(folds):
        raise RecipeError(f"folds is {settings.folds}, but the split has {len(folds)}: choose 1 to that.")
    like_share = None if statistics is None else statistics.global_share
    catalogue = ItemTable.from_catalogue(items)
    numbers = ranker_numbers(split.histories, items, roles)
    tested = folds[: settings.folds]
    total = len(arms) * len(tested) * settings.seeds
    done, tables = 0, []
    for fold in tested:
        stop = folds[(folds.index(fold) + 1) % len(folds)]
        parts = [
            lists.filter(pl.col("fold") == fold),
            lists.filter(pl.col("fold") == stop),
            lists.filter(~pl.col("fold").is_in([fold, stop])),
        ]
        test, _, train = parts
        scale = RatingScale.fit(train["recent_ratings"].explode())
        plain = [
            build_list_examples(part, catalogue, scale, settings.recent, settings.lists.length, like_share)
            for part in parts
        ]
        tables.append(_values(INITIAL, seed, test, plain[0], -plain[0].place.double()))
        held_out = pl.concat(parts[:2])["user_id"].unique().to_list()
        for name, arm in read.items():
            table, rows = arm_vectors(arm.users, train, held_out, numbers, settings.components, name, "rerank")
            item_width = settings.components if arm.item_components is None else arm.item_components
            item_table, item_rows = item_vectors_table(arm.items[0] if arm.items else None, catalogue, item_width)
            table, item_table = _same_width(table, item_table)
            shape = ListShape(
                catalogue,
                scale.buckets,
                settings.lists.length,
                settings.recent,
                plain[0].dense.shape[2],
                next((found.values.shape[1] for found in (table, item_table) if found is not None), 0),
                user_text=table is not None,
                item_text=item_table is not None,
            )
            shown = [
                batch.with_vectors(_user_rows(rows, part), item_rows) for batch, part in zip(plain, parts, strict=True)
            ]
            train_one = partial(_train_and_score, settings, shape, shown, table, item_table)
            seeds = [seed + number for number in range(settings.seeds)]
            for used, (trial, scores) in zip(seeds, search(settings.search, train_one, seeds), strict=True):
                tables.append(_values(name, used, test, shown[0], scores, trial))
                done += 1
                if progress is not None:
                    progress(done, total)
    return pl.concat(tables)


def _train_and_score(
    settings: RerankingSettings,
    shape: ListShape,
    parts: Sequence[ListExamples],
    users: VectorTable | None,
    items: VectorTable | None,
    trial: Trial,
    seed: int,
) -> tuple[float, torch.Tensor]:
    """Loss on the validation users' lists, and the scores of the test lists; ``parts``: test, validation, training."""
    test, validation, train = parts
    sizes = settings.model.model_copy(update={"adaptor": trial.adapt(settings.model.adaptor)})
    with one_thread():
        with seeded(seed):
            model = build_reranker(settings.name, shape, sizes)
        result = fit_reranker(model, train, validation, trial.fit(settings.fit), seed, users, items)
        return min(result.validation_loss), score_lists(model, test, users, items)


def _readable(name: str, arm: StudyArm) -> StudyArm:
    if arm.scores or len(arm.items) > 1:
        raise RunError(
            f"Arm {name!r} has {len(arm.scores)} validators' scores and {len(arm.items)} sources of items, but a "
            "re-ranker reads no scores and one source of items: give it an arm of its own."
        )
    return arm


def item_vectors_table(
    vectors: pl.DataFrame | None, catalogue: ItemTable, components: int
) -> tuple[VectorTable | None, pl.DataFrame | None]:
    """The projected vectors of items and ``row, vector_row``: catalogue rows and where their vectors are.

    The directions are the main ones of the catalogue's vectors: item texts hold nothing of any user.
    """
    if vectors is None:
        return None, None
    present = present_vectors(vectors).unique("item_id", keep="first", maintain_order=True)
    present = present.filter(pl.col("item_id").is_in(catalogue.ids.implode()))
    if present.height < 2:
        raise RunError(f"{present.height} items of the catalogue have a vector: nothing can be learned from them.")
    values: Floats = np.asarray(present["vector"].to_list(), dtype=np.float32)
    table = VectorTable.from_vectors(values, Projection.fit(values, components))
    rows = pl.DataFrame({"row": catalogue.rows(present["item_id"]).numpy()}).with_row_index("vector_row", offset=1)
    return table, rows


def _same_width(users: VectorTable | None, items: VectorTable | None) -> tuple[VectorTable | None, VectorTable | None]:
    """Few texts have few directions; the adaptor reads both sources at one width."""
    if users is None or items is None:
        return users, items
    width = max(users.values.shape[1], items.values.shape[1])
    wider = [VectorTable(torch.nn.functional.pad(t.values, (0, width - t.values.shape[1]))) for t in (users, items)]
    return wider[0], wider[1]


def _user_rows(rows: pl.DataFrame, lists: pl.DataFrame) -> torch.Tensor:
    """Each list's row in the table of user vectors, 0 for users without one; int64, shape (lists,)."""
    heads = lists.unique(["user_id", "list"], keep="first", maintain_order=True).select("user_id")
    joined = heads.join(rows, on="user_id", how="left", maintain_order="left")
    return torch.from_numpy(joined["row"].fill_null(0).cast(pl.Int64).to_numpy().copy())


def _values(
    arm: str, seed: int, lists: pl.DataFrame, batch: ListExamples, scores: torch.Tensor, trial: int = 0
) -> pl.DataFrame:
    """The metrics of each list."""
    heads = lists.unique(["user_id", "list"], keep="first", maintain_order=True).select("fold", "user_id", "list")
    labels, mask, numbers = batch.label.numpy(), batch.mask.numpy(), scores.double().numpy()
    return heads.select(
        pl.lit(arm).alias("arm"),
        pl.lit(seed, dtype=pl.Int64).alias("seed"),
        pl.lit(trial, dtype=pl.Int8).alias("trial"),
        "fold",
        "user_id",
        "list",
        pl.Series("likes", labels.sum(axis=1).astype(np.int64)),
        *(pl.Series(name, metric(labels, numbers, k, mask)) for name, (metric, k) in LIST_METRICS.items()),
    )
