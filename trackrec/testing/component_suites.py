"""What every reward, judge, teacher, text encoder, source, executor and backbone must pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from polars.testing import assert_frame_equal
from torch import Tensor

from trackrec.data.log import Log
from trackrec.judges.base import Validator
from trackrec.judges.rewards import PLACEHOLDER, Reward
from trackrec.metrics.probability import auc
from trackrec.rankers.base import BackboneSettings, RankerSizes, build_ranker, load_ranker, save_ranker
from trackrec.rankers.examples import Examples, ItemTable, VectorTable
from trackrec.rankers.fit import FitSettings, fit_ranker, one_thread, predict, predict_logits, seeded
from trackrec.testing.synthetic import SyntheticData, make_synthetic

SCORES = ["user_id", "sample", "event_id", "label", "yes_probability"]


def check_reward(reward: Reward, by_target: bool) -> None:
    """Check a reward: its rows, and that a user's rewards hang on that user alone.

    Args:
        reward: made by ``make``.
        by_target: whether it stands under the recipe's ``reward`` (each target earns) or ``extra_rewards`` (the text).

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    world = make_synthetic(users=6)
    texts = _samples(world)
    scores = texts.select("user_id", "sample").join(
        world.targets.select("user_id", "event_id", "label"), on="user_id", maintain_order="left_right"
    )
    scores = scores.with_columns(yes_probability=pl.Series(np.random.default_rng(1).random(scores.height)))
    earned = reward(scores, texts, world.histories)
    key = ["user_id", "sample"] + (["event_id"] if by_target else [])
    assert {*key, "reward"} <= set(earned.columns), f"a reward gives {key} and reward, this one gave {earned.columns}"
    expected = (scores if by_target else texts).select(key)
    assert_frame_equal(earned.select(key), expected, check_row_order=by_target)
    assert earned["reward"].cast(pl.Float64).is_finite().all(), "every reward is a finite number"
    one = pl.col("user_id") == 3
    alone = reward(scores.filter(one), texts.filter(one), world.histories.filter(one))
    both = earned.filter(one).select(*key, "reward").sort(key)
    assert_frame_equal(alone.select(*key, "reward").sort(key), both)
    if by_target:
        surer = scores.with_columns(yes_probability=pl.when(pl.col("label") == 1).then(0.9).otherwise(0.1))
        unsure = scores.with_columns(yes_probability=pl.lit(0.5))
        better, worse = (reward(table, texts, world.histories)["reward"] for table in (surer, unsure))
        assert (better >= worse).all(), "who is surer of the truth earns no less"


def check_judge(make_judge: Callable[[SyntheticData], Validator], folder: Path, learns: bool = True) -> None:
    """Check a judge: rows, determinism, a folder that brings it back, and that it reads the text.

    Args:
        make_judge: makes it for a made-up world, not fitted.
        folder: an empty folder.
        learns: whether it is big enough to learn that one text speaks of comedies and another of horror films.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    world = make_synthetic()
    judge = make_judge(world)
    for name in ("kind", "learns_all_targets", "scores_in_shards"):
        assert hasattr(judge, name), f"a judge states {name}"
    told = judge.fit(world.targets, world.texts, folder / "one", 3)
    assert isinstance(told, dict), "fit gives counts and figures"
    assert any((folder / "one").iterdir()), "fit writes what load reads"
    samples = _samples(world)
    scores = judge.score(world.targets, samples)
    assert scores.columns == SCORES, f"score gives {SCORES}, this one gave {scores.columns}"
    assert scores.height == samples.height * world.targets.height // world.texts.height, "a row a RecCoT and target"
    assert scores["yes_probability"].is_between(0, 1).all(), "P(Yes) is in [0, 1]"
    loaded = make_judge(world)
    loaded.load(folder / "one")
    assert_frame_equal(loaded.score(world.targets, samples), scores)
    again = make_judge(world)
    again.fit(world.targets, world.texts, folder / "two", 3)
    assert_frame_equal(again.score(world.targets, samples), scores)
    one = pl.col("user_id") == 5
    alone = judge.score(world.targets.filter(one), samples.filter(one))
    assert_frame_equal(alone, scores.filter(one), abs_tol=1e-5)
    if learns:
        found = {
            sample: auc(part["label"].to_numpy(), part["yes_probability"].to_numpy())
            for (sample,), part in scores.group_by("sample")
        }
        assert found[0] > found[1] + 0.05, f"a true text must predict better than a false one: AUC by sample {found}"


def check_teacher(teacher: Any) -> None:
    """Check a teacher: frames in and out, the same seed the same texts, nobody's text hangs on others.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    world = make_synthetic(users=5)
    texts = teacher.write(world.histories, seed=1, per_user=2)
    assert texts.columns == ["user_id", "sample", "text"], f"a teacher gives user_id, sample, text: {texts.columns}"
    assert texts.select("user_id", "sample").unique().height == texts.height, "one text a user and sample"
    assert set(texts["user_id"]) <= set(world.histories["user_id"]), "texts of the users that were asked for, no others"
    assert texts["text"].str.strip_chars().str.len_chars().min() > 0, "no text is empty"
    assert_frame_equal(teacher.write(world.histories, seed=1, per_user=2), texts)
    one = pl.col("user_id") == 3
    alone = teacher.write(world.histories.filter(one), seed=1, per_user=2)
    assert_frame_equal(alone, texts.filter(one))


def check_encoder(encoder: Any) -> None:
    """Check a text encoder: shape, float32, the same vector whatever stands beside, other texts other vectors.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    texts = ["They like comedies.", "They like horror films.", "Sie mögen Komödien. 喜剧", "word " * 2000]
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32, f"vectors are float32, these are {vectors.dtype}"
    assert vectors.shape[0] == len(texts), f"one vector a text, not {vectors.shape}"
    assert vectors.ndim == 2, f"shape (texts, dimensions), not {vectors.shape}"
    assert np.isfinite(vectors).all(), "vectors are finite"
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.allclose(alone, vectors, atol=1e-5), "a text's vector does not hang on the others"
    assert len(np.unique(vectors.round(6), axis=0)) == len(texts), "other texts, other vectors"
    assert encoder.encode([]).shape == (0, vectors.shape[1]), "no text, no vector"


def check_source(read: Callable[..., Log], folder: Path | None = None) -> Log:
    """Check a source: what it reads is a checked log, the same each time.

    Args:
        read: the reader.
        folder: what it reads; None: it takes none.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    arguments: Sequence[Any] = () if folder is None else (folder,)
    log = read(*arguments)
    assert isinstance(log, Log), f"a source gives a Log, this one gave {type(log).__name__}"
    for column in ("user_id", "item_id", "rating", "timestamp", "event_id"):
        assert column in log.interactions.columns, f"interactions lack {column}"
    assert log.interactions["event_id"].is_unique().all(), "event ids are unique"
    assert {"item_id", "title"} <= set(log.items.columns), "items have item_id and title"
    unknown = log.interactions.join(log.items, on="item_id", how="anti")
    assert unknown.height == 0, f"{unknown.height} interactions are with items that the catalogue lacks"
    assert_frame_equal(read(*arguments).interactions, log.interactions)
    return log


def _samples(world: SyntheticData) -> pl.DataFrame:
    """Of each user the placeholder, the true text (sample 0) and another user's, which is false (sample 1)."""
    count = world.texts.height
    told = world.texts["text"].to_list()
    rows = [
        (user, sample, text)
        for user in range(count)
        for sample, text in ((PLACEHOLDER, None), (0, told[user]), (1, told[(user + 1) % count]))
    ]
    schema = {"user_id": pl.Int64, "sample": pl.Int16, "text": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(finished=pl.lit(True))


SHARDS = (3, 0, 2, 5, 1, 4)


@dataclass(frozen=True)
class _Leaves:
    """Work that leaves a file a shard, wherever it is done, and fails on one."""

    folder: str
    fails_on: int | None = None

    def __call__(self, shard: int) -> dict[str, Any]:
        if shard == self.fails_on:
            raise RuntimeError(f"shard {shard} cannot be done")
        (Path(self.folder) / str(shard)).write_text(str(shard))
        return {"shard": shard, "name": f"{shard:05d}", "counts": {"users": shard}}


def check_executor(executor: Any, folder: Path) -> None:
    """Check an executor: each shard is done, each manifest comes back once, and what fails stops the job.

    Args:
        executor: made by ``make``.
        folder: an empty folder that all its workers can write to.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    assert list(executor.map([], _Leaves(str(folder)))) == [], "no shards, no manifests"
    found = list(executor.map(SHARDS, _Leaves(str(folder))))
    told = sorted(manifest["shard"] for manifest in found)
    assert told == sorted(SHARDS), f"one manifest a shard, in any order: expected {sorted(SHARDS)}, got {told}"
    done = sorted(int(file.name) for file in folder.iterdir())
    assert done == sorted(SHARDS), f"every shard is done: expected {sorted(SHARDS)}, got {done}"
    expected = {shard: _Leaves(str(folder))(shard) for shard in SHARDS}
    assert all(manifest == expected[manifest["shard"]] for manifest in found), (
        "manifests come back as the work gave them"
    )
    again = list(executor.map(SHARDS[:2], _Leaves(str(folder))))
    assert len(again) == 2, "an executor can be used again"
    said = None
    try:
        list(executor.map(SHARDS, _Leaves(str(folder), fails_on=2)))
    except Exception as error:
        said = str(error)
    assert said is not None, "a shard that cannot be done stops the job; this executor went on"
    assert "shard 2" in said, f"the error says which shard failed and why, this one: {said}"


_ITEMS, _LENGTH, _RATINGS, _USERS = 12, 4, 6, 240
_SETTINGS = BackboneSettings(embedding=8, attention_units=(8,), hidden_units=(16,), cin_units=(4, 4), dropout=0.0)


def check_backbone(name: str, folder: Path) -> None:
    """Check a backbone: order of a batch, padding, a missing text, save and load, and that it learns from a text.

    Args:
        name: a name or import path of the registry.
        folder: an empty folder.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    items = ItemTable.from_catalogue(
        pl.DataFrame({"item_id": range(_ITEMS), "genres": [["A"], ["B"]] * (_ITEMS // 2), "year": [1990] * _ITEMS})
    )
    rows, vectors = _planted()
    sizes = RankerSizes(items, _RATINGS, _LENGTH, texts=(3,))
    with seeded(0):
        model: Any = build_ranker(name, sizes, _SETTINGS)
    first = rows.take(slice(0, 20))
    logits = predict_logits(model, first, vectors)
    assert logits.shape == (20,), f"one logit an example: 20 examples gave {tuple(logits.shape)}"
    order = torch.arange(19, -1, -1)
    assert _same(predict_logits(model, first.take(order), vectors), logits[order]), "the order of a batch matters"
    padded = torch.arange(_LENGTH)[None, :] >= first.seen[:, None]
    dirty = replace(first, recent=first.recent + 3 * padded, rating=first.rating + 2 * padded)
    assert _same(predict_logits(model, dirty, vectors), logits), "what stands in padding is read"
    unread = VectorTable(torch.cat([torch.full((1, 3), float("nan")), vectors.values[1:]]))
    assert torch.equal(predict_logits(model, first, unread), logits), "row 0 of the vectors (no text) is read"
    without = predict_logits(model, first.with_vectors(torch.zeros_like(first.vector)), vectors)
    assert not _same(without, logits), "the text's vector is not read"
    save_ranker(folder, model, name, sizes, _SETTINGS)
    loaded, _ = load_ranker(folder)
    assert torch.equal(predict_logits(loaded, first, vectors), logits), "loaded again it gives other logits"
    train, validation, test = (rows.take(slice(a, b)) for a, b in ((0, 900), (900, 1100), (1100, 6 * _USERS)))
    settings = FitSettings(epochs=5, batch=60, learning_rate=0.03, patience=5)
    with one_thread():
        fit_ranker(model, train, validation, settings, 0, vectors)
        found = auc(test.label.numpy(), predict(model, test, vectors))
    assert found > 0.9, f"a rule that the text's first number decides is not learnt: AUC {found:.2f}"


def _planted() -> tuple[Examples, VectorTable]:
    """Six examples a user; the sign of the first number of the user's vector decides whether they are liked."""
    draw = torch.Generator().manual_seed(2)
    count = 6 * _USERS
    who = torch.arange(1, _USERS + 1).repeat_interleave(6)
    values = torch.randn(_USERS + 1, 3, generator=draw)
    seen = torch.arange(count) % (_LENGTH + 1)
    real = torch.arange(_LENGTH)[None, :] < seen[:, None]
    rows = Examples(
        item=torch.randint(1, _ITEMS + 1, (count,), generator=draw),
        recent=torch.randint(1, _ITEMS + 1 - 3, (count, _LENGTH), generator=draw) * real,
        rating=torch.randint(1, _RATINGS - 2, (count, _LENGTH), generator=draw) * real,
        seen=seen,
        dense=torch.zeros(count, 0),
        vector=who,
        label=(values[who, 0] > 0).float(),
    )
    return rows, VectorTable(values)


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)
