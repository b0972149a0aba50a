"""A whole run with knowledge cards: tags in prompts, texts, claims and targets, citations kept in the texts alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.pipeline.job import run_recipe
from trackrec.recipe import make_recipe


@pytest.mark.slow
def test_a_run_with_cards_tells_and_checks_tags(tiny_model_folder: Path, tmp_path: Path) -> None:
    cards = tmp_path / "cards.jsonl"
    lines = ({"item_id": n, "known": 2, "tags": ["spy" if n % 2 else "heist"], "gist": None} for n in range(1, 41))
    cards.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tree = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log")).model_dump(mode="json")
    tree["knowledge"] = {"cards": str(cards)}
    told = {"history_tokens": 120, "reccot_tokens": 80, "show_tags": 1, "target_tags": 1, "numbered": True}
    tree["prompts"] |= told | {"digest": ["habit", "tags"]}
    tree["teacher"] |= {"max_tokens": 78, "tells": ["habit", "tags", "counts"], "citations": True}
    run = tmp_path / "run"
    run_recipe(make_recipe(tree), run)
    assert set(pl.read_parquet(run / "tables/items.parquet")["tags"].explode()) == {"heist", "spy"}
    texts = pl.read_parquet(run / "tables/teacher.parquet")["text"].to_list()
    # The made-up users like films of one half of the catalogue: exactly those of one tag.
    assert sum(bool(re.search(r"(heist|spy) \(\d+ of \d+ liked\) \[\d", text)) for text in texts) > len(texts) / 2
    assert all(re.search(r"rated \[\d+(, \d+)*\]\.", text) for text in texts)
