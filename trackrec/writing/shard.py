"""The work of one shard: events -> histories -> texts -> verdicts -> vectors -> files. It needs no other shard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.checks.gate import is_ours
from trackrec.data.tabular import TablesSettings
from trackrec.errors import TrackRecError
from trackrec.features.encoder import Encoder, TextEncoder
from trackrec.features.projection import Projection
from trackrec.memory import peak_gigabytes
from trackrec.writing.carried_rows import SENTENCE_COUNTS, CarriedRows
from trackrec.writing.forgotten import forgotten_at
from trackrec.writing.histories import ShardHistories, histories_of
from trackrec.writing.partition import draw, partition_name
from trackrec.writing.place import Place
from trackrec.writing.shard_file import commit, commit_reference, schema, shard_name
from trackrec.writing.text_check import SENTENCES, TextChecker, unchecked
from trackrec.writing.vectors import as_lists, make_encoder, projection_fits
from trackrec.writing.version_plan import VersionPlan, read_inputs
from trackrec.writing.writers import EMPTY, TEMPLATE, TORCH, TemplateWriter, TextWriter, TorchWriter
from trackrec.writing.writing_recipe import WritingRecipe

_DAY = 86_400
_WRITERS_FAULTS = (OSError, MemoryError, TrackRecError)
"""Errors that are not a row's: the shard fails, and is done again."""

_TOOLS: dict[tuple[str, str], ShardTools] = {}


@dataclass
class ShardTools:
    """What a worker needs for every shard of a version, made once in a process."""

    place: Place
    plan: VersionPlan
    recipe: WritingRecipe
    items: pl.DataFrame
    high_water: int
    writer: TextWriter
    checker: TextChecker | None
    encoder: Encoder | None
    projection: Projection | None

    @classmethod
    def of(cls, url: str, version: str) -> ShardTools:
        """The tools of a version, from what its ``work`` folder says."""
        if (url, version) not in _TOOLS:
            _TOOLS.clear()
            _TOOLS[url, version] = cls._make(Place(url), version)
        return _TOOLS[url, version]

    @classmethod
    def _make(cls, place: Place, version: str) -> ShardTools:
        plan = VersionPlan.model_validate(place.read_json(f"versions/{version}/plan.json"))
        inputs = read_inputs(place, plan)
        recipe = WritingRecipe.model_validate(inputs["recipe"])
        items = place.read_table(f"{plan.work}/items.parquet")
        projection = None
        if plan.run_fingerprint.get("projection.safetensors"):
            projection = Projection.load(Path(plan.run) / "projection.safetensors")
        return cls(
            place=place,
            plan=plan,
            recipe=recipe,
            items=items,
            high_water=inputs["high_water"],
            writer=make_writer(plan, items, recipe),
            checker=TextChecker(items, recipe, _is_ours(plan, recipe)) if plan.settings.checked else None,
            encoder=make_encoder(plan.encoder),
            projection=projection,
        )


def _is_ours(plan: VersionPlan, recipe: WritingRecipe) -> bool:
    """Whether the template writes, or a generator that learned from it: an engine is anybody's."""
    return plan.writer == TEMPLATE or (
        plan.writer == TORCH and is_ours(str(recipe.teacher.get("type")), recipe.generator["distils"])
    )


def make_writer(plan: VersionPlan, items: pl.DataFrame, recipe: WritingRecipe) -> TextWriter:
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
        tools, tally = ShardTools.of(self.url, self.version), Tally()
        plan, place = tools.plan, tools.place
        name = shard_name(shard, plan.shards)
        with tally.timed("read"):
            told = _histories(tools, shard)
            carried = CarriedRows.find(place, plan, name, told.histories, tools.high_water)
            todo = told.histories.join(carried.users, on="user_id", how="anti", maintain_order="left")
        written, failed = _write_all(tools, todo, told.users, tally)
        rejected = pl.concat([told.rejected, failed]).sort("user_id")
        as_before = carried.is_all and todo.is_empty()
        if as_before:
            tally.counts.update(carried.counts)
        else:
            with tally.timed("read"):
                written = pl.concat([written, carried.rows(place, written.schema)]).sort("user_id")
            tally.counts["characters"] = int(written["text"].str.len_chars().sum())
            for verdict, number in _verdicts(written).items():
                tally.counts[f"{SENTENCE_COUNTS}{verdict}"] = number
        if plan.base is not None:
            tally.counts["carried"] = carried.users.height
            tally.counts["shards_by_reference"] = int(as_before)
        tally.counts["users"] = told.users.height + told.rejected.height
        tally.counts["failed"] = failed.height
        reasons = rejected.with_columns(pl.col("reason").str.split(":").list.first())["reason"].value_counts()
        manifest = {
            "shard": shard,
            "counts": dict(tally.counts) | {f"log_{key}": n for key, n in told.counts.items() if _is_of_rows(key)},
            "reasons": dict(sorted(reasons.iter_rows())),
            "core_seconds_by_step": {step: round(value, 4) for step, value in tally.seconds.items()},
            "core_seconds": round(time.process_time() - computed, 4),
            "seconds_all": round(time.perf_counter() - begin, 4),
            "peak_gb": peak_gigabytes(),
        }
        if isinstance(tools.encoder, TextEncoder):
            tools.encoder._cache.clear()  # it keeps every text's vector for ever, which is right for a run of few users
        if as_before and plan.base is not None:
            return commit_reference(place, self.version, plan.base, name, rejected, manifest)
        return commit(place, self.version, name, written, rejected, manifest)


def _histories(tools: ShardTools, shard: int) -> ShardHistories:
    recipe, plan = tools.recipe, tools.plan
    try:
        # Somebody may have been forgotten since the log was dealt.
        forgotten = forgotten_at(tools.place, Path(plan.run))
        rows = forgotten.left_out(tools.place.read_table(f"{plan.work}/{partition_name(shard)}"))
    except FileNotFoundError:  # nobody is in this shard
        rows = tools.place.read_table(f"{plan.work}/empty.parquet")
    return histories_of(
        rows,
        tools.items,
        recipe.feedback,
        recipe.split.like_threshold,
        plan.max_history,
        TablesSettings.model_validate(plan.tables),
        plan.now,
    )


def _write_all(
    tools: ShardTools, histories: pl.DataFrame, users: pl.DataFrame, tally: Tally
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of users, and ``user_id, reason`` of those that failed."""
    plan = tools.plan
    columns = schema(histories.schema["user_id"], histories.schema["item_id"])
    failed: list[tuple[Any, str]] = []
    parts = [_empty(columns)]
    for batch in by_users(histories, plan.settings.batch_users):
        with tally.timed("texts"):
            texts = _texts(tools, batch, failed, tally)
        with tally.timed("truth"):
            checked = _checked(tools, texts, batch, failed)
        with tally.timed("vectors"):
            parts.append(checked.hstack(_encode(tools, checked["text"].to_list())))
    with tally.timed("files"):
        number = (pl.col("position") + 1).cast(pl.Int32).alias("number")
        event = pl.struct(number, "item_id", "rating", "timestamp")
        shown = histories.group_by("user_id", maintain_order=True).agg(event.alias("history"))
        table = pl.concat(parts).join(shown, on="user_id", how="left", maintain_order="left")
        table = table.join(users, on="user_id", how="left", maintain_order="left")
        days = plan.settings.expires_days
        expires = None if days is None else plan.started + int(days * _DAY)
        table = table.with_columns(
            pl.lit(plan.started, pl.Int64).alias("written"),
            pl.lit(expires, pl.Int64).alias("expires"),
            pl.lit(plan.version).alias("version"),
        )
        table = table.select(columns.names()).cast(columns)
    rejected = pl.DataFrame(failed, schema={"user_id": columns["user_id"], "reason": pl.String}, orient="row")
    return table, rejected


def _empty(columns: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(
        schema={name: columns[name] for name in ("user_id", "text", "sentences", "vector", "raw_vector")}
    )


def by_users(histories: pl.DataFrame, number: int) -> Iterator[pl.DataFrame]:
    """Histories that lie user by user, so many users at a time."""
    lengths = histories.group_by("user_id", maintain_order=True).len()["len"].cast(pl.Int64).to_list()
    start = 0
    for first in range(0, len(lengths), number):
        size = sum(lengths[first : first + number])
        yield histories.slice(start, size)
        start += size


def _texts(tools: ShardTools, histories: pl.DataFrame, failed: list[tuple[Any, str]], tally: Tally) -> pl.DataFrame:
    """``user_id, text`` of the users who have one, in the order of the histories."""
    written = halving(tools.writer.write, histories, failed)
    for name in ("prompt_tokens", "completion_tokens", "cut"):
        if name in written.columns:
            tally.counts[name] += int(written[name].sum())
    order = histories.select(pl.col("user_id").unique(maintain_order=True))
    broken = pl.Series([user for user, _ in failed], dtype=order.schema["user_id"])
    order = order.filter(~pl.col("user_id").is_in(broken.implode()))
    reason = pl.col("reason") if "reason" in written.columns else pl.lit("")
    known = written.select("user_id", "text", reason.alias("reason")).unique("user_id", keep="first")
    found = order.join(known, on="user_id", how="left", maintain_order="left").fill_null("")
    bad = (pl.col("reason") != "") | (pl.col("text").str.strip_chars() == "")
    why = pl.when(pl.col("reason") == "").then(pl.lit(EMPTY)).otherwise("reason")
    failed += found.filter(bad).select("user_id", why).rows()
    return found.filter(~bad).select("user_id", "text")


def halving(
    write: Callable[[pl.DataFrame], pl.DataFrame], histories: pl.DataFrame, failed: list[tuple[Any, str]]
) -> pl.DataFrame:
    """What a writer gives, without the users on whom it fails, who are found by halving.

    Raises:
        OSError, MemoryError, TrackRecError: the writer is at fault, not a row.
    """
    try:
        return write(histories)
    except _WRITERS_FAULTS:
        raise
    except Exception as error:
        users = histories["user_id"].n_unique()
        if users == 1:
            failed.append((histories["user_id"][0], _reason(error)))
            return pl.DataFrame(schema={"user_id": histories.schema["user_id"], "text": pl.String})
    return pl.concat(
        [halving(write, half, failed) for half in by_users(histories, -(-users // 2))], how="diagonal_relaxed"
    )


def _reason(error: Exception) -> str:
    """Why a row failed: the error's type and the beginning of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _checked(
    tools: ShardTools, texts: pl.DataFrame, histories: pl.DataFrame, failed: list[tuple[Any, str]]
) -> pl.DataFrame:
    """``user_id, text, sentences``."""
    share, seed = tools.plan.settings.checked, tools.recipe.seed + 1
    told = [name for name in ("item_id", "rating", "label", "expected") if name in histories.columns]
    wanted = [share >= 1 or draw(seed, user) < share for user in texts["user_id"]]
    looked_at = texts.filter(pl.Series(wanted, dtype=pl.Boolean)).select("user_id")
    rows = histories.join(looked_at, on="user_id", how="semi", maintain_order="left")
    parts = rows.partition_by("user_id", as_dict=True, maintain_order=True)
    done, sentences = [], []
    for (user, text), look in zip(texts.iter_rows(), wanted, strict=True):
        try:
            found = unchecked(text)
            if look and tools.checker is not None:
                found = tools.checker.sentences(text, parts[(user,)].select(told).to_dicts())
        except _WRITERS_FAULTS:
            raise
        except Exception as error:
            failed.append((user, _reason(error)))
            continue
        done.append((user, text))
        sentences.append(found)
    table = pl.DataFrame(done, schema=texts.schema, orient="row")
    return table.with_columns(pl.Series("sentences", sentences, dtype=SENTENCES))


def _encode(tools: ShardTools, texts: list[str]) -> pl.DataFrame:
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
