"""The language model as validator: a planted rule is learnt from the RecCoT, and scores belong to their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny_language import plain_logits, tiny_language_model

from trackrec.data.log import stable_hash
from trackrec.judges import lm as module
from trackrec.judges.lm import LMValidator, LMValidatorSettings
from trackrec.lm.model import LanguageModel, adapter_hash
from trackrec.lm.training import TrainingSettings
from trackrec.prompts import PromptSettings, Renderer

ITEMS = pl.DataFrame(
    {
        "item_id": [1, 2, 3, 4],
        "title": ["Toy Story (1995)", "Fargo (1996)", "Star Wars (1977)", "Twelve Monkeys (1995)"],
        "year": [1995, 1996, 1977, 1995],
        "genres": [["Animation", "Comedy"], ["Crime"], ["Action"], ["Drama", "Sci-Fi"]],
    },
    schema_overrides={"year": pl.Int32},
)
USERS = list(range(100, 148))
JOB = TrainingSettings(learning_rate=1e-2, epochs=7, trees_per_step=4, trees_per_pass=4)


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    return tiny_language_model(tiny_model_folder)


def make(model: LanguageModel, share: float = 0.0, job: TrainingSettings = JOB, **settings: Any) -> LMValidator:
    renderer = Renderer(model.tokenizer, ITEMS, PromptSettings(validator_recent=1))
    histories = {user: [{"item_id": 1 + user % 4, "rating": 4.0}] for user in USERS}
    settings = {"training": job, "placeholder_share": share, **settings}
    return LMValidator(model, "validator", renderer, histories, LMValidatorSettings(**settings))


def liked(user: int) -> bool:
    return stable_hash(user) % 2 == 0


def world(users: list[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Targets and RecCoTs: those of whom the text says LIKES like all, the others nothing; nothing else tells it."""
    targets = pl.DataFrame(
        [
            {
                "user_id": user,
                "event_id": 10 * user + slot,
                "item_id": 1 + slot,
                "label": liked(user),
                "raters": 4,
                "likes": 2,
            }
            for user in users
            for slot in range(2)
        ],
        schema_overrides={"event_id": pl.UInt32, "label": pl.Int8},
    )
    texts = ["LIKES all films." if liked(user) else "HATES all films." for user in users]
    return targets, pl.DataFrame({"user_id": users, "text": texts})


def samples(users: list[int], texts: list[str | None]) -> pl.DataFrame:
    """Every text for every user; number -1 is the placeholder."""
    rows = [(user, number - 1, text) for user in users for number, text in enumerate(texts)]
    return pl.DataFrame(rows, schema={"user_id": pl.Int64, "sample": pl.Int16, "text": pl.String}, orient="row")


TEXTS = [None, "LIKES all films.", "HATES all films."]


@pytest.fixture(scope="module")
def fitted(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and figures of a validator that learnt the planted rule on the first 36 users."""
    folder = tmp_path_factory.mktemp("validator")
    figures = make(model).fit(*world(USERS[:36]), folder, seed=0)
    return folder, figures


def scorer(model: LanguageModel, fitted: tuple[Path, dict[str, Any]], **settings: Any) -> LMValidator:
    validator = make(model, **settings)
    validator.load(fitted[0])
    return validator


def test_the_planted_rule_is_learnt(model: LanguageModel, fitted: tuple[Path, dict[str, Any]]) -> None:
    """New users: what the text says decides, whoever it is of."""
    targets, _ = world(USERS[36:])
    scores = scorer(model, fitted).score(targets, samples(USERS[36:], TEXTS))
    said = {number: scores.filter(pl.col("sample") == number)["yes_probability"] for number in (0, 1)}
    assert said[0].min() > 0.8, "LIKES"
    assert said[1].max() < 0.2, "HATES"
    untuned = make(model).score_zero_shot(targets, samples(USERS[36:], TEXTS))
    by_text = untuned.group_by("sample").agg(pl.col("yes_probability").mean())
    assert by_text["yes_probability"].max() - by_text["yes_probability"].min() < 0.5, "it did not know that before"


def test_figures_of_a_fit(fitted: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = fitted
    assert (figures["users"], figures["users_with_placeholder"], figures["examples"]) == (36, 0, 72)
    assert len(figures["curve"]) == 63, "36 users, 4 in a step, 7 epochs"
    assert figures["curve"][-1]["loss"] < figures["curve"][0]["loss"] / 2
    assert (folder / "adapter_model.safetensors").is_file()


def test_the_items_counts_are_added_to_the_models_log_odds(model: LanguageModel, tmp_path: Path) -> None:
    """2 likes of 4 change nothing; 4 of 4, after one like and one dislike more, are odds of 5 to 1, added in log."""
    targets, texts = world(USERS[:2])
    targets = targets.with_columns(likes=pl.Series([2, 4, 2, 4], dtype=pl.Int64))
    job = TrainingSettings(learning_rate=0.0)
    by_arm = []
    for prior in (None, 1.0):
        validator = make(model, job=job, item_prior=prior)
        validator.fit(targets, texts, tmp_path / str(prior), seed=0)
        scores = validator.score(targets, texts.with_columns(sample=pl.lit(0, dtype=pl.Int16)))
        by_arm.append(torch.logit(torch.tensor(scores["yes_probability"].to_list(), dtype=torch.float64)))
    torch.testing.assert_close(
        by_arm[1] - by_arm[0], torch.tensor([0, 5, 0, 5], dtype=torch.float64).clamp(min=1).log()
    )


def test_one_row_for_each_reccot_and_target(model: LanguageModel, fitted: tuple[Path, dict[str, Any]]) -> None:
    users = USERS[:3]
    targets, _ = world(users)
    targets = targets.slice(1)  # the first user has one target, the others two
    scores = scorer(model, fitted).score(targets, samples(users, TEXTS))
    expected = [
        (row["user_id"], number, row["event_id"], row["label"])
        for user in users
        for number in (-1, 0, 1)
        for row in targets.filter(pl.col("user_id") == user).iter_rows(named=True)
    ]
    assert scores.select("user_id", "sample", "event_id", "label").rows() == expected
    assert scores.schema == {
        "user_id": pl.Int64,
        "sample": pl.Int16,
        "event_id": pl.UInt32,
        "label": pl.Int8,
        "yes_probability": pl.Float64,
    }
    assert scores["yes_probability"].is_between(0, 1).all()


def test_permuting_rows_permutes_scores(model: LanguageModel, fitted: tuple[Path, dict[str, Any]]) -> None:
    validator, users, key = scorer(model, fitted), USERS[:5], ["user_id", "sample", "event_id"]
    targets, _ = world(users)
    reccots = samples(users, TEXTS)
    expected = validator.score(targets, reccots).sort(key)
    for other in (
        validator.score(targets, reccots.sample(fraction=1, shuffle=True, seed=1)),
        validator.score(targets.sample(fraction=1, shuffle=True, seed=2), reccots),
        pl.concat(validator.score(targets, part) for part in (reccots[:4], reccots[4:])),
        scorer(model, fitted, token_budget=1).score(targets, reccots),
    ):
        found = other.sort(key)
        assert found.drop("yes_probability").equals(expected.drop("yes_probability"))
        assert found["yes_probability"].to_list() == pytest.approx(expected["yes_probability"].to_list(), abs=1e-5)
    assert expected["yes_probability"].round(6).n_unique() > 10, "scores differ, so a mix-up would show"


@torch.no_grad()
def test_a_score_is_that_of_the_whole_prompt(model: LanguageModel, fitted: tuple[Path, dict[str, Any]]) -> None:
    validator, user = scorer(model, fitted), USERS[0]
    renderer, (yes, no) = validator.renderer, [ids[0] for ids in validator.renderer.answers]
    targets, _ = world([user])
    for adapter, scores in (
        ("validator", validator.score(targets, samples([user], TEXTS))),
        (None, validator.score_zero_shot(targets, samples([user], TEXTS))),
    ):
        expected = []
        for text in TEXTS:
            for target in targets.iter_rows(named=True):
                prompt = renderer.validator_prefix(validator.histories[user]) + renderer.reccot_segment(text)
                prompt += renderer.target_segment(target["item_id"], target["raters"], target["likes"])
                with model.use(adapter):
                    logits = plain_logits(model.base, prompt)[-1]
                expected.append(float(torch.sigmoid(logits[yes] - logits[no])))
        assert scores["yes_probability"].to_list() == pytest.approx(expected, abs=1e-5)


def test_untuned_it_is_the_bare_model_whatever_the_items_counts_say(model: LanguageModel) -> None:
    targets, texts = world(USERS[:2])
    targets = targets.with_columns(likes=pl.Series([2, 4, 2, 4], dtype=pl.Int64))
    texts = texts.with_columns(sample=pl.lit(0, dtype=pl.Int16))
    bare, prior = (make(model, item_prior=prior) for prior in (None, 1.0))
    assert prior.score_zero_shot(targets, texts).equals(bare.score_zero_shot(targets, texts))


def test_the_adapter_is_merged_once_however_many_shards_are_scored(
    model: LanguageModel, fitted: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And anew once it is loaded or trained again, by whomever: no score is of weights that are no more."""
    merges: list[str | None] = []
    merge = model.merged
    monkeypatch.setattr(model, "merged", lambda name: (merges.append(name), merge(name))[1])
    targets, _ = world(USERS[36:])
    shards = [samples([user], TEXTS) for user in USERS[36:40]]
    validator = scorer(model, fitted)
    kept = [validator.score(targets, shard) for shard in shards]
    assert merges == ["validator"]
    zero = [validator.score_zero_shot(targets, shard) for shard in shards]
    assert merges == ["validator", None]
    for shard, scores, bare in zip(shards, kept, zero, strict=True):
        assert scorer(model, fitted).score(targets, shard).equals(scores), "bit for bit what a fresh copy gives"
        assert make(model).score_zero_shot(targets, shard).equals(bare)
    merges.clear()
    job = TrainingSettings(learning_rate=1e-2, epochs=1, trees_per_step=4)
    make(model, job=job).fit(*world(USERS[:8]), tmp_path / "other", seed=1)
    other = validator.score(targets, shards[0])
    assert not other.equals(kept[0])
    assert merges == ["validator"]
    validator.load(fitted[0])
    assert validator.score(targets, shards[0]).equals(kept[0])
    assert merges == ["validator"] * 2


def test_loaded_it_scores_as_it_did(model: LanguageModel, tiny_model_folder: Path, tmp_path: Path) -> None:
    job = TrainingSettings(learning_rate=1e-2, epochs=1, trees_per_step=4, trees_per_pass=4)
    targets, reccots = world(USERS[:8])
    first, second = make(model, job=job), make(tiny_language_model(tiny_model_folder), job=job)
    first.fit(targets, reccots, tmp_path / "once", seed=3)
    expected = first.score(targets, samples(USERS[:8], TEXTS))
    second.load(tmp_path / "once")
    assert second.score(targets, samples(USERS[:8], TEXTS)).equals(expected)
    # A second fit starts from the base model, not from what the first one learnt, and the order of rows is nothing.
    first.fit(targets, reccots.reverse(), tmp_path / "twice", seed=3)
    assert adapter_hash(tmp_path / "twice") == adapter_hash(tmp_path / "once")
    first.fit(targets, reccots, tmp_path / "other", seed=4)
    assert adapter_hash(tmp_path / "other") != adapter_hash(tmp_path / "once")


@pytest.fixture
def learnt_from(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The examples that a fit would train on; nothing is trained."""
    seen: list[Any] = []

    def keep(model: LanguageModel, adapter: str, examples: list[Any], *_: Any, **__: Any) -> list[Any]:
        seen[:] = examples
        return []

    monkeypatch.setattr(module, "train", keep)
    return seen


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_the_placeholder_share_is_respected(
    model: LanguageModel, learnt_from: list[Any], tmp_path: Path, share: float
) -> None:
    validator, seed = make(model, share), 7
    targets, reccots = world(USERS)
    figures = validator.fit(targets, reccots, tmp_path, seed)
    placeholder = validator.renderer.reccot_segment(None)
    without = [user for user, e in zip(USERS, learnt_from, strict=True) if e.tree.segments[1] == placeholder]
    # A user's own stream decides, so the others cannot change it.
    expected = [u for u in USERS if np.random.default_rng([seed, stable_hash(u)]).random() < share]
    assert without == expected
    assert figures["users_with_placeholder"] == len(without)
    assert abs(len(without) / len(USERS) - share) <= 3 * (share * (1 - share) / len(USERS)) ** 0.5
    validator.fit(targets, reccots[::3], tmp_path, seed)
    fewer = [user for user, e in zip(USERS[::3], learnt_from, strict=True) if e.tree.segments[1] == placeholder]
    assert fewer == [user for user in USERS[::3] if user in without]


def test_what_is_learnt_is_the_answer_after_each_target(
    model: LanguageModel, learnt_from: list[Any], tmp_path: Path
) -> None:
    validator = make(model)
    targets, reccots = world(USERS[:6])
    reccots = reccots.with_columns(text=pl.when(pl.col("user_id") == USERS[2]).then(None).otherwise("text"))
    figures = validator.fit(targets, reccots, tmp_path, 0)
    assert figures["users_with_placeholder"] == 1, "a text that is null is a placeholder too"
    yes, no = (ids[0] for ids in validator.renderer.answers)
    assert [e.answers for e in learnt_from] == [[yes if liked(user) else no] * 2 for user in USERS[:6]]
    assert figures["tokens"] == sum(len(e.tree) for e in learnt_from)
    for user, example in zip(USERS, learnt_from, strict=False):
        rows = targets.filter(pl.col("user_id") == user).iter_rows(named=True)
        expected = [validator.renderer.target_segment(row["item_id"], row["raters"], row["likes"]) for row in rows]
        assert [example.tree.segments[segment] for segment in example.segments] == expected
