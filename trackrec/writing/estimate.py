"""What writing will take, before anything runs: users, shards, tokens, hours and money."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, ValidationError, model_validator

from trackrec.errors import RecipeError, WriteError
from trackrec.settings import Settings
from trackrec.teachers.llm import LLMTeacherSettings, ask
from trackrec.writing.engine_pool import EngineFile, read_engines
from trackrec.writing.engine_writer import own_renderer
from trackrec.writing.histories import histories_of
from trackrec.writing.partition import shard_of
from trackrec.writing.run_view import RunView
from trackrec.writing.source import LogSettings, OpenLog, open_log
from trackrec.writing.version_plan import WritingSettings
from trackrec.writing.writers import TEMPLATE, TORCH
from trackrec.yaml_text import read_yaml_file

CORE_MS = 1.0
"""Milliseconds of a core that the pipeline's own part may take for a user (all but the model); the aim of its design,
and above what benchmarks/write.py measures without checks."""
SAMPLE = 500
"""About so many users' prompts are made, to see how long they are."""
_CARRIED_MS = 0.07
"""Milliseconds of a core to carry a row over, its history read and compared: `benchmarks/write.py --changed`."""


class Price(Settings):
    """What a way of writing costs: a machine by the hour, or an endpoint by the token."""

    dollars_an_hour: float | None = Field(default=None, ge=0)
    """Of one GPU or machine."""
    tokens_per_second: float | None = Field(default=None, gt=0)
    """Prompt and answer tokens together that it does in a second."""
    dollars_a_million_in: float | None = Field(default=None, ge=0)
    """A million tokens of prompts at an endpoint."""
    dollars_a_million_out: float | None = Field(default=None, ge=0)
    """A million tokens of answers there."""
    source: str = ""
    """Where the figures are from."""

    @model_validator(mode="after")
    def _one_way(self) -> Price:
        hourly = self.dollars_an_hour is not None and self.tokens_per_second is not None
        by_token = self.dollars_a_million_in is not None and self.dollars_a_million_out is not None
        if hourly == by_token:
            raise ValueError(
                "expected dollars_an_hour and tokens_per_second, or dollars_a_million_in and dollars_a_million_out"
            )
        return self


def read_prices(names: Sequence[str]) -> dict[str, Price]:
    """Prices by name: those of the shipped list, or of files that are named; none named: the whole list.

    Raises:
        WriteError: an unknown name, or a file that holds no prices.
    """
    shipped = _prices_in(Path(__file__).with_name("prices.yaml"))
    if not names:
        return shipped
    found: dict[str, Price] = {}
    for name in names:
        if name.endswith((".yaml", ".yml")):
            found |= _prices_in(Path(name))
        elif name in shipped:
            found[name] = shipped[name]
        else:
            raise WriteError(f"no price {name!r}: expected a YAML file, or one of {', '.join(shipped)}")
    return found


def _prices_in(path: Path) -> dict[str, Price]:
    try:
        return {name: Price.model_validate(price) for name, price in read_yaml_file(path).items()}
    except (AttributeError, RecipeError, ValidationError) as error:
        raise WriteError(f"{path} holds no prices: {error}") from error


def estimate(
    run_folder: Path, log: LogSettings, settings: WritingSettings, share: float = 1.0, prices: Sequence[str] = ()
) -> dict[str, Any]:
    """Count a log's users and reckon what writing for them takes. Nothing is written.

    Args:
        run_folder: the run that is written from.
        log: the log.
        settings: of the writing.
        share: of the users who are written for; the others' rows are carried over.
        prices: names or files; see ``read_prices``.

    Returns:
        ``log`` (events, users), ``work`` (writer, shards, users to write for, core-hours of the pipeline's own part),
        ``tokens`` (of prompts and answers) and ``money`` (hours and dollars by each price).
    """
    run = RunView.open(run_folder)
    writer = settings.writer if settings.writer != "auto" else TORCH if run.generator else TEMPLATE
    # A mistake in the file would show only when the job runs.
    engines = [] if writer in (TEMPLATE, TORCH) else read_engines(Path(writer))
    known = read_prices(prices)
    with (
        tempfile.TemporaryDirectory(prefix="trackrec-") as scratch,
        open_log(log, run.recipe.source, Path(scratch)) as opened,
    ):
        usable = opened.rows.filter(pl.col("unusable").is_null())
        told = usable.select(pl.len().alias("events"), pl.col("user_id").drop_nulls().n_unique().alias("users"))
        events, users = told.collect(engine="streaming").row(0)
        prompt = _prompt_tokens(run, opened, settings, users, engines) if users and writer != TEMPLATE else 0.0
    writing = math.ceil(users * share)
    answer = 0 if writer == TEMPLATE else run.recipe.prompts.reccot_tokens
    shards = settings.shards or max(1, round(users / settings.shard_users))
    core_ms = writing * CORE_MS + (users - writing) * _CARRIED_MS
    tokens = {"prompts": round(prompt * writing), "answers": round(answer * writing)}
    money = {name: _cost(price, tokens) for name, price in known.items()} if writer != TEMPLATE else {}
    return {
        "log": {"events": events, "users": users},
        "work": {
            "writer": writer,
            "shards": shards,
            "users_to_write_for": writing,
            "users_carried_over": users - writing,
            "core_hours_of_the_pipeline": round(core_ms / 3_600_000, 3),
        },
        "tokens": tokens | {"prompt_tokens_a_user": round(prompt, 1), "answer_tokens_a_user": answer},
        "money": money,
    }


def _cost(price: Price, tokens: dict[str, int]) -> dict[str, Any]:
    if price.dollars_an_hour is not None and price.tokens_per_second is not None:
        hours = sum(tokens.values()) / price.tokens_per_second / 3600
        return {"hours": round(hours, 2), "dollars": round(hours * price.dollars_an_hour, 2), "source": price.source}
    assert price.dollars_a_million_in is not None
    assert price.dollars_a_million_out is not None
    dollars = tokens["prompts"] * price.dollars_a_million_in + tokens["answers"] * price.dollars_a_million_out
    return {"dollars": round(dollars / 1e6, 2), "source": price.source}


def _prompt_tokens(
    run: RunView, log: OpenLog, settings: WritingSettings, users: int, engines: list[dict[str, Any]]
) -> float:
    """Mean tokens of a prompt as the writer makes them, of a sample of users."""
    groups, recipe = max(1, users // SAMPLE), run.recipe
    rows = log.rows.select("user_id", "item_id", "rating", "timestamp", "unusable")
    batches = rows.collect_batches(chunk_size=1_000_000, engine="streaming")
    sample = pl.concat([batch.filter(shard_of(batch["user_id"], groups) == 0) for batch in batches])
    items, most = run.catalogue(log.items), settings.max_history or recipe.split.max_history
    now = int(time.time())
    shard = histories_of(sample, items, recipe.feedback, recipe.split.like_threshold, most, log.tables, now)
    renderer = own_renderer(items, recipe)
    asks = bool(engines) and EngineFile.model_validate(engines[0]).prompts == "teacher"
    lengths = []
    for _, history in shard.histories.group_by("user_id", maintain_order=True):
        if asks:
            turns = ask(history, LLMTeacherSettings(), renderer)
            lengths.append(sum(renderer.count_tokens(turn.content) for turn in turns))
        else:
            lengths.append(len(renderer.generator_prompt(history.to_dicts())))
    return sum(lengths) / max(1, len(lengths))
