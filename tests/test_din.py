"""The DIN and its adaptor, and the layers from the library."""

from __future__ import annotations

import importlib
import socket
import sys
import threading

import pytest
import torch

from trackrec.rankers.adaptor import AdaptorSettings, HybridExpertAdaptor
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.din import DIN
from trackrec.rankers.examples import Examples, ItemTable, VectorTable
from trackrec.rankers.fit import predict_logits, seeded

LENGTH = 4


def catalogue() -> ItemTable:
    import polars as pl

    items = pl.DataFrame({"item_id": range(9), "genres": [["A"], ["B"], ["A", "B"]] * 3, "year": range(1990, 1999)})
    return ItemTable.from_catalogue(items)


def model(recent: int = LENGTH, components: int = 0, dense: int = 0) -> DIN:
    with seeded(0):
        texts = (components,) if components else ()
        return DIN(RankerSizes(catalogue(), ratings=6, recent=recent, dense=dense, texts=texts), BackboneSettings())


def examples(count: int = 6, recent: int = LENGTH) -> Examples:
    draw = torch.Generator().manual_seed(3)
    seen = torch.arange(count) % (recent + 1)
    real = torch.arange(recent)[None, :] < seen[:, None]
    return Examples(
        item=torch.randint(1, 10, (count,), generator=draw),
        recent=torch.randint(1, 10, (count, recent), generator=draw) * real,
        rating=torch.randint(1, 6, (count, recent), generator=draw) * real,
        seen=seen,
        dense=torch.zeros(count, 0),
        vector=torch.zeros(count, dtype=torch.int64),
        label=torch.zeros(count),
    )


def test_padding_is_never_read() -> None:
    clean = examples()
    padded = torch.arange(LENGTH)[None, :] >= clean.seen[:, None]
    dirty = Examples(**{**vars(clean), "recent": clean.recent + 7 * padded, "rating": clean.rating + 5 * padded})
    assert not torch.equal(clean.recent, dirty.recent)
    assert torch.equal(predict_logits(model(), clean), predict_logits(model(), dirty))


def test_longer_padding_changes_nothing() -> None:
    short = examples()
    wider = {name: torch.nn.functional.pad(getattr(short, name), (0, 3)) for name in ("recent", "rating")}
    assert torch.allclose(
        predict_logits(model(), short), predict_logits(model(), Examples(**{**vars(short), **wider})), atol=1e-6
    )


def test_recent_events_and_their_ratings_count() -> None:
    base = examples()
    other = Examples(**{**vars(base), "rating": torch.where(base.rating > 0, 1 + base.rating % 5, 0)})
    changed = predict_logits(model(), base) != predict_logits(model(), other)
    assert changed.tolist() == (base.seen > 0).tolist()


def test_the_order_of_recent_events_does_not_count() -> None:
    base = examples(recent=2)
    full = Examples(
        **{**vars(base), "recent": base.recent + 1, "rating": base.rating * 0 + 2, "seen": base.seen * 0 + 2}
    )
    turned = Examples(**{**vars(full), "recent": full.recent.flip(1), "rating": full.rating.flip(1)})
    assert torch.allclose(predict_logits(model(2), full), predict_logits(model(2), turned), atol=1e-6)


def test_permuting_a_batch_permutes_its_logits() -> None:
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    logits = predict_logits(model(), examples())
    assert torch.allclose(predict_logits(model(), examples().take(order)), logits[order], atol=1e-6)


def test_without_recent_events_there_is_no_attention() -> None:
    plain = model(recent=0)
    assert plain.attention is None
    assert predict_logits(plain, examples(recent=0)).shape == (6,)


def test_a_switched_off_vector_is_never_read() -> None:
    table = VectorTable(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
    other = VectorTable(table.values.clone())
    other.values[0] = float("nan")
    rows = examples().with_vectors(torch.tensor([0, 1, 2, 0, 1, 2]))
    text = model(components=5)
    assert torch.equal(predict_logits(text, rows, table), predict_logits(text, rows, other))
    assert not torch.equal(predict_logits(text, rows, table), predict_logits(text, examples(), table))
    with pytest.raises(ValueError, match="takes a text vector"):
        text(rows)


def test_adaptor_tells_missing_from_present() -> None:
    adaptor = HybridExpertAdaptor(2, 3, AdaptorSettings(output=4))
    vectors = [torch.zeros(2, 3), torch.ones(2, 3)]
    out = adaptor(vectors, [torch.tensor([True, False]), torch.tensor([True, True])])
    assert out.shape == (2, adaptor.width) == (2, 10)
    assert out[:, 4].tolist() == [1.0, 0.0]
    assert out[:, 9].tolist() == [1.0, 1.0]
    assert torch.equal(out[1, :4], adaptor.missing[0])


def test_importing_the_layers_opens_no_connection_and_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepCTR-Torch asks for its newest version when it is imported, in a thread of its own."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened, or a thread started")

    for name in [name for name in sys.modules if name.split(".")[0] == "deepctr_torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "trackrec.rankers.deepctr", raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    importlib.import_module("trackrec.rankers.deepctr")
    assert "deepctr_torch" in sys.modules
