"""What leaves a run: three tables, and what each column means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.features.encoder import Encoder
from trackrec.pipeline.item_text import catalogue_vectors
from trackrec.progress import Reporter
from trackrec.recipe import Recipe, load_recipe
from trackrec.run import Run

Table = Literal["examples", "users", "items"]

COLUMNS: dict[Table, dict[str, str]] = {
    "examples": {
        "user_id": "as in the log; a ranker user, of whom no label ever touched generator or validator",
        "event_id": "number of the interaction in the log",
        "item_id": "the target, as in the log",
        "label": "1 liked, 0 not",
        "rating": "what the user gave to the target; never an input",
        "timestamp": "of the interaction, seconds",
        "recent_item_ids": "items of the user's last interactions strictly before this one's time, oldest first",
        "recent_ratings": "their ratings",
        "raters": "how many LM users rated the target",
        "likes": "how many of them liked it",
        "yes_probability": "the validator's P(Yes) for user and target; null where it was not asked",
        "split": "train, validation or test; users are in one of them",
    },
    "users": {
        "user_id": "one row a ranker user with examples",
        "split": "train, validation or test",
        "history_events": "how many events the RecCoT was written from",
        "has_reccot": "false: no RecCoT was written, reccot and reccot_vector are null",
        "reccot": "the text of the promoted round",
        "reccot_vector": "the text as rankers read it: its unit vector, projected (projection.safetensors)",
        "reccot_raw_vector": "the text's unit vector, float32, of the recipe's encoder",
    },
    "items": {
        "item_id": "one row an item of the catalogue",
        "title": "as in the catalogue",
        "year": "null if unknown",
        "genres": "list of strings",
        "has_text": "false: the catalogue says nothing, or no item vectors were asked for; item_vector is null",
        "item_vector": "unit vector of title, year, attributes and genres, float32, of the encoder of the RecCoTs",
    },
}


@dataclass(frozen=True)
class FeatureTables:
    """Examples, users and items, with the columns of ``COLUMNS`` in that order."""

    examples: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    name: str
    """The recipe's name."""
    recent: int
    """The most recent events that an example has."""
    encoder: str
    """Which text encoder made the vectors."""

    def table(self, name: Table) -> pl.DataFrame:
        """A table by name."""
        tables: dict[Table, pl.DataFrame] = {"examples": self.examples, "users": self.users, "items": self.items}
        return tables[name]

    def part(self, split: str) -> pl.DataFrame:
        """The examples of one part of the split."""
        return self.examples.filter(pl.col("split") == split)

    @property
    def user_width(self) -> int:
        """Length of a user's vector; 0 if nobody has one."""
        return _width(self.users["reccot_vector"])

    @property
    def item_width(self) -> int:
        """Length of an item's vector; 0 if none has one."""
        return _width(self.items["item_vector"])

    @property
    def counts(self) -> dict[str, int]:
        """The coverage line: how many rows there are, and how many have what."""
        return {
            "examples": self.examples.height,
            "users": self.users.height,
            "users_with_reccot": int(self.users["has_reccot"].sum()),
            "items": self.items.height,
            "items_with_vector": int(self.items["has_text"].sum()),
            "examples_with_yes_probability": self.examples.height - self.examples["yes_probability"].null_count(),
        }


def read_features(
    folder: Path, fold: int = 0, with_items: bool = True, encoder: Encoder | None = None
) -> FeatureTables:
    """Read what leaves a finished run.

    Args:
        folder: the run.
        fold: the fold of ranker users that is the test set; the next one is for validation, as in the run's own
            comparison.
        with_items: also encode the catalogue's items, which takes a minute a few thousand items on a CPU.
        encoder: for the items; None: the recipe's.

    Raises:
        RunError: no finished run there, no such fold, or fewer than three folds.
    """
    if not (folder / "vectors.parquet").is_file():
        raise RunError(f"{folder} holds no finished run (no vectors.parquet): run the recipe first, or go on with it")
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed, reading=True)
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    users = _users(run, folder, promoted, fold)
    examples = run.read("examples").join(users.select("user_id", "split"), on="user_id", maintain_order="left")
    examples = _with_answers(examples, run, promoted)
    users = users.join(examples.select("user_id").unique(), on="user_id", how="semi", maintain_order="left")
    items = _items(run.read("items"), recipe, with_items, encoder)
    return FeatureTables(
        examples=examples.select(*COLUMNS["examples"]),
        users=users.select(*COLUMNS["users"]),
        items=items.select(*COLUMNS["items"]),
        name=recipe.name,
        recent=recipe.split.recent,
        encoder=recipe.encoder.type if not hasattr(recipe.encoder, "name") else recipe.encoder.name,
    )


def _users(run: Run, folder: Path, promoted: int, fold: int) -> pl.DataFrame:
    roles = run.read("roles").filter(pl.col("role") == str(Role.RANKER))
    folds = sorted(roles["fold"].unique().to_list())
    if len(folds) < 3 or fold not in folds:
        raise RunError(
            f"fold {fold} is to be the test set, but the ranker users of {folder} are in the folds {folds}: expected "
            "one of at least three (roles.ranker_folds)"
        )
    stop = folds[(folds.index(fold) + 1) % len(folds)]
    fold_of = pl.col("fold")
    split = pl.when(fold_of == fold).then(pl.lit("test")).when(fold_of == stop).then(pl.lit("validation"))
    texts = run.read_output("reccots").filter((pl.col("kind") == "kept") & (pl.col("round") == promoted))
    texts = texts.select("user_id", pl.col("text").alias("reccot")).unique("user_id", keep="last")
    vectors = run.read_output("vectors").rename({"vector": "reccot_vector", "raw_vector": "reccot_raw_vector"})
    events = run.read("histories").group_by("user_id").agg(history_events=pl.len())
    users = roles.select("user_id", split.otherwise(pl.lit("train")).alias("split"))
    for table in (vectors, texts, events):
        users = users.join(table, on="user_id", how="left", maintain_order="left")
    return users.with_columns(
        pl.col("has_reccot").fill_null(False),
        pl.col("history_events").fill_null(0).cast(pl.Int32),
        pl.when(pl.col("has_reccot").fill_null(False)).then("reccot"),
    )


def _with_answers(examples: pl.DataFrame, run: Run, promoted: int) -> pl.DataFrame:
    """Adds ``yes_probability`` where the run asked the validator of the promoted round."""
    name = f"test-own-{promoted}"
    if not run.table(name).is_file():
        return examples.with_columns(yes_probability=pl.lit(None, dtype=pl.Float64))
    answers = run.read(name).select("user_id", "event_id", "yes_probability").unique(["user_id", "event_id"])
    return examples.join(answers, on=["user_id", "event_id"], how="left", maintain_order="left")


def _items(items: pl.DataFrame, recipe: Recipe, with_vectors: bool, encoder: Encoder | None) -> pl.DataFrame:
    missing = {"year": pl.Int32(), "genres": pl.List(pl.String)}
    items = items.with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in missing.items() if name not in items.columns
    )
    if not with_vectors:
        nothing = pl.lit(None, dtype=pl.List(pl.Float32))
        return items.with_columns(has_text=pl.lit(False), item_vector=nothing)
    vectors = catalogue_vectors(items, recipe, encoder).rename({"vector": "item_vector"})
    joined = items.join(vectors, on="item_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("has_text").fill_null(False))


def _width(vectors: pl.Series) -> int:
    known = vectors.drop_nulls()
    return len(known[0]) if len(known) else 0
