"""The language model's stages of a finished run, each timed on some of its users with the run's own settings.

``python benchmarks/stages.py RUN [--users 16]`` prints a JSON line a stage. Run it from two checkouts on the same run
to compare two versions of the package.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch

from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.run import Run


def main() -> None:
    """Time write, sample, score, tune, distil and align."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--users", type=int, default=16)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.run / "recipe.yaml")
    torch.set_num_threads(recipe.model.threads)
    run = Run(arguments.run, Reporter(), recipe.seed, reading=True)
    components = Components(recipe, run, Dataset.of(run))
    users = components.sampled[: arguments.users]
    loop, generator = recipe.loop, components.generator
    writer = generator.writer(components.generator_adapter(0))
    validator: Any = components.loaded_validator("lm", 0)
    targets = components.dataset.targets_of(users)
    teacher = run.read("teacher").filter(pl.col("user_id").is_in(users))

    timed("write", users, lambda: writer.write(users, 1, loop.writing, 1))
    samples = timed("sample", users, lambda: writer.write(users, loop.samples_per_user, loop.sampling, 1))
    timed("score", users, lambda: validator.score(targets, samples))
    groups = pl.DataFrame(
        {
            "user_id": users,
            "chosen_sample": [0] * len(users),
            "rejected_samples": [list(range(1, loop.samples_per_user))] * len(users),
            "weight": [1.0] * len(users),
        }
    )
    adapter = components.generator_adapter(0)
    timed("align", users, lambda: generator.align(adapter, groups, samples, recipe.alignment, 1))
    timed("distil", users, lambda: generator.distil("again", teacher, recipe.distillation.training, 1))
    kept = samples.filter(pl.col("sample") == 0)
    with tempfile.TemporaryDirectory() as folder:
        timed("tune", users, lambda: components.validator("lm", 9, 0).fit(targets, kept, Path(folder) / "v", 1))


def timed(stage: str, users: list[Any], work: Callable[[], Any]) -> Any:
    """Do it, print how long it took, and return what it returns."""
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"stage": stage, "users": len(users), "s": round(seconds, 2), "gb": round(peak, 2)}), flush=True)
    return result


if __name__ == "__main__":
    main()
