"""The work of one shard: events -> histories -> texts -> verdicts -> vectors -> files. It needs no other shard."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.data.tabular import TablesSettings
from trackrec.errors import TrackRecError
from trackrec.features.encoder import Encoder, TextEncoder
from trackrec.features.projection import Projection
from trackrec.writing.carry import unchanged_rows
from trackrec.writing.dealing import dealt_name
from trackrec.writing.histories import histories_of
from trackrec.writing.place import Place
from trackrec.writing.shard_file import commit, schema, shard_name
from trackrec.writing.telling import Telling
from trackrec.writing.truth import SENTENCES, Checker, unchecked
from trackrec.writing.vectors import as_lists, load_projection, make_encoder, projection_fits
from trackrec.writing.version_plan import VersionPlan
from trackrec.writing.writers import EMPTY, TEMPLATE, TORCH, History, TemplateWriter, TextWriter, TorchWriter, Written
from trackrec.writing.writers import user_seed as seed_of_user

_DAY = 86_400
_WRITERS_FAULTS = (OSError, MemoryError, TrackRecError)
"""Errors that are not a row's: the shard fails, and is done again."""

_TOOLS: dict[tuple[str, str], Tools] = {}


@dataclass
class Tools:
    """What a worker needs for every shard of a version, made once in a process."""

    place: Place
    plan: VersionPlan
    recipe: Telling
    items: pl.DataFrame
    high_water: int
    writer: TextWriter
    checker: Checker | None
    encoder: Encoder | None
    projection: Projection | None

    @classmethod
    def of(cls, url: str, version: str) -> Tools:
        """The tools of a version, from what its ``work`` folder says."""
        if (url, version) not in _TOOLS:
            _TOOLS.clear()
            _TOOLS[url, version] = cls._make(Place(url), version)
        return _TOOLS[url, version]

    @classmethod
    def _make(cls, place: Place, version: str) -> Tools:
        plan = VersionPlan.model_validate(place.read_json(f"versions/{version}/plan.json"))
        inputs = place.read_json(f"{plan.work}/inputs.json")
        recipe = Telling.model_validate(inputs["recipe"])
        items = place.read_table(f"{plan.work}/items.parquet")
        projection = None
        if plan.run_fingerprint.get("projection.safetensors"):
            projection = load_projection(Path(plan.run) / "projection.safetensors")
        return cls(
            place=place,
            plan=plan,
            recipe=recipe,
            items=items,
            high_water=inputs["high_water"],
            writer=make_writer(plan, items, recipe),
            checker=Checker(items, recipe) if plan.settings.checked else None,
            encoder=make_encoder(plan.encoder),
            projection=projection,
        )


def make_writer(plan: VersionPlan, items: pl.DataFrame, recipe: Telling) -> TextWriter:
    """The writer that a plan names."""
    if plan.writer == TEMPLATE:
        return TemplateWriter(items, recipe)
    if plan.writer == TORCH:
        return TorchWriter(items, recipe, Path(plan.run) / "generator")
    from trackrec.writing.engine_writer import EngineWriter

    return EngineWriter(items, recipe, plan.engines)


@dataclass
class Tally:
    """What a shard's manifest says."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Adds the block's time of computing (all threads of this process) to a step."""
        begin = time.process_time()
        yield
        self.seconds[step] += time.process_time() - begin  # type: ignore[assignment]


@dataclass(frozen=True)
class ShardWork:
    """Makes and commits the shards of a version; any process can, given the place."""

    url: str
    version: str

    def __call__(self, shard: int) -> dict[str, Any]:
        """Make one shard.

        Returns:
            Its manifest.

        Raises:
            TrackRecError, OSError: the writer or the storage failed; the shard is then not there at all.
        """
        begin, computed = time.perf_counter(), time.process_time()
        tools, tally = Tools.of(self.url, self.version), Tally()
        plan, place = tools.plan, tools.place
        name = shard_name(shard, plan.shards)
        with tally.timed("read"):
            rows = _dealt(tools, shard)
            told = histories_of(
                rows,
                tools.items,
                tools.recipe.feedback,
                tools.recipe.split.like_threshold,
                plan.max_history,
                TablesSettings.model_validate(plan.tables),
                plan.now,
            )
            base = _base_rows(tools, name)
            kept = None
            if base is not None:
                kept = unchanged_rows(base, told.histories, tools.high_water, plan.started, plan.settings.refresh)
                todo = told.histories.join(kept.select("user_id"), on="user_id", how="anti", maintain_order="left")
            else:
                todo = told.histories
        written, failed = _write_all(tools, todo, told.users, tally)
        if kept is not None:
            written = pl.concat([written, kept.cast(dict(written.schema))]) if kept.height else written
            tally.counts["carried"] = kept.height
        rejected = pl.concat([told.rejected, failed]).sort("user_id")
        tally.counts["users"] = told.users.height + told.rejected.height
        tally.counts["failed"] = failed.height
        tally.counts["characters"] = int(written["text"].str.len_chars().sum())
        for verdict, number in _verdicts(written).items():
            tally.counts[f"sentences_{verdict}"] = number
        reasons = rejected.with_columns(pl.col("reason").str.split(":").list.first())["reason"].value_counts()
        manifest = {
            "shard": shard,
            "counts": dict(tally.counts) | {f"log_{key}": n for key, n in told.counts.items() if _is_of_rows(key)},
            "reasons": dict(sorted(reasons.iter_rows())),
            "core_seconds_by_step": {step: round(value, 4) for step, value in tally.seconds.items()},
            "core_seconds": round(time.process_time() - computed, 4),
            "seconds_all": round(time.perf_counter() - begin, 4),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        }
        if isinstance(tools.encoder, TextEncoder):
            tools.encoder._cache.clear()  # it keeps every text's vector for ever, which is right for a run of few users
        return commit(place, self.version, name, written.sort("user_id"), rejected, manifest)


def _dealt(tools: Tools, shard: int) -> pl.DataFrame:
    try:
        return tools.place.read_table(f"{tools.plan.work}/{dealt_name(shard)}")
    except FileNotFoundError:  # nobody is in this shard
        return tools.place.read_table(f"{tools.plan.work}/empty.parquet")


def _base_rows(tools: Tools, name: str) -> pl.DataFrame | None:
    if tools.plan.base is None:
        return None
    return tools.place.read_table(f"versions/{tools.plan.base}/shards/{name}.parquet")


def _write_all(
    tools: Tools, histories: pl.DataFrame, users: pl.DataFrame, tally: Tally
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of users, and ``user_id, reason`` of those that failed."""
    plan = tools.plan
    columns = schema(histories.schema["user_id"], histories.schema["item_id"])
    told = [name for name in ("item_id", "rating", "label", "expected") if name in histories.columns]
    ids = histories["user_id"].unique(maintain_order=True).to_list()
    lengths = histories.group_by("user_id", maintain_order=True).len()["len"].to_list()
    done: list[tuple[Any, str, list[dict[str, Any]]]] = []
    failed: list[tuple[Any, str]] = []
    vectors: list[pl.DataFrame] = []
    start = 0
    for first in range(0, len(ids), plan.settings.batch_users):
        batch = slice(first, first + plan.settings.batch_users)
        size = sum(lengths[batch])
        rows, place, group = histories.slice(start, size).select(told).to_dicts(), 0, []
        for user, length in zip(ids[batch], lengths[batch], strict=True):
            group.append(History(user, rows[place : place + length]))
            place += length
        start += size
        new = list(_write_batch(tools, group, failed, tally))
        with tally.timed("vectors"):
            vectors.append(_encode(tools, [text for _, text, _ in new]))
        done += new
    frame = pl.DataFrame(
        {
            "user_id": pl.Series([user for user, _, _ in done], dtype=columns["user_id"]),
            "text": pl.Series([text for _, text, _ in done], dtype=pl.String),
            "sentences": pl.Series([sentences for _, _, sentences in done], dtype=SENTENCES),
        }
    )
    with tally.timed("files"):
        number = (pl.col("position") + 1).cast(pl.Int32).alias("number")
        event = pl.struct(number, "item_id", "rating", "timestamp")
        shown = histories.group_by("user_id", maintain_order=True).agg(event.alias("history"))
        found = pl.concat(vectors) if vectors else pl.DataFrame(schema={"vector": columns["vector"], "raw_vector": columns["raw_vector"]})  # fmt: skip
        table = frame.hstack(found).join(shown, on="user_id", how="left", maintain_order="left")
        table = table.join(users, on="user_id", how="left", maintain_order="left")
        days = plan.settings.expires_days
        expires = None if days is None else plan.started + int(days * _DAY)
        table = table.with_columns(
            pl.lit(plan.started, pl.Int64).alias("written"),
            pl.lit(expires, pl.Int64).alias("expires"),
            pl.lit(plan.version).alias("version"),
        )
        table = table.select(columns.names()).cast(dict(columns))
    rejected = pl.DataFrame(failed, schema={"user_id": columns["user_id"], "reason": pl.String}, orient="row")
    return table, rejected


def _write_batch(
    tools: Tools, histories: Sequence[History], failed: list[tuple[Any, str]], tally: Tally
) -> Iterator[tuple[Any, str, list[dict[str, Any]]]]:
    """Texts with their sentences. A history on which the writer or the checker fails is found by halving."""
    with tally.timed("texts"):
        texts = _halving(tools.writer.write, histories, failed)
    for history, written in texts:
        tally.counts["prompt_tokens"] += written.prompt_tokens
        tally.counts["completion_tokens"] += written.completion_tokens
        if written.reason or not written.text:
            failed.append((history.user_id, written.reason or EMPTY))
            continue
        with tally.timed("truth"):
            try:
                sentences = _sentences(tools, history, written)
            except _WRITERS_FAULTS:
                raise
            except Exception as error:
                failed.append((history.user_id, _reason(error)))
                continue
        yield history.user_id, written.text, sentences


def _halving(
    write: Callable[[Sequence[History]], list[Written]], histories: Sequence[History], failed: list[tuple[Any, str]]
) -> list[tuple[History, Written]]:
    try:
        return list(zip(histories, write(histories), strict=True))
    except _WRITERS_FAULTS:
        raise
    except Exception as error:
        if len(histories) == 1:
            failed.append((histories[0].user_id, _reason(error)))
            return []
    half = len(histories) // 2
    return _halving(write, histories[:half], failed) + _halving(write, histories[half:], failed)


def _reason(error: Exception) -> str:
    """Why a row failed: the error's type and the beginning of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _sentences(tools: Tools, history: History, written: Written) -> list[dict[str, Any]]:
    share = tools.plan.settings.checked
    looked_at = share >= 1 or seed_of_user(tools.recipe.seed + 1, history.user_id) < share * 2**63
    if tools.checker is None or not looked_at:
        return unchecked(written.text)
    return tools.checker.sentences(written.text, history.rows)


def _encode(tools: Tools, texts: list[str]) -> pl.DataFrame:
    if tools.encoder is None or not texts:
        empty = as_lists(None, len(texts))
        return pl.DataFrame({"vector": empty, "raw_vector": empty})
    raw = tools.encoder.encode(texts)
    projected = raw
    if tools.projection is not None:
        projection_fits(tools.projection, raw.shape[1], tools.plan.run)
        projected = tools.projection(raw)
    kept = raw if tools.plan.settings.raw_vectors else None
    return pl.DataFrame({"vector": as_lists(projected, len(texts)), "raw_vector": as_lists(kept, len(texts))})


def _verdicts(written: pl.DataFrame) -> dict[str, int]:
    each = written["sentences"].explode(empty_as_null=False).drop_nulls()
    if each.is_empty():
        return {}
    return dict(each.struct.field("verdict").value_counts().sort("verdict").iter_rows())


def _is_of_rows(name: str) -> bool:
    """Whether a count of a log is one of its interactions, which add up over shards."""
    return name == "rows" or (name.startswith("dropped_") and not name.startswith("dropped_items"))
