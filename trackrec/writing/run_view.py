"""What writing needs of a run: its recipe, its catalogue with what LM users thought of each item, G, the projection."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.data.roles import Role
from trackrec.errors import LogError, WriteError
from trackrec.files.hashes import content_of
from trackrec.files.manifests import as_written, hashes_written
from trackrec.files.tables import read_table
from trackrec.run import file_hash
from trackrec.writing.writing_recipe import WritingRecipe

EXPECTED = "expected"
"""Column of the items: the smoothed share of LM users who liked the item, which histories are told with."""
PROJECTION = "projection.safetensors"


@dataclass(frozen=True)
class RunView:
    """A run folder, opened for writing from it; nothing in it is changed."""

    folder: Path
    recipe: WritingRecipe

    @classmethod
    def open(cls, folder: Path) -> RunView:
        """The run of a folder.

        Raises:
            WriteError: it holds no run whose data stage is finished.
        """
        for needed in ("recipe.yaml", "tables/items.parquet", "tables/histories.parquet", "tables/roles.parquet"):
            if not (folder / needed).is_file():
                raise WriteError(f"{folder} holds no run to write from (no {needed}): expected the folder of a run")
        return cls(folder, WritingRecipe.read(folder / "recipe.yaml"))

    def read(self, table: str) -> pl.DataFrame:
        """A table of the run."""
        return read_table(self._written(self.folder / "tables" / f"{table}.parquet"))

    def _written(self, path: Path) -> Path:
        return as_written(self.folder, path, self._hashes)

    @cached_property
    def _hashes(self) -> dict[str, set[str]]:
        return hashes_written(self.folder)

    @cached_property
    def opinions(self) -> pl.DataFrame:
        """``item_id, expected``: what is told to users of whom nothing was learnt, as the run's histories have it."""
        roles = self.read("roles").filter(pl.col("role").is_in([Role.RANKER, Role.LM_VALIDATION]))
        histories = self.read("histories").join(roles.select("user_id"), on="user_id", how="semi")
        if EXPECTED not in histories.columns or histories.is_empty():
            return pl.DataFrame(schema={"item_id": histories.schema["item_id"], EXPECTED: pl.Float64})
        told = histories.select("item_id", EXPECTED).unique("item_id", keep="first")
        examples = self.read("examples").join(roles.select("user_id"), on="user_id", how="semi")
        more = examples.filter(pl.col("raters").is_not_null()).unique("item_id", keep="first")
        strength = self.recipe.statistics.prior_strength
        share = (pl.col("likes") + strength * self._prior(more)) / (pl.col("raters") + strength)
        more = more.select("item_id", share.cast(pl.Float64).alias(EXPECTED))
        return pl.concat([told, more.join(told, on="item_id", how="anti")]).sort("item_id")

    @staticmethod
    def _prior(counted: pl.DataFrame) -> float:
        raters, likes = int(counted["raters"].sum()), int(counted["likes"].sum())
        return likes / raters if raters else 0.5

    def catalogue(self, log_items: pl.DataFrame) -> pl.DataFrame:
        """The run's items, then those that only the log knows; each with ``expected`` (the mean one if nobody said).

        Raises:
            LogError: ids are numbers in one and text in the other.
        """
        own = self.read("items")
        if own.schema["item_id"] != log_items.schema["item_id"]:
            raise LogError(
                f"the log has item ids as {log_items.schema['item_id']}, the run {self.folder} as "
                f"{own.schema['item_id']}: expected the same ids in both"
            )
        titled = log_items.filter(pl.col("item_id").is_not_null()).unique("item_id", keep="first", maintain_order=True)
        new = titled.join(own.select("item_id"), on="item_id", how="anti", maintain_order="left")
        shared = [name for name in own.columns if name in new.columns]
        both = pl.concat([own, new.select(shared)], how="diagonal_relaxed")
        if "touched" in both.columns:
            both = both.with_columns(pl.col("touched").fill_null(0))
        if self.opinions.is_empty():
            return both
        mean = float(self.opinions[EXPECTED].mean())  # type: ignore[arg-type]
        told = both.drop(EXPECTED, strict=False).join(self.opinions, on="item_id", how="left", maintain_order="left")
        return told.with_columns(pl.col(EXPECTED).fill_null(mean))

    @property
    def generator(self) -> Path | None:
        """The folder of the promoted generator; None: the run has none yet."""
        folder = self.folder / "generator"
        return self._written(folder) if folder.is_dir() else None

    @property
    def projection(self) -> Path | None:
        """The saved projection; None: the run has none."""
        path = self.folder / PROJECTION
        return self._written(path) if path.is_file() else None

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Hashes of all that texts and vectors depend on in the run."""
        names = ["recipe.yaml", "tables/items.parquet", "generator", PROJECTION]
        hashes = {name: file_hash(self.folder / name)[:16] for name in names if (self.folder / name).exists()}
        opinions = self.opinions.with_columns(pl.col(EXPECTED).round(9))
        # Weights in folders of this machine, which the recipe only names.
        hashes |= {
            name: found[:16]
            for name, found in content_of(
                {"encoder": {"name": self.recipe.encoder}, "model": self.recipe.generator["model"]}
            ).items()
        }
        return hashes | {"opinions": hashlib.sha256(opinions.write_csv().encode()).hexdigest()[:16]}
