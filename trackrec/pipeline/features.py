"""RecCoT as a feature: the promoted generator writes for everybody, and DIN is trained with the vectors and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from trackrec.data.roles import Role
from trackrec.features.encoder import ITEM_VECTORS, shared_encoder, swap_vectors, user_vectors
from trackrec.features.projection import Projection, with_projected
from trackrec.files.tables import read_table
from trackrec.judges.rewards import reward_table
from trackrec.lm.model import holds_weights, write_model_card
from trackrec.pipeline.components import OUTSIDE, Components
from trackrec.pipeline.item_text import item_sources
from trackrec.pipeline.loop import Loop
from trackrec.pipeline.truth import Truth
from trackrec.rankers.arm import Arm
from trackrec.rankers.compare import compare_arms
from trackrec.run import Stage, written_whole
from trackrec.users.history_features import ranker_numbers

PROJECTION = "projection.safetensors"
ARMS = ("din_no_text", "din_swapped", "din_own")


class Features:
    """What leaves the run: RecCoTs, vectors, adapters; and what they do for an ordinary ranker.

    Args:
        components: of a run whose loop has ended.
        promoted: the round whose generator is used.
    """

    def __init__(self, components: Components, promoted: int) -> None:
        self.components, self.promoted = components, promoted
        self.run, self.dataset = components.run, components.dataset
        self.recipe = components.recipe

    def write_everybody(self) -> None:
        """The promoted generator writes for the users that it has not written for yet."""
        done = set(self.components.everybody_judged)
        users = self.dataset.ranker_users(self.recipe.write_for)["user_id"].to_list()
        extra = self.dataset.users(Role.LM_EXTRA) if self.recipe.write_for == "all" else []
        rest = [user for user in [*extra, *users] if user not in done]
        if rest:
            Loop(self.components).write_for("write-rest", self.promoted, rest)

    def written(self) -> pl.DataFrame:
        """The promoted generator's RecCoT of every user it wrote for."""
        tables = [self.components.kept(self.promoted)]
        if self.run.table("write-rest").is_file():
            tables.append(self.run.read("write-rest"))
        return pl.concat(tables)

    def collect(self, truth: Truth) -> None:
        """``reccots.parquet``, ``vectors.parquet``, ``generator/`` and ``validator/`` at the top of the run folder.

        Args:
            truth: judges the RecCoTs (table ``claims``, column ``grounded``).
        """
        self._collect_reccots(truth)
        self._fit_projection()
        self._make_vectors()
        self._copy_adapters()

    @property
    def _written(self) -> list[Path]:
        """The tables that `written` reads."""
        rest = self.run.table("write-rest")
        return [self.run.table(f"write-{self.promoted}"), *([rest] if rest.is_file() else [])]

    def _fit_projection(self) -> None:
        """``projection.safetensors``: the directions that tell most of a history, from users who rank nothing.

        Read are the promoted generator's RecCoTs of LM and LM validation users, and those of extra LM users, the
        teacher's where it wrote none for them. No ranker user's text or history has a part in it.
        """
        path, components = self.run.folder / PROJECTION, self.recipe.ranking.components

        def work(stage: Stage) -> None:
            written = self.written().select("user_id", "text")
            taught = self.run.read("teacher").filter(pl.col("sample") == 0).select("user_id", "text")
            taught = taught.filter(pl.col("user_id").is_in(self.dataset.users(Role.LM_EXTRA)))
            texts = pl.concat([written, taught]).unique("user_id", keep="first", maintain_order=True)
            texts = texts.filter(~pl.col("user_id").is_in(self.dataset.users(Role.RANKER)) & (pl.col("text") != ""))
            numbers = ranker_numbers(self.dataset.histories, self.dataset.items, self.dataset.roles)
            both = texts.join(numbers.table, on="user_id", how="inner", maintain_order="left")
            vectors = shared_encoder(self.recipe.encoder).encode(both["text"].to_list())
            told = np.asarray(both["numbers"].to_list(), dtype=np.float64)
            fitted = Projection.fit(vectors, components, told, numbers.weights("ctr"))
            with written_whole(path) as partial:
                fitted.save(partial)
            stage.outputs.append(path)
            stage.counts = {
                "texts": both.height,
                "dimensions": fitted.directions.shape[0],
                "components": fitted.directions.shape[1],
                "encoder": self.recipe.encoder.model_dump(mode="json"),
            }

        inputs = [*self._written, *(self.run.table(name) for name in ("teacher", "roles", "histories", "items"))]
        self.components.do("projection", work, inputs, self.components.encoder_settings | {"components": components})

    def _make_vectors(self) -> None:
        def work(stage: Stage) -> None:
            order = self.dataset.roles.select("user_id")
            texts = self.written().select("user_id", "text")
            mine = order.join(texts, on="user_id", how="left", maintain_order="left")
            raw = user_vectors(mine, shared_encoder(self.recipe.encoder))
            stage.output("vectors", with_projected(raw, Projection.load(self.run.folder / PROJECTION)))

        inputs = [*self._written, self.run.table("roles"), self.run.folder / PROJECTION]
        self.components.do("vectors", work, inputs, self.components.encoder_settings)

    def _copy_adapters(self) -> None:
        kind = self.components.kinds[0]
        sources = {
            "generator": self.components.generator_folder(self.promoted),
            "validator": self.components.validator_folder(kind, self.promoted, OUTSIDE),
        }

        def work(stage: Stage) -> None:
            for name, source in sources.items():
                with stage.folder(self.run.folder / name) as partial:
                    shutil.copytree(source, partial, dirs_exist_ok=True)
                    if holds_weights(partial):
                        note = self._validator_note() if name == "validator" else ""
                        write_model_card(partial, name, self.recipe.model.name, self.recipe.name, self.promoted, note)

        told = {"round": self.promoted, "name": self.recipe.name, "item_prior": self.components.lm_judge.item_prior}
        self.components.do("adapters", work, list(sources.values()), told | self.components.model_settings)

    def _validator_note(self) -> str:
        """What must be added to the validator's logits, for those who load it without TrackRec."""
        more = self.components.lm_judge.item_prior
        if more is None:
            return ""
        return (
            f"It was tuned on top of what is counted: add log((likes + {more:g}) / (dislikes + {more:g})) of the item, "
            "among LM users, to the logit of Yes before comparing."
        )

    def _collect_reccots(self, truth: Truth) -> None:
        kind, rounds = self.components.kinds[0], self.recipe.loop.rounds
        tables = [f"write-{number}" for number in self.components.rounds]
        tables += [
            name for number in self.components.rounds[1:] for name in (f"sample-{number}", f"score-{kind}-{number}")
        ]
        tables += ["teacher", f"matrix-{kind}-{rounds}", "roles", "histories", "items"]

        def work(stage: Stage) -> None:
            claims, judged = truth.judge(self._all_reccots())
            stage.write("claims", claims)
            stage.output("reccots", judged)

        settings = {"round": self.promoted, "reward": self.recipe.reward} | self.components.prompt_settings
        inputs = [*dict.fromkeys([*self._written, *(self.run.table(name) for name in tables)])]
        self.components.do("reccots", work, inputs, settings)

    def _all_reccots(self) -> pl.DataFrame:
        """Every RecCoT of the run, traceable to the model, prompt and history that made it."""
        roles = self.dataset.roles.select("user_id", "role")
        kind = self.components.kinds[0]
        teacher = self.run.read("teacher").with_columns(
            round=pl.lit(0, dtype=pl.Int16),
            kind=pl.lit("teacher"),
            reward=pl.lit(None, dtype=pl.Float64),
            gain=pl.lit(None, dtype=pl.Float64),
        )
        parts = [teacher]
        for number in range(self.recipe.loop.rounds + 1):
            last = self.written() if number == self.promoted else self.components.kept(number)
            scores = self.run.read(f"matrix-{kind}-{self.recipe.loop.rounds}").filter(pl.col("sample") == number)
            likelihood = reward_table(scores.drop("validator"), self.components.reward).select("user_id", "reward")
            parts.append(
                last.join(likelihood, on="user_id", how="left", maintain_order="left").with_columns(
                    round=pl.lit(number, dtype=pl.Int16), kind=pl.lit("kept"), gain=pl.lit(None, dtype=pl.Float64)
                )
            )
        for number in range(1, self.recipe.loop.rounds + 1):
            rewards = reward_table(self.run.read(f"score-{kind}-{number}"), self.components.reward)
            samples = self.run.read(f"sample-{number}").join(
                rewards.select("user_id", "sample", "reward", "gain"),
                on=["user_id", "sample"],
                how="left",
                maintain_order="left",
            )
            parts.append(samples.with_columns(round=pl.lit(number, dtype=pl.Int16), kind=pl.lit("sample")))
        table = pl.concat(parts, how="diagonal").join(roles, on="user_id", how="left", maintain_order="left")
        columns = [
            "user_id",
            "role",
            "round",
            "kind",
            "sample",
            "text",
            "token_ids",
            "token_logprobs",
            "finished",
            "seed",
        ]
        columns += ["prompt_hash", "adapter_hash", "reward", "gain", "grounded"]
        return table.with_columns(grounded=pl.lit(None, dtype=pl.Float64)).select(columns)

    def compare(self) -> None:
        """DIN without text, with another user's RecCoT and with the user's own: same examples, folds and seeds.

        With ``ranking.item_text`` each of them also reads the text of the item.
        """
        items, ranking = item_sources(self.components), self.recipe.ranking

        def work(stage: Stage) -> None:
            vectors = read_table(self.run.folder / "vectors.parquet")
            ranker = self.dataset.ranker_users(self.recipe.write_for)
            mine = vectors.join(ranker.select("user_id"), on="user_id", how="semi", maintain_order="left")
            swapped = swap_vectors(mine, ranker.select("user_id", "fold"), self.recipe.seed)
            arms = {
                name: Arm(users, users is not None, items, ranking.item_components)
                for name, users in zip(ARMS, (None, swapped, mine), strict=True)
            }
            with self.run.reporter.steps("din") as progress:
                predictions = compare_arms(
                    self.dataset,
                    ranker,
                    self.dataset.items,
                    arms,
                    ranking,
                    seed=self.recipe.seed,
                    progress=progress,
                )
            stage.write("din", predictions)
            users = predictions["user_id"].n_unique()
            stage.counts = {
                "users": users,
                "coverage": {
                    name: 0 if arm.users is None else arm.users["vector"].count() for name, arm in arms.items()
                },
            }

        inputs = [self.run.folder / "vectors.parquet", self.run.table("examples"), self.run.table("roles")]
        inputs += [self.run.table(ITEM_VECTORS)] if items else []
        self.components.do("din", work, inputs, {"ranking": ranking})
