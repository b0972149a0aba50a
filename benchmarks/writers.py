"""What a user's text takes from each writer: tokens, seconds, money. Prints a table in Markdown.

    python tests/llama_server.py ~/.cache/trackrec/smollm2-135m-instruct-*/*.gguf sk-anything 8080 &
    python benchmarks/writers.py --llm http://127.0.0.1:8080/v1

Tokens are those of the five users' texts in ``docs/results/2026-11-26-movielens-100k-gpu/texts.md`` and of the prompts
that their writers read, counted by the embedded model's tokenizer. Seconds of template and generators are those of
the run's own stages (its manifests lie beside the texts), over all users of the stage. The teacher ``llm`` is asked
anew for the same five users, one at a time, with ``--llm``; tokens are then those that the server counts, and what it
takes to be used is asked of its texts as in a run. A call has half an hour and one try, so that no second one is in the
figure. Money: endpoints' at the
prices of the package genai-prices, the generators' at those of an H100 in ``trackrec/writing/prices.yaml``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean

import genai_prices
import polars as pl
from transformers import AutoTokenizer

from trackrec.assets import resolve_language_model
from trackrec.engines.openai import OpenAIEngine
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.pipeline.dataset import prepare
from trackrec.progress import Reporter
from trackrec.prompts.lengths import PromptLengths
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import load_recipe
from trackrec.registry import make
from trackrec.run import Run
from trackrec.teachers.base import TeacherContext
from trackrec.teachers.llm import LLMTeacher, LLMTeacherSettings
from trackrec.writing.estimate import read_prices

KEPT = Path(__file__).parents[1] / "docs" / "results" / "2026-11-26-movielens-100k-gpu"
WRITERS = {
    "template teacher": "teach",
    "distilled G": "write-0",
    "aligned G": "write-1",
    "G distilled from the large model's texts": "write-0-of-large-texts",
}
"""Writers by the beginning of their lines in the texts, and the stage in which each wrote."""
BOUGHT = "texts teacher"
MODELS = ("gpt-4o", "gpt-4o-mini")
"""Whose prices are told."""
TURN = 8
"""Tokens of a chat turn beside its text, about."""


@dataclass
class Row:
    """A writer's line: means over the users."""

    writer: str
    read: float
    written: float
    seconds: float | None
    dollars: dict[str, float]
    """For 1,000 users, by what is paid."""


def texts_by_writer(page: str) -> dict[str, dict[int, str]]:
    """The texts of a page of texts: by writer, then by user."""
    found: dict[str, dict[int, str]] = {}
    user = 0
    for line in page.splitlines():
        if heading := re.fullmatch(r"### User (\d+)", line):
            user = int(heading[1])
        elif told := re.fullmatch(r"- \*\*(.+?)\*\*(?: \([^)]*\))?: (.+)", line):
            found.setdefault(told[1], {})[user] = told[2]
    return found


def seconds_of(stage: str) -> float:
    """Seconds of a text in a stage of the run."""
    manifest = json.loads((KEPT / "manifests" / f"{stage}.json").read_text(encoding="utf-8"))
    return float(manifest["seconds"] / manifest["counts"]["texts"])


def at_endpoints(read: float, written: float) -> dict[str, float]:
    """Dollars for 1,000 users at the prices of services."""
    usage = genai_prices.Usage(input_tokens=round(1000 * read), output_tokens=round(1000 * written))
    return {name: float(genai_prices.calc_price(usage, name, provider_id="openai").total_price) for name in MODELS}


def on_an_h100(seconds: float) -> dict[str, float]:
    """Dollars for 1,000 users at an hour's price."""
    prices = {price.dollars_an_hour for price in read_prices([]).values() if price.dollars_an_hour}
    return {f"H100 at {price:g} an hour": 1000 * seconds / 3600 * price for price in sorted(prices)}


class Five:
    """The five users, their prompts and texts."""

    def __init__(self) -> None:
        self.texts = texts_by_writer((KEPT / "texts.md").read_text(encoding="utf-8"))
        self.users = list(self.texts[BOUGHT])
        recipe = load_recipe("movielens-100k-gpu", ["loop.rounds=1"])
        with tempfile.TemporaryDirectory() as scratch:
            dataset = prepare(recipe, Run(Path(scratch) / "run", Reporter(), recipe.seed))
        tokenizer = AutoTokenizer.from_pretrained(resolve_language_model(recipe.model.name))
        self.renderer = Renderer(tokenizer, dataset.items, recipe.prompts, profile=recipe.profile)
        self.histories = dataset.histories.filter(pl.col("user_id").is_in(self.users))
        self.context = TeacherContext(dataset.items, self.renderer, recipe.profile)

    def written(self, writer: str) -> float:
        """Mean tokens of a writer's texts."""
        return mean(self.renderer.count_tokens(text) + 1 for text in self.texts[writer].values())

    def read_by_generator(self) -> float:
        """Mean tokens of the generator's prompts."""
        return float(PromptLengths(self.renderer).generator_prompts(self.histories)["tokens"].mean())  # type: ignore[arg-type]

    def read_by_teacher(self, teacher: LLMTeacher) -> float:
        """Mean tokens of a large model's prompts."""
        parts = self.histories.sort("position").partition_by("user_id", as_dict=True)
        turns = [teacher.request(user, part, 0).messages or () for (user,), part in parts.items()]
        return mean(sum(self.renderer.count_tokens(turn.content) + TURN for turn in told) for told in turns)


def main() -> None:
    """Count, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="", help="Address of a llama.cpp server with the embedded model.")
    asked = parser.parse_args()
    five, settings = Five(), LLMTeacherSettings()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("LLAMA_KEY", "sk-anything")
        told = {"base_url": asked.llm or "http://127.0.0.1:1/v1", "model": "smollm2", "server": "llama.cpp"}
        told |= {"api_key_env": "LLAMA_KEY", "consent": True, "cache": str(Path(scratch) / "answers.sqlite")}
        engine: OpenAIEngine = make("engine", OpenAISettings(**told, concurrency=1, timeout=1800, retries=0))
        teacher = LLMTeacher(engine, settings.model_copy(update={"failed_share": 1.0}), five.context)
        rows = rows_of(five, teacher)
        if asked.llm:
            begin = time.perf_counter()
            usable = teacher.write(five.histories, seed=1)["user_id"].n_unique()
            took, usage = (time.perf_counter() - begin) / len(five.users), engine.bill().usage
            read, written = (tokens / len(five.users) for tokens in (usage.prompt_tokens, usage.completion_tokens))
            name = f"llm teacher (the embedded model on llama.cpp, one thread), {usable} of {len(five.users)} usable"
            rows.insert(2, Row(name, read, written, took, at_endpoints(read, written)))
        engine.close()
    print(f"Prices: genai-prices {version('genai-prices')}, trackrec/writing/prices.yaml\n")
    print("| writer | tokens read | tokens written | seconds | US dollars for 1,000 users |\n|---|---|---|---|---|")
    for row in rows:
        took = "" if row.seconds is None else f"{row.seconds:.2g}"
        money = ", ".join(f"{price:.3g} ({name})" for name, price in row.dollars.items()) or "0"
        print(f"| {row.writer} | {row.read:.0f} | {row.written:.0f} | {took} | {money} |")


def rows_of(five: Five, teacher: LLMTeacher) -> list[Row]:
    """The lines that kept tables tell."""
    rows = [Row("template teacher", 0, five.written("template teacher"), seconds_of("teach"), {})]
    read, written = five.read_by_teacher(teacher), five.written(BOUGHT)
    rows.append(Row(BOUGHT, read, written, None, at_endpoints(read, written)))
    for writer, stage in list(WRITERS.items())[1:]:
        took = seconds_of(stage)
        rows.append(Row(writer, five.read_by_generator(), five.written(writer), took, on_an_h100(took)))
    return rows


if __name__ == "__main__":
    main()
