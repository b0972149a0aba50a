"""What every backbone of a ranker must pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from trackrec.metrics.probability import auc
from trackrec.rankers.backbones import build_ranker, load_ranker, save_ranker
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, ItemTable, VectorTable
from trackrec.rankers.fit import FitSettings, fit_ranker, one_thread, predict, predict_logits, seeded

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
