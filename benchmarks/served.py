"""Do a served generator and validator write and judge as they do in this process?

    trackrec export RUN --format vllm --out OUT     here
    OUT/serve.sh                                    in an environment with vLLM
    python benchmarks/served.py RUN OUT             here, while it serves

Prompts and texts of the run go to the address in ``OUT/engines.yaml`` (this machine); the answers are kept nowhere.
Printed is one JSON object: how many greedy texts are equal, how long the others' common beginning is, how far P(Yes)
is off, and the seconds both took.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from trackrec.judges.served import ServedValidator, ServedValidatorSettings
from trackrec.pipeline.components import OUTSIDE, Components
from trackrec.pipeline.dataset import Dataset
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.registry import make
from trackrec.run import Run
from trackrec.writing.engine_file import read_engines
from trackrec.writing.engine_writer import EngineWriter
from trackrec.writing.telling import Telling
from trackrec.writing.writers import TorchWriter


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path, help="The export that is served.")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--address", default="", help="Where it is served, if not at engines.yaml's base_url.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        told = {"consent": True, "cache": str(Path(scratch) / "answers")}
        told |= {"base_url": asked.address} if asked.address else {}
        print(json.dumps(compare(asked.run, asked.out, asked.users, told), indent=1))


def compare(folder: Path, out: Path, number: int, told: dict[str, Any]) -> dict[str, Any]:
    """Texts and scores of some users, from both sides.

    Args:
        folder: of the run.
        out: its export.
        number: of users, those first whom nothing was tuned on.
        told: settings of the engines that differ from the exported ones.
    """
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed, reading=True)
    components = Components(recipe, run, Dataset.of(run))
    users = components.everybody_tested[:number]
    tree = read_engines(out / "engines.yaml")[0]
    tree["engines"] = [engine | told for engine in tree["engines"]]
    address = tree["engines"][0]["base_url"]
    return {
        "server": _ask(address.removesuffix("/v1") + "/version"),
        "base": recipe.model.name,
        "dtype": recipe.model.dtype,
        "versions": {name: version(name) for name in ("trackrec", "torch", "transformers", "peft")},
        "generator": _texts(components, folder, tree, users),
        "validator": _scores(components, out, told, users),
    }


def _texts(components: Components, folder: Path, tree: dict[str, Any], users: list[Any]) -> dict[str, Any]:
    items, settings = components.dataset.items, Telling.read(folder / "recipe.yaml")
    histories = components.dataset.history_rows.frame(users)
    served, served_s = _timed(lambda: EngineWriter(items, settings, [tree]).write(histories))
    local, local_s = _timed(lambda: TorchWriter(items, settings, folder / "generator").write(histories))
    pairs = list(zip(served["text"].to_list(), local["text"].to_list(), strict=True))
    shares = [_common(one, other) / max(1, len(one), len(other)) for one, other in pairs if one != other]
    return {
        "texts": len(pairs),
        "equal": sum(one == other for one, other in pairs),
        "common_beginning_of_others": round(float(np.mean(shares)), 3) if shares else None,
        "tokens": int(local["completion_tokens"].sum()),
        "served_s": served_s,
        "local_s": local_s,
    }


def _scores(components: Components, out: Path, told: dict[str, Any], users: list[Any]) -> dict[str, Any]:
    tree = yaml.safe_load((out / "judge.yaml").read_text(encoding="utf-8"))["judge"]
    settings = ServedValidatorSettings.model_validate(tree | {"engine": tree["engine"] | told})
    engine = make("engine", settings.engine)
    served = ServedValidator(engine, components.renderer, components.dataset.history_rows, settings)
    promoted = int(components.run.manifest("promote")["counts"]["promoted"])
    local = components.loaded_validator("lm", promoted, OUTSIDE)
    kept = components.kept(promoted).filter(pl.col("user_id").is_in(users)).select("user_id", "sample", "text")
    targets = components.dataset.targets_of(users)
    found, served_s = _timed(lambda: served.score(targets, kept))
    expected, local_s = _timed(lambda: local.score(targets, kept))
    ours, theirs = (table["yes_probability"].to_numpy() for table in (expected, found))
    odds = np.abs(np.log(ours / (1 - ours)) - np.log(theirs / (1 - theirs)))
    return {
        "scores": len(ours),
        "p_yes_spread": round(float(ours.std()), 4),
        "p_yes_off_most": float(np.abs(ours - theirs).max()),
        "log_odds_off_most": float(odds.max()),
        "served_s": served_s,
        "local_s": local_s,
    }


def _timed(work: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, float]:
    started = time.monotonic()
    return work(), round(time.monotonic() - started, 1)


def _common(one: str, other: str) -> int:
    same = (place for place, (ours, theirs) in enumerate(zip(one, other, strict=False)) if ours != theirs)
    return next(same, min(len(one), len(other)))


def _ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=10) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
