"""The ranker behind the service: it learns what the texts tell, and comes back from its folder the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.made_publication import GENRES, made_items, made_row
from tests.made_service import fit_made_ranker, made_run
from trackrec.errors import RunError
from trackrec.serving.ranker import ServingRanker


@pytest.mark.parametrize("backbone", ["din", "dcnv2"])
def test_it_ranks_by_what_the_text_tells(backbone: str, tmp_path: Path) -> None:
    figures = fit_made_ranker(made_run(tmp_path), backbone)
    assert figures["auc_with_text"] > figures["auc_without_text"] + 0.1, figures
    ranker = ServingRanker(tmp_path / "ranker")
    assert ranker.figures == figures
    items = made_items()["item_id"].to_list()
    genre = dict(zip(items, made_items()["genres"].list.first(), strict=True))
    raw = np.asarray(made_row(7)["raw_vector"], dtype=np.float32)
    chances, without = ranker.rank(raw, [(1, 3.0), (2, None), ("gone", 5.0)], items)
    first = [genre[items[place]] for place in np.argsort(-chances)[:6]]
    assert first.count(GENRES[7 % 5]) >= 5, first
    assert not np.allclose(chances, without)
    again, _ = ServingRanker(tmp_path / "ranker").rank(raw, [(1, 3.0), (2, None)], items)
    assert np.array_equal(again, chances)
    alone, _ = ranker.rank(raw, [(1, 3.0), (2, None)], items[4:5])
    assert alone[0] == pytest.approx(chances[4], abs=1e-6), "a candidate's chance does not depend on the others"


def test_without_a_text_both_rankings_are_one(tmp_path: Path) -> None:
    fit_made_ranker(made_run(tmp_path))
    chances, without = ServingRanker(tmp_path / "ranker").rank(None, [], ["3", 4])
    assert chances.shape == (2,)
    assert np.array_equal(chances, without)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no table 'examples'"):
        fit_made_ranker(tmp_path)
    run = made_run(tmp_path / "run")
    fit_made_ranker(run)
    (run / "ranker" / "serving.json").unlink()
    with pytest.raises(RunError, match="let trackrec publish --run fit one"):
        ServingRanker(run / "ranker")
