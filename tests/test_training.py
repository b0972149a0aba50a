"""Training on trees: exact accumulation, recorded losses that can be recomputed, planted rules, and repeatable bits."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_language import add_moved, copy_weights, path, plain_logits, plain_logprobs, tiny_language_model
from torch import Tensor

from trackrec.lm.model import LanguageModel
from trackrec.lm.scoring import answer_logits
from trackrec.lm.trainer import train
from trackrec.lm.training import (
    Loss,
    TrainingSettings,
    TreeExample,
    answer_cross_entropy,
    answer_cross_entropy_given,
    preference_loss,
    sequence_logprobs,
    text_cross_entropy,
)
from trackrec.lm.tree import Tree

YES, NO = 270, 31
BETA = 0.1


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    return tiny_language_model(tiny_model_folder)


def count_answers(example: TreeExample) -> int:
    return len(example.answers)


def count_tokens(example: TreeExample) -> int:
    return sum(len(example.tree.segments[segment]) for segment in example.segments)


def one(example: TreeExample) -> int:
    return 1


def answer_examples(branches: Sequence[int]) -> list[TreeExample]:
    """Trees with these numbers of branches, of uneven length, each followed by a random answer."""
    numbers, examples = random.Random(1), []
    for count in branches:
        tree = Tree()
        root = tree.add([numbers.randrange(3, 260) for _ in range(numbers.randint(1, 6))])
        ends = [tree.add([numbers.randrange(3, 260) for _ in range(numbers.randint(1, 4))], root) for _ in range(count)]
        examples.append(TreeExample(tree, ends, [numbers.choice([YES, NO]) for _ in ends]))
    return examples


def preference_examples(model: LanguageModel, adapter: str, branches: Sequence[int]) -> list[TreeExample]:
    """The same trees as groups of samples, whose reference is the adapter as it is now; weights average 1."""
    examples = answer_examples(branches)
    for example, logprobs in zip(examples, sequence_logprobs(model, adapter, examples), strict=True):
        example.reference_logprobs = [sum(part) for part in logprobs]
    weights = torch.linspace(0.5, 1.5, len(examples)).tolist()
    return [
        TreeExample(e.tree, e.segments, [], e.reference_logprobs, w) for e, w in zip(examples, weights, strict=True)
    ]


class LogitsAsGiven:
    """Stands where the losses expect a model: hidden states are the logits, so that losses are known."""

    def logits(self, hidden: Tensor, model: object = None) -> Tensor:
        return hidden


def test_what_is_known_beforehand_counts_in_the_answers_loss() -> None:
    """Even logits, odds of 4 for the second token over the third: .8 and .2, whatever the first one holds."""
    tree = Tree()
    root = tree.add([0])
    ends = [tree.add([0], root), tree.add([0], root)]
    example = TreeExample(tree, ends, [1, 2], log_odds=[math.log(4), math.log(4)])
    loss, _ = answer_cross_entropy_given(1, 2)(LogitsAsGiven(), [torch.tensor([[9.0, 0.0, 0.0]] * 3)], [example])  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(-math.log(0.8) - math.log(0.2))


def settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings(**{"learning_rate": 1e-3, "trees_per_step": 4, **changes})


def trained(
    model: LanguageModel,
    examples: Sequence[TreeExample],
    loss: Loss,
    units: Callable[[TreeExample], int],
    seed: int = 0,
    **changes: Any,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Weights of an adapter, the same one every time, after training, and the rows of the training."""
    add_moved(model, "student", seed=1)
    rows = train(model, "student", examples, loss, settings(**changes), seed, units)
    return copy_weights(model, "student"), rows


JOBS = pytest.mark.parametrize(
    ("loss", "units"),
    [(answer_cross_entropy, count_answers), (text_cross_entropy, count_tokens), (preference_loss(BETA), one)],
    ids=["answers", "texts", "preferences"],
)
BRANCHES = (3, 2, 5, 2, 2, 4, 3, 2, 6, 2)


@JOBS
def test_accumulation_is_exact(model: LanguageModel, loss: Loss, units: Callable[[TreeExample], int]) -> None:
    """How a step is cut into passes changes nothing, though trees differ in answers; the last step is a short one."""
    add_moved(model, "student", seed=1)
    examples = preference_examples(model, "student", BRANCHES) if units is one else answer_examples(BRANCHES)
    results = {size: trained(model, examples, loss, units, trees_per_pass=size, epochs=2) for size in (1, 2, 4)}
    weights, rows = results[1]
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5]
    for other, other_rows in (results[2], results[4]):
        for key, value in weights.items():
            torch.testing.assert_close(other[key], value, atol=1e-5, rtol=0, msg=key)
        for row, other_row in zip(rows, other_rows, strict=True):
            assert other_row == pytest.approx(row, rel=1e-4, abs=5e-5)
    # It must have moved for this to say anything.
    add_moved(model, "student", seed=1)
    start = copy_weights(model, "student")
    assert all((weights[key] - start[key]).abs().max() > 1e-4 for key in start)


def test_the_gradient_of_a_step_is_that_of_the_mean_over_its_answers(model: LanguageModel) -> None:
    """One step of AdamW by hand from plain passes: rate * g / (|g| + eps) for the first step, and decay 0."""
    examples = answer_examples((3, 1, 5, 2))
    weights, rows = trained(model, examples, answer_cross_entropy, count_answers, warmup=0.0, trees_per_pass=1)
    add_moved(model, "student", seed=1)
    start = copy_weights(model, "student")
    with model.use("student"):
        losses = [
            torch.nn.functional.cross_entropy(
                plain_logits(model.base, path(example.tree, end))[-1], torch.tensor(answer)
            )
            for example in examples
            for end, answer in zip(example.segments, example.answers, strict=True)
        ]
        parameters = [value for value in model.peft.parameters() if value.requires_grad]
        gradients = torch.autograd.grad(torch.stack(losses).mean(), parameters)
    assert rows[0]["loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for (key, value), gradient in zip(start.items(), gradients, strict=True):
        clipped = gradient * min(1.0, 1.0 / float(norm))
        large = clipped.abs() > 1e-5  # elsewhere the sign, and so the step, is a matter of rounding
        expected = value - 1e-3 * clipped / (clipped.abs() + 1e-8)
        torch.testing.assert_close(weights[key][large], expected[large], atol=1e-5, rtol=0, msg=key)


@torch.no_grad()
def test_recorded_losses_equal_plain_passes(model: LanguageModel) -> None:
    """With all trees in one step: the mean over answers, over tokens, before anything moved."""
    examples = answer_examples((3, 1, 5, 2))
    add_moved(model, "student", seed=1)
    answers, tokens = [], []
    with model.use("student"):
        for example in examples:
            for end, answer in zip(example.segments, example.answers, strict=True):
                branch = path(example.tree, end)
                answers.append(-plain_logprobs(model.base, branch, [answer]))
                size = len(example.tree.segments[end])
                tokens.append(-plain_logprobs(model.base, branch[:-size], branch[-size:]))
    with torch.enable_grad():
        for loss, units, expected in (
            (answer_cross_entropy, count_answers, torch.cat(answers).mean()),
            (text_cross_entropy, count_tokens, torch.cat(tokens).mean()),
        ):
            for size in (1, 2, 4):
                _, rows = trained(model, examples, loss, units, trees_per_pass=size)
                assert [row["loss"] for row in rows] == pytest.approx([float(expected)], rel=1e-5)


def test_preference_loss_by_hand(model: LanguageModel) -> None:
    """References are set so that the ratios are known: ratio = log-probability now less the reference."""
    beta = math.log(3) / 3
    add_moved(model, "student", seed=1)
    examples = answer_examples((2, 3))
    # Tree 0: ratios 2 and -1: exp(beta * (-3)) = 1/3, so the loss is log(1 + 1/3); weight 0.5.
    # Tree 1: ratios 0, 3 and 0: exp(beta * 3) = 3 and exp(0) = 1, so log(1 + 4); weight 1.5.
    ratios, weights = [[2.0, -1.0], [0.0, 3.0, 0.0]], [0.5, 1.5]
    now = [[sum(part) for part in parts] for parts in sequence_logprobs(model, "student", examples)]
    groups = [
        TreeExample(e.tree, e.segments, [], [a - r for a, r in zip(policy, ratio, strict=True)], weight)
        for e, policy, ratio, weight in zip(examples, now, ratios, weights, strict=True)
    ]
    with torch.no_grad(), model.use("student"):
        total, figures = preference_loss(beta)(model, model.hidden([g.tree for g in groups]), groups)
    assert float(total) == pytest.approx(0.5 * math.log(4 / 3) + 1.5 * math.log(5), rel=1e-4)
    # Margins: 3; -3 and 0, which is half right: sums over the three pairs.
    assert figures == {"pairs": 3, "margin": pytest.approx(0.0, abs=1e-3), "preferences_right": 1.5}
    # Recorded for the step: the mean over users, and the sums as they are.
    for size in (1, 2):
        add_moved(model, "student", seed=1)
        (row,) = train(model, "student", groups, preference_loss(beta), settings(trees_per_pass=size), 0, one)
        assert row["loss"] == pytest.approx(float(total) / 2, rel=1e-4)
        assert (row["step"], row["pairs"], row["preferences_right"]) == (0, 3, 1.5)


def test_an_unmoved_model_has_the_loss_of_guessing(model: LanguageModel) -> None:
    add_moved(model, "student", seed=1)
    groups = preference_examples(model, "student", (2, 2, 2))
    (row,) = train(model, "student", groups, preference_loss(BETA), settings(), 0, one)
    # ln 2 for each user; the weights 0.5, 1 and 1.5 average 1.
    assert row["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert (row["preferences_right"], row["pairs"]) == (1.5, 3)
    assert row["margin"] == pytest.approx(0.0, abs=1e-4)


def planted(count: int) -> list[TreeExample]:
    """The answer is Yes after branches that end with token 40, No after those that end with 41."""
    numbers, examples = random.Random(2), []
    for _ in range(count):
        tree = Tree()
        root = tree.add([numbers.randrange(50, 60) for _ in range(4)])
        last = [numbers.choice([40, 41]) for _ in range(3)]
        ends = [tree.add([numbers.randrange(50, 60), token], root) for token in last]
        examples.append(TreeExample(tree, ends, [YES if token == 40 else NO for token in last]))
    return examples


def test_a_planted_rule_is_learnt(model: LanguageModel) -> None:
    model.add("student", 0)
    job = settings(learning_rate=1e-2, epochs=4, trees_per_pass=4)
    rows = train(model, "student", planted(40), answer_cross_entropy, job, 0, count_answers)
    losses = [row["loss"] for row in rows]
    assert len(losses) == 40
    # The tiny model's narrow, normed states cannot lift a token over the whole vocabulary by much more than this.
    assert losses[0] > 6
    assert sum(losses[-5:]) / 5 < 1.25
    fresh = planted(60)[40:]  # trees that were not learnt on
    logits = answer_logits(model, "student", [(example.tree, example.segments) for example in fresh], (YES, NO))
    right = [
        float(row.softmax(dim=0)[0 if answer == YES else 1])
        for example, rows_ in zip(fresh, logits, strict=True)
        for answer, row in zip(example.answers, rows_, strict=True)
    ]
    assert len(right) == 60
    assert min(right) > 0.9


def test_preferences_move_towards_the_chosen(model: LanguageModel) -> None:
    add_moved(model, "student", seed=1)
    groups = preference_examples(model, "student", (2, 3, 4, 3))
    job = settings(learning_rate=5e-3, epochs=8)
    rows = train(model, "student", groups, preference_loss(BETA), job, 0, one)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.2
    assert rows[-1]["preferences_right"] == rows[-1]["pairs"] == 8
    assert rows[-1]["margin"] > 5


@JOBS
def test_the_same_seed_gives_the_same_bits(
    model: LanguageModel, loss: Loss, units: Callable[[TreeExample], int]
) -> None:
    add_moved(model, "student", seed=1)
    examples = preference_examples(model, "student", BRANCHES) if units is one else answer_examples(BRANCHES)
    first, rows = trained(model, examples, loss, units, seed=5)
    torch.manual_seed(99)  # whatever happened in between
    random.seed(99)
    second, again = trained(model, examples, loss, units, seed=5)
    other, _ = trained(model, examples, loss, units, seed=6)
    assert rows == again
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first), "the seed orders the examples"


def test_recomputing_activations_changes_nothing(model: LanguageModel) -> None:
    examples = answer_examples(BRANCHES)
    plain, _ = trained(model, examples, answer_cross_entropy, count_answers)
    checkpointed, _ = trained(model, examples, answer_cross_entropy, count_answers, gradient_checkpointing=True)
    again, _ = trained(model, examples, answer_cross_entropy, count_answers)
    for key, value in plain.items():
        torch.testing.assert_close(checkpointed[key], value, atol=1e-5, rtol=0, msg=key)
        assert torch.equal(again[key], value), "it leaves no trace on the next training"


def test_nothing_else_moves(model: LanguageModel) -> None:
    add_moved(model, "bystander", seed=8)
    before = {key: value.clone() for key, value in model.peft.state_dict().items() if ".student." not in key}
    trained(model, answer_examples((2, 3)), answer_cross_entropy, count_answers)
    after = model.peft.state_dict()
    assert any(".bystander." in key for key in before)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not model.base.training


def test_progress_and_length_of_a_training(model: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []
    model.add("student", 0)
    examples = answer_examples(BRANCHES)  # ten trees, four in a step: 4 + 4 + 2
    job = settings(epochs=2)
    train(
        model,
        "student",
        examples,
        answer_cross_entropy,
        job,
        0,
        count_answers,
        lambda done, of: seen.append((done, of)),
    )
    assert seen == [(step, 6) for step in range(1, 7)]
    rows = train(model, "student", examples, answer_cross_entropy, settings(epochs=0.5), 0, count_answers)
    assert len(rows) == 2, "half of three steps, rounded up"
    assert capsys.readouterr().out == ""


def test_nothing_to_train_on_is_an_error(model: LanguageModel) -> None:
    with pytest.raises(ValueError, match="nothing to train the adapter 'student' on: got no examples"):
        train(model, "student", [], answer_cross_entropy, settings(), 0, count_answers)


@torch.no_grad()
def test_sequence_logprobs_are_those_of_plain_passes(model: LanguageModel) -> None:
    add_moved(model, "student", seed=1)
    examples, seen = answer_examples((3, 1)), []
    for adapter in ("student", None):
        results = sequence_logprobs(model, adapter, examples, lambda done, of: seen.append((done, of)))
        with model.use(adapter):
            for example, parts in zip(examples, results, strict=True):
                for segment, part in zip(example.segments, parts, strict=True):
                    tokens = example.tree.segments[segment]
                    prompt = path(example.tree, segment)[: -len(tokens)]
                    expected = plain_logprobs(model.base, prompt, tokens)
                    torch.testing.assert_close(torch.tensor(part), expected, atol=1e-4, rtol=1e-5)
    assert seen == [(1, 2), (2, 2)] * 2


def test_merged_layers_learn_what_pefts_do(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same training with PEFT's own layers ends at the same weights, over several steps of several passes."""
    examples = answer_examples(BRANCHES)
    merged, rows = trained(model, examples, answer_cross_entropy, count_answers, epochs=2)
    monkeypatch.setattr("trackrec.lm.merged_lora._is_plain", lambda layer, adapter: False)
    plain, plain_rows = trained(model, examples, answer_cross_entropy, count_answers, epochs=2)
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in plain_rows], rel=1e-4)
    moved = 0.0
    add_moved(model, "student", seed=1)
    for (key, before), (name, value) in zip(copy_weights(model, "student").items(), plain.items(), strict=True):
        assert key == name
        torch.testing.assert_close(merged[name], value, atol=2e-5, rtol=0, msg=name)
        moved = max(moved, float((value - before).abs().max()))
    assert moved > 1e-3, "the training moved the weights by far more than the two may differ"
    layer = next(module for module in model.peft.modules() if hasattr(module, "lora_A"))
    assert "forward" not in vars(layer), "afterwards the layers are PEFT's own again"
