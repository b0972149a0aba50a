"""Do a served generator and validator write and judge as they did in their run?

    trackrec export RUN --format vllm --out OUT     here
    OUT/serve.sh                                    in an environment with vLLM
    python benchmarks/served.py RUN OUT             here, while it serves

The run's own tables are what is compared with: the greedy texts of the promoted round and P(Yes) of its validator on
users whom nothing was tuned on. Prompts and texts go to the address in ``OUT/engines.yaml`` (this machine); the answers
are kept nowhere. Printed is one JSON object: how many texts are equal, how long the others' common beginning is, how
far P(Yes) is off, and the seconds that the server took.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from transformers import AutoTokenizer

from trackrec.assets import resolve_language_model
from trackrec.engines.base import Decoding, GenerateRequest
from trackrec.judges.served import ServedValidator, ServedValidatorSettings
from trackrec.pipeline.dataset import Dataset
from trackrec.progress import Reporter
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import load_recipe
from trackrec.registry import make, settings_of
from trackrec.run import Run
from trackrec.writing.engine_pool import read_engines


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path, help="The export that is served.")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=0, help="Compare so many tokens of a text; 0: all.")
    parser.add_argument("--address", default="", help="Where it is served, if not at engines.yaml's base_url.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        told = {"consent": True, "cache": str(Path(scratch) / "answers")}
        told |= {"base_url": asked.address} if asked.address else {}
        print(json.dumps(Served(asked.run, asked.out, told).compare(asked.users, asked.tokens), indent=1))


class Served:
    """A finished run, and its export behind an endpoint.

    Args:
        folder: of the run.
        out: its export.
        told: settings of the engines that differ from the exported ones.
    """

    def __init__(self, folder: Path, out: Path, told: dict[str, Any]) -> None:
        self.recipe, self.out, self.told = load_recipe(folder / "recipe.yaml"), out, told
        self.run = Run(folder, Reporter(), self.recipe.seed, reading=True)
        self.dataset = Dataset.of(self.run)
        self.promoted = int(self.run.manifest("promote")["counts"]["promoted"])
        tokenizer = AutoTokenizer.from_pretrained(resolve_language_model(self.recipe.model.name))
        prompts, profile = self.recipe.prompts, self.recipe.profile
        self.renderer = Renderer(tokenizer, self.dataset.items, prompts, profile=profile)

    def compare(self, number: int, tokens: int) -> dict[str, Any]:
        """Texts and scores of so many users; ``tokens``: so many of each text, 0: all."""
        scores = self.run.read(f"test-own-{self.promoted}")
        users = scores["user_id"].unique(maintain_order=True).head(number)
        (tree,) = read_engines(self.out / "engines.yaml")
        engine = tree["engines"][0] | self.told
        return {
            "server": _ask(engine["base_url"].removesuffix("/v1") + "/version"),
            "base": self.recipe.model.name,
            "dtype": self.recipe.model.dtype,
            "versions": {name: version(name) for name in ("trackrec", "torch", "transformers", "peft")},
            "generator": self._texts(engine, Decoding.model_validate(tree["decoding"]), users, tokens),
            "validator": self._scores(scores.filter(pl.col("user_id").is_in(users.implode()))),
        }

    def _texts(self, engine: dict[str, Any], decoding: Decoding, users: pl.Series, tokens: int) -> dict[str, Any]:
        most = min(tokens or decoding.max_new_tokens, decoding.max_new_tokens)
        kept = self.run.read(f"write-{self.promoted}").filter(pl.col("user_id").is_in(users.implode()))
        ids = kept["token_ids"].list.head(most).to_list()
        prompts = [tuple(self.renderer.generator_prompt(self.dataset.history_rows[user])) for user in kept["user_id"]]
        asked = [GenerateRequest(token_ids=prompt) for prompt in prompts]
        started = time.monotonic()
        told = decoding.model_copy(update={"max_new_tokens": most, "log_probabilities": True})
        answers = [group[0] for group in make("engine", settings_of("engine", engine)).generate(asked, 1, told)]
        seconds = round(time.monotonic() - started, 1)
        pairs = [(list(answer.token_ids or ()), ours) for answer, ours in zip(answers, ids, strict=True)]
        shares = [_common(one, other) / max(1, len(one), len(other)) for one, other in pairs if one != other]
        return {
            "texts": len(pairs),
            "equal": sum(one == other for one, other in pairs),
            "common_beginning_of_others": round(float(np.mean(shares)), 3) if shares else None,
            "tokens": sum(map(len, ids)),
            "seconds": seconds,
        }

    def _scores(self, scores: pl.DataFrame) -> dict[str, Any]:
        tree = yaml.safe_load((self.out / "judge.yaml").read_text(encoding="utf-8"))["judge"]
        settings = ServedValidatorSettings.model_validate(tree | {"engine": tree["engine"] | self.told})
        judge = ServedValidator(make("engine", settings.engine), self.renderer, self.dataset.history_rows, settings)
        kept = self.run.read(f"write-{self.promoted}").select("user_id", "sample", "text")
        kept = kept.filter(pl.col("user_id").is_in(scores["user_id"].implode()))
        targets = self.dataset.targets_of(kept["user_id"].to_list())
        started = time.monotonic()
        found = judge.score(targets, kept).rename({"yes_probability": "served"})
        seconds = round(time.monotonic() - started, 1)
        both = scores.join(found, on=["user_id", "event_id"], how="inner")
        ours, theirs = both["yes_probability"].to_numpy(), both["served"].to_numpy()
        odds = np.abs(np.log(ours / (1 - ours)) - np.log(theirs / (1 - theirs)))
        return {
            "scores": both.height,
            "p_yes_spread": round(float(ours.std()), 4),
            "p_yes_off_most": float(np.abs(ours - theirs).max()),
            "log_odds_off_most": float(odds.max()),
            "seconds": seconds,
        }


def _common(one: list[int], other: list[int]) -> int:
    same = (place for place, (ours, theirs) in enumerate(zip(one, other, strict=False)) if ours != theirs)
    return next(same, min(len(one), len(other)))


def _ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=60) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
