"""How good is V0? Tunes the language model as validator on the teacher's RecCoTs and judges it, on no test user.

``python benchmarks/validator.py [RECIPE] [key=value ...]`` warms V up as the recipe says (``judge.warm_up``) and
prints one JSON object a line: AUC and LogLoss, with 95% intervals over users, on the LM validation users and
on the extra LM users that it was not tuned on, with their own RecCoT, another user's and none; then what counting
reaches on the same examples, and the paired differences.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from trackrec.data.roles import Role
from trackrec.judges.lm import LMValidator
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import auc, log_loss
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.run import Run


def main(name: str, changes: list[str]) -> None:
    """Tune, judge, print."""
    recipe = load_recipe(name, changes)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Reporter(Console(stderr=True)), recipe.seed)
        components = Components(recipe, run, prepare(recipe, run))
        loop, dataset, started = Loop(components), components.dataset, time.perf_counter()
        loop.teach()
        loop.tuning.warm_up()
        start = components.start_folder("lm")
        if start is None:
            sys.exit("nothing to judge: judge.warm_up_users is 0")
        seconds = time.perf_counter() - started
        users = dataset.users(Role.LM_VALIDATION) + dataset.users(Role.LM_EXTRA)[recipe.judge.warm_up_users :]
        validator = LMValidator(components.model, "V0", components.renderer, dataset.history_rows, recipe.judge)
        validator.load(start)
        own = run.read("teacher").filter((pl.col("sample") == 0) & pl.col("user_id").is_in(users))
        own = own.select("user_id", "text", pl.lit(0, dtype=pl.Int16).alias("sample")).sort("user_id")
        texts = {
            "own": own,
            "swapped": own.with_columns(text=pl.col("text").gather(np.roll(np.arange(own.height), 1))),
            "placeholder": own.with_columns(text=pl.lit(None, dtype=pl.String)),
        }
        targets = dataset.targets_of(users)
        arms = {name: validator.score(targets, part).sort("user_id", "event_id") for name, part in texts.items()}
        counted = arms["own"].join(dataset.baselines, on=["user_id", "event_id"], how="left", maintain_order="left")
        scores = {name: table["yes_probability"].to_numpy() for name, table in arms.items()}
        scores |= {name: counted[name].to_numpy() for name in ("item_mean", "item_user_mean", "user_share")}
        who, labels = counted["user_id"].to_numpy(), counted["label"].to_numpy()
        common = {"recipe": name, "changes": changes, "seed": recipe.seed, "users": len(users), "examples": len(labels)}
        print(json.dumps(common | {"tuning_s": round(seconds)}))
        for arm, values in scores.items():
            for metric, statistic in (("auc", auc), ("log_loss", log_loss)):
                row = bootstrap_users(statistic, who, labels, values, seed=recipe.seed)
                print(json.dumps({"arm": arm, "metric": metric} | _rounded(row)))
        for other in ("swapped", "placeholder", "item_mean"):
            for metric, statistic in (("auc", auc), ("log_loss", log_loss)):
                row = paired_bootstrap(statistic, who, labels, scores["own"], scores[other], seed=recipe.seed)
                print(json.dumps({"arm": f"own less {other}", "metric": metric} | _rounded(row)))


def _rounded(interval: tuple[float, float, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(("value", "low", "high"), interval, strict=True)}


if __name__ == "__main__":
    named = [argument for argument in sys.argv[1:] if "=" not in argument]
    main(named[0] if named else "movielens-100k", [argument for argument in sys.argv[1:] if "=" in argument])
