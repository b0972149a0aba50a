"""Arms that a comparison has where they are asked for: a validator's P(Yes) as a feature, and texts of items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from research.comparison.arms import FINAL, NO_TEXT, SWAPPED, Arms
from research.comparison.file_arms import FileArms, FileTexts
from research.comparison.study_arm import StudyArm
from research.item_texts import ItemTeacher
from trackrec.errors import RecipeError
from trackrec.features.encoder import item_vectors, shared_encoder
from trackrec.judges.base import JudgeName
from trackrec.pipeline.components import OUTSIDE
from trackrec.pipeline.features import Features
from trackrec.pipeline.item_text import catalogue_vectors
from trackrec.prompts.domains import find_domain
from trackrec.rankers.compare import sample_rows
from trackrec.registry import named
from trackrec.run import Stage, text_hash
from trackrec.settings import NotNegative, Settings

ItemSource = Literal["text", "knowledge"]
Task = Literal["ctr", "rerank"]


class ExtraSettings(Settings):
    """Arms of the models with all arms that cost more than they are worth to everybody; without them a comparison costs
    what it did."""

    recent: tuple[NotNegative, ...] | None = None
    """Recent events in view of the CTR models that have these arms; null: of all with all arms."""
    scores: tuple[Annotated[str, named("judge")], ...] = ()
    """Kinds of validator (lm, ranker) whose P(Yes), reading the final RecCoT, becomes a feature of the CTR models. The
    run must have tuned them. Re-rankers have no such arm: nobody scored the candidates that a user never touched."""
    score_examples: int | None = Field(default=10, ge=1)
    """Examples of a user that the language model scores, drawn by a seed; null: all. The others have no score, which a
    mask bit says. The ranker as validator is quick and scores all."""
    score_placebos: tuple[JudgeName, ...] = ("ranker",)
    """Of which of these kinds the score with another user's RecCoT (the same one as in the arm "another user's") stands
    beside it as a placebo. The language model must read every scored example once more for that."""
    items: tuple[ItemSource, ...] = ()
    """Texts of items, each with and without the user's RecCoT: text is title and attributes, knowledge what KAR calls
    so, here written from the catalogue without a model."""
    texts: tuple[FileTexts, ...] = ()
    """Files of texts, an arm each; `--texts NAME=FILE` adds one."""
    item_components: int = Field(default=16, ge=1)
    """Directions of the items' vectors that a model reads; more than of users' vectors, as there are more items to
    learn them from than users."""


def score_table(kind: JudgeName, swapped: bool = False) -> str:
    """The table of a validator's scores; ``swapped``: with another user's RecCoT."""
    return f"compare-score-{kind}" + ("-swapped" if swapped else "")


def score_names(kind: JudgeName) -> tuple[str, str]:
    """The arms of a validator: its score beside the RecCoT, and alone."""
    return f"final + V's score ({kind})", f"V's score alone ({kind})"


def placebo_name(kind: JudgeName) -> str:
    """The arm whose validator read another user's RecCoT, beside the user's own vector."""
    return f"final + V's score, another user's ({kind})"


def item_names(source: ItemSource) -> tuple[str, str]:
    """The arms of an item text: with the user's RecCoT, and alone."""
    return f"items: {source} + final", f"items: {source}"


class ExtraArms:
    """Scores and item vectors of a finished run, and the arms that read them.

    Args:
        arms: the other arms; the final round's vectors are taken from them.
        settings: which arms there are.

    Raises:
        RecipeError: a validator is asked for that the run did not tune.
    """

    def __init__(self, arms: Arms, settings: ExtraSettings) -> None:
        self.arms, self.components, self.run, self.dataset = arms, arms.components, arms.run, arms.dataset
        self.settings, self.files = settings, FileArms(arms, settings.texts)
        unknown = [kind for kind in settings.scores if kind not in self.components.kinds]
        if unknown:
            raise RecipeError(
                f"comparison.extra.scores asks for the validator {unknown[0]!r}, but this run tuned "
                f"{', '.join(self.components.kinds)}: leave it out, or run a recipe with it as observer.type."
            )

    def pairs(self, task: Task) -> list[tuple[str, str]]:
        """What is compared with what: an arm and the one that it is the difference from."""
        pairs: list[tuple[str, str]] = []
        for kind in self.settings.scores if task == "ctr" else ():
            pairs += self._score_pairs(kind)
        for source in self.settings.items:
            both, alone = item_names(source)
            pairs += [(both, FINAL), (both, alone), (alone, NO_TEXT)]
        return pairs + self.files.pairs

    def thinly_scored(self) -> list[tuple[tuple[str, str], Path]]:
        """The pairs whose validator scores a part of the examples, each with the table of the scores."""
        kinds = [kind for kind in self.settings.scores if self._limit(kind) is not None]
        return [(pair, self.run.table(score_table(kind))) for kind in kinds for pair in self._score_pairs(kind)]

    def names(self, task: Task) -> list[str]:
        """The arms, in the order in which they are shown."""
        kinds = self.settings.scores if task == "ctr" else ()
        return [
            *(name for kind in kinds for name in score_names(kind)),
            *(placebo_name(kind) for kind in kinds if kind in self.placebos),
            *(name for source in self.settings.items for name in item_names(source)),
            *self.files.names,
        ]

    def tables(self, task: Task) -> list[Path]:
        """The tables that the arms read beside the users' vectors."""
        names = [score_table(*wanted) for wanted in self._wanted_scores()] if task == "ctr" else []
        names += [f"compare-items-{source}" for source in self.settings.items] + self.files.tables
        return [self.run.table(name) for name in names]

    def prepare(self) -> None:
        """Score and encode what the arms need; what is done is not done again."""
        for kind, swapped in self._wanted_scores():
            self._score(kind, swapped)
        for source in self.settings.items:
            self._encode(source)
        self.files.prepare()

    def inputs(self, task: Task, final: pl.DataFrame | None) -> dict[str, StudyArm]:
        """What each arm gives its rankers; ``final``: the final round's user vectors."""
        arms: dict[str, StudyArm] = {}
        for kind in self.settings.scores if task == "ctr" else ():
            scores = (self.run.read(score_table(kind)),)
            for name, users in zip(score_names(kind), (final, None), strict=True):
                arms[name] = StudyArm(users, scores=scores)
        for kind in self.placebos if task == "ctr" else ():
            arms[placebo_name(kind)] = StudyArm(final, scores=(self.run.read(score_table(kind, True)),))
        for source in self.settings.items:
            items = (self.run.read(f"compare-items-{source}"),)
            for name, users in zip(item_names(source), (final, None), strict=True):
                arms[name] = StudyArm(users, items=items, item_components=self.settings.item_components)
        return arms | {name: StudyArm(vectors) for name, vectors in self.files.inputs().items()}

    def coverage(self) -> dict[str, Any]:
        """How much there is of each source, by its name."""
        counts = {f"V's score ({kind})": self.run.manifest(score_table(kind)) for kind in self.settings.scores}
        counts |= {f"items: {source}": self.run.manifest(f"compare-items-{source}") for source in self.settings.items}
        return {name: manifest["counts"] for name, manifest in counts.items()} | self.files.coverage()

    @property
    def placebos(self) -> list[JudgeName]:
        """Kinds of validator whose score with another user's RecCoT is an arm too."""
        return [kind for kind in self.settings.scores if kind in self.settings.score_placebos]

    def _limit(self, kind: JudgeName) -> int | None:
        """How many examples of a user are scored; None: all."""
        return self.settings.score_examples if kind == "lm" else None

    def _score_pairs(self, kind: JudgeName) -> list[tuple[str, str]]:
        both, alone = score_names(kind)
        pairs = [(both, FINAL), (both, alone), (alone, NO_TEXT)]
        return [*pairs, (both, placebo_name(kind))] if kind in self.placebos else pairs

    def _wanted_scores(self) -> list[tuple[JudgeName, bool]]:
        return [*((kind, False) for kind in self.settings.scores), *((kind, True) for kind in self.placebos)]

    def _score(self, kind: JudgeName, swapped: bool) -> None:
        """The table of :func:`score_table`: ``user_id, event_id, yes_probability`` of ranker users' examples.

        The validator is the final round's, tuned on LM users alone. ``swapped``: it reads another user's RecCoT.
        """
        name, recipe, number = score_table(kind, swapped), self.components.recipe, self.arms.promoted
        limit = self._limit(kind)
        every = self.dataset.every_target(self.arms.users["user_id"].to_list())
        targets = sample_rows(every, limit, recipe.seed)
        written = Features(self.components, number).written().select("user_id", "text")
        texts = self.arms.users.select("user_id").join(targets, on="user_id", how="semi", maintain_order="left")
        if swapped:
            giver = self.run.read("compare-vectors").filter(arm=SWAPPED).select("user_id", "source_user_id")
            texts = texts.join(giver, on="user_id", how="left", maintain_order="left")
            written = written.rename({"user_id": "source_user_id"})
        key = "source_user_id" if swapped else "user_id"
        texts = texts.join(written, on=key, how="left", maintain_order="left")
        texts = texts.select("user_id", pl.lit(0, dtype=pl.Int16).alias("sample"), "text")
        folder = self.components.validator_folder(kind, number, OUTSIDE)

        def work(stage: Stage) -> None:
            validator = self.components.loaded_validator(kind, number)

            def shard(part: Sequence[int]) -> pl.DataFrame:
                rows = texts[part[0] : part[-1] + 1]
                return validator.score(targets.join(rows, on="user_id", how="semi", maintain_order="left"), rows)

            size = 4 * recipe.shard_users if kind == "lm" else max(1, texts.height)
            table = stage.shards(name, range(texts.height), size, shard, "users")
            stage.write(name, table.select("user_id", "event_id", "yes_probability"))
            stage.counts = {"users": texts.height, "examples": every.height, "with_score": table.height}

        inputs = [self.run.table("examples"), self.run.table("histories"), folder]
        settings = {"texts": text_hash(texts), "examples": limit} | self.components.prompt_settings
        self.components.do(name, work, inputs, settings)

    def _encode(self, source: ItemSource) -> None:
        """The table ``compare-items-<source>``: ``item_id, vector, has_text``."""
        name, recipe = f"compare-items-{source}", self.components.recipe
        domain = find_domain(recipe.prompts.domain)

        def work(stage: Stage) -> None:
            if source == "text":
                table = catalogue_vectors(self.dataset.items, recipe)
            else:
                texts = ItemTeacher(self.dataset.items, domain).write_all(recipe.seed)
                table = item_vectors(texts, shared_encoder(recipe.encoder))
            stage.write(name, table)
            stage.counts = {"items": table.height, "with_vector": table["vector"].count()}

        settings = self.components.encoder_settings | self.components.prompt_settings
        self.components.do(name, work, [self.run.table("items")], settings)
