"""The shared suites, over the built-in components: and that they notice what is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trackrec.features.encoder import TextEncoder
from trackrec.judges.base import JudgeContext
from trackrec.judges.ranker import RankerValidatorSettings
from trackrec.judges.rewards import ExtraRewardSettings, RewardContext
from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings
from trackrec.lm.training import TrainingSettings
from trackrec.prompts.renderer import PromptSettings, Renderer
from trackrec.registry import find, make
from trackrec.testing.component_suites import check_encoder, check_executor, check_judge, check_reward
from trackrec.testing.synthetic import SyntheticData, make_synthetic
from trackrec.users.counts import ProfileSettings
from trackrec.writing.executor import make_executor

LETTERS = "abcdefghiklmnorsty ö喜CH"


class FirstLetters:
    """An encoder without a model: how often each letter comes."""

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = [[text.count(letter) / len(text) for letter in LETTERS] for text in texts]
        return np.asarray(rows, dtype=np.float32).reshape(len(texts), len(LETTERS))


def context(world: SyntheticData, folder: Path | None = None) -> JudgeContext:
    def model() -> LanguageModel:
        settings = LanguageModelSettings(name=str(folder), threads=1, device="cpu")
        if not made:
            made.append(LanguageModel(settings, AdapterSettings(rank=4, alpha=8)))
        return made[0]

    made: list[LanguageModel] = []
    return JudgeContext(
        name="validator",
        items=world.items,
        split=world,  # type: ignore[arg-type]
        histories={},
        language_model=model,
        renderer=lambda: Renderer(model().tokenizer, world.items, PromptSettings(validator_recent=0)),
        encoder=FirstLetters,
    )


@pytest.mark.parametrize("name", ["log_likelihood", "probability"])
def test_rewards_by_target(name: str) -> None:
    check_reward(make("reward", find("reward", name).Settings()), by_target=True)


def test_rewards_of_texts() -> None:
    items = make_synthetic(users=6).items
    check_reward(
        make("reward", find("reward", "grounding").Settings(), RewardContext(items, "movies", (), ProfileSettings())),
        False,
    )


def test_the_ranker_as_judge(tmp_path: Path) -> None:
    settings = RankerValidatorSettings(members=2, recent=0, fit={"epochs": 12, "batch": 32, "learning_rate": 0.02})
    check_judge(lambda world: make("judge", settings, context(world)), tmp_path)


def test_the_matcher_as_judge(tmp_path: Path) -> None:
    settings = find("judge", "matcher").Settings(epochs=40, batch=32, learning_rate=0.02)
    check_judge(lambda world: make("judge", settings, context(world)), tmp_path)


def test_the_language_model_as_judge(tmp_path: Path, tiny_model_folder: Path) -> None:
    training = TrainingSettings(epochs=1, trees_per_step=4, learning_rate=0.01)
    settings = find("judge", "lm").Settings(training=training)

    def judge(world: SyntheticData) -> Any:
        made = make("judge", settings, context(world, tiny_model_folder))
        made.histories = {user: [] for user in world.texts["user_id"]}
        return made

    check_judge(judge, tmp_path, learns=False)


@pytest.mark.slow
def test_the_embedded_text_encoder() -> None:
    check_encoder(TextEncoder())


def test_an_encoder_without_a_model() -> None:
    check_encoder(FirstLetters())


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_of_this_machine(workers: int, tmp_path: Path) -> None:
    check_executor(make_executor({"type": "local", "workers": workers}), tmp_path)


class Forgets:
    """An executor that loses its last shard."""

    def map(self, shards: Any, work: Any) -> Any:
        yield from map(work, shards[:-1])


class GoesOn:
    """An executor that passes over what fails."""

    def map(self, shards: Any, work: Any) -> Any:
        for shard in shards:
            try:
                yield work(shard)
            except RuntimeError:
                continue


@pytest.mark.parametrize(("executor", "said"), [(Forgets(), "one manifest a shard"), (GoesOn(), "stops the job")])
def test_a_broken_executor_is_noticed(executor: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        check_executor(executor, tmp_path)


def broken_order(scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    return scores.select("user_id", "sample", "event_id", reward=pl.lit(0.0)).reverse()


def hangs_on_others(scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    return scores.select("user_id", "sample", "event_id", reward=pl.col("yes_probability").mean())


def not_a_number(scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    return scores.select("user_id", "sample", "event_id", reward=pl.lit(float("nan")))


def pays_for_error(scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    miss = (pl.col("label") - pl.col("yes_probability")).abs()
    return scores.select("user_id", "sample", "event_id", reward=miss)


@pytest.mark.parametrize("reward", [broken_order, hangs_on_others, not_a_number, pays_for_error])
def test_a_broken_reward_is_noticed(reward: Any) -> None:
    with pytest.raises(AssertionError):
        check_reward(reward, by_target=True)


def test_an_encoder_that_cuts_texts_to_nothing_is_noticed() -> None:
    class Constant:
        def encode(self, texts: list[str]) -> np.ndarray:
            return np.ones((len(texts), 3), dtype=np.float32)

    with pytest.raises(AssertionError, match="other texts, other vectors"):
        check_encoder(Constant())


def test_extra_rewards_have_a_weight() -> None:
    assert find("reward", "grounding").Settings().weight == ExtraRewardSettings(type="x").weight
