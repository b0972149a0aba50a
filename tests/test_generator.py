"""The generator: learns a teacher's texts, learns preferences, stays measurable, and writes each user's own texts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tiny_language import add_moved, copy_weights, plain_logprobs, tiny_language_model

from trackrec.lm.generator import AlignmentSettings, Generator
from trackrec.lm.model import LanguageModel
from trackrec.lm.sampling import DecodingSettings
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
USERS = ["ann", "bob", "cid", "dot", "eve"]
HISTORIES = {
    user: [{"item_id": 1 + (number + step) % 4, "rating": 1.0 + step} for step in range(number + 1)]
    for number, user in enumerate(USERS)
}
DECODING = DecodingSettings(max_new_tokens=10)


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    return tiny_language_model(tiny_model_folder)


@pytest.fixture(scope="module")
def generator(model: LanguageModel) -> Generator:
    return Generator(model, Renderer(model.tokenizer, ITEMS, PromptSettings(reccot_tokens=40)), HISTORIES)


def teacher_texts(users: list[str]) -> pl.DataFrame:
    """Two texts a user."""
    rows = [(user, text) for user in users for text in ("They like drama and crime.", "They like horror; not drama.")]
    return pl.DataFrame(rows, schema=["user_id", "text"], orient="row")


@torch.no_grad()
def likelihood(generator: Generator, adapter: str | None, texts: pl.DataFrame) -> float:
    """Mean log-probability of a text's tokens, end token included, by plain passes."""
    with generator.model.use(adapter):
        parts = [
            plain_logprobs(generator.model.base, generator.prompt(user), generator.renderer.reccot_ids(text))
            for user, text in texts.iter_rows()
        ]
    return float(torch.cat(parts).mean())


def test_distillation_raises_the_teachers_likelihood(generator: Generator) -> None:
    texts, steps = teacher_texts(USERS[:4]), []
    before = likelihood(generator, None, texts)
    job = TrainingSettings(learning_rate=1e-2, epochs=10, trees_per_step=2, trees_per_pass=2)
    rows = generator.distil("student", texts, job, 0, lambda done, of: steps.append((done, of)))
    assert steps == [(step, 20) for step in range(1, 21)]
    assert likelihood(generator, "student", texts) > before + 1.5
    assert likelihood(generator, "student", teacher_texts(USERS[4:])) > before + 1.5, "a user that it did not see"
    assert rows[-1]["loss"] < rows[0]["loss"] - 1.5


def test_distillation_reports_nats_a_token(generator: Generator) -> None:
    """With every user in the first step, before anything moved, its loss is the base model's."""
    texts = teacher_texts(USERS)
    for size in (1, 5):
        job = TrainingSettings(trees_per_step=5, trees_per_pass=size)
        (row,) = generator.distil("student", texts, job, 0)
        assert row["loss"] == pytest.approx(-likelihood(generator, None, texts), rel=1e-4)


def write(
    generator: Generator, adapter: str | None, users: list[str] = USERS, n: int = 3, seed: int = 0, **decoding: Any
) -> pl.DataFrame:
    return generator.writer(adapter).write(users, n, DECODING.model_copy(update=decoding), seed)


def test_writing_by_its_columns(generator: Generator) -> None:
    add_moved(generator.model, "student", seed=1)
    written = write(generator, "student")
    assert written.select("user_id", "sample").rows() == [(user, number) for user in USERS for number in range(3)]
    assert written.schema["token_ids"] == pl.List(pl.Int32)
    assert written.schema["token_logprobs"] == pl.List(pl.Float32)
    stops = generator.renderer.stop_ids
    for row in written.iter_rows(named=True):
        prompt = generator.prompt(row["user_id"])
        assert row["text"] == generator.renderer.decode(row["token_ids"]).strip()
        assert row["finished"] == (row["token_ids"][-1] in stops)
        assert row["finished"] or len(row["token_ids"]) == 10
        assert row["prompt_hash"] == hashlib.sha256(repr(prompt).encode()).hexdigest()[:16]
        with torch.no_grad(), generator.model.use("student"):
            expected = plain_logprobs(generator.model.base, prompt, row["token_ids"])
        torch.testing.assert_close(torch.tensor(row["token_logprobs"]), expected, atol=1e-4, rtol=1e-5)
    assert written.group_by("user_id").agg(pl.col("seed").n_unique())["seed"].to_list() == [1] * 5
    assert written["seed"].n_unique() == 5


def test_a_writer_is_deterministic_and_users_do_not_matter_to_each_other(generator: Generator) -> None:
    add_moved(generator.model, "student", seed=1)
    together = write(generator, "student")
    assert write(generator, "student").equals(together)
    columns = ["user_id", "sample", "text", "token_ids", "finished", "seed", "prompt_hash"]
    for user in USERS:
        alone = write(generator, "student", [user])
        assert alone.select(columns).equals(together.filter(pl.col("user_id") == user).select(columns))
    turned = write(generator, "student", USERS[::-1])
    assert turned.sort("user_id", "sample").select(columns).equals(together.select(columns))
    other = write(generator, "student", seed=1)
    assert not other["token_ids"].equals(together["token_ids"])
    assert together["text"].n_unique() == 15


def test_a_writer_keeps_the_version_that_it_was_made_of(generator: Generator) -> None:
    add_moved(generator.model, "student", seed=1)
    writer = generator.writer("student")
    expected = writer.write(USERS[:2], 2, DECODING, 0)
    add_moved(generator.model, "student", seed=2)
    assert writer.write(USERS[:2], 2, DECODING, 0).equals(expected)
    assert not write(generator, "student", USERS[:2], 2).equals(expected)
    base = write(generator, None, USERS[:2], 1, temperature=0)
    generator.model.add("fresh", 0)
    assert write(generator, "fresh", USERS[:2], 1, temperature=0).equals(base), "an untrained adapter is the base model"


def groups(users: list[str] = USERS) -> pl.DataFrame:
    """The first sample is the chosen one; two or one are rejected."""
    return pl.DataFrame(
        {
            "user_id": users,
            "chosen_sample": [0] * len(users),
            "rejected_samples": [[1, 2] if number % 2 == 0 else [2] for number in range(len(users))],
            "weight": [1.0] * len(users),
        },
        schema_overrides={"chosen_sample": pl.Int16, "rejected_samples": pl.List(pl.Int16)},
    )


def test_preference_examples_hold_the_sampled_tokens(generator: Generator) -> None:
    samples = write(generator, None)
    examples = generator.preference_examples(groups(), samples)
    tokens = {(row["user_id"], row["sample"]): row for row in samples.iter_rows(named=True)}
    for example, user, numbers in zip(examples, USERS, [(0, 1, 2), (0, 2)] * 3, strict=False):
        rows = [tokens[user, number] for number in numbers]
        assert example.tree.segments == [generator.prompt(user), *(row["token_ids"] for row in rows)]
        assert example.tree.parents == [-1] + [0] * len(numbers)
        assert example.segments == list(range(1, len(numbers) + 1))
        assert example.reference_logprobs == pytest.approx([sum(row["token_logprobs"]) for row in rows])
        assert example.weight == 1.0


def test_alignment_raises_the_chosen_against_the_rejected(generator: Generator) -> None:
    add_moved(generator.model, "student", seed=1)
    add_moved(generator.model, "previous", seed=1)
    samples = write(generator, "student")
    job = AlignmentSettings(
        beta=0.1, training=TrainingSettings(learning_rate=5e-3, epochs=6, trees_per_step=5, trees_per_pass=1)
    )
    rows = generator.align("student", groups(), samples, job, 0)
    # Two rejected in three of the groups, one in two: at the start log(1 + 2) and log(1 + 1).
    assert rows[0]["loss"] == pytest.approx((3 * 1.0986 + 2 * 0.6931) / 5, abs=1e-3)
    assert rows[0]["pairs"] == 8
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.2
    moved = generator.preference_accuracy("student", groups(), samples)
    assert (moved.accuracy, moved.pairs) == (1.0, 8)
    assert moved.margin > 3
    # By plain passes: what the chosen gained less what the rejected gained.
    gains = {}
    with torch.no_grad():
        for row in samples.iter_rows(named=True):
            sums = []
            for adapter in ("previous", "student"):
                with generator.model.use(adapter):
                    prompt = generator.prompt(row["user_id"])
                    sums.append(float(plain_logprobs(generator.model.base, prompt, row["token_ids"]).sum()))
            gains[row["user_id"], row["sample"]] = sums[1] - sums[0]
    margins = [
        gains[user, 0] - gains[user, number] for user, _, rejected, _ in groups().iter_rows() for number in rejected
    ]
    assert moved.margin == pytest.approx(sum(margins) / 8, abs=1e-2)
    # It went on from what it was, and the further it went the larger the divergence.
    written = write(generator, "student")
    divergence = generator.divergence("previous", written)
    assert divergence.per_token_k3 > 0.01
    assert divergence.per_sequence_k3 == pytest.approx(
        divergence.per_token_k3 * written["token_ids"].list.len().sum() / len(written)
    )


def test_a_strong_tie_keeps_the_generator_nearer(generator: Generator) -> None:
    margins = []
    for beta in (0.1, 5.0):
        add_moved(generator.model, "student", seed=1)
        samples = write(generator, "student")
        training = TrainingSettings(learning_rate=5e-3, epochs=6, trees_per_step=5, trees_per_pass=5)
        generator.align("student", groups(), samples, AlignmentSettings(beta=beta, training=training), 0)
        margins.append(generator.preference_accuracy("student", groups(), samples).margin)
    assert 0 < margins[1] < margins[0]


def test_nothing_moved_means_half_right_and_no_divergence(generator: Generator) -> None:
    add_moved(generator.model, "student", seed=1)
    before = copy_weights(generator.model, "student")
    written = write(generator, "student")
    divergence = generator.divergence("student", written)
    assert divergence.per_sequence == pytest.approx(0, abs=1e-4)
    assert divergence.per_token == pytest.approx(0, abs=1e-5)
    assert 0 <= divergence.per_sequence_k3 < 1e-6
    # The sampler and the trees compute the same sums in another order: differences in the last bits are no preference.
    result = generator.preference_accuracy("student", groups(), written)
    assert (result.accuracy, result.pairs) == (0.5, 8)
    assert result.margin == pytest.approx(0, abs=1e-4)
    after = copy_weights(generator.model, "student")
    assert all(torch.equal(after[key], before[key]) for key in before), "measuring trains nothing"
