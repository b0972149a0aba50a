"""One suite that every re-ranker passes; and the lists, losses and texts that they share."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from research.metrics.lists import ndcg_at
from research.reranking.examples import ListExamples, build_list_examples
from research.reranking.fit import candidate_cross_entropy, fit_reranker, list_cross_entropy, score_lists
from research.reranking.list_inputs import ListModelSettings, ListShape
from research.reranking.registry import RERANKERS, RerankerName, build_reranker, load_reranker, save_reranker
from trackrec.errors import RunError
from trackrec.rankers.examples import ItemTable, RatingScale, VectorTable
from trackrec.rankers.fit import FitSettings, seeded

LENGTH, RECENT, FILMS = 10, 4, 40
every_model = pytest.mark.parametrize("name", RERANKERS)
every_view = pytest.mark.parametrize("recent", [0, RECENT])


def catalogue() -> ItemTable:
    genres = [[["A"], ["B"], ["A", "B"]][film % 3] for film in range(FILMS)]
    return ItemTable.from_catalogue(pl.DataFrame({"item_id": range(FILMS), "genres": genres, "year": range(FILMS)}))


def build(name: RerankerName, recent: int = RECENT, components: int = 0, **settings: object) -> torch.nn.Module:
    text = components > 0
    shape = ListShape(catalogue(), 6, LENGTH, recent, 1, components, user_text=text, item_text=text)
    with seeded(0):
        model = build_reranker(name, shape, ListModelSettings(**settings))
    return model.eval()


def lists(count: int = 7, recent: int = RECENT, seed: int = 3) -> ListExamples:
    draw = torch.Generator().manual_seed(seed)
    size = 5 + torch.arange(count) % (LENGTH - 4)
    seen = torch.arange(count) % (recent + 1)
    here = torch.arange(LENGTH)[None, :] < size[:, None]
    real = torch.arange(recent)[None, :] < seen[:, None]
    return ListExamples(
        item=torch.stack([1 + torch.randperm(FILMS, generator=draw)[:LENGTH] for _ in range(count)]) * here,
        place=torch.arange(LENGTH).expand(count, LENGTH) * here,
        size=size,
        dense=torch.randn(count, LENGTH, 1, generator=draw) * here.unsqueeze(-1),
        recent=torch.randint(1, FILMS + 1, (count, recent), generator=draw) * real,
        rating=torch.randint(1, 6, (count, recent), generator=draw) * real,
        seen=seen,
        vector=torch.zeros(count, dtype=torch.int64),
        item_vector=torch.zeros(count, LENGTH, dtype=torch.int64),
        label=torch.randint(0, 2, (count, LENGTH), generator=draw) * here.float(),
    )


def permuted(batch: ListExamples, order: torch.Tensor) -> ListExamples:
    """Each list's candidates in another order, padding still behind."""
    rows = torch.arange(len(batch)).unsqueeze(1)
    names = ("item", "dense", "label", "item_vector", "place")
    return replace(batch, **{name: getattr(batch, name)[rows, order] for name in names})


def shuffle(batch: ListExamples) -> torch.Tensor:
    draw = torch.rand(batch.item.shape, generator=torch.Generator().manual_seed(8))
    return torch.where(batch.mask, draw, 2.0).argsort(dim=1)


@every_model
@every_view
def test_candidates_given_in_another_order_get_the_same_scores(name: RerankerName, recent: int) -> None:
    """Each keeps its place in the initial order: how a list happens to be stored says nothing."""
    batch = lists(recent=recent)
    order = shuffle(batch)
    scores = score_lists(build(name, recent), batch)
    turned = score_lists(build(name, recent), permuted(batch, order))
    assert torch.allclose(turned[batch.mask], torch.gather(scores, 1, order)[batch.mask], atol=1e-5)


@every_model
def test_the_initial_order_counts_where_the_architecture_reads_it(name: RerankerName) -> None:
    """DLCM and PRM are built on it; a set has none, unless SetRank is asked to know it."""
    batch = lists()
    order = shuffle(batch)
    other = replace(batch, place=torch.gather(batch.place, 1, order))
    same = torch.allclose(score_lists(build(name), batch)[batch.mask], score_lists(build(name), other)[batch.mask])
    assert same == (name in ("setrank", "mir"))
    knowing = build("setrank", initial_places=True)
    assert not torch.allclose(score_lists(knowing, batch)[batch.mask], score_lists(knowing, other)[batch.mask])


@every_model
@every_view
def test_padding_changes_nothing(name: RerankerName, recent: int) -> None:
    clean = lists(recent=recent)
    padded = ~clean.mask
    late = torch.arange(recent)[None, :] >= clean.seen[:, None]
    dirty = replace(
        clean,
        item=clean.item + 7 * padded,
        dense=clean.dense + 3 * padded.unsqueeze(-1),
        place=clean.place + 2 * padded,
        recent=clean.recent + 5 * late,
        rating=clean.rating + 4 * late,
    )
    one, two = (score_lists(build(name, recent), batch)[clean.mask] for batch in (clean, dirty))
    assert not torch.equal(clean.item, dirty.item)
    assert torch.allclose(one, two, atol=1e-6)


@every_model
def test_lists_do_not_see_each_other(name: RerankerName) -> None:
    order = torch.tensor([4, 2, 6, 0, 1, 5, 3])
    batch, model = lists(), build(name)
    assert torch.allclose(score_lists(model, batch.take(order)), score_lists(model, batch)[order], atol=1e-5)
    assert torch.allclose(score_lists(model, batch.take(order[:1])), score_lists(model, batch)[order[:1]], atol=1e-5)


@every_model
def test_candidates_see_each_other_and_the_recent_events(name: RerankerName) -> None:
    batch, model = lists(), build(name)
    other_item = torch.where(torch.arange(LENGTH) == 0, 1 + batch.item % FILMS, batch.item)
    moved = score_lists(model, replace(batch, item=other_item)) != score_lists(model, batch)
    assert moved[:, 1:5].any(dim=1).all()
    ratings = torch.where(batch.rating > 0, 1 + batch.rating % 5, 0)
    changed = (score_lists(model, replace(batch, rating=ratings)) != score_lists(model, batch))[:, :5].any(dim=1)
    assert changed.tolist() == (batch.seen > 0).tolist()


@every_model
def test_texts_count_and_missing_ones_are_never_read(name: RerankerName) -> None:
    table = VectorTable(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    broken = VectorTable(table.values.clone())
    broken.values[0] = float("nan")
    model, batch = build(name, components=3), lists()
    rows = batch.with_vectors(torch.tensor([0, 1, 2, 3, 0, 1, 2]), pl.DataFrame({"row": [5, 9], "vector_row": [1, 2]}))
    assert rows.item_vector[rows.item == 5].unique().tolist() in ([], [1])
    with_text = score_lists(model, rows, table, table)
    assert torch.equal(with_text, score_lists(model, rows, broken, broken))
    assert not torch.equal(with_text, score_lists(model, batch, table, table))
    with pytest.raises(ValueError, match=r"takes text vectors: pass users: the table that batch\.vector points to"):
        score_lists(model, rows)


@every_model
def test_a_missing_history_has_finite_gradients(name: RerankerName) -> None:
    batch = replace(lists(), seen=torch.zeros(7, dtype=torch.int64))
    model = build(name).train()
    list_cross_entropy(model(batch), batch.label, batch.mask).backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def planted(count: int, seed: int) -> tuple[ListExamples, VectorTable]:
    """A user's text vector is +1 or -1: those with +1 like items with an odd row, the others those with an even one."""
    draw = torch.Generator().manual_seed(seed)
    batch = lists(count, RECENT, seed)
    taste = torch.randint(0, 2, (count,), generator=draw)
    label = ((batch.item % 2) == taste[:, None]).float() * batch.mask
    return replace(batch, label=label, vector=1 + taste), VectorTable(torch.tensor([[0.0], [-1.0], [1.0]]))


@every_model
def test_a_planted_rule_is_learnt_from_the_text(name: RerankerName) -> None:
    (train, table), (validation, _), (test, _) = planted(600, 1), planted(150, 2), planted(150, 5)
    shape = ListShape(catalogue(), 6, LENGTH, RECENT, 1, 1, user_text=True)
    with seeded(0):
        model = build_reranker(name, shape, ListModelSettings())
    result = fit_reranker(model, train, validation, FitSettings(epochs=25, batch=64, learning_rate=0.02), 1, table)
    assert min(result.validation_loss) < result.validation_loss[0]
    known, blind = score_lists(model, test, table), score_lists(model, test.with_vectors(test.vector * 0), table)
    scores = [float(np.nanmean(ndcg_at(test.label, s.numpy(), 3, test.mask))) for s in (known, blind)]
    assert scores[0] > 0.95
    assert scores[1] < 0.8


@every_model
def test_a_seed_decides_the_training(name: RerankerName) -> None:
    (train, table), (validation, _) = planted(60, 1), planted(30, 2)

    def trained(seed: int) -> torch.Tensor:
        shape = ListShape(catalogue(), 6, LENGTH, RECENT, 1, 1, user_text=True)
        with seeded(seed):
            model = build_reranker(name, shape, ListModelSettings())
        fit_reranker(model, train, validation, FitSettings(epochs=2, batch=16, vector_dropout=0.3), seed, table)
        return score_lists(model, validation, table)

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


@every_model
def test_saved_and_loaded(name: RerankerName, tmp_path: Path) -> None:
    model, other = build(name), build(name)
    for weight in other.parameters():
        torch.nn.init.constant_(weight, 0.1)
    assert not torch.equal(score_lists(model, lists()), score_lists(other, lists()))
    save_reranker(model, tmp_path / "model.safetensors")
    load_reranker(other, tmp_path / "model.safetensors")
    assert torch.equal(score_lists(model, lists()), score_lists(other, lists()))
    with pytest.raises(RunError, match="does not fit this"):
        load_reranker(build(name, embedding=8), tmp_path / "model.safetensors")
    with pytest.raises(RunError, match="no re-ranker in"):
        load_reranker(other, tmp_path / "nothing.safetensors")


def test_losses_by_hand() -> None:
    """Softmax of (0, log 3, x) over two candidates: 1/4 and 3/4."""
    scores = torch.tensor([[0.0, float(np.log(3)), 99.0], [5.0, 1.0, 2.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    one_like = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(list_cross_entropy(scores, one_like, mask)) == pytest.approx(-np.log(3 / 4))
    two_likes = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(list_cross_entropy(scores, two_likes, mask)) == pytest.approx(-(np.log(3 / 4) + np.log(1 / 4)) / 2)
    assert float(list_cross_entropy(scores, torch.zeros(2, 3), mask)) == 0.0
    single = mask & torch.tensor([[True], [False]])
    by_hand = -(np.log(1 / 2) + np.log(3 / 4)) / 2
    assert float(candidate_cross_entropy(scores, one_like, single)) == pytest.approx(by_hand)


def test_tables_become_tensors() -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "b"],
            "list": [0, 0, 1, 1],
            "place": [0, 1, 0, 0],
            "item_id": [4, 2, 7, 9],
            "label": [1, 0, 0, 1],
            "recent_item_ids": [[1, 2], [1, 2], [3], []],
            "recent_ratings": [[5.0, 1.0], [5.0, 1.0], [3.0], []],
            "raters": [3, 0, 0, 0],
            "likes": [3, 0, 0, 0],
        },
        schema_overrides={"recent_item_ids": pl.List(pl.Int64), "recent_ratings": pl.List(pl.Float64)},
    )
    batch = build_list_examples(frame, catalogue(), RatingScale.fit(pl.Series([1.0, 3.0, 5.0])), 2, 3, like_share=0.5)
    assert batch.item.tolist() == [[5, 3, 0], [8, 0, 0], [10, 0, 0]]
    assert batch.size.tolist() == [2, 1, 1]
    assert batch.label.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert batch.recent.tolist() == [[2, 3], [4, 0], [0, 0]]
    assert batch.rating.tolist() == [[3, 1], [2, 0], [0, 0]]
    assert batch.seen.tolist() == [2, 1, 0]
    assert batch.dense.shape == (3, 3, 2)
    assert batch.dense[0, 0, 0] > 0 == batch.dense[0, 1, 0]
    assert batch.mask.tolist() == [[True, True, False], [True, False, False], [True, False, False]]
    with pytest.raises(ValueError, match="a list has 2 candidates: expected at most 1"):
        build_list_examples(frame, catalogue(), RatingScale.fit(pl.Series([1.0])), 2, 1)
    assert [len(getattr(batch, field.name)) for field in fields(batch)] == [3] * 10
