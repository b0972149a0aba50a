"""What a run wrote itself, as a version for a store, and what its judge said of items: nothing is made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.features.projection import Projection
from trackrec.progress import Reporter
from trackrec.recipe import Recipe, load_recipe
from trackrec.run import Run, file_hash
from trackrec.store.record import Record, record_from_row
from trackrec.writing.run_view import PROJECTION
from trackrec.writing.text_check import TextChecker

OWN_STORE = "store.sqlite"
"""Where the demo puts them, in the run's folder."""
_FILES = ("reccots.parquet", "vectors.parquet", "manifests/promote.json")


class RunTexts:
    """The RecCoTs of a run's promoted generator as a publication, see :class:`trackrec.store.publication.Published`.

    Each is checked by the history that it was written from, which goes with it; vectors are those of the run. A run
    that writes for some users alone (``write_for``) has no others. For everybody in a log there is `trackrec write`.

    Args:
        run: the folder of a finished run.

    Raises:
        RunError: it is none; later, when it is read: a table is not what its stage wrote.
    """

    def __init__(self, run: Path) -> None:
        missing = self._missing(run)
        if missing:
            raise RunError(f"{run} holds no finished run (no {missing[0]}): start its recipe again, it goes on")
        self.run, self.place = run, str(run)

    @staticmethod
    def _missing(run: Path) -> list[str]:
        return [name for name in ("recipe.yaml", *_FILES) if not (run / name).is_file()]

    @classmethod
    def is_whole(cls, run: Path) -> bool:
        """Whether a folder holds a finished run."""
        return not cls._missing(run)

    @staticmethod
    def is_run(place: str) -> bool:
        """Whether a place is a run's folder, not a publication's."""
        return "://" not in place and (Path(place) / "recipe.yaml").is_file()

    def current(self) -> str:
        """The recipe's name with a hash of the texts and vectors: the same as long as they are."""
        hashes = "".join(file_hash(self.run / name) for name in _FILES[:2])
        return f"{self._recipe.name}-{hashlib.sha256(hashes.encode()).hexdigest()[:8]}"

    def manifest(self, version: str) -> dict[str, Any]:
        """What a publication says of itself, as far as a run knows it.

        Raises:
            RunError: the run has no such version.
        """
        if version != self.current():
            raise RunError(
                f"the run {self.run} has the version {self.current()!r} alone, but {version!r} was asked for"
            )
        encoder = self._recipe.encoder
        return {
            "version": version,
            "created": self._written,
            "run": str(self.run),
            "encoder": getattr(encoder, "name", None) if encoder.type == "sentence-transformer" else None,
            "projection": PROJECTION if (self.run / PROJECTION).is_file() else None,
            "counts": {"rows": self._texts.height},
            "shards": [
                {"name": "reccots", "rows": self._texts.height, "sha256": file_hash(self.run / "reccots.parquet")}
            ],
        }

    def projection(self, version: str) -> Projection | None:
        """What made the vectors; None: they are the encoder's own."""
        return (
            Projection.load(self._opened.written(self.run / PROJECTION))
            if self.manifest(version)["projection"]
            else None
        )

    def records(self, version: str) -> Iterator[Record]:
        """All of them, each sentence with its verdict and the events that it rests on."""
        checker = TextChecker(self._opened.read("items"), self._recipe)
        histories = self._opened.read("histories").sort("user_id", "position")
        rows = histories.join(self._texts.select("user_id"), on="user_id", how="semi", maintain_order="left")
        events = {user: part.to_dicts() for (user,), part in rows.group_by("user_id", maintain_order=True)}
        for text in self._texts.iter_rows(named=True):
            mine = events.get(text["user_id"], [])
            history = [
                {"number": number, **{name: event[name] for name in ("item_id", "rating", "timestamp")}}
                for number, event in enumerate(mine, start=1)
            ]
            more = {
                "sentences": checker.sentences(text["text"], mine),
                "history": history,
                "events": len(mine),
                "last_event": mine[-1]["timestamp"] if mine else None,
                "written": self._written,
                "expires": None,
                "version": version,
            }
            yield record_from_row(text | more)

    def judged(self) -> pl.DataFrame | None:
        """What the run's judge said of these texts' people: ``user_id, item_id, label, with_text, without_text``.

        Each row is an item that a person met after the history. None: the judge was not asked so.
        """
        run, promoted = self._opened, int(self._opened.manifest("promote")["counts"]["promoted"])
        names = {"with_text": f"test-own-{promoted}", "without_text": "test-placeholder"}
        if not all(run.table(name).is_file() for name in (*names.values(), "targets")):
            return None
        keys = ["user_id", "event_id"]
        told = run.read("targets").select(*keys, "item_id", "label").unique(keys, maintain_order=True)
        for column, name in names.items():
            answers = run.read(name).select(*keys, pl.col("yes_probability").alias(column))
            told = told.join(answers.unique(keys), on=keys, how="inner", maintain_order="left")
        return told.drop("event_id")

    @cached_property
    def _recipe(self) -> Recipe:
        return load_recipe(self.run / "recipe.yaml")

    @property
    def _written(self) -> int:
        return int((self.run / "reccots.parquet").stat().st_mtime)

    @cached_property
    def _opened(self) -> Run:
        return Run(self.run, Reporter(), self._recipe.seed, reading=True)

    def _output(self, stage: str) -> pl.DataFrame:
        """A table at the top of the folder, as its stage wrote it."""
        self._opened.manifest(stage)  # it must be there
        return self._opened.read_output(stage)

    @cached_property
    def _texts(self) -> pl.DataFrame:
        """``user_id, text, vector, raw_vector``."""
        promoted = int(self._opened.manifest("promote")["counts"]["promoted"])
        kept = self._output("reccots").filter(
            (pl.col("kind") == "kept") & (pl.col("round") == promoted) & (pl.col("text").str.strip_chars() != "")
        )
        vectors = self._output("vectors").select("user_id", "vector", "raw_vector")
        return kept.select("user_id", "text").join(vectors, on="user_id", how="left", maintain_order="left")


class JudgedItems:
    """Answers of a run's judge (V), kept in memory: the judge itself is not asked again.

    Args:
        version: in which the texts were written that the judge read.
        rows: ``user_id, item_id, label, with_text, without_text``: items that a person met after the history, whether
            the person liked each, and the judge's probabilities of that.
    """

    def __init__(self, version: str, rows: pl.DataFrame) -> None:
        self.version = version
        self._of: dict[str, list[dict[str, Any]]] = {}
        for row in rows.sort("with_text", descending=True, maintain_order=True).iter_rows(named=True):
            self._of.setdefault(str(row.pop("user_id")), []).append(row)

    @classmethod
    def of_run(cls, run: Path) -> JudgedItems | None:
        """Those of a finished run; None: it is not finished, or its judge was asked nothing with and without a text."""
        if not RunTexts.is_whole(run):
            return None
        texts = RunTexts(run)
        rows = texts.judged()
        return None if rows is None else cls(texts.current(), rows)

    def of(self, user_id: Any, version: str) -> list[dict[str, Any]]:
        """Items of a person, the likeliest first; none where the judge did not read this person's text.

        Args:
            user_id: of the person.
            version: in which the person's text was written.
        """
        return self._of.get(str(user_id), []) if version == self.version else []
