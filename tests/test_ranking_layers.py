"""The layers of our own against the library's slower ones, and FiGNN's graph against a sum by hand."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from research.backbones.fibinet import PairProducts
from research.backbones.fignn import FieldGraph
from research.backbones.layers import CIN, FM
from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.dcnv2 import MatrixCross
from trackrec.rankers.deepctr import AttentionSequencePoolingLayer, layers
from trackrec.rankers.din import attend
from trackrec.rankers.examples import Examples, ItemTable, VectorTable
from trackrec.rankers.inputs import TextInputs


@pytest.mark.parametrize("units", [(5,), (5, 4)])
def test_attention_is_the_librarys(units: tuple[int, ...]) -> None:
    layer = AttentionSequencePoolingLayer(units, att_activation="sigmoid", embedding_dim=6)
    for part in layer.modules():
        if isinstance(part, torch.nn.Linear):
            part.reset_parameters()
    query, keys, seen = torch.randn(5, 1, 6), torch.randn(5, 4, 6), torch.arange(5)
    real = torch.arange(4)[None, :] < seen[:, None]
    expected = layer(query, keys, seen.unsqueeze(1)).squeeze(1)
    assert expected[0].eq(0).all()
    assert torch.allclose(attend(layer, query, keys, real), expected, atol=1e-6)


def test_matrix_crosses_are_the_librarys() -> None:
    ours = MatrixCross(6, 2)
    theirs = layers.interaction.CrossNet(6, 2, parameterization="matrix")
    with torch.no_grad():
        for number, layer in enumerate(ours.layers):
            theirs.kernels[number].copy_(layer.weight)
            theirs.bias[number].copy_(layer.bias.unsqueeze(1))
    x = torch.randn(5, 6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_pair_products_are_the_librarys() -> None:
    ours = PairProducts(4, 3)
    theirs = layers.interaction.BilinearInteraction(4, 3, "interaction")
    with torch.no_grad():
        for number, layer in enumerate(theirs.bilinear):
            layer.weight.copy_(ours.weight[number])
    x = torch.randn(5, 4, 3)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_factorisation_machine_sums_inner_products_of_all_pairs() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]]])
    assert FM()(x).item() == pytest.approx((3 - 2) + (0.5 + 8) + (1.5 - 4))


def test_compressed_interaction_multiplies_coordinate_by_coordinate() -> None:
    layer = CIN(2, (1,))
    with torch.no_grad():
        layer.conv1ds[0].weight.fill_(1.0)
        layer.conv1ds[0].bias.zero_()
    x = torch.tensor([[[1.0, 2.0], [3.0, 5.0]]])
    assert layer(x).item() == (1 + 3 + 3 + 9) + (4 + 10 + 10 + 25)


def test_a_node_hears_all_others_but_not_itself() -> None:
    graph = FieldGraph(3, 2, 1)
    with torch.no_grad():
        graph.sender.copy_(torch.eye(2).expand(3, 2, 2))
        graph.receiver.copy_(torch.eye(2).expand(3, 2, 2))
        graph.from_sender.weight.zero_()
        graph.from_receiver.weight.zero_()
    start = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]]])
    heard = torch.tensor([[1.5, 2.0], [2.0, 1.5], [0.5, 0.5]])  # each the mean of the other two
    expected = graph.cell(heard, start[0]) + start[0]
    assert torch.allclose(graph(start)[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["hybrid-expert", "linear"])
def test_many_items_for_one_text_give_what_each_gives_alone(kind: str) -> None:
    items = ItemTable(pl.Series([1, 2]), torch.eye(3)[:, :2], torch.tensor([0, 1, 2]))
    sizes = RankerSizes(items, ratings=3, texts=(4,))
    inputs = TextInputs(sizes, BackboneSettings(adaptor=AdaptorSettings(kind=kind))).eval()  # type: ignore[arg-type]
    table = VectorTable(torch.randn(2, 4, generator=torch.Generator().manual_seed(0)))
    number = 7
    batch = Examples(
        item=torch.ones(number, dtype=torch.int64),
        recent=torch.zeros(number, 0, dtype=torch.int64),
        rating=torch.zeros(number, 0, dtype=torch.int64),
        seen=torch.zeros(number, dtype=torch.int64),
        dense=torch.zeros(number, 0),
        vector=torch.arange(number) % 2,
        label=torch.zeros(number),
    )
    together = inputs(batch, table)[0]
    alone = torch.cat([inputs(batch.take(slice(k, k + 1)), table)[0] for k in range(number)])
    torch.testing.assert_close(together, alone)
    assert together[0, -1] == 0, "row 0 is no text"
    assert together[1, -1] == 1
    inputs.train()
    torch.testing.assert_close(inputs(batch, table)[0], together)
