"""Two ways to get more out of the RecCoTs of a finished comparison: pooled over rounds, and a tuned encoder.

``python benchmarks/text_vectors.py RUN [--models din-3 prm-0] [--pairs 8]``

RUN is a run folder in which ``python -m research compare`` has encoded its texts. Beside the arms "no text" and "final
round" it
trains, with one seed a fold, the arms

* ``pooled``: the mean of a user's vectors over all rounds that wrote (left out if there is one round alone);
* ``tuned``: the final round's texts by the recipe's encoder after tuning on LM users, where a teacher's RecCoT of a
  user (anchor) must lie nearer to an item that the user liked than to the other items of its batch
  (MultipleNegativesRankingLoss, one epoch, ``--pairs`` items a user). No ranker user is read for that;
* ``items``, ``items, tuned``: the item texts (title and attributes) beside the user's vector, by each encoder.

One JSON line a model, metric and pair of arms: ``model, metric, arm, against, value, against_value, difference, lower,
upper``; intervals over users, 4,000 draws.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))  # the studies are not installed

from research.comparison.arms import FINAL, NO_TEXT, Arms, round_name
from research.comparison.extra_arms import ExtraSettings
from research.comparison.job import SEARCH
from research.comparison.setup import Setup, by_arm, contrasts, train_arm
from research.comparison.study_arm import StudyArm
from research.reranking.registry import RERANKERS
from trackrec.assets import resolve_encoder
from trackrec.data.log import stable_hash
from trackrec.data.roles import Role
from trackrec.features.encoder import TextEncoder, item_vectors, shared_encoder, user_vectors
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.features import Features
from trackrec.progress import Reporter
from trackrec.prompts.domains import find_domain
from trackrec.prompts.texts import item_texts
from trackrec.rankers.arm import Inputs
from trackrec.recipe import load_recipe
from trackrec.run import Run

DRAWS, BATCH, RATE = 4000, 64, 2e-5
METRICS = {"ctr": ("auc", "gauc"), "rerank": ("ndcg_3", "ndcg_7")}


def tuned_encoder(arms: Arms, texts: dict[Any, str], pairs: int, folder: Path) -> TextEncoder:
    """The recipe's encoder after an epoch on LM users' teacher texts and liked items; kept in ``folder``."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from sentence_transformers.training_args import BatchSamplers

    recipe, dataset = arms.components.recipe, arms.dataset
    users = dataset.users(Role.LM, Role.LM_EXTRA)
    anchors = dict(arms.teacher_texts(users).select("user_id", "text").iter_rows())
    liked = dataset.examples.filter(pl.col("user_id").is_in(users) & (pl.col("label") == 1))
    rows = []
    for (user,), part in liked.group_by("user_id", maintain_order=True):
        rng = np.random.default_rng([recipe.seed, stable_hash(user)])
        items = rng.permutation(part["item_id"].unique(maintain_order=True).to_numpy())[:pairs]
        rows += [{"anchor": anchors[user], "positive": texts[item]} for item in items.tolist() if texts[item]]
    model = SentenceTransformer(resolve_encoder(recipe.encoder.name), device="cpu")
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "trainer"),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        warmup_steps=0.1,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        save_strategy="no",
        report_to=[],
        seed=recipe.seed,
        use_cpu=True,
    )
    SentenceTransformerTrainer(
        model, settings, train_dataset=Dataset.from_list(rows), loss=MultipleNegativesRankingLoss(model)
    ).train()
    model.save_pretrained(str(folder / "encoder"))
    return TextEncoder(str(folder / "encoder"))


def arms_of(components: Components, promoted: int, pairs: int, folder: Path) -> dict[str, Inputs]:
    """What the rankers of each arm are given."""
    recipe, dataset = components.recipe, components.dataset
    arms = Arms(components, promoted)
    encoded = components.run.read("compare-vectors")
    final = encoded.filter(arm=FINAL).select("user_id", "vector", "has_reccot")
    found: dict[str, Any] = {NO_TEXT: None, FINAL: final}
    rounds = [FINAL, *(round_name(number) for number in components.rounds if number != promoted)]
    several = encoded.filter(pl.col("arm").is_in(rounds) & pl.col("vector").is_not_null())
    if several["arm"].n_unique() > 1:
        of_user = several.group_by("user_id", maintain_order=True).agg("vector")
        means = [np.mean(vectors, axis=0).tolist() for vectors in of_user["vector"].to_list()]
        mean = of_user.select("user_id", pl.Series("vector", means, dtype=pl.List(pl.Float32)))
        found["pooled"] = final.select("user_id").join(mean, on="user_id", how="left", maintain_order="left")
    texts = item_texts(dataset.items, find_domain(recipe.prompts.domain), recipe.prompts.attributes)
    tuned = tuned_encoder(arms, dict(texts.iter_rows()), pairs, folder)
    written = Features(components, promoted).written().select("user_id", "text")
    mine = arms.users.select("user_id").join(written, on="user_id", how="left", maintain_order="left")
    found["tuned"] = user_vectors(mine, tuned)
    width = ExtraSettings().item_components
    for name, encoder, users in (
        ("items", shared_encoder(recipe.encoder), final),
        ("items, tuned", tuned, found["tuned"]),
    ):
        found[name] = StudyArm(users, items=(item_vectors(texts, encoder),), item_components=width)
    return found


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--models", nargs="+", default=["din-3", "prm-0"], help="model and recent events in view")
    parser.add_argument("--pairs", type=int, default=8, help="liked items of a user that the encoder is tuned on")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.run / "recipe.yaml")
    run = Run(arguments.run, Reporter(), recipe.seed, reading=True)
    components = Components(recipe, run, Dataset.of(run))
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    with tempfile.TemporaryDirectory() as folder:
        arms = arms_of(components, promoted, arguments.pairs, Path(folder))
    pairs = [(arm, FINAL) for arm in arms if arm != FINAL] + [("items, tuned", "items")]
    for name in arguments.models:
        model, recent = name.rsplit("-", 1)
        task = "rerank" if model in RERANKERS else "ctr"
        setup = Setup(task, model, int(recent), 1, True, SEARCH)  # type: ignore[arg-type]
        trained = [train_arm(run.folder, recipe, setup, arm, given) for arm, given in arms.items()]
        # Every arm of a re-ranker brings the initial order.
        tables = by_arm(pl.concat(trained).unique(maintain_order=True))
        for metric in METRICS[task]:
            for (arm, against), row in zip(
                pairs, contrasts(setup, metric, tables, pairs, recipe.seed, DRAWS), strict=True
            ):
                kept = ("metric", "value", "against_value", "difference", "lower", "upper", "users", "examples")
                told = {"model": name, "arm": arm, "against": against} | {key: row[key] for key in kept}
                print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
