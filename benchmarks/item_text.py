"""What the item's own text is worth to the ranker of a finished run, by how long it is trained.

``python benchmarks/item_text.py RUN [--set ranking.recent=3] [--set ranking.fit.learning_rate=0.02] ...``

Trains ``ranking`` of RUN's recipe, with these changes, without a text, with another user's and with the user's own,
each without the item's text and with it (what ``ranking.item_text`` is): same examples, folds and seeds. RUN is only
read.
A first JSON line tells the settings; then one a metric and pair of arms, on all items and on new ones: ``items, arm,
against, metric, value, against_value, difference, lower, upper``; intervals over users, 2,000 draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the studies are not installed

from research.comparison.setup import Setup, by_arm, contrasts
from trackrec.data.new_items import NEW
from trackrec.features.encoder import swap_vectors
from trackrec.files.tables import read_table
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.item_text import catalogue_vectors
from trackrec.progress import Reporter
from trackrec.rankers.arm import Arm, Inputs
from trackrec.rankers.compare import compare_arms
from trackrec.recipe import load_recipe
from trackrec.run import Run

DRAWS = 2_000
NO_TEXT, SWAPPED, OWN = "no text", "another user's", "own"
ITEM = " + item"


def main() -> None:
    """Train, and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--set", action="append", default=[], help="a change of the recipe, such as ranking.recent=3")
    told = parser.parse_args()
    recipe = load_recipe(told.run / "recipe.yaml", told.set)
    torch.set_num_threads(1)
    data = Dataset.of(Run(told.run, Reporter(), recipe.seed, reading=True))
    users = data.ranker_users(recipe.write_for)
    vectors = read_table(told.run / "vectors.parquet")
    own = vectors.join(users.select("user_id"), on="user_id", how="semi", maintain_order="left")
    swapped = swap_vectors(own, users.select("user_id", "fold"), recipe.seed)
    items, ranking = catalogue_vectors(data.items, recipe), recipe.ranking
    arms: dict[str, Inputs] = {
        name + tag: Arm(table, table is not None, sources, ranking.item_components)
        for tag, sources in (("", ()), (ITEM, (items,)))
        for name, table in ((NO_TEXT, None), (SWAPPED, swapped), (OWN, own))
    }
    print(json.dumps({"ranking": ranking.model_dump(mode="json"), "seed": recipe.seed, "users": users.height}))
    found = compare_arms(data, users, data.items, arms, ranking, recipe.seed)
    pairs = [(OWN + tag, other + tag) for tag in ("", ITEM) for other in (NO_TEXT, SWAPPED)]
    pairs += [(name + ITEM, name) for name in (NO_TEXT, OWN)]
    parts = {"all": found}
    if NEW in data.examples.columns:
        new = data.examples.filter(NEW).select("user_id", "event_id")
        parts["new"] = found.join(new, on=["user_id", "event_id"], how="semi", maintain_order="left")
    setup = Setup("ctr", ranking.backbone, ranking.recent, ranking.seeds, primary=False)
    columns = ("metric", "value", "against_value", "difference", "lower", "upper")
    for name, part in parts.items():
        for metric in ("auc", "gauc"):
            rows = contrasts(setup, metric, by_arm(part), pairs, recipe.seed, DRAWS)
            for (arm, against), row in zip(pairs, rows, strict=True):
                told_row = {"items": name, "arm": arm, "against": against} | {column: row[column] for column in columns}
                print(json.dumps(told_row), flush=True)


if __name__ == "__main__":
    main()
