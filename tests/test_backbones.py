"""What every CTR backbone must pass: padding, batches, missing vectors, planted rules, no history, save and load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from research.backbones import ALL
from trackrec.errors import RecipeError, RunError
from trackrec.metrics.probability import auc
from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.base import BackboneSettings, RankerSizes, Start, build_ranker, load_ranker, save_ranker
from trackrec.rankers.examples import Examples, ItemTable, RatingScale, VectorTable
from trackrec.rankers.fit import FitSettings, fit_ranker, one_thread, predict, predict_logits, seeded
from trackrec.registry import known

LENGTH, ITEMS, RATINGS = 4, 12, 6
SMALL = BackboneSettings(embedding=8, attention_units=(8,), hidden_units=(16,), cin_units=(4, 4), dropout=0.0)
FULL = {"dense": 2, "scores": 1, "texts": (3, 5)}
every = pytest.mark.parametrize("backbone", ALL)


def catalogue() -> ItemTable:
    genres = [["A"], ["B"], ["A", "B"], []] * (ITEMS // 4)
    return ItemTable.from_catalogue(
        pl.DataFrame({"item_id": range(ITEMS), "genres": genres, "year": range(1990, 1990 + ITEMS)})
    )


def model(backbone: str, recent: int = LENGTH, settings: BackboneSettings = SMALL, **sizes: object) -> nn.Module:
    with seeded(0):
        return build_ranker(backbone, RankerSizes(catalogue(), RATINGS, recent, **sizes), settings)  # type: ignore[arg-type]


def examples(count: int = 10, recent: int = LENGTH) -> Examples:
    """Histories of every length, no text, numbers or scores."""
    draw = torch.Generator().manual_seed(3)
    seen = torch.arange(count) % (recent + 1)
    real = torch.arange(recent)[None, :] < seen[:, None]
    return Examples(
        item=torch.randint(1, ITEMS + 1, (count,), generator=draw),
        recent=torch.randint(1, ITEMS + 1, (count, recent), generator=draw) * real,
        rating=torch.randint(1, RATINGS, (count, recent), generator=draw) * real,
        seen=seen,
        dense=torch.zeros(count, 0),
        vector=torch.zeros(count, dtype=torch.int64),
        label=torch.randint(0, 2, (count,), generator=draw).float(),
    )


def full_examples(count: int = 10, recent: int = LENGTH) -> tuple[Examples, VectorTable]:
    """All inputs there are, with a user vector, an item vector or a score missing here and there."""
    draw = torch.Generator().manual_seed(5)
    score = torch.randn(count, 1, generator=draw)
    score[3] = float("nan")
    rows = replace(examples(count, recent), dense=torch.randn(count, 2, generator=draw)).with_scores(score)
    vectors = VectorTable(torch.randn(4, 3, generator=draw), (torch.randn(6, 5, generator=draw),))
    rows = rows.with_vectors(torch.arange(count) % 4).with_item_vectors((torch.arange(count) % 6).unsqueeze(1))
    return rows, vectors


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-6)


def test_the_registry_holds_every_name() -> None:
    assert set(known("backbone")) == set(ALL)


@every
@pytest.mark.parametrize("start", get_args(Start))
def test_linear_layers_start_as_the_setting_says(backbone: str, start: Start) -> None:
    settings = SMALL.model_copy(update={"start": start, "embedding": 64, "hidden_units": (128, 64)})
    large = [layer for layer in model(backbone, settings=settings).modules() if isinstance(layer, nn.Linear)]
    large = [layer for layer in large if layer.weight.numel() > 3000]
    assert large
    for layer in large:
        given, gives = layer.in_features, layer.out_features
        expected = (2 / (given + gives)) ** 0.5 if start == "xavier" else (3 * given) ** -0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.06)
        assert layer.bias is None or bool(layer.bias.any()) == (start == "torch")


@every
def test_what_stands_in_padding_is_never_read(backbone: str) -> None:
    clean = examples()
    padded = torch.arange(LENGTH)[None, :] >= clean.seen[:, None]
    dirty = replace(clean, recent=clean.recent + 7 * padded, rating=clean.rating + 5 * padded)
    assert not torch.equal(clean.recent, dirty.recent)
    assert same(predict_logits(model(backbone), clean), predict_logits(model(backbone), dirty))


@every
def test_longer_padding_changes_nothing(backbone: str) -> None:
    short = examples()
    wide = replace(short, recent=pad(short.recent, (0, 3)), rating=pad(short.rating, (0, 3)))
    wider = model(backbone, LENGTH + 3)
    wider.load_state_dict(model(backbone).state_dict())
    assert same(predict_logits(model(backbone), short), predict_logits(wider, wide))


@every
def test_real_events_and_their_ratings_count(backbone: str) -> None:
    base = examples()
    other = replace(base, rating=torch.where(base.rating > 0, 1 + base.rating % 5, 0))
    changed = predict_logits(model(backbone), base) != predict_logits(model(backbone), other)
    assert changed.tolist() == (base.seen > 0).tolist()


@every
def test_permuting_a_batch_permutes_its_logits(backbone: str) -> None:
    rows, vectors = full_examples()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    whole = predict_logits(model(backbone, **FULL), rows, vectors)
    assert same(predict_logits(model(backbone, **FULL), rows.take(order), vectors), whole[order])
    alone = torch.cat([predict_logits(model(backbone, **FULL), rows.take(slice(k, k + 1)), vectors) for k in range(10)])
    assert same(alone, whole)
    assert torch.unique(whole).numel() == len(rows)


@every
@pytest.mark.parametrize("kind", ["hybrid-expert", "mlp", "linear"])
def test_a_missing_text_is_a_mask_bit_and_not_zeros(backbone: str, kind: str) -> None:
    rows, vectors = full_examples()
    settings = SMALL.model_copy(update={"adaptor": AdaptorSettings(kind=kind)})  # type: ignore[arg-type]
    ranker = model(backbone, settings=settings, **FULL)
    found = predict_logits(ranker, rows, vectors)
    unread = VectorTable(vectors.values.clone(), (vectors.items[0].clone(),))
    unread.values[0] = unread.items[0][0] = float("nan")
    assert torch.equal(predict_logits(ranker, rows, unread), found), "row 0 was read"
    zeros = VectorTable(torch.zeros(4, 3), (torch.zeros(6, 5),))
    there, gone = rows.with_vectors(rows.vector * 0 + 1), rows.with_vectors(rows.vector * 0)
    assert (predict_logits(ranker, there, zeros) != predict_logits(ranker, gone, zeros)).all()
    without = rows.with_item_vectors(rows.item_vectors * 0)
    changed = predict_logits(ranker, without, vectors) != found
    assert changed.tolist() == (rows.item_vectors[:, 0] > 0).tolist()


@every
def test_a_missing_score_is_a_mask_bit_and_not_zero(backbone: str) -> None:
    rows = examples()
    ranker = model(backbone, scores=1)
    nothing, even = torch.full((len(rows), 1), float("nan")), torch.zeros(len(rows), 1)
    missing = predict_logits(ranker, rows.with_scores(nothing))
    assert missing.isfinite().all()
    assert (missing != predict_logits(ranker, rows.with_scores(even))).all()


@every
def test_without_events_in_view_all_inputs_still_work(backbone: str) -> None:
    rows, vectors = full_examples(recent=0)
    assert predict_logits(model(backbone, 0, **FULL), rows, vectors).isfinite().all()
    bare = ItemTable(pl.Series("item_id", range(ITEMS)), torch.zeros(ITEMS + 1, 0), torch.zeros(ITEMS + 1).long())
    ranker = build_ranker(backbone, RankerSizes(bare, RATINGS), SMALL)
    assert predict_logits(ranker, examples(recent=0)).isfinite().all()
    nobody = replace(examples(), seen=torch.zeros(10, dtype=torch.int64))
    assert predict_logits(model(backbone), nobody).isfinite().all()
    assert len(predict_logits(model(backbone), nobody.take(slice(0, 0)))) == 0


@every
def test_a_long_history_works(backbone: str) -> None:
    assert predict_logits(model(backbone, 60), examples(70, 60)).isfinite().all()


def planted(users: int, rule: str, seed: int) -> tuple[Examples, VectorTable]:
    """Six examples a user. "text": the sign of the first number of his vector decides; "events": whether his events
    were rated high; "match": whether the first numbers of his and of the item's vector have the same sign."""
    draw = torch.Generator().manual_seed(seed)
    rows = replace(examples(users * 6), seen=torch.full((users * 6,), LENGTH))
    values, texts = torch.randn(users + 1, 3, generator=draw), torch.randn(ITEMS + 1, 5, generator=draw)
    who = torch.arange(1, users + 1).repeat_interleave(6)
    item = torch.randint(1, ITEMS + 1, (users * 6,), generator=draw)
    high = torch.rand(users + 1, generator=draw)[who] > 0.5
    likes = {
        "text": values[who, 0] > 0,
        "events": high,
        "match": (values[who, 0] > 0) == (texts[item, 0] > 0),
    }[rule]
    rows = replace(
        rows,
        item=item,
        recent=torch.randint(1, ITEMS + 1, (users * 6, LENGTH), generator=draw),
        rating=torch.where(high.unsqueeze(1), 5, 1).expand(-1, LENGTH),
        label=likes.float(),
        vector=who,
    )
    return rows.with_item_vectors(item.unsqueeze(1)), VectorTable(values, (texts,))


@every
@pytest.mark.parametrize("rule", ["text", "events"])
def test_a_planted_rule_is_learnt(backbone: str, rule: str) -> None:
    rows, vectors = planted(240, rule, seed=2)
    train, validation, test = (rows.take(slice(start, stop)) for start, stop in ((0, 900), (900, 1100), (1100, 1440)))
    settings = FitSettings(epochs=5, batch=60, learning_rate=0.03, patience=5)
    with one_thread():
        ranker = model(backbone, texts=(3, 5))
        fit_ranker(ranker, train, validation, settings, 0, vectors)
        assert auc(test.label.numpy(), predict(ranker, test, vectors)) > 0.9


def test_a_user_text_and_an_item_text_are_brought_together() -> None:
    rows, vectors = planted(400, "match", seed=2)
    train, validation, test = (rows.take(slice(start, stop)) for start, stop in ((0, 1800), (1800, 2100), (2100, 2400)))
    settings = FitSettings(epochs=12, batch=60, learning_rate=0.02, patience=12)
    with one_thread():
        ranker = model("dcnv2", texts=(3, 5))
        fit_ranker(ranker, train, validation, settings, 0, vectors)
        assert auc(test.label.numpy(), predict(ranker, test, vectors)) > 0.9


@every
def test_a_saved_ranker_gives_the_same_scores(backbone: str, tmp_path: Path) -> None:
    rows, vectors = full_examples()
    ranker = model(backbone, **FULL)
    sizes = RankerSizes(catalogue(), RATINGS, LENGTH, **FULL)  # type: ignore[arg-type]
    save_ranker(tmp_path, ranker, backbone, sizes, SMALL)
    before = torch.random.get_rng_state()
    loaded, known = load_ranker(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(predict_logits(loaded, rows, vectors), predict_logits(ranker, rows, vectors))
    assert known.items.rows(pl.Series([0, 5])).tolist() == sizes.items.rows(pl.Series([0, 5])).tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ranker.json", "ranker.safetensors"]


def test_a_folder_without_a_ranker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no ranker: expected ranker\.safetensors and ranker\.json"):
        load_ranker(tmp_path)
    save_ranker(tmp_path, model("dnn"), "dnn", RankerSizes(catalogue(), RATINGS, LENGTH), SMALL)
    described = (tmp_path / "ranker.json").read_text()
    (tmp_path / "ranker.json").write_text(described.replace('"dnn"', '"dnnn"'))
    with pytest.raises(RecipeError, match=r"no backbone 'dnnn': known are .*; the nearest is 'dnn'"):
        load_ranker(tmp_path)


def test_tables_that_do_not_fit_the_model_are_refused() -> None:
    rows, vectors = full_examples()
    with pytest.raises(ValueError, match="The examples point to 1 item sources of text vectors, but the table has 0"):
        predict_logits(model("dnn", texts=(3,)), rows, VectorTable(vectors.values))
    with pytest.raises(ValueError, match="built for 1 sources of text vectors, but got 2"):
        predict_logits(model("dnn", texts=(3,)), rows, vectors)


def test_sizes_follow_from_examples_and_vectors() -> None:
    rows, vectors = full_examples()
    scale = RatingScale.fit(pl.Series([1.0, 2.0, 3.0, 4.0, 5.0]))
    sizes = RankerSizes.of(catalogue(), scale, rows, vectors)
    assert (sizes.ratings, sizes.recent, sizes.dense, sizes.scores, sizes.texts) == (6, LENGTH, 2, 1, (3, 5))
    items_alone = VectorTable(torch.zeros(1, 0), vectors.items)
    assert RankerSizes.of(catalogue(), scale, rows, items_alone).texts == (5,)


def test_large_catalogues_are_looked_up_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers as from the whole catalogue at once."""
    whole = {name: predict_logits(model(name), examples()) for name in ("din", "dien", "dcnv2")}
    monkeypatch.setattr("trackrec.rankers.inputs.WHOLE_CATALOGUE", 0)
    for name, logits in whole.items():
        assert same(predict_logits(model(name), examples()), logits)
