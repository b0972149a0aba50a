"""What the rankers of a comparison are given of each user: texts of several origins, and the placebos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import polars as pl

from research.comparison.history_texts import history_texts
from trackrec.features.encoder import shared_encoder, swap_vectors, user_vectors
from trackrec.files.tables import read_table
from trackrec.pipeline.components import Components
from trackrec.pipeline.loop import Loop
from trackrec.prompts.domains import find_domain
from trackrec.run import Stage
from trackrec.teachers.base import write_texts
from trackrec.teachers.template import TeacherSettings
from trackrec.users.history_features import HistoryNumbers, ranker_numbers

NO_TEXT, FINAL, SWAPPED = "no text", "final round", "another user's"
RAW, NUMBERS, TEACHER, ZERO_SHOT = "raw history", "profile as numbers", "teacher's", "zero-shot"
RAW_CARDS, GENRE_NUMBERS = "raw history with cards", "genres as numbers"
"""Arms of a run whose items have tags: the history told with them, and the profile without them."""
CORE = (NO_TEXT, SWAPPED, FINAL)
"""The arms of the primary contrast: the final round against the other two."""


def round_name(number: int) -> str:
    """The arm of an earlier round's generator."""
    return "distilled" if number == 0 else f"round {number}"


class Arms:
    """Texts and vectors of all arms for the ranker users of a finished run.

    Args:
        components: of the run.
        promoted: the round that counts as the final one.
        zero_shot: whether the untuned model writes too.
        other_rounds: of the rounds beside the final one, those that are arms; None: all.
    """

    def __init__(
        self, components: Components, promoted: int, zero_shot: bool = True, other_rounds: Sequence[int] | None = None
    ) -> None:
        self.zero_shot = zero_shot
        self.other_rounds = [
            number
            for number in components.rounds
            if number != promoted and (other_rounds is None or number in other_rounds)
        ]
        self.components, self.promoted = components, promoted
        self.run, self.dataset = components.run, components.dataset
        self.users = components.dataset.ranker_users(components.recipe.write_for)
        """``user_id, role, fold`` of those who are compared."""

    @property
    def names(self) -> list[str]:
        """All arms, in the order in which they are shown."""
        others = [round_name(number) for number in self.other_rounds]
        counted = [RAW, RAW_CARDS, NUMBERS, GENRE_NUMBERS] if self.tags_told else [RAW, NUMBERS]
        return [*CORE, *counted, TEACHER, *([ZERO_SHOT] if self.zero_shot else []), *others]

    @property
    def tags_told(self) -> int:
        """So many tags of an item are told in the arm of histories with cards; 0: there are none, and no such arm."""
        prompts = self.components.recipe.prompts
        return max(prompts.show_tags, prompts.item_tags) if "tags" in self.dataset.items.columns else 0

    @cached_property
    def numbers(self) -> HistoryNumbers:
        """What is counted of each history: an arm of its own, and what all arms' directions are learned from."""
        return ranker_numbers(self.dataset.histories, self.dataset.items, self.users)

    def write(self) -> None:
        """Let the generators of the other rounds, and the base model, write for the ranker users."""
        ids = self.users["user_id"].to_list()
        done = set(self.components.everybody_judged)
        rest = [user for user in ids if user not in done]
        for number in self.other_rounds if rest else []:
            Loop(self.components).write_for(f"compare-write-{number}", number, rest)
        if self.zero_shot:
            self._write_zero_shot(ids)

    def _write_zero_shot(self, users: Sequence[Any]) -> None:
        recipe = self.components.recipe

        def work(stage: Stage) -> None:
            writer = self.components.generator.writer(None)

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                return writer.write(part, 1, recipe.loop.writing, recipe.seed * 10)

            stage.shards("compare-zero-shot", users, recipe.shard_users * 16, shard, "users")

        inputs = [self.run.table("histories"), self.run.table("roles")]
        self.components.do(
            "compare-zero-shot", work, inputs, {"writing": recipe.loop.writing} | self.components.prompt_settings
        )

    def encode(self) -> None:
        """The table ``compare-vectors``: ``arm, user_id, vector, has_reccot, source_user_id``."""
        tables = ["reccots", *(f"tables/{name}" for name in self._text_tables())]

        def work(stage: Stage) -> None:
            parts = [
                table.with_columns(pl.lit(name).alias("arm"), pl.col("vector").cast(pl.List(pl.Float32)))
                for name, table in self._vectors().items()
            ]
            table = pl.concat(parts, how="diagonal")
            stage.write("compare-vectors", table)
            stage.counts = {
                name: {"users": part.height, "with_vector": part["vector"].count()}
                for (name,), part in table.group_by("arm", maintain_order=True)
            }

        inputs = [self.run.folder / f"{name}.parquet" for name in tables]
        settings = self.components.encoder_settings | {"numbers": self.numbers.digest}
        settings |= {"tags": self.tags_told} if self.tags_told else {}  # without, earlier comparisons stay finished
        self.components.do("compare-vectors", work, inputs, settings)

    def tables(self) -> dict[str, pl.DataFrame | None]:
        """Each arm's table of vectors; None for the arm without text."""
        every = self.run.read("compare-vectors")
        parts: dict[str, pl.DataFrame | None] = {NO_TEXT: None}
        for (name,), part in every.group_by("arm", maintain_order=True):
            columns = [column for column in part.drop("arm").columns if part[column].null_count() < part.height]
            parts[str(name)] = part.select(columns)
        return parts

    def _text_tables(self) -> list[str]:
        names = [name for number in self.other_rounds for name in self._of_round(number)]
        return [*names, *(["compare-zero-shot"] if self.zero_shot else [])]

    def _of_round(self, number: int) -> list[str]:
        """The tables with a round's texts: of the users whom the run judged, and of the others if there are any."""
        names = [f"write-{number}", f"compare-write-{number}"]
        return [name for name in names if self.run.table(name).is_file()]

    def _vectors(self) -> dict[str, pl.DataFrame]:
        recipe = self.components.recipe
        encoder = shared_encoder(recipe.encoder)
        ids = self.users.select("user_id")
        # Every arm gets directions of its own in each fold; the run's own projection would favour the final round.
        vectors = read_table(self.run.folder / "vectors.parquet").select("user_id", "has_reccot", vector="raw_vector")
        final = vectors.join(ids, on="user_id", how="semi", maintain_order="left")
        texts = {RAW: self._history_texts(0), TEACHER: self.teacher_texts(self.users["user_id"].to_list())}
        if self.tags_told:
            texts[RAW_CARDS] = self._history_texts(self.tags_told)
        if self.zero_shot:
            texts[ZERO_SHOT] = self.run.read("compare-zero-shot")
        for number in self.other_rounds:
            parts = [self.run.read(name) for name in self._of_round(number)]
            texts[round_name(number)] = pl.concat(parts, how="diagonal")
        numbers = self.numbers.table.rename({"numbers": "vector"})
        genres = [place for place, name in enumerate(self.numbers.names) if not name.startswith("tag ")]
        of_genres = numbers.with_columns(pl.col("vector").list.gather(genres))
        made = {
            FINAL: final,
            SWAPPED: swap_vectors(final, self.users.select("user_id", "fold"), recipe.seed),
            NUMBERS: ids.join(numbers, on="user_id", how="left", maintain_order="left"),
            GENRE_NUMBERS: ids.join(of_genres, on="user_id", how="left", maintain_order="left"),
        }
        for name, table in texts.items():
            wanted = ids.join(table.select("user_id", "text"), on="user_id", how="left", maintain_order="left")
            made[name] = user_vectors(wanted, encoder)
        return {name: made[name] for name in self.names if name in made}

    def _history_texts(self, tags: int) -> pl.DataFrame:
        prompts = self.components.recipe.prompts
        domain = find_domain(prompts.domain)
        return history_texts(self.dataset.histories, self.dataset.items, domain, prompts.attributes, tags)

    def teacher_texts(self, users: Sequence[Any]) -> pl.DataFrame:
        """What the teacher says of some users when it leaves nothing out: ``user_id, sample, text``."""
        recipe = self.components.recipe
        all_told = {"omit": 0.0, "omit_genres": 0.0} if isinstance(recipe.teacher, TeacherSettings) else {}
        teacher = self.components.teacher(recipe.teacher.model_copy(update=all_told))
        return write_texts(teacher, self.dataset.histories, self.components.renderer, recipe.seed, users=users)
